"""Mixers other than softmax attention: short convolutions, state spaces, gated delta nets.

Sources: Transformers 5.16.1, ``models/{lfm2,jamba,falcon_h1,granitemoehybrid,nemotron_h,qwen3_next,qwen3_5}``; the
kernels that they call where installed: mamba-ssm's ``ops/triton/ssd_combined.py`` and
``ops/selective_scan_interface.py`` with causal-conv1d (Mamba), flash-linear-attention's
``ops/gated_delta_rule/chunk.py`` (an Axolotl dependency). Without mamba-ssm Transformers scans in PyTorch, which takes
many times more: that is not what is counted here.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from app.core.architecture import Architecture
from app.core.memory.linears import LinearSpec, linear
from app.core.memory.norms import NormSpec, normalise
from app.core.memory.operations import (
    add,
    cast,
    copy,
    custom,
    join,
    keeping_input,
    keeping_output,
    multiply,
    repeat,
    scale,
    slices,
    split,
)
from app.core.memory.products import product
from app.core.memory.tape import FULL, SCANNED, TOKEN, Gradients, Tape, Tensor
from app.core.units import ceil_div


class Mixer(StrEnum):
    """The kinds of mixers."""

    SHORT_CONVOLUTION = "short_convolution"
    """LFM2's."""
    SELECTIVE_SCAN = "selective_scan"
    """Mamba, as Jamba has it."""
    STATE_SPACE_DUAL = "state_space_dual"
    """Mamba 2, as Falcon-H1, Granite 4 and Nemotron-H have it."""
    GATED_DELTA_NET = "gated_delta_net"
    """Qwen 3 Next's and 3.5's."""


FORMS = {
    "lfm2": Mixer.SHORT_CONVOLUTION,
    "lfm2_moe": Mixer.SHORT_CONVOLUTION,
    "jamba": Mixer.SELECTIVE_SCAN,
    "falcon_h1": Mixer.STATE_SPACE_DUAL,
    "granitemoehybrid": Mixer.STATE_SPACE_DUAL,
    "nemotron_h": Mixer.STATE_SPACE_DUAL,
    **dict.fromkeys(
        ("qwen3_next", "qwen3_5", "qwen3_5_text", "qwen3_5_moe", "qwen3_5_moe_text"), Mixer.GATED_DELTA_NET
    ),
}
SCAN_CHUNK = 2048
"""Tokens after which a selective scan's kernel keeps its states."""
DELTA_CHUNK = 64
"""Tokens that a gated delta net's kernel takes together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MixerSpec:
    """What a mixer is made of.

    ``channels`` of its depthwise convolution, ``heads`` of its scan; a state has ``state`` elements for each of a
    head's; ``groups`` share what heads do not have of their own; ``chunk`` tokens are scanned together.
    """

    form: Mixer
    hidden: int
    linears: tuple[LinearSpec, ...]
    channels: int
    taps: int
    itemsize: int
    trained: bool
    heads: int
    state: int
    groups: int
    chunk: int
    norm: NormSpec | None
    inner_norms: tuple[NormSpec, ...]
    """Jamba's norms of time step, B and C."""
    scaled: bool
    """What enters and what the first linear makes are multiplied (Falcon-H1)."""
    padded: bool = False
    """What enters is multiplied with a mask of padding (``apply_mask_to_padding_states``)."""

    def named(self, *names: str) -> LinearSpec:
        """The linear under one of ``names``."""
        return next(one for one in self.linears if one.name in names)

    @property
    def inner(self) -> int:
        """Elements a token of the scan's result."""
        return self.named("out_proj").inputs


def scan_chunk(architecture: Architecture) -> int:
    """Tokens of a row that a model's scan takes together; 0 where none scans."""
    form = FORMS.get(architecture.computes_as)
    if form is None or form is Mixer.SHORT_CONVOLUTION:
        return 0
    if form is Mixer.STATE_SPACE_DUAL:
        return max(block.scan_chunk for block in architecture.blocks)
    return DELTA_CHUNK if form is Mixer.GATED_DELTA_NET else SCAN_CHUNK


def scans(architecture: Architecture) -> bool:
    """Whether layers of this model scan their tokens with a state, in kernels that have to be installed."""
    short = FORMS.get(architecture.computes_as) is Mixer.SHORT_CONVOLUTION
    return any(block.mixer_width for block in architecture.blocks) and not short


