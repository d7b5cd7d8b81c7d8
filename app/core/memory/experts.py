"""Mixtures of experts: a router, experts stored as 3-D parameters, and a shared feed-forward beside them.

Source: Transformers 5.16.1, ``integrations/moe.py`` (``grouped_mm_experts_forward``) and the routers of
``models/*_moe``; PEFT 0.20.0 ``tuners/lora/layer.py`` (``ParamWrapper``), whose update is added to the whole parameter;
Axolotl 0.19 ``monkeypatch/moe_quant.py`` and bitsandbytes 0.50 ``nn/parametrize.py`` for quantised experts, all of
which are unpacked whenever their layer runs and live until its experts are done. In 8 bits Axolotl's hook lets go of
them, which an exception passes by: a checkpoint that is not reentrant stops a layer with one once it has made again
what was saved, and where that is within the experts, they stay for ever.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from app.core.memory.linears import LinearSpec, linear
from app.core.memory.middle import Middle, activate
from app.core.memory.norms import NormSpec, normalise
from app.core.memory.offloading import OffloadingTape
from app.core.memory.operations import (
    add,
    cast,
    copy,
    custom,
    gather,
    keeping_input,
    keeping_output,
    multiply,
    repeat,
    scale,
    slices,
    split,
)
from app.core.memory.products import autocast_copy, product
from app.core.memory.tape import FULL, TEMPORARIES, TOKEN, Gradients, Tape, Tensor
from app.core.memory.weights import NF4_BLOCK
from app.core.run import Quantization
from app.core.units import ceil_div


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutedLinear:
    """The same projection of all experts of a layer."""

    count: int
    inputs: int
    outputs: int
    bias: bool
    itemsize: int
    trained: bool
    rank: int
    dropout: bool
    quantization: Quantization
    """``NF4`` or ``INT8`` under ``quantize_moe_experts``."""
    unpacked_itemsize: int
    """Of a quantised parameter when it is read."""

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
    router: LinearSpec | None
    """Where it is a linear of PyTorch's own class, which an adapter or bitsandbytes may take."""
    routed: tuple[RoutedLinear, ...]
    middle: Middle
    gated: bool
    clamped: bool
    """gpt-oss's gate: clamped, in elementary operations."""
    shared_gate: LinearSpec | None
    widened: bool
    """An fp32 copy of the input is made for the logits."""
    outside: bool
    """They are computed outside of autocast, in fp32 (ERNIE)."""
    sigmoid: bool
    """Chances by a sigmoid in the logits' own type (DeepSeek V3 and its kin)."""
    half_router: bool
    """Of logits that no fp32 copy of the input is made for, divided by their sum, which autocast makes in fp32 (LFM2).

    The others divide in place, which leaves the type as it is.
    """
    best_first: bool
    """The softmax is over the chosen experts alone (gpt-oss, Granite)."""
    router_norm: NormSpec | None
    """The router's own norm of what it reads, whose result it multiplies with a trained scale (Gemma 4)."""
    half_scores: bool
    """The chances are cast to the hidden states' type before they weigh anything."""
    every: bool
    """Every expert computes every token (Llama 4)."""
    shared_first: bool
    """The shared feed-forward is run before the routed experts."""
    tiles: int = 0
    """In how many tiles of tokens router and experts are taken, 0 where they are not (``tiles``)."""


def experts_sizes(spec: ExpertsSpec) -> Sequence[tuple[int, int]]:
    """Elements and itemsize of what trains in router and experts, in their module's order."""
    found = [(spec.hidden * spec.count, spec.router_itemsize)] if spec.router_trained else []
    for one in spec.routed:
        if one.trained:
            biases = [(one.count * one.outputs, one.itemsize)] if one.bias else []
            found += [(one.elements, one.itemsize), *biases]
        if one.rank:
            found += [(one.count * one.rank * width, FULL) for width in (one.inputs, one.outputs)]
    return found


def run_experts(t: Tape, spec: ExpertsSpec, x: Tensor, shared: Callable[[Tensor], Tensor] | None) -> Tensor:
    """Routed experts, and beside them the shared feed-forward: before them where a gate of its own weighs it."""
    if spec.every and shared is not None:
        return _of_all(t, spec, x, shared)
    if shared is not None and spec.shared_gate is not None:
        beside = shared(x)
        routed = grouped(t, spec, x, route(t, spec, x))
        beside = multiply(t, keeping_output(t, linear(t, spec.shared_gate, x)), beside)
        return add(t, routed, beside)
    if shared is not None and spec.shared_first:
        beside = shared(x)
        return add(t, grouped(t, spec, x, route(t, spec, x)), beside)
    routed = grouped(t, spec, x, route(t, spec, x))
    return routed if shared is None else add(t, routed, shared(x))


