"""The parts that decoders share: sizes read once, attention, feed-forward, experts, and the whole put together.

Defaults are those of Transformers 5.16.1's configuration classes; each description states its own.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from app.core.architecture import Activation, Architecture, Block, Module, NormForm
from app.core.architectures.rows import embedding, experts, head, linear, norm
from app.core.config_json import ConfigReader
from app.core.shown import shown

LAYER = "model.layers.{}."
FULL = "full_attention"
SLIDING = "sliding_attention"
LINEAR = "linear_attention"
CURRENT_KINDS = {"conv": LINEAR, "mamba": LINEAR, "attention": FULL}
"""Old names of layer kinds, as Transformers renames them on reading."""

BEFORE_BOTH = ("input_layernorm", "post_attention_layernorm")
AFTER_BOTH = ("post_attention_layernorm", "post_feedforward_layernorm")
AROUND_BOTH = (*BEFORE_BOTH, "pre_feedforward_layernorm", "post_feedforward_layernorm")

ACTIVATIONS = {
    "silu": Activation.SILU,
    "swish": Activation.SILU,
    "relu": Activation.RELU,
    "relu2": Activation.RELU2,
    "xielu": Activation.XIELU,
    "gelu_new": Activation.GELU_NEW,
    "gelu_fast": Activation.GELU_FAST,
}
GATED_ACTIVATIONS = {Activation.SILU: Activation.SWIGLU, Activation.GELU: Activation.GEGLU}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """The sizes of a decoder, checked against each other."""

    hidden: int
    intermediate: int
    vocab: int
    heads: int
    key_value_heads: int
    head_dim: int
    layers: tuple[int, ...]
    context: int
    tied: bool

    @property
    def query(self) -> int:
        """Width of all query heads."""
        return self.heads * self.head_dim

    @property
    def key_value(self) -> int:
        """Width of all key (or value) heads."""
        return self.key_value_heads * self.head_dim


def read_sizes(
    config: ConfigReader,
    *,
    hidden: int,
    intermediate: int,
    vocab: int,
    heads: int,
    layers: int,
    context: int,
    key_value_heads: int | None = None,
    head_dim: int | None = None,
    tied: bool = False,
    divides: bool = False,
) -> Sizes:
    """Sizes under their usual names, with a description's defaults.

    ``key_value_heads`` None means as many as heads, ``head_dim`` None ``hidden_size // num_attention_heads``.
    ``divides`` where Transformers wants the heads to divide the hidden size.

    Raises:
        InvalidInput: a size is out of range, or heads do not divide what they must.
    """
    hidden = config.size("hidden_size", "n_embd", "n_embed", "d_model", default=hidden)
    heads = config.size("num_attention_heads", "n_head", "n_heads", default=heads)
    default_key_value_heads = heads if key_value_heads is None else key_value_heads
    key_value_heads = config.size("num_key_value_heads", default=default_key_value_heads)
    if hidden % heads and (divides or heads > hidden):
        raise config.fault("num_attention_heads", "error.config_json.divides", given=heads, whole=hidden)
    if heads % key_value_heads:
        raise config.fault("num_key_value_heads", "error.config_json.divides", given=key_value_heads, whole=heads)
    return Sizes(
        hidden=hidden,
        intermediate=config.size("intermediate_size", "n_inner", "ffn_dim", default=intermediate),
        vocab=config.size("vocab_size", default=vocab),
        heads=heads,
        key_value_heads=key_value_heads,
        head_dim=config.size("head_dim", default=head_dim or hidden // heads),
        layers=tuple(range(config.layers("num_hidden_layers", "n_layer", "n_layers", default=layers))),
        context=config.size("max_position_embeddings", "n_positions", "max_seq_len", "seq_length", default=context),
        tied=config.flag("tie_word_embeddings", default=tied),
    )


def activation(config: ConfigReader, default: str, *, gates: bool = True, keys: Sequence[str] = ()) -> Activation:
    """The feed-forward's form from the activation's name in Transformers' ``ACT2FN``."""
    keys = keys or ("hidden_act", "hidden_activation")
    name = config.text(*keys, default=default)
    known = ACTIVATIONS.get(name, Activation.GELU if "gelu" in name else None)
    if known is None:
        allowed = ", ".join(("gelu", *ACTIVATIONS))
        raise config.fault(keys[0], "error.config_json.activation", given=name[:60], allowed=allowed)
    return GATED_ACTIVATIONS.get(known, known) if gates else known


