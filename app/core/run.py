"""One training run, read from a configuration in Axolotl's own keys.

``Run`` holds what parameters, memory and rules need, with Axolotl 0.19's defaults for what a
configuration leaves out (0.19 sources: ``axolotl/utils/schemas``).
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from typing import Any

from app.core.axolotl.unmodelled import room
from app.core.errors import FieldError, InvalidInput
from app.core.messages import message
from app.core.methods.reading import read_method
from app.core.methods.settings import PeftMethod, PeftType, VirtualTokens
from app.core.nearest import nearest
from app.core.shown import shown
from app.core.targets import safe_pattern


class Method(StrEnum):
    """How the weights are trained: what ``adapter`` and its switches come to."""

    FULL = "full"
    LORA = "lora"
    QLORA = "qlora"
    PEFT = "peft"
    """Another of PEFT's methods, or bottleneck adapters: see ``Run.peft``."""


class Quantization(StrEnum):
    """How the frozen base is stored."""

    NONE = "none"
    INT8 = "int8"
    NF4 = "nf4"
    GPTQ = "gptq"
    """``adapter: lora`` over a GPTQ checkpoint: packed words, made whole for each product."""
    FP32_UPCAST = "fp32_upcast"
    """``adapter: lora`` with ``load_in_4bit``: nothing is quantised and every linear is cast to fp32."""


class Loss(StrEnum):
    """Which implementation computes the cross entropy."""

    PLAIN = "plain"
    CHUNKED = "chunked"
    CUT_CROSS_ENTROPY = "cut_cross_entropy"
    LIGER_FUSED_LINEAR = "liger_fused_linear"
    LIGER = "liger"


class Checkpointing(StrEnum):
    """What gradient checkpointing keeps."""

    OFF = "off"
    REENTRANT = "reentrant"
    NON_REENTRANT = "non_reentrant"
    OFFLOAD = "offload"


class Offloading(StrEnum):
    """Which saved tensors wait on the host, and how (``activation_offloading``)."""

    NONE = "none"
    ALL = "all"
    """``true`` and ``disk``: TRL's hooks with copies that overlap."""
    ALL_AT_ONCE = "all_at_once"
    """``legacy``: the same hooks, one copy after the other."""
    INPUTS = "inputs"
    """``hidden_states``: the inputs of checkpointed layers alone."""


class Preference(StrEnum):
    """Preference and reward training: which trainer computes the loss."""

    DPO = "dpo"
    IPO = "ipo"
    KTO = "kto"
    ORPO = "orpo"
    SIMPO = "simpo"
    REWARD = "reward"

    @property
    def paired(self) -> bool:
        """Whether a sample is a chosen and a rejected answer, two rows of the batch."""
        return self is not Preference.KTO


class Attention(StrEnum):
    """The attention kernel's family: what it saves for backward."""

    FLASH = "flash"
    SDPA = "sdpa"
    EAGER = "eager"
    FLEX = "flex"


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

LORA_ADAPTERS = ("lora", "qlora")
"""What Axolotl builds itself."""
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

LORA_KERNEL_KEYS = ("lora_mlp_kernel", "lora_qkv_kernel", "lora_o_kernel", "lora_embedding_kernel")

OWN_RATES = ("loraplus_lr_ratio", "embedding_lr", "embedding_lr_scale", "lr_groups")
LIGER_KERNEL_KEYS = ("liger_rms_norm", "liger_glu_activation", "liger_rope")