def run_mixer(t: Tape, spec: MixerSpec, x: Tensor) -> Tensor:
    """The mixer of ``x``, as wide as it came."""
    if spec.padded:
        x = scale(t, x)
    match spec.form:
        case Mixer.SHORT_CONVOLUTION:
            return _short_convolution(t, spec, x)
        case Mixer.SELECTIVE_SCAN:
            return _selective_scan(t, spec, x)
        case Mixer.STATE_SPACE_DUAL:
            return _state_space_dual(t, spec, x)
        case Mixer.GATED_DELTA_NET:
            return _gated_delta_net(t, spec, x)
        case _:
            assert_never(spec.form)


def _short_convolution(t: Tape, spec: MixerSpec, x: Tensor) -> Tensor:
    """LFM2's: two gates around a depthwise convolution.

    Source: Transformers 5.16.1, ``Lfm2ShortConv.forward``.
    """
    before, after, values = split(t, linear(t, spec.named("in_proj"), x), [x.elements] * 3)
    mixed = convolve(t, spec, multiply(t, before, values), active=False)
    return linear(t, spec.named("out_proj"), copy(t, multiply(t, after, mixed)))


def convolve(t: Tape, spec: MixerSpec, x: Tensor, *, active: bool = True) -> Tensor:
    """``F.conv1d`` of each channel under autocast, cut to the length that came, then silu where it is ``active``."""
    weight = t.parameter(spec.channels * spec.taps, spec.itemsize, trained=spec.trained)
    wide = cast(t, x, t.compute)
    kernel = cast(t, weight, t.compute)
    (out,) = custom(t, ((wide.elements, t.compute),), (wide, kernel), (wide, kernel))
    (cut,) = slices(t, out, (out.elements,))
    return cast(t, keeping_input(t, cut) if active else cut, x.itemsize)


def _convolve_in_kernel(t: Tape, spec: MixerSpec, x: Tensor) -> Tensor:
    """causal-conv1d's: convolution and silu at once, its input saved."""
    weight = t.parameter(spec.channels * spec.taps, spec.itemsize, trained=spec.trained)
    return custom(t, ((x.elements, x.itemsize),), (x, weight), (x,))[0]


# ---- Mamba -----------------------------------------------------------------------------------------------------------


def _selective_scan(t: Tape, spec: MixerSpec, x: Tensor) -> Tensor:
    """Jamba's: a scan in one kernel, which keeps its inputs, its result before the gate and two states a 2,048 tokens.

    It wants tokens side by side: of what has its channels so, it keeps copies. Decays come in fp32.
    """
    into, middle, step = spec.named("in_proj"), spec.named("x_proj"), spec.named("dt_proj")
    inner = spec.inner * TOKEN
    projected = linear(t, into, x)
    hidden, gate = split(t, projected, (inner, inner))
    hidden = _convolve_in_kernel(t, spec, hidden)
    if spec.padded:
        hidden = scale(t, hidden)
    states = spec.state * TOKEN
    parts = split(t, linear(t, middle, hidden), (step.inputs * TOKEN, states, states))
    time, b, c = (normalise(t, one, part) for one, part in zip(spec.inner_norms, parts, strict=True))
    weight = t.parameter(step.elements, step.itemsize, trained=step.trained)
    time = product(t, time, weight, step.outputs, key="dt_proj")
    itemsize = hidden.itemsize
    decays = t.fresh(spec.inner * (spec.state + 2), FULL)
    turned = [t.fresh(one.elements, one.itemsize) for one in (b, c, gate, hidden)]
    out = t.fresh(inner, itemsize)
    borders = t.fresh(ceil_div(2 * spec.inner * spec.state, SCAN_CHUNK) * SCANNED, FULL)
    gated = t.fresh(inner, itemsize)
    inputs = (hidden, time, b, c, gate)
    sizes = [(one.elements, one.itemsize) for one in inputs]

    def run(_: list[Tensor | None]) -> Gradients:
        return [t.fresh(*size) for size in sizes]

    t.join((gated,), inputs, (time, *turned, decays, borders, out), run)
    del out, hidden, time, b, c, gate, inputs, turned, decays, borders
    return linear(t, spec.named("out_proj"), cast(t, gated, x.itemsize))


# ---- Mamba 2 ---------------------------------------------------------------------------------------------------------


