"""Composes a whole configuration that Axolotl 0.19 accepts and runs, in the order in which it is written."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from app.core.architecture import UNPACKED_BY, Architecture, Kind
from app.core.axolotl.data_blocks import PREFERENCE_GOALS, data_keys
from app.core.axolotl.keys import in_order
from app.core.axolotl.overriding import apply_overrides
from app.core.axolotl.presets import PRESETS
from app.core.coverage import (
    CUT_CROSS_ENTROPY,
    FLASH_ATTENTION_MOST_HEAD_DIM,
    FLASH_ATTENTION_SINKS,
    LIGER_FUSED_LINEAR,
    LORA_KERNELS,
    NO_FLASH_ATTENTION,
    NO_PACKING,
    NO_SDPA,
    PACKED_BY_MASK,
    PACKED_MIXERS,
    QUANTIZED_HEADS_IN_8_BITS,
)
from app.core.hardware import Hardware, Vendor
from app.core.plan import Dataset, Goal, Install
from app.core.run import CCE_PLUGIN, LIGER_PLUGIN, LORA_KERNEL_KEYS

__all__ = ["PRESETS", "Choice", "apply_overrides", "compose", "in_order"]

NEFTUNE_ALPHA = 5
"""The guide's; https://arxiv.org/abs/2310.05914 tries 5, 10 and 15."""