CCE_PLUGIN = "axolotl.integrations.cut_cross_entropy.CutCrossEntropyPlugin"
LIGER_PLUGIN = "axolotl.integrations.liger.LigerPlugin"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraSettings:
    """The LoRA keys of a configuration."""

    r: int
    alpha: int
    dropout: float
    dora: bool
    target_modules: tuple[str, ...] | str | None
    target_linear: bool
    target_parameters: tuple[str, ...]
    modules_to_save: tuple[str, ...]
    rank_pattern: Mapping[str, int]
    layers_to_transform: tuple[int, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one process does in one optimizer step."""

    method: Method
    quantization: Quantization
    lora: LoraSettings | None
    relora: bool
    sequence_len_tokens: int
    micro_batch_size: int
    gradient_accumulation_steps: int
    sample_packing: bool
    attention: Attention
    attention_set: bool
    checkpointing: Checkpointing
    loss: Loss
    optimizer: str
    fused_lora: bool | None
    """True or False where the configuration says so, None where Axolotl decides by the architecture."""
    bf16: bool
    evaluates: bool
    eval_batch_size: int
    neftune: bool
    unfrozen_parameters: tuple[str, ...] = ()
    offloading: Offloading = Offloading.NONE
    reentrant: bool = True
    """Whether checkpoints, where there are any, hold output and gradient to the end of a layer's backward."""
    half: bool = True
    """Weights and autocast in 16 bits (bf16 or fp16); otherwise everything in fp32."""
    double_quantization: bool = True
    adapter_fp32: bool = True
    """PEFT holds adapters in fp32 unless ``peft_autocast_adapter_dtype`` is false."""
    lora_kernels: tuple[str, ...] = ()
    """The kernels that the configuration switches on by name."""
    peft: PeftMethod | None = None
    """What trains where ``method`` is ``PEFT``."""
    computes_full: bool = False
    """``bnb_4bit_compute_dtype: float32`` under 16-bit autocast: 4-bit weights are unpacked in fp32."""
    embeddings_skip_upcast: bool = False
    quantize_experts: bool = False
    """``quantize_moe_experts``: 3-D experts are quantised while they load."""
    own_rates: bool = False
    """Learning rates by group make Axolotl build the optimizer itself, which forgets the embeddings' 32-bit states."""
    room_percent: tuple[int, int] = (0, 0)
    """How far below and above the figure the truth could lie for keys that are not priced (``axolotl.unmodelled``)."""
    liger: frozenset[str] = frozenset()
    """Liger's kernels that are switched on, its losses apart."""
    optimizer_targets: tuple[str, ...] | str = ()
    """``optim_target_modules``: parts of names, a pattern, or ``all_linear``."""
    optimizer_rank: int = 128
    """Of a low-rank optimizer's projection: ``optim_args.rank``, or ``qgalore_rank``."""
    preference: Preference | None = None
    reference_precomputed: bool = False
    """``precompute_ref_log_probs``: the reference runs once before training and not in the step."""
    likelihood: bool = False
    """Whether a preference loss adds the chosen answer's cross entropy (ORPO; SimPO unless ``cpo_alpha`` is 0)."""

    @property
    def itemsize(self) -> int:
        """Bytes of a stored weight and of what autocast computes in."""
        return 2 if self.half else 4

    @property
    def expert_quantization(self) -> Quantization:
        """How 3-D experts are stored: in 8 bits under ``load_in_8bit``, else in 4 where the base was to be."""
        if not self.quantize_experts or self.quantization is Quantization.NONE:
            return Quantization.NONE
        return Quantization.INT8 if self.quantization is Quantization.INT8 else Quantization.NF4

    @property
    def tokens(self) -> int:
        """Tokens in one micro batch; a pair of answers is two rows."""
        return self.micro_batch_size * self.rows_per_sample * self.sequence_len_tokens

    @property
    def sample_tokens(self) -> int:
        """Tokens of the samples themselves, each answer once."""
        return self.micro_batch_size * self.sequence_len_tokens

    @property
    def virtual_tokens(self) -> int:
        """Virtual tokens before each row's own."""
        settings = self.peft.settings if self.peft is not None else None
        return settings.tokens * settings.submodules if isinstance(settings, VirtualTokens) else 0

    def targets_optimizer(self, path: str, layers: Sequence[int] = ()) -> int:
        """Of how many layers a low-rank optimizer projects this linear's gradient: 0 or 1 where it stands in none.

        Transformers' ``check_target_module_exists``: a text is a pattern or ``all_linear``, a list holds parts of names
        or patterns.
        """
        targets = self.optimizer_targets
        if not targets:
            return 0
        names = [path.replace("{}", str(layer), 1) for layer in layers] or [path]
        if isinstance(targets, str):
            everything = targets.replace("_", "-") == "all-linear"
            return len(names) if everything else sum(_is_all(targets, name) for name in names)
        return sum(any(target in name or _is_all(target, name) for target in targets) for name in names)

    @property
    def rows_per_sample(self) -> int:
        """Rows of the batch that one sample makes."""
        return 2 if self.preference is not None and self.preference.paired else 1

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "Run":
        """Read a configuration.

        Raises:
            InvalidInput: with one error per bad value, pointers below ``/config``.
        """
        return _Reader(config).run()


class _Reader:
    """Collects every fault of a configuration before raising."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.config = config
        self.given = {key for key, value in config.items() if value is not None}
        self.errors: list[FieldError] = []

    def fault(self, key: str, code: str, **params: Any) -> None:
        self.errors.append(FieldError(f"/config/{key}", message(code, key=key, **params)))

    def whole(self, key: str, default: int, least: int, most: int) -> int:
        value = self.config.get(key)
        if value is None:
            return default
        number: int | None = None
        if isinstance(value, int) and not isinstance(value, bool):
            number = value
        elif (isinstance(value, float) and value.is_integer()) or (
            isinstance(value, str) and value.strip().lstrip("+-").isdigit() and len(value) < 20
        ):
            number = int(value)
        if number is None:
            self.fault(key, "error.config.integer", given=shown(value), least=least, most=most)
            return default
        if not least <= number <= most:
            self.fault(key, "error.config.range", given=number, least=least, most=most)
            return default
        return number

    def number(self, key: str, default: float, least: float, most: float) -> float:
        value = self.config.get(key)
        if value is None:
            return default
        try:
            if isinstance(value, bool):
                raise ValueError
            number = float(value)
        except (TypeError, ValueError):
            self.fault(key, "error.config.number", given=shown(value), least=least, most=most)
            return default
        if not least <= number <= most:
            self.fault(key, "error.config.range", given=number, least=least, most=most)
            return default
        return number

    def flag(self, key: str, default: bool = False) -> bool:
        value = self.config.get(key)
        if value is None:
            return default
        if isinstance(value, bool):
            return value
        if value in (0, 1):
            return bool(value)
        if isinstance(value, str) and value.lower() in ("true", "false", "yes", "no", "on", "off", "1", "0"):
            return value.lower() in ("true", "yes", "on", "1")
        self.fault(key, "error.config.boolean", given=shown(value))
        return default

    def those_on(self, keys: Collection[str]) -> tuple[str, ...]:
        return () if self.given.isdisjoint(keys) else tuple([key for key in keys if self.flag(key)])

    def names(self, key: str) -> tuple[str, ...]:
        value = self.config.get(key)
        if value is None:
            return ()
        if isinstance(value, str):
            return (value,)
        if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
            return tuple(value)
        self.fault(key, "error.config.names", given=shown(value))
        return ()

    def choice(self, key: str, default: str, allowed: tuple[str, ...]) -> str:
        value = self.config.get(key)
        if value is None:
            return default
        if isinstance(value, str) and value in allowed:
            return value
        allowed = tuple(name for name in allowed if name)
        close = nearest(str(value), allowed, count=1)
        if close:
            self.fault(key, "error.config.choice_nearest", given=shown(value), allowed=allowed, nearest=close[0])
        else:
            self.fault(key, "error.config.choice", given=shown(value), allowed=allowed)
        return default

    def run(self) -> Run:
        adapter = self.choice("adapter", "", ADAPTERS)
        peft = self.peft(adapter) if adapter in PEFT_TYPES else None
        preference = self.preference()
        lora = self.lora() if adapter in LORA_ADAPTERS else None
        if lora is not None and preference not in (None, Preference.REWARD):
            lora = replace(lora, dropout=0.0)  # TRL's ``disable_dropout``
        packing = self.flag("sample_packing")
        bits4, bits8 = self.flag("load_in_4bit"), self.flag("load_in_8bit")
        micro_batch_size = self.whole("micro_batch_size", 1, 1, 1 << 16)
        attention = self.attention_name()
        run = Run(
            method=Method.PEFT if adapter in PEFT_TYPES else Method(adapter or "full"),
            quantization=self.quantization(adapter, bits4, bits8),
            lora=lora,
            relora=self.flag("relora"),
            sequence_len_tokens=self.whole("sequence_len", 512, 1, 1 << 24),
            micro_batch_size=micro_batch_size,
            gradient_accumulation_steps=self.whole("gradient_accumulation_steps", 1, 1, 1 << 20),
            sample_packing=packing,
            attention=self.attention(attention),
            attention_set=attention not in (None, "sdpa", "eager"),
            checkpointing=self.checkpointing(),
            offloading=self.offloading(),
            reentrant=self.reentrant(adapter),
            loss=self.loss(),
            optimizer=self.optimizer(),
            fused_lora=self.fused_lora(adapter, bits8),
            bf16=not self.those_on(("fp16", "float16")),
            evaluates=self.evaluates(),
            eval_batch_size=self.whole("eval_batch_size", micro_batch_size, 1, 1 << 16),
            neftune=self.number("neftune_noise_alpha", 0.0, 0.0, 1e6) > 0
            or self.number("noisy_embedding_alpha", 0.0, 0.0, 1e6) > 0,
            computes_full=self.computes_full(),
            embeddings_skip_upcast=self.flag("embeddings_skip_upcast"),
            quantize_experts=self.flag("quantize_moe_experts"),
            own_rates=not self.given.isdisjoint(OWN_RATES),
            unfrozen_parameters=self.names("unfrozen_parameters"),
            half=self.half(),
            double_quantization=self.double_quantization(),
            adapter_fp32=self.adapter_fp32(preference, bits4 or bits8),
            room_percent=room(self.config),
            liger=self.liger(),
            optimizer_targets=self.optimizer_targets(),
            optimizer_rank=self.optimizer_rank(),
            preference=preference,
            reference_precomputed=self.flag("precompute_ref_log_probs"),
            likelihood=preference is Preference.ORPO
            or (preference is Preference.SIMPO and self.number("cpo_alpha", 1.0, 0.0, 1e6) > 0),
            lora_kernels=self.those_on(LORA_KERNEL_KEYS),
            peft=peft,
        )
        self.number("learning_rate", 1e-4, 0.0, 1e3)
        self.number("num_epochs", 1.0, 0.0, 1e6)
        if self.errors:
            raise InvalidInput(*self.errors)
        return run

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

    def lora(self) -> LoraSettings:
        targets = self.config.get("lora_target_modules")
        layers = self.config.get("peft_layers_to_transform")
        if isinstance(layers, int) and not isinstance(layers, bool):
            layers = [layers]
        if layers is not None and not (isinstance(layers, list | tuple) and all(type(i) is int for i in layers)):
            self.fault("peft_layers_to_transform", "error.config.layers", given=shown(layers))
            layers = None
        pattern = self.config.get("lora_rank_pattern") or {}
        if not isinstance(pattern, Mapping) or not all(type(v) is int and v > 0 for v in pattern.values()):
            self.fault("lora_rank_pattern", "error.config.rank_pattern", given=shown(pattern))
            pattern = {}
        if self.config.get("lora_r") is None:
            self.fault("lora_r", "error.config.lora_r_missing")
        rank = self.whole("lora_r", 16, 1, 65536)
        return LoraSettings(
            r=rank,
            alpha=self.whole("lora_alpha", 2 * rank, 1, 1 << 20),
            dropout=self.number("lora_dropout", 0.0, 0.0, 0.999999),
            dora=self.flag("peft_use_dora"),
            target_modules=targets if isinstance(targets, str) else (self.names("lora_target_modules") or None),
            target_linear=self.flag("lora_target_linear"),
            target_parameters=self.names("lora_target_parameters"),
            modules_to_save=self.names("lora_modules_to_save"),
            rank_pattern=dict(pattern),
            layers_to_transform=tuple(layers) if layers is not None else None,
        )

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
        if not value or not self.flag("gradient_checkpointing"):
            return Offloading.NONE
        named = {"legacy": Offloading.ALL_AT_ONCE, "hidden_states": Offloading.INPUTS}
        return named.get(value, Offloading.ALL) if isinstance(value, str) else Offloading.ALL

    def checkpointing(self) -> Checkpointing:
        value = self.config.get("gradient_checkpointing")
        if value in ("offload", "offload_disk"):
            return Checkpointing.OFFLOAD
        if not self.flag("gradient_checkpointing"):
            return Checkpointing.OFF
        if self.config.get("activation_offloading"):
            return Checkpointing.OFFLOAD
        return Checkpointing.REENTRANT if self.asks_reentrant() else Checkpointing.NON_REENTRANT

    def asks_reentrant(self) -> bool:
        """``use_reentrant``: Axolotl's own default is true, for supervised training alone."""
        kwargs = self.config.get("gradient_checkpointing_kwargs")
        if kwargs is None and self.config.get("activation_offloading") != "hidden_states":
            return not self.config.get("rl") and not self.config.get("unfrozen_parameters")
        return isinstance(kwargs, Mapping) and kwargs.get("use_reentrant") is True

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

    def optimizer(self) -> str:
        return self.choice("optimizer", "adamw_torch_fused", OPTIMIZERS)

    def liger(self) -> frozenset[str]:
        """Its keys mean nothing without its plugin; ``liger_swiglu`` is the old name of one."""
        listed = self.config.get("plugins")
        if not isinstance(listed, str | list | tuple) or LIGER_PLUGIN not in listed:
            return frozenset()
        found = {key for key in LIGER_KERNEL_KEYS if self.flag(key)}
        return frozenset(found | ({"liger_glu_activation"} if self.flag("liger_swiglu") else set()))

    def optimizer_targets(self) -> tuple[str, ...] | str:
        value = self.config.get("optim_target_modules")
        return value if isinstance(value, str) else self.names("optim_target_modules")

    def optimizer_rank(self) -> int:
        """``optim_args`` is a mapping, or text of ``key=value`` parts."""
        given = self.config.get("optim_args")
        if isinstance(given, str):
            given = dict(part.split("=", 1) for part in given.replace(" ", "").split(",") if "=" in part)
        rank = str(given.get("rank", "")) if isinstance(given, Mapping) else ""
        return int(rank) if rank.isdigit() and 0 < int(rank) < 1 << 16 else 128

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

    def fused_lora(self, adapter: str, bits8: bool) -> bool | None:
        """Axolotl switches them on by itself for supervised training on a base that is not in 8 bits."""
        if adapter not in LORA_ADAPTERS or (adapter == "lora" and self.flag("gptq")):
            return False  # the kernels cannot read packed weights
        if self.given.isdisjoint(LORA_KERNEL_KEYS):
            return False if bits8 or any(map(self.config.get, ("trust_remote_code", "rl", "reward_model"))) else None
        return bool(self.those_on(LORA_KERNEL_KEYS))

    def half(self) -> bool:
        """``bf16`` is ``auto`` where it is left out; false there and no other 16-bit key means fp32."""
        other = self.those_on(("fp16", "float16", "bfloat16"))
        return bool(other) or self.config.get("bf16", "auto") not in (False, None, "false")

    def double_quantization(self) -> bool:
        """Axolotl's default, unless ``bnb_config_kwargs`` says otherwise."""
        given = self.config.get("bnb_config_kwargs")
        value = given.get("bnb_4bit_use_double_quant", True) if isinstance(given, Mapping) else True
        return value is not False

    def computes_full(self) -> bool:
        given = self.config.get("bnb_config_kwargs")
        return isinstance(given, Mapping) and given.get("bnb_4bit_compute_dtype") == "float32" and self.half()

    def evaluates(self) -> bool:
        return self.number("val_set_size", 0.0, 0.0, 1e9) > 0 or bool(self.config.get("test_datasets"))


@lru_cache(maxsize=64)
def _pattern(text: str) -> re.Pattern[str] | None:
    try:
        return safe_pattern(text)
    except (re.error, ValueError, OverflowError):
        return None


def _is_all(text: str, name: str) -> bool:
    """Whether a pattern is all of a name."""
    pattern = _pattern(text)
    return pattern is not None and pattern.fullmatch(name) is not None


OPTIMIZERS = tuple(
    """adamw_torch adamw_torch_fused adafactor adamw_anyprecision adamw_torch_4bit adamw_torch_8bit ademamix sgd
    adagrad adamw_bnb_8bit adamw_8bit ademamix_8bit lion_8bit lion_32bit paged_adamw_32bit paged_adamw_8bit
    paged_ademamix_32bit paged_ademamix_8bit paged_lion_32bit paged_lion_8bit rmsprop rmsprop_bnb
    rmsprop_bnb_8bit rmsprop_bnb_32bit galore_adamw galore_adamw_8bit galore_adafactor galore_adamw_layerwise
    galore_adamw_8bit_layerwise galore_adafactor_layerwise lomo adalomo grokadamw schedule_free_radam
    schedule_free_adamw schedule_free_sgd apollo_adamw apollo_adamw_layerwise stable_adamw optimi_adamw
    ao_adamw_fp8 adopt_adamw adamc came_pytorch muon dion sinkgd polora flash_adamw flash_adam flash_sgd
    flash_sgdw flash_lion q_galore_adamw8bit""".split()
)
"""Names that Transformers 5.16.1 and Axolotl 0.19 can build."""
