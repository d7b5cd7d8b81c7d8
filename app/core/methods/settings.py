"""What a method is told: PEFT's own settings, as far as they shape what trains or what it costs."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias


class PeftType(StrEnum):
    """A method, by what ``adapter`` calls it: PEFT's type in lower case, and bottleneck adapters, which PEFT lacks."""

    PROMPT_TUNING = "prompt_tuning"
    PREFIX_TUNING = "prefix_tuning"
    P_TUNING = "p_tuning"
    IA3 = "ia3"
    BOTTLENECK = "bottleneck"
    ADALORA = "adalora"
    LOHA = "loha"
    LOKR = "lokr"
    VERA = "vera"
    OFT = "oft"
    LN_TUNING = "ln_tuning"
    TRAINABLE_TOKENS = "trainable_tokens"


VIRTUAL_TOKENS = frozenset((PeftType.PROMPT_TUNING, PeftType.PREFIX_TUNING, PeftType.P_TUNING))


class Encoder(StrEnum):
    """What P-tuning makes its virtual tokens with."""

    MLP = "MLP"
    LSTM = "LSTM"


class Placement(StrEnum):
    """Where bottleneck adapters sit: behind attention and feed-forward, or behind the feed-forward alone."""

    HOULSBY = "houlsby"
    PFEIFFER = "pfeiffer"


class Activation(StrEnum):
    """A bottleneck's non-linearity."""

    RELU = "relu"
    GELU = "gelu"


class Bias(StrEnum):
    """Which of the model's biases train along."""

    NONE = "none"
    ALL = "all"
    ONLY = "only"
    """Those of the adapted modules: ``lora_only``, ``oft_only``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualTokens:
    """Prompt, prefix and P-tuning. Sizes that are None follow the model."""

    tokens: int
    token_dim: int | None
    layers: int | None
    attention_heads: int | None
    submodules: int
    projection: bool
    encoder: Encoder
    encoder_hidden_size: int | None
    encoder_layers: int
    dropout: bool
    modules_to_save: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """Which modules a method reaches. ``modules`` None means PEFT's default for the model; a text is a pattern."""

    modules: tuple[str, ...] | str | None = None
    exclude: tuple[str, ...] | str = ()
    save: tuple[str, ...] = ()
    layers: tuple[int, ...] | None = None
    layers_pattern: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaling:
    """IA³. ``feedforward`` None means PEFT's default for the model."""

    targets: Targets
    feedforward: tuple[str, ...] | str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decomposed:
    """AdaLoRA, LoHa, LoKr and VeRA: an update in parts of a rank."""

    targets: Targets
    rank: int
    rank_pattern: tuple[tuple[str, int], ...] = ()
    dropout: bool
    bias: Bias = Bias.NONE
    effective_convolution: bool = False
    decompose_both: bool = False
    decompose_factor: int = -1
    drops_rows: bool = False
    """``rank_dropout`` of LoHa and LoKr."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """OFT: ``blocks`` or ``block_size``, the other being 0."""

    targets: Targets
    blocks: int
    block_size: int
    block_share: bool
    bias: Bias
    terms: int
    """Of the series that stands for an inverse; 0 where linear equations are solved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnLayers:
    """LN tuning: copies of whole modules."""

    targets: Targets


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRows:
    """Trainable tokens. ``targets.modules`` None means the input embedding."""

    targets: Targets
    indices: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bottleneck:
    """Adapters of two linears with a residual: x + f(x·W_down)·W_up."""

    size: int = 64
    placement: Placement = Placement.HOULSBY
    activation: Activation = Activation.RELU
    bias: bool = True


Settings: TypeAlias = VirtualTokens | Scaling | Decomposed | Rotation | OwnLayers | TokenRows | Bottleneck


@dataclass(frozen=True, slots=True, kw_only=True)
class PeftMethod:
    """A method and its settings."""

    type: PeftType
    settings: Settings
