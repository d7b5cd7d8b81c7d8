"""Reads a run from a configuration in Axolotl's own keys, with its defaults for what is left out.

Source: Axolotl 0.19, ``axolotl/utils/schemas``.
"""

import marshal
import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from app.core.axolotl.lora_kernels import on_by_themselves
from app.core.axolotl.lora_reader import LoraReader
from app.core.axolotl.unmodelled import room
from app.core.collating import Collating, collating
from app.core.errors import InvalidInput
from app.core.kept import found_or_made
from app.core.methods.reading import read_method
from app.core.methods.settings import PeftMethod, PeftType
from app.core.optimizer_names import OPTIMIZERS, meant_optimizer
from app.core.run import (
    CCE_PLUGIN,
    LIGER_PLUGIN,
    LORA_ADAPTERS,
    LORA_KERNEL_KEYS,
    MOST_UNQUANTIZED,
    SKIP_MODULES,
    Attention,
    Checkpointing,
    KeptAttention,
    Loss,
    Method,
    Offloading,
    Preference,
    Quantization,
    Run,
    is_plain,
)
from app.core.shown import shown
from app.core.targets import safe_pattern
from app.core.values import LONGEST_SEQUENCE, WHOLE, says_no

ATTENTION_OF = {
    "eager": Attention.EAGER,
    "sdpa": Attention.SDPA,
    "flash_attention_2": Attention.FLASH,
    "flash_attention_3": Attention.FLASH,
    "flash_attention_4": Attention.FLASH,
    "flash_attention_torch": Attention.FLASH,
    "flex_attention": Attention.FLEX,
    "xformers": Attention.FLASH,
    "sage": Attention.FLASH,
    "fp8": Attention.FLASH,
}

ATTENTIONS = tuple(ATTENTION_OF)

PEFT_TYPES = frozenset(PeftType)
ADAPTERS = ("", *LORA_ADAPTERS, *PeftType)
ATTENTION_FLAGS = {
    "xformers_attention": "xformers",
    "sage_attention": "sage",
    "flex_attention": "flex_attention",
    "flash_attention": "flash_attention_2",
    "sdp_attention": "sdpa",
    "eager_attention": "eager",
}
"""The old switches, which Axolotl still reads in this order where ``attn_implementation`` is left out."""

MOST_LAYERS = 1 << 16
"""Layers that ``lisa_n_layers`` may name: more than any model has."""

OWN_RATES = ("loraplus_lr_ratio", "embedding_lr", "embedding_lr_scale", "lr_groups")
LIGER_KERNEL_KEYS = ("liger_rms_norm", "liger_glu_activation", "liger_rope")

PACKED_ITEMSIZES = {"uint8": 1, "int8": 1, "float32": 4}
"""Bytes of a value of ``bnb_4bit_quant_storage``, but for those of two."""
MOST_VARIABLE_SKIPPED = 2
"""Parts of variable length in each of its names: all of them meet all layers."""
Q_GALORE = "q_galore_adamw8bit"
Q_GALORE_TARGETS = ("attn", "mlp")
"""Where ``optim_target_modules`` is left out: ``check_qgalore`` of ``utils/schemas/validation.py``."""


_SAID: OrderedDict[tuple[bytes, tuple[str, ...]], Run] = OrderedDict()
MOST_SAID, LONGEST_SAID = 1024, 4096
"""Configurations beside their numbers that are kept as read, and the bytes that one may take to be."""


def read_run(config: Mapping[str, Any]) -> Run:
    """Read a configuration. What it says beside its numbers is read once, and numbers are put in.

    Raises:
        InvalidInput: with one error per bad value, pointers below ``/config``.
    """
    numbers = {key: config[key] for key in WHOLE if key in config}
    written = _written({key: value for key, value in config.items() if key not in WHOLE})
    if written is None or not all(type(number) is int and number in WHOLE[key] for key, number in numbers.items()):
        return _Reader(config).run()
    said = found_or_made(_SAID, (written, tuple(numbers)), lambda: _Reader(config).run(), most=MOST_SAID)
    return _at(said, numbers)


def _written(config: dict[str, Any]) -> bytes | None:
    """A configuration as bytes; None where it holds what has none (a date, a set), or too much to be kept."""
    try:
        written = marshal.dumps(config, 2)  # the version that writes equals the same
    except ValueError:
        return None
    return written if len(written) <= LONGEST_SAID else None