def _state_space_dual(t: Tape, spec: MixerSpec, x: Tensor) -> Tensor:
    """Everything behind the first linear in one kernel, the output projection included.

    It saves what the first linear made, the scan's result and a norm's statistics, and computes the rest again.
    """
    into, out = spec.named("in_proj"), spec.named("out_proj")
    if spec.scaled:
        x = scale(t, x)
    projected = linear(t, into, x)
    if spec.scaled:
        projected = scale(t, projected)
    return _dual_kernel(t, spec, out, projected)


def _states(spec: MixerSpec) -> int:
    """Packed elements of the states at the chunks' borders."""
    return ceil_div(spec.inner * spec.state, spec.chunk) * SCANNED


def _dual_kernel(t: Tape, spec: MixerSpec, out: LinearSpec, x: Tensor) -> Tensor:
    """``MambaSplitConv1dScanCombinedFn``."""
    itemsize = x.itemsize
    inner, channels, heads = spec.inner * TOKEN, spec.channels * TOKEN, spec.heads * SCANNED
    states, pairs = _states(spec), spec.groups * spec.chunk * SCANNED
    narrow = spec.groups * spec.state * TOKEN
    normed = spec.norm is not None
    convolved = t.fresh(channels, itemsize)
    scanned = _scan_forward(t, spec, itemsize)
    kept = t.fresh(inner, itemsize)
    gated = t.fresh(inner, itemsize)
    statistics = t.fresh(spec.groups * TOKEN, FULL) if normed else None
    del scanned, convolved
    entering = cast(t, gated, t.compute)
    weight = t.parameter(out.elements, out.itemsize, trained=out.trained)
    used = weight if weight.itemsize == t.compute else t.fresh(out.elements, t.compute)
    result = t.fresh(out.outputs * TOKEN, t.compute)
    del gated, entering
    whole, produced = x.elements, out.elements
    parameters = [
        t.parameter(size, spec.itemsize, trained=spec.trained)
        for size in (spec.channels * spec.taps, spec.channels, spec.inner if normed else 1)
    ]
    sizes = [one.elements if one.node is not None else 0 for one in parameters]
    parameter_itemsize, needs = spec.itemsize, x.node is not None

    def run(_: list[Tensor | None]) -> Gradients:
        again = t.fresh(inner, itemsize)
        convolved = t.fresh(channels, itemsize)
        grad = t.fresh(whole, itemsize)
        channel_grad = t.fresh(channels, itemsize)
        above = t.fresh(inner, itemsize)
        below = t.fresh(inner, itemsize) if normed else above
        steps = [t.fresh(heads, FULL) for _ in range(3)]
        products = t.fresh(pairs, FULL)
        at_borders = t.fresh(states, FULL)
        passed = t.fresh(states, FULL)
        del at_borders
        moved = t.fresh(states, FULL)
        halves = [t.fresh(states, itemsize) for _ in range(2)]
        del passed, moved
        narrow_grads = [t.fresh(narrow, FULL) for _ in range(2)]
        product_grads = t.fresh(pairs, FULL)
        del halves, narrow_grads, product_grads, products, steps, below
        weight_grad = t.fresh(produced, itemsize)
        del again, convolved, channel_grad, above
        small = [t.fresh(size, parameter_itemsize) if size else None for size in sizes]
        return (grad if needs else None, weight_grad, *small)

    t.join((result,), (x, weight, *parameters), (x, kept, statistics, used), run)
    return result


def _scan_forward(t: Tape, spec: MixerSpec, itemsize: int) -> list[Tensor]:
    """What the scan holds on its way."""
    heads, states = spec.heads * SCANNED, _states(spec)
    held = [t.fresh(heads, FULL) for _ in range(2)]
    at_borders = t.fresh(states, FULL)
    held.append(t.fresh(states, itemsize))
    del at_borders
    held.append(t.fresh(spec.groups * spec.chunk * SCANNED, FULL))
    return held


# ---- gated delta nets ------------------------------------------------------------------------------------------------


def _gated_delta_net(t: Tape, spec: MixerSpec, x: Tensor) -> Tensor:
    """Qwen's: convolved queries, keys and values, a delta rule in chunks, and a norm whose result is gated."""
    values = spec.inner * TOKEN
    mixed, gate, b, a = _delta_inputs(t, spec, x)
    mixed = convolve(t, spec, mixed)
    keys = (spec.channels - spec.inner) // 2 * TOKEN
    query, key, value = split(t, mixed, (keys, keys, values))
    beta = keeping_output(t, b)
    decay = _decay(t, spec, a)
    wide = spec.heads * spec.state * TOKEN
    query, key = repeat(t, query, wide), repeat(t, key, wide)
    out = _delta_rule(t, spec, query, key, value, decay, beta)
    if spec.norm is None:
        raise ValueError("a gated delta net without its norm")
    out = gated_norm(t, spec.norm, out, gate)
    return linear(t, spec.named("out_proj"), out)


