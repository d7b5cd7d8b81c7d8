"""Decoder layers, written down as Transformers 5.16.1 runs them (``models/*/modeling_*.py``, ``forward``).

A ``LayerSpec`` holds what one layer is made of; ``run_layer`` runs it on a tape. Locals live as long as they do in the
code that is written down.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from app.core.memory.attention import Heads, Kernel, attend, rotate
from app.core.memory.beside import BottleneckSpec, PrefixSpec, prefixed
from app.core.memory.experts import ExpertsSpec, experts_sizes, grouped, route, run_experts
from app.core.memory.linears import LinearSpec, bottleneck, fused_feed_forward, fused_group, linear
from app.core.memory.middle import Middle, activate
from app.core.memory.mixers import MixerSpec, run_mixer
from app.core.memory.norms import NormSpec, normalise
from app.core.memory.operations import (
    add,
    copy,
    dropout,
    gather,
    join,
    keeping_input,
    keeping_output,
    multiply,
    repeat,
    scale,
    scale_in_place,
    slices,
    split,
    unbind,
)
from app.core.memory.tape import TOKEN, Tape, Tensor
from app.core.memory.tiles import tiled, trained_sizes


class Residual(StrEnum):
    """How attention and feed-forward stand to the residual stream."""

    PRE = "pre"
    """Norms before both, optionally after both too."""
    PARALLEL = "parallel"
    """Both from the same input, one norm or one each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedForward:
    """A dense feed-forward.

    ``fused`` where Axolotl's kernel replaces it; ``together`` where one linear makes gate and up.
    """

    linears: tuple[LinearSpec, ...]
    middle: Middle
    gated: bool
    together: bool
    fused: bool
    liger: bool = False
    """Liger's kernel makes the product and writes both gradients over what it saved (``liger``)."""
    tiles: int = 0
    """In how many tiles of tokens it is taken, 0 where it is not (``tiles``)."""
    scaled: bool
    """The gate and the result are multiplied by a number (Falcon-H1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SmallInput:
    """Gemma 4's addition in every layer: down to a small width, times the token's own, and up again."""

    gate: LinearSpec
    project: LinearSpec
    norm: NormSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerSpec:
    """What one layer is made of, as the tape needs it. Norms are None where a layer has none at that place."""

    hidden: int
    residual: Residual
    input_norm: NormSpec | None
    feed_norm: NormSpec | None
    attention_norm: NormSpec | None
    output_norm: NormSpec | None
    query_norm: NormSpec | None = None
    key_norm: NormSpec | None = None
    heads: Heads | None = None
    kernel: Kernel = Kernel.FLASH
    projections: tuple[LinearSpec, ...] = ()
    """q, k, v apart or in one, in the model's order."""
    latent_norms: tuple[NormSpec | None, ...] = ()
    """Multi-head latent attention: norms of the compressed queries (where they are compressed) and keys and values."""
    scaled_queries: bool = False
    """Multi-head latent attention: queries are multiplied by a number for each position before they are attended to."""
    sliced: bool = False
    """Whether one projection is cut by indexing rather than in one operation."""
    unbound: bool = False
    """Whether it is taken apart along a dimension of its own (Qwen's towers)."""
    indexed: bool = False
    """Whether keys and values are copied out of it by a list of indices (Falcon)."""
    out: LinearSpec | None = None
    fused_attention: bool = False
    fused_out: bool = False
    gate_on_output: bool = False
    """Queries come with a gate for the attention's output (Qwen 3.5 and Next)."""
    output_gate: LinearSpec | None = None
    """A projection of its own makes that gate (Trinity)."""
    mixer: MixerSpec | None = None
    feed_forward: FeedForward | None = None
    experts: ExpertsSpec | None = None
    expert_norms: tuple[NormSpec, NormSpec, NormSpec] | None = None
    """Gemma 4's, whose experts read the residual stream beside the dense feed-forward: after that, before and after
    the experts."""
    small_input: SmallInput | None = None
    value_norm: NormSpec | None = None
    inline: bool = False
    """The feed-forward stands in the layer's own code, whose names are bound anew (OPT)."""
    drops_attention: bool = False
    """What attention returns is dropped from, and what the feed-forward returns (GPT-2, OPT)."""
    drops_feed: bool = False
    holds: bool
    """The attention's input and result stay locals of the layer until it returns (StableLM)."""
    reuses: bool = False
    """Keys and values are those of an earlier layer."""
    stores: bool = False
    """They are held by the model beside the layer's own code (Gemma 4, of the last layer of each kind)."""
    norms_first: bool = False
    """Both norms of a parallel layer stand before its attention (Falcon)."""
    multipliers: bool
    """Both halves are multiplied before they are added (Granite)."""
    rescaled: bool = False
    """What it returns is multiplied by a number that the checkpoint brings (Gemma 4)."""
    behind_attention: BottleneckSpec | None = None
    behind_feed_forward: BottleneckSpec | None = None
    prefix: PrefixSpec | None = None