def window(config: ConfigReader, default: int | None) -> int | None:
    """``sliding_window``: null means none, and a field left out its default."""
    if "sliding_window" in config.values and config.values["sliding_window"] is None:
        return None
    if not config.has("sliding_window"):
        return default
    return config.size("sliding_window", least=0) or None


def layer_kinds(
    config: ConfigReader, key: str, layers: tuple[int, ...], default: Callable[[int], str]
) -> tuple[str, ...]:
    """The kind of each layer, as listed under ``key`` or as ``default`` tells of a layer.

    Raises:
        InvalidInput: the list has another length than the model has layers, or an entry is no text.
    """
    listed = config.items(key, len(layers))
    if listed is None:
        return tuple(default(layer) for layer in layers)
    for kind in listed:
        if not isinstance(kind, str):
            raise config.fault(key, "error.config_json.text", given=shown(kind, quoted=True))
    return tuple(CURRENT_KINDS.get(kind, kind) for kind in listed)


def layer_types(config: ConfigReader, sizes: Sizes, default: Callable[[int], str]) -> tuple[str, ...]:
    """What each layer attends to, under ``layer_types`` or as ``default`` tells of a layer."""
    return layer_kinds(config, "layer_types", sizes.layers, default)


def of_kind(kinds: Sequence[str], *wanted: str) -> tuple[int, ...]:
    """The layers of one of the ``wanted`` kinds."""
    return tuple(layer for layer, kind in enumerate(kinds) if kind in wanted)


def common(first: Sequence[int], second: Sequence[int]) -> tuple[int, ...]:
    """The layers in both."""
    return tuple(layer for layer in first if layer in second)


def every_nth_full(period: int) -> Callable[[int], str]:
    """Every ``period``-th layer attends to everything, the others in a window (0: all of them do)."""
    return lambda layer: SLIDING if period and (layer + 1) % period else FULL


def attention(
    sizes: Sizes,
    *,
    bias: bool = False,
    out_bias: bool | None = None,
    out: str = "o_proj",
    prefix: str = LAYER + "self_attn.",
    layers: tuple[int, ...] | None = None,
) -> tuple[Module, ...]:
    """Separate query, key, value and output projections."""
    at = sizes.layers if layers is None else layers
    return (
        linear(prefix + "q_proj", sizes.hidden, sizes.query, bias=bias, layers=at),
        linear(prefix + "k_proj", sizes.hidden, sizes.key_value, bias=bias, layers=at),
        linear(prefix + "v_proj", sizes.hidden, sizes.key_value, bias=bias, layers=at),
        linear(prefix + out, sizes.query, sizes.hidden, bias=bias if out_bias is None else out_bias, layers=at),
    )


def gated(
    sizes: Sizes,
    *,
    bias: bool = False,
    width: int | None = None,
    prefix: str = LAYER + "mlp.",
    layers: tuple[int, ...] | None = None,
) -> tuple[Module, ...]:
    """Gate, up and down projections, ``width`` wide in the middle."""
    at = sizes.layers if layers is None else layers
    middle = sizes.intermediate if width is None else width
    return (
        linear(prefix + "gate_proj", sizes.hidden, middle, bias=bias, layers=at),
        linear(prefix + "up_proj", sizes.hidden, middle, bias=bias, layers=at),
        linear(prefix + "down_proj", middle, sizes.hidden, bias=bias, layers=at),
    )


