"""The price of each knob: what one change would save or cost of this very configuration.

A turn is one change to a configuration's keys, in either direction from where it stands; ``trains`` says whether the
training stays what it was.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from app.core.adapter import default_targets
from app.core.architecture import Architecture, Kind
from app.core.axolotl.composing import beside, four_bit_keys, fused_loss
from app.core.axolotl.run_reader import LIGER_KERNEL_KEYS
from app.core.coverage import LIGER_KERNELS, LORA_KERNELS, NO_FLASH_ATTENTION
from app.core.estimate import Verdict
from app.core.fit import LEAST_KTO_BATCH
from app.core.hardware import Hardware, Vendor
from app.core.memory.losses import loss_of
from app.core.memory.optimizer_forms import form_of
from app.core.messages import Message, Param, message
from app.core.plan import Install
from app.core.run import (
    LORA_KERNEL_KEYS,
    Attention,
    Checkpointing,
    LoraSettings,
    Loss,
    Method,
    Preference,
    Quantization,
    Run,
)
from app.core.timing import Pace

SAME_BYTES = 50 << 20
"""Differences below this are called none: they would be shown as 0.0 GiB."""
ADAPTER: Mapping[str, Any] = {"adapter": "lora", "lora_r": 32, "lora_alpha": 16, "lora_dropout": 0.05}
"""The guide's template, where there is no adapter yet."""


class Trains(StrEnum):
    """What becomes of the training itself."""

    SAME = "same"
    """The same updates, but for the order of sums."""
    ROUNDED = "rounded"
    """The same in principle, with states or a base in fewer bits."""
    OTHERWISE = "otherwise"
    """Something else is trained, or on other data, or in other batches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One change: ``patch`` are keys as ``apply_overrides`` takes them, None to take one out."""

    knob: str
    patch: Mapping[str, Any]
    trains: Trains
    label: Message


@dataclass(frozen=True, slots=True, kw_only=True)
class Knob:
    """A turn with its price, measured against the configuration as it stands.

    ``saves_bytes`` is of the process and negative where the change costs; ``time_ratio`` is the time of a token in
    times of the present one, None where the card's rates are not known.
    """

    turn: Turn
    saves_bytes: int
    process_bytes: int
    host_bytes: int
    verdict: Verdict
    fits: bool | None
    time_ratio: float | None

    @property
    def summary(self) -> Message:
        """Both prices in a few words."""
        return _summary(self.saves_bytes, self.time_ratio)


@dataclass(frozen=True, slots=True, kw_only=True)
class Saving:
    """A turn that saves, as far as a list of savings says it: a ``Knob`` of which nothing is itemised."""

    turn: Turn
    saves_bytes: int
    verdict: Verdict
    """The one word for whether it fits then."""
    time_ratio: float | None

    @property
    def summary(self) -> Message:
        """Both prices in a few words."""
        return _summary(self.saves_bytes, self.time_ratio)


def _summary(saves_bytes: int, time_ratio: float | None) -> Message:
    size = "saves" if saves_bytes > 0 else "costs"
    size = "equal" if abs(saves_bytes) < SAME_BYTES else size
    pace = None if time_ratio is None else Pace(ratio=time_ratio)
    said, percent, times = (pace.wording, pace.percent, pace.times) if pace else ("untimed", 0, "")
    return message(f"knob.price.{size}_{said}", size_bytes=abs(saves_bytes), percent=percent, times=times)


@dataclass(frozen=True, slots=True, kw_only=True)
class Knobs:
    """All knobs of one configuration, what saves most first."""

    items: tuple[Knob, ...]

    @property
    def saves_most(self) -> str | None:
        """The one change that saves most."""
        return next((one.turn.knob for one in self.items if one.saves_bytes >= SAME_BYTES), None)

    @property
    def saves_most_training_the_same(self) -> str | None:
        """The one that saves most and leaves the training as it is."""
        alike = (one for one in self.items if one.turn.trains is Trains.SAME and one.saves_bytes >= SAME_BYTES)
        return next((one.turn.knob for one in alike), None)


def turns(
    config: Mapping[str, Any],
    run: Run,
    architecture: Architecture,
    hardware: Hardware | None,
    install: Install = Install.DOCKER,
) -> Iterator[Turn]:
    """Every knob that this configuration, model and card have."""
    yield from _checkpointing(config, run)
    yield from _losses(config, run, architecture, hardware, install)
    yield from _liger(run, architecture, hardware)
    yield from _optimizers(run)
    yield from _batches(run, architecture)
    yield from _bases(config, run, architecture, hardware)
    if run.lora is not None:
        yield from _adapters(config, run, run.lora, architecture)
    yield from _attention(config, run, architecture, hardware)