def run_layer(t: Tape, spec: LayerSpec, x: Tensor) -> Tensor:
    """The layer's output; the caller holds ``x``."""
    out = _run(t, spec, x)
    t.beside = None
    return out


def _run(t: Tape, spec: LayerSpec, x: Tensor) -> Tensor:
    if spec.residual is Residual.PARALLEL:
        return _parallel(t, spec, x)
    residual = x
    held: list[Tensor] = []
    named: list[Tensor] = []
    if spec.heads is not None or spec.mixer is not None:
        hidden = _normed(t, spec.input_norm, x)
        held.append(hidden)
        hidden = bottleneck(t, spec.behind_attention, _mixed(t, spec, hidden, named))
        hidden = _dropped(t, hidden, drops=spec.drops_attention)
        hidden = _normed(t, spec.attention_norm, hidden)
        held.append(hidden)
        if not spec.holds:
            held.clear()
        if spec.multipliers:
            hidden = scale(t, hidden)
        hidden = add(t, residual, hidden)
        residual = hidden
    else:
        hidden = x
    if spec.feed_forward is None and spec.experts is None:
        return hidden
    hidden = _normed(t, spec.feed_norm, hidden)
    if spec.inline and spec.feed_forward is not None:
        up, down = spec.feed_forward.linears
        hidden = linear(t, up, hidden)
        hidden = activate(t, spec.feed_forward.middle, hidden)
        hidden = linear(t, down, hidden)
    else:
        hidden = bottleneck(t, spec.behind_feed_forward, _fed(t, spec, hidden, residual))
    hidden = _dropped(t, hidden, drops=spec.drops_feed and not _fused(spec.feed_forward))
    hidden = _normed(t, spec.output_norm, hidden)
    if spec.multipliers:
        hidden = scale(t, hidden)
    hidden = add(t, residual, hidden)
    if spec.small_input is not None:
        hidden = _with_small_input(t, spec.small_input, hidden)
    return scale_in_place(t, hidden) if spec.rescaled else hidden


def _with_small_input(t: Tape, spec: SmallInput, x: Tensor) -> Tensor:
    """What Gemma 4 adds in every layer from a small embedding of the tokens, held by the model."""
    hidden = keeping_input(t, linear(t, spec.gate, x))
    given = Tensor(None, hidden.elements, hidden.itemsize)
    hidden = linear(t, spec.project, multiply(t, hidden, given))
    return add(t, x, normalise(t, spec.norm, hidden))


def _parallel(t: Tape, spec: LayerSpec, x: Tensor) -> Tensor:
    """Attention and feed-forward of the same input, both added to it."""
    hidden = _normed(t, spec.input_norm, x)
    if spec.norms_first and spec.feed_norm is not None:
        second = normalise(t, spec.feed_norm, x)
        attended = bottleneck(t, spec.behind_attention, _attention(t, spec, hidden))
        fed = bottleneck(t, spec.behind_feed_forward, _fed(t, spec, second, x))
        return add(t, add(t, fed, attended), x)
    attended = bottleneck(t, spec.behind_attention, _attention(t, spec, hidden))
    attended = _dropped(t, attended, drops=spec.drops_attention)
    if spec.feed_norm is not None:
        hidden = normalise(t, spec.feed_norm, x)
    fed = bottleneck(t, spec.behind_feed_forward, _fed(t, spec, hidden, x))
    fed = _dropped(t, fed, drops=spec.drops_feed)
    return add(t, add(t, fed, attended), x)


def _fused(forward: FeedForward | None) -> bool:
    """Whether Axolotl's kernel stands in the place of the whole module, its dropout included."""
    return forward is not None and forward.fused