def route(t: Tape, spec: ExpertsSpec, x: Tensor) -> Tensor:
    """The weights of the experts that a token goes to."""
    logits = _router_logits(t, spec, x)
    few = spec.per_token * TOKEN
    indices = t.fresh(few, 8)
    if spec.best_first:
        chosen = keeping_output(t, cast(t, gather(t, logits, few), FULL))
    else:
        chances = keeping_output(t, logits if spec.sigmoid else cast(t, logits, FULL))
        chosen = gather(t, chances, few)
    del indices
    if spec.half_scores:
        return cast(t, scale(t, chosen), x.itemsize)
    return scale(t, chosen, FULL if spec.half_router else 0)


def _router_logits(t: Tape, spec: ExpertsSpec, x: Tensor) -> Tensor:
    if spec.router_norm is not None:
        scales = t.parameter(spec.hidden, spec.router_itemsize, trained=spec.router_norm.trained)
        x = scale(t, multiply(t, normalise(t, spec.router_norm, x), scales))
    if spec.widened:
        x = cast(t, x, FULL)
    if spec.router is not None:
        return linear(t, spec.router, x)
    weight = t.parameter(spec.hidden * spec.count, spec.router_itemsize, trained=spec.router_trained)
    within, t.autocast = t.autocast, t.autocast and not spec.outside
    logits = product(t, x, weight, spec.count, key="router")
    t.autocast = within
    return logits


def grouped(t: Tape, spec: ExpertsSpec, x: Tensor, scores: Tensor) -> Tensor:
    """Tokens sorted by expert, two grouped products, the weighted rows put back and summed."""
    rows = spec.per_token * TOKEN
    wide = rows * spec.hidden
    itemsize = x.itemsize
    up, down = spec.routed[0], spec.routed[-1]
    held = Held(t, spec)
    sorted_ids, order = t.fresh(rows, 8), t.fresh(rows, 8)
    beyond = t.fresh(rows, 1)
    picked = _masked(t, gather(t, x, wide), beyond)
    weights = gather(t, scores, rows)
    made = routed_linear(t, up, picked, *held.read(up, rows), turned=not up.bias)  # gpt-oss's, which have one, are not
    made = _gate(t, spec, made)
    made = routed_linear(t, down, made, *held.read(down, rows), turned=not down.bias)
    weighted = _masked(t, multiply(t, made, weights), beyond)
    weighted = gather(t, weighted, wide)
    out = _summed(t, weighted, spec.hidden * TOKEN)
    del sorted_ids, order, picked, made, weighted
    out = cast(t, out, itemsize)
    del held
    t.unpacked = 0
    return out


def _masked(t: Tape, x: Tensor, mask: Tensor) -> Tensor:
    """``masked_fill_`` of rows that belong to no expert: in place, its gradient is not."""
    out = x.view()
    elements, itemsize = x.elements, x.itemsize
    t.join((out,), (x,), (mask,), lambda _: (t.fresh(elements, itemsize),))
    return out


def _gate(t: Tape, spec: ExpertsSpec, x: Tensor) -> Tensor:
    """``act(gate) * up`` of the two halves."""
    if not spec.gated:
        return activate(t, spec.middle, x)
    half = x.elements // 2
    if spec.clamped:
        gate, up = slices(t, x, (half, half))
        gate, up = keeping_input(t, gate), keeping_input(t, up)
        glu = multiply(t, gate, keeping_output(t, scale(t, gate)))
        return multiply(t, scale(t, up), glu)
    gate, up = split(t, x, (half, half))
    return multiply(t, activate(t, spec.middle, gate), up)


def _summed(t: Tape, x: Tensor, elements: int) -> Tensor:
    """The sum over a token's experts, in fp32 under autocast; its gradient is expanded, then cast."""
    whole = x.elements
    out = t.fresh(elements, FULL if t.autocast else x.itemsize)

    def run(grads: list[Tensor | None]) -> Gradients:
        grad = grads[0]
        return (None if grad is None else Tensor(grad.storage, whole, grad.itemsize),)

    t.join((out,), (x,), (), run)
    return out


def _of_all(t: Tape, spec: ExpertsSpec, x: Tensor, shared: Callable[[Tensor], Tensor]) -> Tensor:
    """Llama 4's: every expert computes every token, weighted by a sigmoid that is 0 but for the best.

    What went in and what came out wait for the shared feed-forward, into whose result the sum is then added.
    Source: Transformers 5.16.1, ``Llama4TextMoe.forward``.
    """
    everyone = spec.count * TOKEN
    logits = _router_logits(t, spec, x)
    scores = cast(t, keeping_output(t, cast(t, scale(t, logits), FULL)), x.itemsize)
    del logits
    entering = repeat(t, x, everyone * spec.hidden)
    entering = multiply(t, entering, copy(t, scores))
    up, down = spec.routed[0], spec.routed[-1]
    held = Held(t, spec)
    made = _batched(t, up, entering, held, everyone)
    made = _gate(t, spec, made)
    made = _batched(t, down, made, held, everyone)
    del held
    t.unpacked = 0
    out = _added(t, shared(x), _summed(t, made, spec.hidden * TOKEN))
    del entering, made
    return out