def _turn(knob: str, patch: Mapping[str, Any], trains: Trains = Trains.SAME, **params: Param) -> Turn:
    return Turn(knob=knob, patch=patch, trains=trains, label=message(f"knob.{knob}", **params))


def _checkpointing(config: Mapping[str, Any], run: Run) -> Iterator[Turn]:
    """Axolotl refuses checkpointing where it reads "mpt" in the name."""
    if "mpt" in str(config.get("base_model")).lower():
        return
    if run.checkpointing is Checkpointing.OFF:
        yield _turn("checkpointing", {"gradient_checkpointing": True})
    else:
        yield _turn("no_checkpointing", {"gradient_checkpointing": False})
    if run.checkpointing is Checkpointing.OFFLOAD:
        yield _turn("no_offloading", {"gradient_checkpointing": True, "activation_offloading": None})
    else:
        yield _turn("offloading", {"gradient_checkpointing": True, "activation_offloading": True})


def _losses(
    config: Mapping[str, Any], run: Run, architecture: Architecture, hardware: Hardware | None, install: Install
) -> Iterator[Turn]:
    """Preference and reward training compute their own; Liger's fused one makes the logits in evaluation."""
    if config.get("rl") or config.get("reward_model"):
        return
    liger = loss_of(architecture, run) is Loss.LIGER_FUSED_LINEAR
    fused = run.loss is Loss.CUT_CROSS_ENTROPY or (liger and not run.evaluates)
    quantized = run.quantization in (Quantization.NF4, Quantization.INT8)
    found = beside(config, fused_loss(architecture, hardware, install, quantized=quantized))
    keys = {key: value for key, value in found.items() if key != "plugins"}
    if liger and "cut_cross_entropy" not in keys:
        keys = {}
    if keys and not fused and "chunked_cross_entropy" not in keys:
        yield _turn("fused_loss", keys, key=next(iter(keys)))
    if run.loss is not Loss.CHUNKED and not fused and not architecture.multimodal:
        yield _turn("chunked_loss", {"chunked_cross_entropy": True})
    if run.loss is not Loss.PLAIN:
        names = (
            "cut_cross_entropy",
            "liger_fused_linear_cross_entropy",
            "liger_cross_entropy",
            "chunked_cross_entropy",
        )
        yield _turn("plain_loss", dict.fromkeys(names))


def _liger(run: Run, architecture: Architecture, hardware: Hardware | None) -> Iterator[Turn]:
    """Norms, feed-forwards and positions by Liger's kernels, where a peak of them is recorded."""
    card = hardware is None or (hardware.vendor is Vendor.NVIDIA and hardware.bf16)
    off = [key for key in LIGER_KERNEL_KEYS if key not in run.liger]
    if off and card and architecture.model_type in LIGER_KERNELS:
        yield _turn("liger_kernels", dict.fromkeys(off, True))


def _optimizers(run: Run) -> Iterator[Turn]:
    form = form_of(run.optimizer)
    if not (form.eight_bit or form.four_bit):
        if form.states:
            yield _turn("optimizer_8bit", {"optimizer": "adamw_8bit"}, Trains.ROUNDED, before=run.optimizer)
    else:
        yield _turn("optimizer_32bit", {"optimizer": "adamw_torch_fused"}, Trains.ROUNDED, before=run.optimizer)
    if form.paged:
        name = run.optimizer.removeprefix("paged_")
        yield _turn("optimizer_unpaged", {"optimizer": "adamw_torch_fused" if name == "adamw_32bit" else name})
    elif form.states:
        yield _turn("optimizer_paged", {"optimizer": "paged_adamw_8bit"}, Trains.ROUNDED, before=run.optimizer)


def _batches(run: Run, architecture: Architecture) -> Iterator[Turn]:
    """A smaller micro batch is made up by accumulation where the effective batch allows."""
    micro, tokens = run.micro_batch_size, run.sequence_len_tokens
    effective = micro * run.gradient_accumulation_steps
    for knob, size in (("micro_batch_smaller", micro - 1), ("micro_batch_larger", micro + 1)):
        if size < (LEAST_KTO_BATCH if run.preference is Preference.KTO else 1):
            continue
        patch: dict[str, Any] = {"micro_batch_size": size}
        even = effective % size == 0
        if even:
            patch["gradient_accumulation_steps"] = effective // size
        yield _turn(knob, patch, Trains.SAME if even else Trains.OTHERWISE, before=micro, after=size)
    if tokens > 1:
        half = tokens // 2
        yield _turn("sequence_shorter", {"sequence_len": half}, Trains.OTHERWISE, before=tokens, after=half)
    double = 2 * tokens
    if double <= (architecture.context_tokens or 1 << 24):
        yield _turn("sequence_longer", {"sequence_len": double}, Trains.OTHERWISE, before=tokens, after=double)
    if run.evaluates and run.eval_batch_size > 1:
        yield _turn("eval_batch_smallest", {"eval_batch_size": 1}, before=run.eval_batch_size)


