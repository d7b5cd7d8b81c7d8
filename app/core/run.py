"""One training run, read from a configuration in Axolotl's own keys.

``Run`` holds what parameters, memory and rules need, with Axolotl 0.19's defaults for what a
configuration leaves out (0.19 sources: ``axolotl/utils/schemas``).
"""

import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from functools import cached_property, lru_cache
from operator import attrgetter
from typing import Any, TypeVar

from app.core.collating import Padding
from app.core.context import UNKNOWN, Context
from app.core.hardware import Hardware
from app.core.methods.settings import PeftMethod, VirtualTokens
from app.core.targets import safe_pattern
from app.core.units import round_up

T = TypeVar("T")
_PLAIN_NAME = re.compile(r"[\w.]*")
UNPRICED_IMAGES = 40
"""Per cent above a figure of text for each image of a row, where a model's images are not described."""
SKIP_MODULES = "llm_int8_skip_modules"
"""Below ``bnb_config_kwargs``."""
MOST_UNQUANTIZED = 20
"""Regular expressions among the names of what is kept from being packed that are priced. Of more the figure is of the
first; one more is read to tell it by, and no rule speaks of such a list."""


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


CHUNKS = 8
"""Parts of the sequence that the chunked loss takes by default."""


class Checkpointing(StrEnum):
    """What gradient checkpointing keeps."""

    OFF = "off"
    REENTRANT = "reentrant"
    NON_REENTRANT = "non_reentrant"
    OFFLOAD = "offload"


class KeptAttention(StrEnum):
    """Of which layers the attention's results are kept beside a checkpoint (``selective_checkpointing``)."""

    NONE = "none"
    WHOLE = "whole"
    """Of those whose tokens see all that came before."""
    ALL = "all"


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


LORA_ADAPTERS = ("lora", "qlora")
"""What Axolotl builds itself."""
LORA_KERNEL_KEYS = ("lora_mlp_kernel", "lora_qkv_kernel", "lora_o_kernel", "lora_embedding_kernel")

CCE_PLUGIN = "axolotl.integrations.cut_cross_entropy.CutCrossEntropyPlugin"
LIGER_PLUGIN = "axolotl.integrations.liger.LigerPlugin"


class Switches:
    """Values that are compared as often as anything is asked of a run: their hash is worked out once."""

    __slots__ = ("_hash", "values")

    def __init__(self, values: tuple[Hashable, ...]) -> None:
        self.values, self._hash = values, hash(values)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Switches) and self.values == other.values


@dataclass(frozen=True, kw_only=True)
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
    token_rows: tuple[tuple[str, tuple[int, ...]], ...] = ()
    """``peft_trainable_token_indices``: rows that train of each table named, of the input embedding without a name."""
    idle_dropout: bool = False
    """Whether there are dropout modules that drop nothing, as TRL's ``disable_dropout`` leaves them."""

    @cached_property
    def switches(self) -> Switches:
        """All but amounts, of which only whether anything is dropped out."""
        return Switches((_lora_switches(self), self.dropout > 0, tuple(self.rank_pattern.items())))

    def at(self, *, r: int, alpha: int) -> "LoraSettings":
        """The same with other amounts."""
        return _with(self, switches=self.switches, r=r, alpha=alpha)