def _delta_inputs(t: Tape, spec: MixerSpec, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What is convolved, the gate, and the two numbers a head."""
    values, channels, heads = spec.inner * TOKEN, spec.channels * TOKEN, spec.heads * TOKEN
    if any(one.name == "in_proj_qkvz" for one in spec.linears):
        both = linear(t, spec.named("in_proj_qkvz"), x)
        numbers = linear(t, spec.named("in_proj_ba"), x)
        mixed, gate = split(t, both, (channels, values))
        b, a = split(t, numbers, (heads, heads))
        gate, b, a = copy(t, gate), copy(t, b), copy(t, a)
        keys = (channels - values) // 2
        query, key, value = split(t, mixed, (keys, keys, values))
        parts = copy(t, query), copy(t, key), copy(t, value)
        return join(t, parts), gate, b, a
    mixed, gate, b, a = (
        linear(t, spec.named(name), x) for name in ("in_proj_qkv", "in_proj_z", "in_proj_b", "in_proj_a")
    )
    return mixed, gate, b, a


def _decay(t: Tape, spec: MixerSpec, a: Tensor) -> Tensor:
    """``-exp(A) * softplus(a + bias)`` in fp32."""
    bias = t.parameter(spec.heads, spec.itemsize, trained=spec.trained)
    rate = keeping_output(t, cast(t, t.parameter(spec.heads, spec.itemsize, trained=spec.trained), FULL))
    return multiply(t, scale(t, rate), keeping_input(t, add(t, cast(t, a, FULL), bias)))


def _delta_rule(
    t: Tape, spec: MixerSpec, query: Tensor, key: Tensor, value: Tensor, decay: Tensor, beta: Tensor
) -> Tensor:
    """``ChunkGatedDeltaRuleFunction``: saves normed queries and keys, values side by side, and a matrix a chunk."""
    itemsize = query.itemsize
    heads, wide, values = spec.heads * TOKEN, query.elements, value.elements
    states = ceil_div(spec.state * spec.inner, DELTA_CHUNK) * SCANNED
    beside = t.fresh(values, value.itemsize)
    normed = [t.fresh(wide, itemsize) for _ in range(2)]
    statistics = [t.fresh(heads, FULL) for _ in range(2)]
    summed = t.fresh(heads, FULL)
    matrix = t.fresh(heads * DELTA_CHUNK, itemsize)
    held = [t.fresh(wide, itemsize), t.fresh(values, itemsize), t.fresh(states, itemsize), t.fresh(values, itemsize)]
    out = t.fresh(values, itemsize)
    del held
    inputs = query, key, value, decay, beta
    sizes = [(one.elements, one.itemsize, one.node is not None) for one in inputs]

    def run(_: list[Tensor | None]) -> Gradients:
        written = [t.fresh(wide, itemsize), t.fresh(values, itemsize)]
        borders, fresh_values, value_grad = (t.fresh(size, itemsize) for size in (states, values, values))
        border_grad, second = t.fresh(states, itemsize), t.fresh(values, itemsize)
        del value_grad
        grads = [t.fresh(wide, itemsize) for _ in range(3)]
        slopes = t.fresh(heads, FULL)
        del borders, fresh_values, border_grad, written
        more = [t.fresh(wide, itemsize), t.fresh(values, itemsize)]
        del second, slopes
        found = [t.fresh(size, width) for size, width, _ in sizes[:2]]
        found += [more.pop(), *(t.fresh(size, width) for size, width, _ in sizes[3:])]
        del grads, more
        return [grad if needed else None for grad, (_, _, needed) in zip(found, sizes, strict=True)]

    t.join((out,), inputs, (*normed, *statistics, beside, summed, beta, matrix), run)
    del normed, statistics, beside, summed, matrix
    return out


def gated_norm(t: Tape, spec: NormSpec, x: Tensor, gate: Tensor) -> Tensor:
    """``RMSNormGated``: the norm, then a product with silu of the gate in fp32."""
    itemsize = x.itemsize
    normed = normalise(t, spec, x)
    opened = keeping_input(t, cast(t, gate, FULL))
    return cast(t, multiply(t, normed, opened), itemsize)