def _bases(
    config: Mapping[str, Any], run: Run, architecture: Architecture, hardware: Hardware | None
) -> Iterator[Turn]:
    """Bits of the frozen base; LoftQ's start and bitsandbytes know only some."""
    if run.method is Method.FULL:
        targets = default_targets(architecture)
        named = targets if isinstance(targets, str) else list(targets)
        yield _turn("adapter", {**ADAPTER, "lora_target_modules": named}, Trains.OTHERWISE)
        return
    quantizable = any(module.kind is Kind.LINEAR for module in architecture.modules)
    if run.quantization is Quantization.GPTQ or architecture.published_in:
        return  # another base is another checkpoint
    if run.quantization is Quantization.NF4:
        yield _turn("base_16bit", {"adapter": "lora"}, Trains.ROUNDED)
    elif quantizable and not config.get("peft"):
        four_bit = {"adapter": "qlora", **four_bit_keys(architecture, hardware, config)}
        yield _turn("base_4bit", four_bit, Trains.ROUNDED)
        if run.quantization is Quantization.INT8:
            yield _turn("base_16bit", {"load_in_8bit": None}, Trains.ROUNDED)
        elif run.quantization is Quantization.NONE and (hardware is None or hardware.vendor is Vendor.NVIDIA):
            yield _turn("base_8bit", {"load_in_8bit": True}, Trains.ROUNDED)


def _adapters(config: Mapping[str, Any], run: Run, lora: LoraSettings, architecture: Architecture) -> Iterator[Turn]:
    """Rank, dropout, DoRA, what is trained beside, and Axolotl's kernels."""
    for knob, rank in (("rank_lower", lora.r // 2), ("rank_higher", lora.r * 2)):
        if rank:
            alpha = max(1, lora.alpha * rank // lora.r)
            patch = {"lora_r": rank, "lora_alpha": alpha}
            yield _turn(knob, patch, Trains.OTHERWISE, before=lora.r, after=rank)
    if lora.dropout:
        yield _turn("no_dropout", {"lora_dropout": 0.0}, Trains.OTHERWISE, before=lora.dropout)
    if lora.dora:
        yield _turn("no_dora", {"peft_use_dora": False}, Trains.OTHERWISE)
    elif run.quantization is not Quantization.GPTQ:
        yield _turn("dora", {"peft_use_dora": True}, Trains.OTHERWISE)
    if lora.modules_to_save:
        yield _turn("no_saved_modules", {"lora_modules_to_save": None}, Trains.OTHERWISE, names=lora.modules_to_save)
    unread = run.quantization in (Quantization.INT8, Quantization.GPTQ)
    covered = architecture.model_type in LORA_KERNELS and not unread
    if run.fused_lora is not False and covered:
        yield _turn("no_fused_kernels", dict.fromkeys(LORA_KERNEL_KEYS, False))
    elif covered and not config.get("trust_remote_code"):
        yield _turn("fused_kernels", dict.fromkeys(LORA_KERNEL_KEYS[:3], True))


def _attention(
    config: Mapping[str, Any], run: Run, architecture: Architecture, hardware: Hardware | None
) -> Iterator[Turn]:
    able = (hardware is None or hardware.flash_attention) and architecture.model_type not in NO_FLASH_ATTENTION
    if able and run.attention in (Attention.EAGER, Attention.SDPA):
        yield _turn("flash_attention", {"attn_implementation": "flash_attention_2"})
    if run.attention is Attention.SDPA and not run.ampere and not run.sample_packing and _grouped(architecture):
        yield _turn("eager_attention", {"attn_implementation": "eager"})
    if config.get("rl"):
        return
    if run.sample_packing:
        yield _turn("no_packing", {"sample_packing": False}, Trains.OTHERWISE)
    elif run.attention is Attention.FLASH:
        yield _turn("packing", {"sample_packing": True}, Trains.OTHERWISE)


def _grouped(architecture: Architecture) -> bool:
    """Whether several heads share keys: before Ampere SDPA makes their scores in fp32, eager in the run's 16 bits."""
    return any(block.attention_heads > block.key_value_heads > 0 for block in architecture.blocks)