def _batched(t: Tape, spec: RoutedLinear, x: Tensor, held: "Held", rows: int) -> Tensor:
    """``torch.bmm`` of all experts, which autocast does know: the weight is cast to its type."""
    weight, bias, rows = held.read(spec, rows)
    return routed_linear(t, spec, x, autocast_copy(t, weight, f"experts.{spec.inputs}"), bias, rows, turned=False)


class Held:
    """The experts' weights as their module reads them, in one forward of it.

    PEFT computes the update of every adapted parameter before, the last first, and tries it on once; updates and what
    was read stay until the forward ends (``torch.nn.utils.parametrize.cached``).
    """

    def __init__(self, t: Tape, spec: ExpertsSpec) -> None:
        self.tape = t
        self.updates: dict[RoutedLinear, Tensor] = {}
        self.weights: list[Tensor] = []
        self.bias: Tensor | None = None
        for one in reversed(spec.routed):
            if one.rank:
                self.updates[one] = _update(t, one)
                weight = _unpacked(t, one)
                tried = t.fresh(one.elements, weight.itemsize)
                del weight, tried

    def read(self, spec: RoutedLinear, rows: int) -> tuple[Tensor, Tensor | None, int]:
        """The parameter, unpacked and updated, each row's bias, and the rows; the bias before it lives until then."""
        t = self.tape
        weight = _unpacked(t, spec)
        if spec in self.updates:
            weight = add(t, weight, self.updates[spec])
        self.weights.append(weight)
        if spec.bias:
            bias = t.parameter(spec.count * spec.outputs, spec.itemsize, trained=spec.trained)
            self.bias = gather(t, bias, rows * spec.outputs)
        return weight, self.bias, rows


def _unpacked(t: Tape, spec: RoutedLinear) -> Tensor:
    """The whole parameter: NF4 beside fp32 statistics of its blocks, int8 by two products in fp32."""
    if spec.quantization is Quantization.NONE:
        return t.parameter(spec.elements, spec.itemsize, trained=spec.trained)
    if spec.quantization is Quantization.INT8:
        beside = t.fresh(spec.elements, FULL, TEMPORARIES)
        t.unpacked += spec.elements * spec.unpacked_itemsize
    else:
        beside = t.fresh(ceil_div(spec.elements, NF4_BLOCK), FULL, TEMPORARIES)
    weight = t.fresh(spec.elements, spec.unpacked_itemsize, TEMPORARIES)
    del beside
    return weight


def routed_linear(
    t: Tape, spec: RoutedLinear, x: Tensor, weight: Tensor, bias: Tensor | None, rows: int, *, turned: bool
) -> Tensor:
    """``torch._grouped_mm`` of all experts, by the weight ``turned`` round where it is not stored as it is multiplied.

    Autocast does not know it: the input is cast to the weight's type, fp32 where k-bit preparation has made it that.
    """
    itemsize = weight.itemsize
    x = cast(t, x, itemsize)
    leaving = weight
    if turned:
        weight = weight.view()
        leaving = _as_saved(t, weight)
    out = t.fresh(rows * spec.outputs, itemsize)
    x_size = x.elements if x.node is not None else 0
    w_size = weight.elements if weight.node is not None else 0

    def run(_: list[Tensor | None]) -> Gradients:
        return (t.fresh(x_size, itemsize) if x_size else None, t.fresh(w_size, itemsize) if w_size else None)

    t.join((out,), (x, weight), (x if w_size else None, leaving if x_size else None), run)
    return out if bias is None else _added(t, out, bias)


def _as_saved(t: Tape, weight: Tensor) -> Tensor:
    """The weight turned round, of which the hooks of offloading make a copy where it is not the model's own.

    Without streams the copy goes as soon as it is on the host.
    """
    if not isinstance(t, OffloadingTape) or weight.storage is None:
        return weight
    clone = t.part(weight)
    return clone if t.streams else weight


def _added(t: Tape, x: Tensor, y: Tensor) -> Tensor:
    """``x.add_(y)``: in place, its gradient goes to both."""
    out = x.view()
    t.join((out,), (x, y), (), lambda grads: (grads[0], grads[0]))
    return out


def _update(t: Tape, spec: RoutedLinear) -> Tensor:
    """``B A`` for every expert, as large as the parameter itself and in its type."""
    down = t.parameter(spec.count * spec.rank * spec.inputs, FULL, trained=True)
    up = t.parameter(spec.count * spec.rank * spec.outputs, FULL, trained=True)
    key = f"{spec.inputs}.{spec.outputs}"
    a, b = autocast_copy(t, down, f"A.{key}"), autocast_copy(t, up, f"B.{key}")
    (update,) = custom(t, ((spec.elements, a.itemsize),), (a, b), (a, b))
    update = scale(t, update)
    return cast(t, update, spec.itemsize if spec.quantization is Quantization.NONE else spec.unpacked_itemsize)