def ungated(
    sizes: Sizes,
    up: str,
    down: str,
    *,
    bias: bool = False,
    width: int | None = None,
    prefix: str = LAYER + "mlp.",
    layers: tuple[int, ...] | None = None,
) -> tuple[Module, ...]:
    """One projection up and one down."""
    at = sizes.layers if layers is None else layers
    middle = sizes.intermediate if width is None else width
    return (
        linear(prefix + up, sizes.hidden, middle, bias=bias, layers=at),
        linear(prefix + down, middle, sizes.hidden, bias=bias, layers=at),
    )


def fused_experts(
    sizes: Sizes,
    count: int,
    width: int,
    *,
    prefix: str = LAYER + "mlp.experts.",
    layers: tuple[int, ...] | None = None,
    bias: bool = False,
) -> tuple[Module, ...]:
    """Transformers 5's 3-D expert parameters, gate and up in one."""
    at = sizes.layers if layers is None else layers
    return (
        experts(prefix + "gate_up_proj", count, sizes.hidden, 2 * width, bias=bias, layers=at),
        experts(prefix + "down_proj", count, width, sizes.hidden, bias=bias, layers=at),
    )


def norms(
    sizes: Sizes,
    *names: str,
    bias: bool = False,
    width: int | None = None,
    prefix: str = LAYER,
    layers: tuple[int, ...] | None = None,
) -> tuple[Module, ...]:
    """One norm per name in every layer."""
    at = sizes.layers if layers is None else layers
    return tuple(norm(prefix + name, width or sizes.hidden, bias=bias, layers=at) for name in names)


def plain_block(sizes: Sizes, **facts: Any) -> Block:
    """A dense layer's shape; ``facts`` override: ``gated=False``, ``activation=...``, ``sliding_window=...``."""
    values: dict[str, Any] = {
        "layers": sizes.layers,
        "hidden_size": sizes.hidden,
        "intermediate_size": sizes.intermediate,
        "attention_heads": sizes.heads,
        "key_value_heads": sizes.key_value_heads,
        "head_dim": sizes.head_dim,
        "value_head_dim": sizes.head_dim,
        "activation": Activation.SWIGLU,
        "gated": True,
        "norm": NormForm.RMS,
    }
    return Block(**(values | facts))


def without_attention(mixer_width: int) -> dict[str, Any]:
    """A block's facts where a mixer of another kind stands in attention's place."""
    return {"attention_heads": 0, "key_value_heads": 0, "mixer_width": mixer_width}


def windowed_blocks(sizes: Sizes, kinds: Sequence[str], sliding: int | None, **facts: Any) -> tuple[Block, ...]:
    """One block of the layers that attend in a window of ``sliding`` tokens, one of the others."""
    near = tuple(layer for layer, kind in zip(sizes.layers, kinds, strict=True) if kind == SLIDING and sliding)
    far = tuple(layer for layer in sizes.layers if layer not in frozenset(near))
    return (
        plain_block(sizes, **(facts | {"layers": near, "sliding_window": sliding})),
        plain_block(sizes, **(facts | {"layers": far})),
    )


def decoder(
    model_type: str,
    sizes: Sizes,
    rows: tuple[Module, ...],
    blocks: tuple[Block, ...],
    *,
    embed: str = "model.embed_tokens",
    final_norm: str | None = "model.norm",
    norm_bias: bool = False,
    head_bias: bool = False,
    before: tuple[Module, ...] = (),
    logit_softcap: bool = False,
) -> Architecture:
    """Embedding, layers, final norm and head around ``rows``; rows and blocks of no layer are left out."""
    ends = (norm(final_norm, sizes.hidden, bias=norm_bias),) if final_norm else ()
    return Architecture(
        model_type=model_type,
        modules=(
            embedding(embed, sizes.vocab, sizes.hidden),
            *before,
            *(row for row in rows if row.layers != ()),
            *ends,
            head(sizes.hidden, sizes.vocab, tied_to=embed if sizes.tied else None, bias=head_bias),
        ),
        blocks=tuple(block for block in blocks if block.layers),
        hidden_size=sizes.hidden,
        vocab_size=sizes.vocab,
        context_tokens=sizes.context,
        tie_word_embeddings=sizes.tied,
        logit_softcap=logit_softcap,
    )