HOPPER = (9, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Everything that a configuration is composed from.

    ``method`` is one that Axolotl runs: full, lora, qlora, dora, qdora, loftq or relora. ``targets`` are module names
    or one regular expression over their paths.
    """

    base_model: str
    architecture: Architecture
    hardware: Hardware | None
    method: str
    goal: Goal
    install: Install
    dataset: Dataset
    sequence_len_tokens: int
    micro_batch_size: int
    gradient_accumulation_steps: int
    lora_r: int
    lora_alpha: int
    lora_dropout: float
    learning_rate: float
    num_epochs: float
    optimizer: str
    gradient_checkpointing: bool
    neftune: bool
    chat_template: str | None
    pad_token: str | None
    targets: tuple[str, ...] | str | None
    evaluate: bool
    warmup_ratio: float = 0.03

    @property
    def supervised(self) -> bool:
        """Whether tokens are predicted, rather than answers preferred or scored."""
        return self.goal not in (*PREFERENCE_GOALS, Goal.REWARD)

    @property
    def four_bit(self) -> bool:
        """Whether the frozen base is loaded in 4 bits."""
        return self.method in ("qlora", "qdora")

    @property
    def image(self) -> bool:
        """Whether Axolotl's Docker image brings flash-attn and cut cross entropy along; it is built for CUDA."""
        return in_image(self.hardware, self.install)


def output_directory(method: str) -> str:
    """Where a run's checkpoints go: a directory for each method, so that no run overwrites another's."""
    return f"./outputs/{method}"


def compose(choice: Choice) -> dict[str, Any]:
    """The configuration for ``choice``."""
    config: dict[str, Any] = {"base_model": choice.base_model}
    config |= _checkpoint(choice)
    config |= _loss(choice)
    config |= data_keys(
        goal=choice.goal,
        dataset=choice.dataset,
        chat_template=choice.chat_template,
        evaluate=choice.evaluate,
        output_dir=output_directory(choice.method),
    )
    if choice.method != "full":
        config |= _adapter(choice)
    config |= _sequence(choice)
    config |= _training(choice)
    config |= _precision(choice)
    # Axolotl refuses checkpointing where it reads "mpt" in the name (``check_mpt_checkpointing``).
    if choice.gradient_checkpointing and "mpt" not in choice.base_model.lower():
        config["gradient_checkpointing"] = True
    config |= {"logging_steps": 1, "saves_per_epoch": 1, "save_total_limit": 2}
    if choice.evaluate:
        config["evals_per_epoch"] = 4
    return in_order(config)


def _checkpoint(choice: Choice) -> dict[str, Any]:
    """What reading the weights and the tokenizer takes beside the name."""
    config: dict[str, Any] = {}
    if choice.architecture.published_in and not choice.four_bit:
        config |= unpacking(choice.architecture)
    if choice.pad_token:
        config["special_tokens"] = {"pad_token": choice.pad_token}
    return config


def unpacking(architecture: Architecture) -> dict[str, Any]:
    """The keys that read a checkpoint as 16 bits that is published quantised (Axolotl's gpt-oss examples)."""
    return {
        "model_quantization_config": UNPACKED_BY[architecture.published_in],
        "model_quantization_config_kwargs": {"dequantize": True},
    }


def _loss(choice: Choice) -> dict[str, Any]:
    """A loss that never makes the logits, where one covers this model; else one that takes them in chunks.

    Preference training and reward models compute losses of their own, so nothing is replaced there. The fused
    kernels need Ampere or newer (https://github.com/apple/ml-cross-entropy); the chunks are plain PyTorch.
    """
    if not choice.supervised:
        return {}
    return fused_loss(choice.architecture, choice.hardware, choice.install, quantized=choice.four_bit)


def fused_loss(
    architecture: Architecture, hardware: Hardware | None, install: Install, *, quantized: bool
) -> dict[str, Any]:
    """The loss keys that need least memory for this model where Axolotl is installed this way.

    ``quantized`` is whether the base is, with which some heads are, whose weight no fused loss can read. None for a
    model with towers that neither fused loss covers: Axolotl chunks the loss of causal models alone.
    """
    model_type = architecture.model_type
    in_chunks = {} if architecture.multimodal else {"chunked_cross_entropy": True}
    if quantized and model_type in QUANTIZED_HEADS_IN_8_BITS:
        return in_chunks
    if in_image(hardware, install) and model_type in CUT_CROSS_ENTROPY:
        return {"plugins": [CCE_PLUGIN], "cut_cross_entropy": True}
    if hardware is not None and hardware.bf16 and model_type in LIGER_FUSED_LINEAR:
        return {"plugins": [LIGER_PLUGIN], "liger_fused_linear_cross_entropy": True}
    return in_chunks


def beside(config: Mapping[str, Any], keys: Mapping[str, Any]) -> dict[str, Any]:
    """Loss keys as they may stand in ``config``: cut cross entropy wants half precision by name.

    None where the person ruled half precision out.
    """
    if not keys.get("cut_cross_entropy") or config.get("bf16") or config.get("fp16"):
        return dict(keys)
    return {**keys, "bf16": "auto"} if config.get("bf16") is None else {}


def in_image(hardware: Hardware | None, install: Install) -> bool:
    """Whether Axolotl's Docker image brings flash-attn and cut cross entropy along; it is built for CUDA."""
    return (
        install is Install.DOCKER
        and hardware is not None
        and hardware.vendor is Vendor.NVIDIA
        and hardware.flash_attention
    )


SKIPPED_EMBEDDING = "embed_tokens"
"""The name by which ``embeddings_skip_upcast`` knows embeddings: Axolotl 0.19 ``monkeypatch/peft/utils.py``."""


def skips_embeddings(architecture: Architecture) -> bool:
    """Whether ``embeddings_skip_upcast`` does anything for this model."""
    return any(m.kind is Kind.EMBEDDING and m.name == SKIPPED_EMBEDDING for m in architecture.modules)


def four_bit_keys(
    architecture: Architecture, hardware: Hardware | None, config: Mapping[str, Any] = MappingProxyType({})
) -> dict[str, Any]:
    """What loads the base in 4 bits, the experts of a mixture too where nothing in ``config`` rules that out.

    Embeddings stay in 16 bits meanwhile: in fp32 and back, as is the default, loading takes more than training on
    small cards.
    """
    cuda = hardware is None or hardware.vendor is Vendor.NVIDIA
    experts = architecture.mixture_of_experts and cuda and not config.get("lora_target_linear")
    keys = {"load_in_4bit": True} | ({"quantize_moe_experts": True} if experts else {})
    if skips_embeddings(architecture):
        keys["embeddings_skip_upcast"] = True
    return keys


def _adapter(choice: Choice) -> dict[str, Any]:
    """The adapter's keys. Quantisation follows the method; targets are named, never ``lora_target_linear``."""
    architecture = choice.architecture
    config: dict[str, Any] = {"adapter": "qlora" if choice.four_bit else "lora"}
    if choice.four_bit:
        config |= four_bit_keys(architecture, choice.hardware)
    if choice.method in ("dora", "qdora"):
        config["peft_use_dora"] = True
    if choice.method == "loftq":
        config["peft"] = {"loftq_config": {"loftq_bits": 4}}
    if choice.method == "relora":
        config |= {
            "relora": True,
            "relora_prune_method": "magnitude",
            "relora_prune_ratio": 0.9,
            "jagged_restart_steps": 200,
            "jagged_restart_warmup_steps": 50,
            "jagged_restart_anneal_steps": 10,
        }
    config |= {"lora_r": choice.lora_r, "lora_alpha": choice.lora_alpha, "lora_dropout": choice.lora_dropout}
    if choice.targets is None:
        config["lora_target_linear"] = True
        config.pop("quantize_moe_experts", None)  # the two together are refused
    else:
        config["lora_target_modules"] = choice.targets if isinstance(choice.targets, str) else list(choice.targets)
    if any(module.kind is Kind.CONV1D for module in architecture.modules):
        config["lora_fan_in_fan_out"] = True
    # Axolotl switches the fused kernels on by itself, but never with ``rl``.
    unpatched = architecture.model_type not in LORA_KERNELS or choice.goal is Goal.REWARD
    if unpatched and choice.goal not in PREFERENCE_GOALS:
        config |= dict.fromkeys(LORA_KERNEL_KEYS, False)
    return config


def _sequence(choice: Choice) -> dict[str, Any]:
    """Length, packing and attention; packing only where the attention keeps samples apart."""
    config: dict[str, Any] = {"sequence_len": choice.sequence_len_tokens}
    attention = _attention(choice)
    packing = choice.supervised and _keeps_samples_apart(choice, attention)
    config["sample_packing"] = packing
    if packing and choice.evaluate:
        config["eval_sample_packing"] = False
    if choice.goal is Goal.REWARD:
        config["pad_to_sequence_len"] = True
    config["attn_implementation"] = attention
    return config


def _attention(choice: Choice) -> str:
    """FlashAttention where it is installed, runs on the card and serves the architecture; else PyTorch's own."""
    architecture = choice.architecture
    widest = max((block.head_dim for block in architecture.blocks), default=0)
    if architecture.model_type in NO_SDPA and architecture.model_type in NO_FLASH_ATTENTION:
        sinks = architecture.model_type == "gpt_oss" and choice.image
        hopper = choice.hardware is not None and choice.hardware.compute_capability == HOPPER
        return FLASH_ATTENTION_SINKS if sinks and hopper else "eager"
    if choice.image and architecture.model_type not in NO_FLASH_ATTENTION and widest <= FLASH_ATTENTION_MOST_HEAD_DIM:
        return "flash_attention_2"
    return "eager" if architecture.model_type in NO_SDPA else "sdpa"


def _keeps_samples_apart(choice: Choice, attention: str) -> bool:
    """Whether packed samples stay apart.

    FlashAttention does it by sequence borders. So does sdpa on Hopper and newer, through PyTorch's variable-length
    kernel, where heads are at most 256 wide, keys as wide as values, and no window slides; on older cards Axolotl
    warns of losses of zero. State-space layers need a patch of their own.
    """
    architecture = choice.architecture
    if architecture.computes_as in NO_PACKING | PACKED_BY_MASK:
        return False
    if any(block.mixer_width for block in architecture.blocks) and architecture.model_type not in PACKED_MIXERS:
        return False
    if attention in ("flash_attention_2", FLASH_ATTENTION_SINKS):
        return True
    capability = choice.hardware.compute_capability if choice.hardware is not None else None
    return (
        attention == "sdpa"
        and capability is not None
        and capability >= HOPPER
        and architecture.model_type not in NO_FLASH_ATTENTION
        and all(
            block.head_dim <= FLASH_ATTENTION_MOST_HEAD_DIM
            and block.head_dim == block.value_head_dim
            and block.sliding_window is None
            for block in architecture.blocks
        )
    )


def _training(choice: Choice) -> dict[str, Any]:
    config: dict[str, Any] = {
        "micro_batch_size": choice.micro_batch_size,
        "gradient_accumulation_steps": choice.gradient_accumulation_steps,
        "num_epochs": int(choice.num_epochs) if float(choice.num_epochs).is_integer() else choice.num_epochs,
        "optimizer": choice.optimizer,
        "lr_scheduler": "cosine",
        "learning_rate": float(choice.learning_rate),
        "weight_decay": 0.0,
        "max_grad_norm": 1.0,
        "seed": 42,
    }
    if choice.goal is Goal.SIMPO:
        config["warmup_steps"] = 10  # its trainer takes no ratio
    else:
        config["warmup_ratio"] = choice.warmup_ratio
    if choice.neftune and choice.supervised:
        config["neftune_noise_alpha"] = NEFTUNE_ALPHA
    return config


def _precision(choice: Choice) -> dict[str, Any]:
    """The half precision that the card has: bf16, on older ones fp16.

    Full fine-tuning there is in fp32: PyTorch does not unscale the gradients of weights that are themselves fp16.
    """
    if choice.hardware is None or choice.hardware.bf16:
        return {"bf16": "auto", "tf32": "auto"}
    return {"bf16": False, "fp16": choice.method != "full", "tf32": False}