@dataclass(frozen=True, kw_only=True)
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
    frozen_towers: bool = False
    """Whether towers and projectors are frozen, and what an adapter has there (``freeze_mm_modules``)."""
    offloading: Offloading = Offloading.NONE
    checkpoint_every: int = 1
    """Every how manieth layer is checkpointed (``gradient_checkpointing_kwargs.every_n_layers``)."""
    kept_attention: KeptAttention = KeptAttention.NONE
    tiled: bool = False
    """Whether feed-forwards are taken in tiles of tokens (``tiled_mlp``), ``tiles`` how many where it is said."""
    tiles: int = 0
    tiles_compiled: bool = False
    """Whether a tile runs what ``torch.compile`` makes of it (``tiled_mlp_use_original_mlp: false``)."""
    lisa_layers: int = 0
    """How many layers train at a time, 0 for all (``lisa_n_layers``)."""
    layer_offloading: bool = False
    """Frozen parameters of the layers wait on the host (``memory.layer_offloading``)."""
    reentrant: bool = True
    """Whether checkpoints, where there are any, hold output and gradient to the end of a layer's backward."""
    half: bool = True
    """Whether weights are in 16 bits (bf16 or fp16), whatever computes (``autocast``); otherwise all is in fp32."""
    autocast: bool = True
    """Whether products are computed in the weights' 16 bits whatever comes: not by ``float16`` or 8 bits alone."""
    double_quantization: bool = True
    unquantized: tuple[str, ...] | None = None
    """What a person's own list (``llm_int8_skip_modules``) keeps from being packed in 4 bits, in place of the usual."""
    packed_itemsize: int = 2
    """Bytes of the type that packs 4-bit weights, ``bnb_4bit_quant_storage``."""
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
    ampere: bool = True
    """Whether the card has the FlashAttention behind SDPA: from Ampere on. No key says it; who knows the card does."""
    room_percent: tuple[int, int] = (0, 0)
    """How far below and above the figure the truth could lie for keys that are not priced (``axolotl.unmodelled``)."""
    liger: frozenset[str] = frozenset()
    """Liger's kernels that are switched on, its losses apart."""
    optimizer_targets: tuple[str, ...] | str = ()
    """``optim_target_modules``: parts of names, a pattern, or ``all_linear``."""
    optimizer_states: int = 0
    """States that ``optim_args`` adds to the optimizer's own, each in its parameter's type."""
    optimizer_rank: int = 128
    """Of a low-rank optimizer's projection: ``optim_args.rank``, or ``qgalore_rank``."""
    padding: Padding = Padding.NEVER
    """Whether a batch of training may hold padding (``collating``)."""
    evaluation_padding: Padding = Padding.NEVER
    """Whether a batch of evaluation may hold padding."""
    evaluation_packing: bool = False
    """Whether samples share rows in evaluation too."""
    row_multiple: int = 1
    """Tokens that the length of a row is filled up to a multiple of."""
    preference: Preference | None = None
    reference_precomputed: bool = False
    """``precompute_ref_log_probs``: the reference runs once before training and not in the step."""
    likelihood: bool = False
    """Whether a preference loss adds the chosen answer's cross entropy (ORPO; SimPO unless ``cpo_alpha`` is 0)."""

    sees: bool = False
    """Whether a processor lays the rows out, which reads images (``processor_type``)."""
    context: Context = UNKNOWN
    """What the process holds on the card beside its tensors."""

    def on(self, hardware: Hardware | None) -> "Run":
        """The same on a card: its context, and before Ampere SDPA has no FlashAttention behind it."""
        if hardware is None:
            return self
        older = hardware.before_ampere and self.attention is Attention.SDPA
        return _with(replace(self, ampere=False) if older else self, context=hardware.context)

    @cached_property
    def switches(self) -> Switches:
        """All but the adapter's settings, the optimizer's name and what ``at`` changes."""
        return Switches(_switches(self))

    def at(
        self,
        *,
        lora: LoraSettings | None,
        sequence_len_tokens: int,
        micro_batch_size: int,
        eval_batch_size: int,
        gradient_accumulation_steps: int,
    ) -> "Run":
        """The same run with other numbers."""
        return _with(
            self,
            switches=self.switches,
            lora=lora,
            sequence_len_tokens=sequence_len_tokens,
            micro_batch_size=micro_batch_size,
            eval_batch_size=eval_batch_size,
            gradient_accumulation_steps=gradient_accumulation_steps,
        )

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
    def one_row(self) -> bool:
        """Whether packing makes a micro batch one row: for attention that takes lengths.

        Under SDPA and eager rows stay apart. Source: Axolotl 0.19.0, ``multipack_real_batches``.
        """
        return self.sample_packing and self.attention not in (Attention.SDPA, Attention.EAGER)

    @property
    def row_tokens(self) -> int:
        """Tokens of a row as it is filled up; of one that packing makes of a micro batch see ``tokens``."""
        return round_up(self.sequence_len_tokens, self.row_multiple)

    @property
    def tokens(self) -> int:
        """Tokens in one micro batch, padding among them; a pair of answers is two rows."""
        rows, row = self.micro_batch_size * self.rows_per_sample, self.row_tokens
        if row != self.sequence_len_tokens and self.one_row:
            return round_up(rows * self.sequence_len_tokens, row)
        return rows * row

    @property
    def padded(self) -> bool:
        """Whether a mask of padding comes with some batch of training."""
        return self.padding.of(self.micro_batch_size * self.rows_per_sample)

    @property
    def padded_evaluation(self) -> bool:
        """Whether a mask of padding comes with some batch of evaluation."""
        return self.evaluation_padding.of(self.eval_batch_size * self.rows_per_sample)

    @property
    def several_rows(self) -> bool:
        """Whether a micro batch is more than one row."""
        return self.micro_batch_size * self.rows_per_sample > 1 and not self.one_row

    @property
    def counts_rows(self) -> bool:
        """Whether it matters how many rows there are: each has its virtual tokens, or KTO's fall to two sides."""
        return bool(self.virtual_tokens) or self.preference is Preference.KTO

    @property
    def layout(self) -> Hashable:
        """What of a batch's rows the layers and the loss are made by."""
        return self.sample_packing, self.padded, self.several_rows, self.counts_rows and self.micro_batch_size

    @property
    def evaluated(self) -> "Run":
        """The run as evaluation lays out its rows."""
        return replace(
            self,
            sample_packing=self.sample_packing and self.evaluation_packing,
            padding=self.evaluation_padding,
            micro_batch_size=self.eval_batch_size,
        )

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


_NUMBERS = frozenset(
    (
        "lora",
        "sequence_len_tokens",
        "micro_batch_size",
        "gradient_accumulation_steps",
        "optimizer",
        "eval_batch_size",
        "context",
    )
)
_AMOUNTS = frozenset(("r", "alpha", "dropout", "rank_pattern"))
_switches = attrgetter(*(field.name for field in fields(Run) if field.name not in _NUMBERS))
_lora_switches = attrgetter(*(field.name for field in fields(LoraSettings) if field.name not in _AMOUNTS))


def is_plain(name: str) -> bool:
    """Whether one of ``llm_int8_skip_modules`` is no more than a name."""
    return _PLAIN_NAME.fullmatch(name) is not None


def many_patterns(names: tuple[str, ...]) -> bool:
    """Whether more of them are regular expressions than are priced."""
    return sum(not is_plain(name) for name in names) > MOST_UNQUANTIZED


def _with(one: T, **values: Any) -> T:
    """``dataclasses.replace`` in one step, however many fields there are, for data without slots."""
    other = object.__new__(type(one))
    vars(other).update(vars(one), **values)
    return other


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