def _dropped(t: Tape, x: Tensor, *, drops: bool) -> Tensor:
    """The model's own dropout behind attention or feed-forward."""
    return dropout(t, x) if drops else x


def _normed(t: Tape, spec: NormSpec | None, x: Tensor) -> Tensor:
    return x if spec is None else normalise(t, spec, x)


def _mixed(t: Tape, spec: LayerSpec, x: Tensor, named: list[Tensor]) -> Tensor:
    """Softmax attention, a mixer of another kind, or both side by side (Falcon-H1).

    The layer's code has names for what both make, and so holds it to its end.
    """
    if spec.mixer is None:
        return _attention(t, spec, x)
    mixed = run_mixer(t, spec.mixer, x)
    if spec.heads is None:
        return mixed
    mixed = scale(t, mixed)
    named += (mixed, scale(t, _attention(t, spec, scale(t, x))))
    return add(t, *named)


def _attention(t: Tape, spec: LayerSpec, x: Tensor) -> Tensor:
    """Projections, norms on queries and keys, positions, the kernel, the output projection."""
    heads = spec.heads
    if heads is None or spec.out is None:
        raise ValueError("a layer without softmax attention")
    gate: Tensor | None = None
    if spec.reuses:
        q = linear(t, spec.projections[0], x)
        k, v = Tensor(None, heads.key, q.itemsize), Tensor(None, heads.value, q.itemsize)
        q, _ = rotate(t, replace(heads, key_value_heads=0), _normed(t, spec.query_norm, q), Tensor(None, 0, q.itemsize))
        return linear(t, spec.out, attend(t, heads, spec.kernel, q, k, v))
    if len(spec.projections) == 1:
        together = linear(t, spec.projections[0], x)  # a local to the end
        q, k, v = _cut(t, spec, heads, together)
    elif spec.latent_norms:
        return _latent(t, spec, heads, spec.out, x)
    elif spec.fused_attention:
        q, k, *values = fused_group(t, spec.projections, x)
        v = values[0] if values else k.view()
    else:
        q, k, v = _separately(t, spec, x)
    if spec.output_gate is not None:
        gate = linear(t, spec.output_gate, x)
    if spec.gate_on_output:
        q, gate = split(t, q, (heads.query, heads.query))
        gate = scale(t, gate)
    q, k = _normed(t, spec.query_norm, q), _normed(t, spec.key_norm, k)
    v = _normed(t, spec.value_norm, v)
    q, k = rotate(t, heads, q, k)
    if spec.stores:
        t.hand_on(k, v)
    if spec.prefix is not None:
        k, v = prefixed(t, spec.prefix, k, v)
    out = attend(t, heads, spec.kernel, q, k, v)
    if gate is not None:
        out = multiply(t, out, keeping_output(t, gate))
    if spec.fused_out:
        return fused_group(t, (spec.out,), out)[0]
    return linear(t, spec.out, out)


