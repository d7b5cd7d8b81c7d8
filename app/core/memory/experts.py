"""Mixtures of experts: a router, experts stored as 3-D parameters, and a shared feed-forward beside them.

Source: Transformers 5.16.1, ``integrations/moe.py`` (``grouped_mm_experts_forward``) and the routers of
``models/*_moe``; PEFT 0.20.0 ``tuners/lora/layer.py`` (``ParamWrapper``), whose update is added to the whole parameter.
"""

from collections.abc import Callable
from dataclasses import dataclass

from app.core.memory.linears import LinearSpec, autocast_copy, linear, product
from app.core.memory.operations import (
    FULL,
    add,
    cast,
    custom,
    gather,
    keeping_input,
    keeping_output,
    multiply,
    scale,
    slices,
    split,
)
from app.core.memory.tape import TOKEN, Gradients, Tape, Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutedLinear:
    """The same projection of all experts of a layer."""

    count: int
    inputs: int
    outputs: int
    bias: bool = False
    itemsize: int = 2
    trained: bool = False
    rank: int = 0
    dropout: bool = False

    @property
    def elements(self) -> int:
        """Of all experts."""
        return self.count * self.inputs * self.outputs


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpertsSpec:
    """The experts of a layer."""

    hidden: int
    count: int
    per_token: int
    router_itemsize: int
    router_trained: bool
    routed: tuple[RoutedLinear, ...]
    middle: str
    gated: bool
    clamped: bool = False
    """gpt-oss's gate: clamped, in elementary operations."""
    shared_gate: LinearSpec | None = None
    sigmoid: bool = False


def run_experts(t: Tape, spec: ExpertsSpec, x: Tensor, shared: Callable[[Tensor], Tensor] | None) -> Tensor:
    """Routed experts, and beside them the shared feed-forward."""
    scores = _route(t, spec, x)
    routed = _grouped(t, spec, x, scores)
    if shared is None:
        return routed
    beside = shared(x)
    if spec.shared_gate is not None:
        beside = multiply(t, keeping_output(t, linear(t, spec.shared_gate, x)), beside)
    return add(t, routed, beside)


def _route(t: Tape, spec: ExpertsSpec, x: Tensor) -> Tensor:
    """Probabilities of all experts, of which the best are kept."""
    weight = t.parameter(spec.hidden * spec.count, spec.router_itemsize, trained=spec.router_trained)
    logits = product(t, x, weight, spec.count, key="router")
    chances = keeping_output(t, cast(t, logits, FULL))
    indices = t.fresh(spec.per_token * TOKEN, 8)
    chosen = gather(t, chances, spec.per_token * TOKEN)
    del indices
    return scale(t, chosen)


def _grouped(t: Tape, spec: ExpertsSpec, x: Tensor, scores: Tensor) -> Tensor:
    """Tokens sorted by expert, two grouped products, the weighted rows put back and summed."""
    rows = spec.per_token * TOKEN
    wide = rows * spec.hidden
    itemsize = x.itemsize
    up, down = spec.routed[0], spec.routed[-1]
    order = t.fresh(rows, 8)
    picked = gather(t, x, wide)
    weights = gather(t, scores, rows)
    made = routed_linear(t, up, picked, rows)
    del picked
    made = _gate(t, spec, made, rows)
    made = routed_linear(t, down, made, rows)
    made = multiply(t, made, weights)
    back = gather(t, made, wide)
    del made
    out = _summed(t, back, spec.hidden * TOKEN)
    del back, order
    return cast(t, out, itemsize)


def _gate(t: Tape, spec: ExpertsSpec, x: Tensor, rows: int) -> Tensor:
    """``act(gate) * up`` of the two halves."""
    if not spec.gated:
        return keeping_input(t, x)
    half = x.elements // 2
    if spec.clamped:
        gate, up = slices(t, x, (half, half))
        gate, up = keeping_input(t, gate), keeping_input(t, up)
        glu = multiply(t, gate, keeping_output(t, scale(t, gate)))
        return multiply(t, scale(t, up), glu)
    gate, up = split(t, x, (half, half))
    return multiply(t, keeping_input(t, gate), up)


def _summed(t: Tape, x: Tensor, elements: int) -> Tensor:
    """The sum over a token's experts, in fp32 under autocast."""
    whole, itemsize = x.elements, x.itemsize
    if t.compute < FULL:
        x = cast(t, x, FULL)
    out = t.fresh(elements, x.itemsize)
    del whole, itemsize
    t.join((out,), (x,), (), lambda grads: (Tensor(grads[0].storage, x_elements, FULL),) if grads[0] else (None,))
    x_elements = x.elements
    return out


def routed_linear(t: Tape, spec: RoutedLinear, x: Tensor, rows: int) -> Tensor:
    """``torch._grouped_mm`` of all experts, with PEFT's update of the whole parameter where it is adapted."""
    weight = t.parameter(spec.elements, spec.itemsize, trained=spec.trained)
    if spec.rank:
        weight = _with_update(t, spec)
    x = cast(t, x, t.compute)
    weight = autocast_copy(t, weight, f"experts.{spec.inputs}.{spec.outputs}")
    out = t.fresh(rows * spec.outputs, t.compute)
    x_size = x.elements if x.node is not None else 0
    w_size = weight.elements if weight.node is not None else 0
    compute = t.compute

    def run(_: list[Tensor | None]) -> Gradients:
        return (t.fresh(x_size, compute) if x_size else None, t.fresh(w_size, compute) if w_size else None)

    t.join((out,), (x, weight), (x if w_size else None, weight if x_size else None), run)
    if spec.bias:
        bias = t.parameter(spec.count * spec.outputs, spec.itemsize, trained=spec.trained)
        picked = gather(t, bias, rows * spec.outputs)
        out = add(t, out, picked)
    return out


def _with_update(t: Tape, spec: RoutedLinear) -> Tensor:
    """The parameter plus ``B A`` for every expert, both as large as the parameter itself."""
    down = t.parameter(spec.count * spec.rank * spec.inputs, FULL, trained=True)
    up = t.parameter(spec.count * spec.rank * spec.outputs, FULL, trained=True)
    a, b = autocast_copy(t, down, f"A.{spec.inputs}"), autocast_copy(t, up, f"B.{spec.inputs}")
    (update,) = custom(t, ((spec.elements, t.compute),), (a, b), (a, b))
    update = scale(t, update)
    return add(t, t.parameter(spec.elements, spec.itemsize, trained=False), update)