def _at(said: Run, numbers: Mapping[str, int]) -> Run:
    """The run at numbers that stand in the same places."""
    rows, lora = numbers.get("micro_batch_size", said.micro_batch_size), said.lora
    if lora is not None:
        lora = lora.at(r=numbers["lora_r"], alpha=numbers.get("lora_alpha", 2 * numbers["lora_r"]))
    return said.at(
        lora=lora,
        sequence_len_tokens=numbers.get("sequence_len", said.sequence_len_tokens),
        micro_batch_size=rows,
        eval_batch_size=numbers.get("eval_batch_size", rows),
        gradient_accumulation_steps=numbers.get("gradient_accumulation_steps", said.gradient_accumulation_steps),
    )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


class _Reader(LoraReader):
    """Puts the run together, and collects every fault of a configuration before raising."""

    def run(self) -> Run:
        adapter = self.choice("adapter", "", ADAPTERS)
        peft = self.peft(adapter) if adapter in PEFT_TYPES else None
        preference = self.preference()
        lora = self.lora() if adapter in LORA_ADAPTERS else None
        if lora is not None and preference not in (None, Preference.REWARD):
            lora = replace(lora, dropout=0.0, idle_dropout=lora.dropout > 0)
        packing = self.flag("sample_packing")
        bits4, bits8 = self.flag("load_in_4bit"), self.flag("load_in_8bit")
        micro_batch_size = self.whole("micro_batch_size", 1)
        attention = self.attention_name()
        rows = self.collating(preference, packing=packing, attention=attention)
        run = Run(
            method=Method.PEFT if adapter in PEFT_TYPES else Method(adapter or "full"),
            quantization=self.quantization(adapter, bits4, bits8),
            lora=lora,
            relora=self.flag("relora"),
            sequence_len_tokens=self.whole("sequence_len", 512),
            micro_batch_size=micro_batch_size,
            gradient_accumulation_steps=self.whole("gradient_accumulation_steps", 1),
            sample_packing=packing,
            attention=self.attention(attention),
            attention_set=attention not in (None, "sdpa", "eager"),
            checkpointing=self.checkpointing(),
            checkpoint_every=self.checkpoint_every(),
            offloading=self.offloading(),
            kept_attention=self.kept_attention(),
            lisa_layers=self.lisa_layers(adapter),
            tiled=self.flag("tiled_mlp"),
            tiles_compiled=not self.flag("tiled_mlp_use_original_mlp", default=True),
            tiles=int(self.number("tiled_mlp_num_shards", 0, 1, LONGEST_SEQUENCE)),
            layer_offloading=self.flag("layer_offloading"),
            reentrant=self.reentrant(adapter),
            loss=self.loss(),
            optimizer=self.optimizer(),
            fused_lora=self.fused_lora(adapter),
            bf16=self.bf16(),
            evaluates=self.evaluates(),
            eval_batch_size=self.whole("eval_batch_size", micro_batch_size),
            neftune=self.number("neftune_noise_alpha", 0.0, 0.0, 1e6) > 0
            or self.number("noisy_embedding_alpha", 0.0, 0.0, 1e6) > 0,
            computes_full=self.computes_full(),
            embeddings_skip_upcast=self.flag("embeddings_skip_upcast"),
            quantize_experts=self.flag("quantize_moe_experts"),
            own_rates=not self.given.isdisjoint(OWN_RATES),
            unfrozen_parameters=self.names("unfrozen_parameters"),
            frozen_towers=self.flag("freeze_mm_modules"),
            half=self.half(bits8=bits8),
            autocast=self.autocast(),
            double_quantization=self.double_quantization(),
            unquantized=self.unquantized() if bits4 and adapter == "qlora" else None,
            packed_itemsize=self.packed_itemsize(),
            adapter_fp32=self.adapter_fp32(preference, bits4 or bits8),
            liger=self.liger(),
            optimizer_targets=self.optimizer_targets(),
            optimizer_rank=self.optimizer_rank(),
            optimizer_states=self.optimizer_states(),
            padding=rows.training,
            evaluation_padding=rows.evaluation,
            evaluation_packing=rows.evaluation_packs,
            row_multiple=rows.row_multiple,
            sees=not says_no(self.config.get("processor_type")),
            preference=preference,
            reference_precomputed=self.flag("precompute_ref_log_probs"),
            likelihood=preference is Preference.ORPO
            or (preference is Preference.SIMPO and self.number("cpo_alpha", 1.0, 0.0, 1e6) > 0),
            lora_kernels=self.those_on(LORA_KERNEL_KEYS),
            peft=peft,
        )
        self.number("learning_rate", 1e-4, 0.0, 1e3)
        self.number("num_epochs", 1.0, 0.0, 1e6)
        self.whole("max_steps", 0)
        if self.errors:
            raise InvalidInput(*self.errors)
        return replace(run, room_percent=room(self.config, run))

    def peft(self, adapter: str) -> PeftMethod | None:
        """PEFT's method of this name; prefix tuning cannot be with gradient checkpointing, as PEFT says."""
        if adapter == PeftType.PREFIX_TUNING and self.config.get("gradient_checkpointing"):
            self.fault("gradient_checkpointing", "error.peft.checkpointing", adapter=adapter)
        try:
            return read_method(PeftType(adapter), self.config.get("peft_config"))
        except InvalidInput as error:
            self.errors += error.errors
            return None

    def quantization(self, adapter: str, bits4: bool, bits8: bool) -> Quantization:
        if not adapter and (bits4 or bits8):
            key = "load_in_4bit" if bits4 else "load_in_8bit"
            self.fault(key, "error.config.quantized_full")
        if adapter in PEFT_TYPES and (bits4 or bits8):
            key = "load_in_4bit" if bits4 else "load_in_8bit"
            self.fault(key, "error.peft.quantized", adapter=adapter)
            return Quantization.NONE
        if adapter == "qlora":
            if not bits4:
                self.fault("load_in_4bit", "error.config.qlora_needs_4bit")
            return Quantization.NF4
        if adapter == "lora" and self.flag("gptq"):  # the checkpoint's own form goes before both keys
            return Quantization.GPTQ
        if bits4:
            return Quantization.FP32_UPCAST
        return Quantization.INT8 if bits8 else Quantization.NONE

    def attention_name(self) -> object:
        """The key's value, or what an old switch stands for."""
        value = self.config.get("attn_implementation")
        if value is not None:
            return value
        return next((ATTENTION_FLAGS[key] for key in self.those_on(ATTENTION_FLAGS)), None)

    def attention(self, value: object) -> Attention:
        if isinstance(value, str) and "/" in value:
            return Attention.FLASH
        if self.config.get("attn_implementation") is None and isinstance(value, str):
            return ATTENTION_OF[value]
        return ATTENTION_OF[self.choice("attn_implementation", "sdpa", ATTENTIONS)]

    def offloading(self) -> Offloading:
        value = self.config.get("activation_offloading")
        if self.config.get("gradient_checkpointing") in ("offload", "offload_disk"):
            return Offloading.ALL
        if says_no(value) or not self.flag("gradient_checkpointing"):
            return Offloading.NONE
        named = {"legacy": Offloading.ALL_AT_ONCE, "hidden_states": Offloading.INPUTS}
        return named.get(value, Offloading.ALL) if isinstance(value, str) else Offloading.ALL

    def checkpointing(self) -> Checkpointing:
        value = self.config.get("gradient_checkpointing")
        if value in ("offload", "offload_disk"):
            return Checkpointing.OFFLOAD
        if not self.flag("gradient_checkpointing"):
            return Checkpointing.OFF
        if not says_no(self.config.get("activation_offloading")):
            return Checkpointing.OFFLOAD
        return Checkpointing.REENTRANT if self.asks_reentrant() else Checkpointing.NON_REENTRANT

    def asks_reentrant(self) -> bool:
        """``use_reentrant``: Axolotl's own default is true, for supervised training alone.

        Selective checkpointing sets it to false wherever it is asked for.
        """
        if self.selective() is not None:
            return False
        kwargs = self.config.get("gradient_checkpointing_kwargs")
        if kwargs is None and self.config.get("activation_offloading") != "hidden_states":
            return not self.config.get("rl") and not self.config.get("unfrozen_parameters")
        if not isinstance(kwargs, Mapping) or not kwargs.keys() - {"every_n_layers"}:
            return False
        return kwargs.get("use_reentrant") in (True, None)  # PyTorch's own default, beside other settings

    def checkpoint_every(self) -> int:
        """Every how manieth layer, where Transformers' own checkpoints run and nothing is moved to the host."""
        kwargs = self.config.get("gradient_checkpointing_kwargs")
        given = kwargs.get("every_n_layers") if isinstance(kwargs, Mapping) else None
        if type(given) is not int or given < 1:
            return 1
        moved = self.offloading() is not Offloading.NONE or self.flag("layer_offloading")
        return 1 if moved or not self.flag("gradient_checkpointing") else given

    def selective(self) -> Mapping[str, Any] | None:
        """Settings of selective checkpointing, which an empty mapping switches on as well."""
        given = self.config.get("selective_checkpointing")
        if isinstance(given, Mapping):
            return given
        return {} if given is not None and self.flag("selective_checkpointing") else None

    def kept_attention(self) -> KeptAttention:
        """Where attention's results alone are kept, on the card, and of Axolotl's own choice of layers."""
        given = self.selective()
        if given is None or not self.flag("gradient_checkpointing") or self.flag("layer_offloading"):
            return KeptAttention.NONE
        others = given.get("save") not in (None, [], ["attention"]) or given.get("offload")
        if (
            others
            or given.get("recompute_layer_types") is not None
            or not says_no(self.config.get("activation_offloading"))
        ):
            return KeptAttention.NONE
        return KeptAttention.ALL if given.get("save_sliding_window") else KeptAttention.WHOLE

    def lisa_layers(self, adapter: str) -> int:
        """Axolotl reads both keys or none, in supervised training; it finds no layers under an adapter."""
        both = self.config.get("lisa_n_layers") and self.config.get("lisa_step_interval")
        if not both or adapter or self.config.get("rl"):
            return 0
        return 0 if self.config.get("unfrozen_parameters") else int(self.number("lisa_n_layers", 0, 1, MOST_LAYERS))

    def reentrant(self, adapter: str) -> bool:
        """Offloading in full fine-tuning wraps each layer in a checkpoint that is not, whatever is asked."""
        wrapped = not adapter and self.offloading() in (Offloading.ALL, Offloading.ALL_AT_ONCE)
        return self.asks_reentrant() and not wrapped

    def loss(self) -> Loss:
        plugins = self.names("plugins")
        if self.flag("cut_cross_entropy", default=True) and CCE_PLUGIN in plugins:
            return Loss.CUT_CROSS_ENTROPY
        if LIGER_PLUGIN in plugins and self.flag("liger_fused_linear_cross_entropy"):
            return Loss.LIGER_FUSED_LINEAR
        if LIGER_PLUGIN in plugins and self.flag("liger_cross_entropy"):
            return Loss.LIGER
        return Loss.CHUNKED if self.flag("chunked_cross_entropy") else Loss.PLAIN

    def collating(self, preference: Preference | None, *, packing: bool, attention: object) -> Collating:
        """How samples become rows; what does not pad up to a multiple is left as long as it is."""
        multiple, to_length = self.config.get("pad_to_multiple_of"), self.config.get("pad_to_sequence_len")
        given = multiple if type(multiple) is int and 0 < multiple <= LONGEST_SEQUENCE else None
        return collating(
            preference=preference not in (None, Preference.REWARD),
            packs=packing,
            evaluation_packs=packing and self.flag("eval_sample_packing", default=True),
            unnamed=attention is None,
            flattens=not says_no(self.config.get("batch_flattening")),
            sees=not says_no(self.config.get("processor_type")),
            to_length=None if to_length is None else self.flag("pad_to_sequence_len"),
            multiple=given,
        )

    def optimizer(self) -> str:
        return self.choice("optimizer", "adamw_torch_fused", OPTIMIZERS, meant=meant_optimizer)

    def liger(self) -> frozenset[str]:
        """Its keys mean nothing without its plugin; ``liger_swiglu`` is the old name of one."""
        listed = self.config.get("plugins")
        if not isinstance(listed, str | list | tuple) or LIGER_PLUGIN not in listed:
            return frozenset()
        found = {key for key in LIGER_KERNEL_KEYS if self.flag(key)}
        return frozenset(found | ({"liger_glu_activation"} if self.flag("liger_swiglu") else set()))

    def optimizer_targets(self) -> tuple[str, ...] | str:
        value = self.config.get("optim_target_modules")
        found = value if isinstance(value, str) else self.names("optim_target_modules")
        if value is None and self.config.get("optimizer") == Q_GALORE:
            return Q_GALORE_TARGETS
        return found

    def optimizer_rank(self) -> int:
        """Q-GaLore's has a key of its own."""
        rank, default = self.optim_args().get("rank", ""), 128
        if self.config.get("optimizer") == Q_GALORE:
            rank, default = str(self.config.get("qgalore_rank")), 256
        return int(rank) if rank.isdecimal() and 0 < int(rank) < 1 << 16 else default

    def optimizer_states(self) -> int:
        """Momentum of SGD, and of RMSprop, which can keep an average of gradients too."""
        name, given = self.config.get("optimizer"), self.optim_args()
        if name not in ("sgd", "rmsprop"):
            return 0
        centered = name == "rmsprop" and given.get("centered", "").lower() in ("true", "1", "yes")
        return int(_is_number(given.get("momentum", "")) and float(given["momentum"]) != 0) + centered

    def optim_args(self) -> dict[str, str]:
        """A mapping, or text of ``key=value`` parts."""
        given = self.config.get("optim_args")
        if isinstance(given, str):
            return dict(part.split("=", 1) for part in given.replace(" ", "").split(",") if "=" in part)
        return {str(key): str(value) for key, value in given.items()} if isinstance(given, Mapping) else {}

    def preference(self) -> Preference | None:
        if self.flag("reward_model"):
            return Preference.REWARD
        name = self.config.get("rl")
        return Preference(name) if isinstance(name, str) and name in set(Preference) - {Preference.REWARD} else None

    def adapter_fp32(self, preference: Preference | None, quantized: bool) -> bool:
        """TRL wraps the model itself for DPO, IPO and KTO: its adapters are bf16 on a quantised base, else fp32."""
        if preference in (Preference.DPO, Preference.IPO, Preference.KTO):
            return not quantized
        return self.flag("peft_autocast_adapter_dtype", default=True)

    def fused_lora(self, adapter: str) -> bool | None:
        """Axolotl switches them on by itself for supervised training on a base that is not in 8 bits."""
        if adapter not in LORA_ADAPTERS or (adapter == "lora" and self.flag("gptq")):
            return False  # the kernels cannot read packed weights
        if self.given.isdisjoint(LORA_KERNEL_KEYS):
            return None if on_by_themselves(self.config) else False
        return bool(self.those_on(LORA_KERNEL_KEYS))

    def bf16(self) -> bool:
        """Whether 16 bits are bf16: ``fp16`` turns ``auto`` off, and nothing what is asked for."""
        asked = self.config.get("bf16", "auto")
        return not self.flag("fp16") if asked == "auto" else not says_no(asked) or self.flag("bfloat16")

    def half(self, *, bits8: bool) -> bool:
        """Whether weights are in 16 bits. ``bf16`` is ``auto`` where it is left out; a base in 8 bits loads in fp16."""
        return bits8 or self.autocast() or self.flag("float16")

    def autocast(self) -> bool:
        """Whether the Trainer computes in 16 bits too: by a key of its own, not by the type of the weights."""
        return not says_no(self.config.get("bf16", "auto")) or bool(self.those_on(("fp16", "bfloat16")))

    def double_quantization(self) -> bool:
        """Axolotl's default, unless ``bnb_config_kwargs`` says otherwise."""
        given = self.config.get("bnb_config_kwargs")
        value = given.get("bnb_4bit_use_double_quant", True) if isinstance(given, Mapping) else True
        return value is not False

    def unquantized(self) -> tuple[str, ...] | None:
        """Ends of names, and regular expressions, of many the first; read with QLoRA in 4 bits alone."""
        given = self.config.get("bnb_config_kwargs")
        value = given.get(SKIP_MODULES) if isinstance(given, Mapping) else None
        if value is None:
            return None
        if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
            self.fault(f"bnb_config_kwargs.{SKIP_MODULES}", "error.config.name_list", given=shown(value))
            return None
        patterns = [name for name in value if not is_plain(name)][: MOST_UNQUANTIZED + 1]
        for name in patterns:
            try:
                safe_pattern(name, MOST_VARIABLE_SKIPPED)
            except (re.error, ValueError, RecursionError, OverflowError) as error:
                self.fault(
                    f"bnb_config_kwargs.{SKIP_MODULES}", "error.target_pattern", given=name[:200], reason=str(error)
                )
                return None
        return (*(name for name in value if is_plain(name)), *patterns)

    def packed_itemsize(self) -> int:
        given = self.config.get("bnb_config_kwargs")
        value = given.get("bnb_4bit_quant_storage") if isinstance(given, Mapping) else None
        return PACKED_ITEMSIZES.get(value, 2) if isinstance(value, str) else 2

    def computes_full(self) -> bool:
        given = self.config.get("bnb_config_kwargs")
        return (
            isinstance(given, Mapping) and given.get("bnb_4bit_compute_dtype") == "float32" and self.half(bits8=False)
        )

    def evaluates(self) -> bool:
        return self.number("val_set_size", 0.0, 0.0, 1e9) > 0 or bool(self.config.get("test_datasets"))