def _separately(t: Tape, spec: LayerSpec, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Three projections of the same input; two where a layer's keys are its values (Gemma 4)."""
    q, k, *values = (linear(t, one, x) for one in spec.projections)
    if spec.mixer is not None:
        k = scale(t, k)
    return q, k, values[0] if values else k.view()


def _latent(t: Tape, spec: LayerSpec, heads: Heads, out: LinearSpec, x: Tensor) -> Tensor:
    """DeepSeek's attention: queries, and keys and values, through a narrow latent each.

    All of them stay locals until the output projection is through. FlashAttention wants values as wide as keys: they
    are filled up before, and its output is cut. Source: Transformers 5.16.1 ``integrations/flash_attention.py``.
    """
    q_norm, kv_norm = spec.latent_norms
    *queries, down, up = spec.projections
    q = linear(t, queries[0], x)
    if len(queries) > 1:
        q = linear(t, queries[1], _normed(t, q_norm, q))
    width = up.inputs * TOKEN
    turned = down.outputs * TOKEN - width
    straight = heads.query - heads.heads * turned
    q_pass, q_turn = split(t, q, (straight, heads.heads * turned))
    latent, k_turn = split(t, linear(t, down, x), (width, turned))
    both = linear(t, up, _normed(t, kv_norm, latent))
    k_pass, v = split(t, both, (straight, heads.value))
    q_turn, k_turn = rotate(t, replace(heads, rotary_dim=heads.head_dim), q_turn, k_turn)
    q = join(t, (q_pass, q_turn))
    if spec.scaled_queries:
        q = scale(t, q)
    k = join(t, (k_pass, repeat(t, k_turn, heads.heads * turned)))
    if spec.kernel in (Kernel.FLASH, Kernel.FLASH_PADDED) and heads.value_dim < heads.head_dim:
        attended = attend(t, replace(heads, value_dim=heads.head_dim), spec.kernel, q, k, repeat(t, v, heads.query))
        (attended,) = slices(t, attended, (out.inputs * TOKEN,))
        attended = copy(t, attended)
        return linear(t, out, attended)
    return linear(t, out, attend(t, heads, spec.kernel, q, k, v))


def _cut(t: Tape, spec: LayerSpec, heads: Heads, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """One projection's parts, as views of it."""
    parts = heads.query, heads.key, heads.value
    if spec.indexed:
        q = slices(t, x, parts[:1])[0]
        k, v = gather(t, x, heads.key), gather(t, x, heads.value)
        if heads.key_value_heads > 1:
            return q, repeat(t, k, heads.query), repeat(t, v, heads.query)
        return q, k, v
    if spec.unbound:
        q, k, v = unbind(t, x, parts)
        return q, k, v
    q, k, v = slices(t, x, parts) if spec.sliced else split(t, x, parts)
    return q, k, v


def _fed(t: Tape, spec: LayerSpec, x: Tensor, residual: Tensor) -> Tensor:
    """The feed-forward, dense or of experts."""
    if spec.experts is not None and spec.expert_norms is not None:
        after_dense, before, after = spec.expert_norms
        first = normalise(t, after_dense, _dense(t, spec.feed_forward, x))
        scores = route(t, spec.experts, residual)
        second = grouped(t, spec.experts, normalise(t, before, residual), scores)
        return add(t, first, normalise(t, after, second))
    if spec.experts is not None and spec.experts.tiles:
        experts = spec.experts
        sizes = experts_sizes(experts)
        return tiled(t, experts.tiles, x, sizes, lambda tape, part: run_experts(tape, experts, part, None))
    if spec.experts is not None:
        beside = (lambda y: _dense(t, spec.feed_forward, y)) if spec.feed_forward is not None else None
        return run_experts(t, spec.experts, x, beside)
    return _dense(t, spec.feed_forward, x)


def _dense(t: Tape, spec: FeedForward | None, x: Tensor) -> Tensor:
    if spec is None:
        raise ValueError("a layer without a feed-forward")
    if spec.tiles:
        sizes = trained_sizes(spec.linears)
        return tiled(t, spec.tiles, x, sizes, lambda tape, part: _whole(tape, spec, part))
    return _whole(t, spec, x)


def _whole(t: Tape, spec: FeedForward, x: Tensor) -> Tensor:
    """All tokens at once."""
    if spec.fused:
        gate, up, down = spec.linears
        return fused_feed_forward(t, gate, up, down, x)
    if not spec.gated:
        up, down = spec.linears
        return linear(t, down, activate(t, spec.middle, linear(t, up, x), trained=up.trained))
    if spec.together:
        both, down = spec.linears
        upper = linear(t, both, x)
        gated, upper = split(t, upper, (upper.elements // 2, upper.elements // 2))
        if spec.liger:
            return linear(t, down, _liger(t, copy(t, gated), copy(t, upper)))
        upper = multiply(t, upper, activate(t, spec.middle, gated))
        return linear(t, down, upper)
    gate, up, down = spec.linears
    if spec.liger:
        return linear(t, down, _liger(t, linear(t, gate, x), linear(t, up, x)))
    if spec.scaled:
        upper = linear(t, up, x)
        upper = multiply(t, upper, activate(t, spec.middle, scale(t, linear(t, gate, x))))
        return scale(t, linear(t, down, upper))
    return linear(t, down, multiply(t, activate(t, spec.middle, linear(t, gate, x)), linear(t, up, x)))


def _liger(t: Tape, gate: Tensor, up: Tensor) -> Tensor:
    """``LigerSiLUMulFunction``."""
    out = t.fresh(gate.elements, gate.itemsize)
    held = [Tensor(x.storage, x.elements, x.itemsize) for x in (gate, up)]

    def run(_: list[Tensor | None]) -> list[Tensor | None]:
        found: list[Tensor | None] = list(held)
        held.clear()
        return found

    t.join((out,), (gate, up), (gate, up), run)
    return out
