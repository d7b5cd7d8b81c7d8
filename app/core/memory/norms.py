"""Normalisations as Transformers 5.16.1 writes them: the forms differ in what they save and in the type they return.

Source: ``models/*/modeling_*.py``, the classes ``*RMSNorm`` and ``*LayerNorm``; ``aten::native_layer_norm``, which
autocast runs in fp32.
"""

from dataclasses import dataclass
from enum import StrEnum

from app.core.memory.operations import cast, custom, mean, multiply, power, saved_only
from app.core.memory.tape import FULL, TOKEN, Tape, Tensor


class Norm(StrEnum):
    """How a norm computes."""

    RMS = "rms"
    """Llama's: fp32 inside, cast back before the weight."""
    RMS_WEIGHT_FIRST = "rms_weight_first"
    """OLMo 2's and gpt-oss's: the weight before the cast."""
    RMS_PLUS_ONE = "rms_plus_one"
    """Gemma's: an fp32 product with (1 + weight)."""
    LAYER = "layer"
    """``nn.LayerNorm``: fp32 in and out under autocast."""
    LAYER_HALF = "layer_half"
    """Nemotron's: autocast off, everything cast to its type first."""
    LAYER_FULL = "layer_full"
    """OLMo's without weights: fp32 inside, cast back."""
    CENTERED = "centered"
    """Cohere's, in elementary operations."""
    FUSED = "fused"
    """Axolotl's kernel for Gemma 4's queries, keys and values, with positions (``kernels/gemma4_fused_rope.py``)."""
    RMS_BARE = "rms_bare"
    """An RMSNorm without a weight (Gemma 4's on values and before its router)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NormSpec:
    """One norm of a layer: its width in elements a token and its weight's bytes and training."""

    form: Norm
    width: int
    groups: int = 1
    """How many heads share the weight: statistics are one a head."""
    itemsize: int
    trained: bool
    bias: bool
    liger: bool = False
    """Liger's kernel (``liger``)."""


PARTS = 132
"""Rows in which Liger gathers a weight's gradient: one a multiprocessor, as many as an H100 has."""


def normalise(t: Tape, spec: NormSpec, x: Tensor) -> Tensor:
    """Apply the norm to ``x``."""
    weight = t.parameter(spec.width // spec.groups, spec.itemsize, trained=spec.trained)
    statistics = spec.groups * TOKEN
    if spec.liger:
        return _liger(t, x, weight, statistics)
    match spec.form:
        case Norm.LAYER | Norm.LAYER_HALF | Norm.LAYER_FULL:
            return _layer_norm(t, spec, x, weight, statistics)
        case Norm.FUSED:
            kept = saved_only(t, statistics, FULL)
            return custom(t, ((x.elements, x.itemsize),), (x, weight), (x, kept))[0]
        case Norm.CENTERED:
            return _centered(t, x, weight, statistics)
        case _:
            return _rms(t, spec, x, weight, statistics)


def _rms(t: Tape, spec: NormSpec, x: Tensor, weight: Tensor, statistics: int) -> Tensor:
    """``x * rsqrt(mean(x ** 2) + eps)`` in fp32, times the weight before or after the cast back."""
    itemsize = x.itemsize
    x = cast(t, x, FULL)
    variance = mean(t, power(t, x), statistics)
    root = _rsqrt(t, variance)
    x = multiply(t, x, root)
    match spec.form:
        case Norm.RMS_BARE:
            return cast(t, x, itemsize)
        case Norm.RMS_PLUS_ONE:
            return cast(t, multiply(t, x, _plus_one(t, weight)), itemsize)
        case Norm.RMS_WEIGHT_FIRST:
            return cast(t, multiply(t, weight, x), itemsize)
        case _:
            return multiply(t, weight, cast(t, x, itemsize))


def _liger(t: Tape, x: Tensor, weight: Tensor, statistics: int) -> Tensor:
    """One kernel that saves its input and a reciprocal a row, and writes its gradient over the result's."""
    out = t.fresh(x.elements, x.itemsize)
    sums = saved_only(t, statistics, FULL)
    width, itemsize = weight.elements, weight.itemsize

    def run(grads: list[Tensor | None]) -> tuple[Tensor | None, Tensor]:
        parts = t.fresh(PARTS * width, FULL)
        del parts
        return grads[0], t.fresh(width, itemsize)

    t.join((out,), (x, weight), (x, sums), run)
    return out


def _rsqrt(t: Tape, x: Tensor) -> Tensor:
    out = t.fresh(x.elements, FULL)
    elements = x.elements
    t.join((out,), (x,), (out,), lambda _: (t.fresh(elements, FULL),))
    return out


def _plus_one(t: Tape, weight: Tensor) -> Tensor:
    """``1.0 + weight.float()``."""
    out = t.fresh(weight.elements, FULL)
    t.join((out,), (weight,), (), lambda grads: (grads[0],))
    return out


def _layer_norm(t: Tape, spec: NormSpec, x: Tensor, weight: Tensor, statistics: int) -> Tensor:
    """One kernel that saves its input, mean and reciprocal deviation."""
    itemsize = x.itemsize
    if spec.form is Norm.LAYER_HALF:
        x, weight = cast(t, x, t.compute), cast(t, weight, t.compute)
    elif t.autocast or spec.form is Norm.LAYER_FULL:
        x, weight = cast(t, x, FULL), cast(t, weight, FULL)
    moments = saved_only(t, 2 * statistics, FULL)
    bias = t.parameter(weight.elements, x.itemsize, trained=spec.trained and spec.bias)
    (out,) = custom(t, ((x.elements, x.itemsize),), (x, weight, bias), (x, moments, weight))
    return cast(t, out, itemsize) if spec.form is Norm.LAYER_FULL else out


def _centered(t: Tape, x: Tensor, weight: Tensor, statistics: int) -> Tensor:
    """Mean and variance in elementary operations; the difference is made twice."""
    itemsize = x.itemsize
    x = cast(t, x, FULL)
    middle = mean(t, x, statistics)
    variance = mean(t, power(t, _difference(t, x, middle)), statistics)
    x = multiply(t, _difference(t, x, middle), _rsqrt(t, variance))
    return cast(t, multiply(t, cast(t, weight, FULL), x), itemsize)


def _difference(t: Tape, x: Tensor, middle: Tensor) -> Tensor:
    """``x - mean``: the gradient goes on as it is, summed for the mean."""
    out = t.fresh(x.elements, x.itemsize)
    small, itemsize = middle.elements, x.itemsize
    whole = x.elements

    def run(grads: list[Tensor | None]) -> tuple[Tensor | None, Tensor]:
        negative = t.fresh(whole, itemsize)
        del negative
        return grads[0], t.fresh(small, itemsize)

    t.join((out,), (x, middle), (), run)
    return out
