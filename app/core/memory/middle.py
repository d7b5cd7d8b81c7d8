"""The activation between a feed-forward's linears: what it makes and keeps.

Source: Transformers 5.16.1, ``activations.py``.
"""

from enum import StrEnum
from typing import assert_never

from app.core.memory.operations import add, cast, keeping_input, keeping_output, multiply, power, scale
from app.core.memory.tape import FULL, TOKEN, Gradients, Tape, Tensor


class Middle(StrEnum):
    """The feed-forward's activation as it computes."""

    SAVES_INPUT = "saves_input"
    """silu, gelu in one kernel."""
    SAVES_OUTPUT = "saves_output"
    """relu."""
    SQUARED = "squared"
    """relu, then its square in fp32."""
    GELU_NEW = "gelu_new"
    """gelu in elementary operations, whose cube autocast takes in fp32."""
    GELU_BLOOM = "gelu_bloom"
    """gelu in one function, whose backward is in elementary operations (Bloom)."""
    GELU_FAST = "gelu_fast"
    """gelu in elementary operations that all stay in the input's type."""
    GELU_QUICK = "gelu_quick"
    """x times the sigmoid of 1.702 x (CLIP)."""
    XIELU = "xielu"
    """Apertus's, in elementary operations: a quadratic above zero, an exponential below."""


def activate(t: Tape, middle: Middle, x: Tensor, *, trained: bool = False) -> Tensor:
    """The activation of a feed-forward's middle; ``trained`` where weights of its own train."""
    match middle:
        case Middle.SAVES_INPUT:
            return keeping_input(t, x)
        case Middle.SAVES_OUTPUT:
            return keeping_output(t, x)
        case Middle.SQUARED:
            positive = keeping_output(t, x)
            return power(t, positive)
        case Middle.GELU_NEW:
            half = scale(t, x)
            inner = keeping_output(t, scale(t, add(t, x, scale(t, power(t, x)))))
            return multiply(t, half, add(t, inner, Tensor(None, TOKEN, inner.itemsize)))
        case Middle.GELU_BLOOM:
            return _gelu_bloom(t, x)
        case Middle.GELU_FAST:
            return _gelu_fast(t, x)
        case Middle.GELU_QUICK:
            return multiply(t, x, keeping_output(t, scale(t, x)))
        case Middle.XIELU:
            return _xielu(t, x, trained=trained)
        case _:
            assert_never(middle)


def _gelu_bloom(t: Tape, x: Tensor) -> Tensor:
    """Saves its input; both passes are written in elementary operations, line by line.

    Source: ``models/bloom/modeling_bloom.py``, ``bloom_gelu_forward`` and ``bloom_gelu_back``.
    """
    elements, itemsize = x.elements, x.itemsize

    def fresh() -> Tensor:
        return t.fresh(elements, itemsize)

    half, left, inner = fresh(), fresh(), fresh()
    squared = fresh()  # x * 0.5, 0.79788456 * x, 0.044715 * x * x on its way to 1 + ...
    del inner
    plus = fresh()
    del squared
    product_ = fresh()
    del left, plus
    curved = fresh()
    del product_
    one = fresh()
    del curved
    out = fresh()
    del half, one

    def run(_: list[Tensor | None]) -> Gradients:
        tanh = fresh()
        halved, square = fresh(), fresh()  # 0.5 * x, tanh * tanh
        less = fresh()
        del square
        scaled = fresh()
        times = fresh()
        del scaled
        above = fresh()
        del times
        slope = fresh()
        del less, above
        first = fresh()
        del halved, slope
        plus = fresh()
        second = fresh()
        del plus
        whole = fresh()
        del first, second
        grad = fresh()
        del tanh, whole
        return (grad,)

    t.join((out,), (x,), (x,), run)
    return out


def _gelu_fast(t: Tape, x: Tensor) -> Tensor:
    """``0.5 x (1 + tanh(c x (1 + d x x)))``."""
    one = Tensor(None, TOKEN, x.itemsize)
    half = scale(t, x)
    inner = multiply(t, scale(t, x), add(t, multiply(t, scale(t, x), x), one))
    return multiply(t, half, add(t, keeping_output(t, inner), one))


def _xielu(t: Tape, x: Tensor, *, trained: bool) -> Tensor:
    """Both branches whole and in fp32, which its two weights are; ``where`` keeps the condition."""
    above, below = (keeping_input(t, t.parameter(1, 2, trained=trained), FULL) for _ in range(2))
    upper = add(t, multiply(t, multiply(t, above, x), x), scale(t, x))
    exponential = _expm1(t, cast(t, keeping_input(t, x), FULL))
    lower = add(t, multiply(t, add(t, exponential, x), below), scale(t, x))
    del exponential
    condition = t.fresh(x.elements, 1)
    out = t.fresh(x.elements, FULL)
    elements = x.elements

    def run(_: list[Tensor | None]) -> Gradients:
        return t.fresh(elements, FULL), t.fresh(elements, FULL)

    t.join((out,), (upper, lower), (condition,), run)
    return out


def _expm1(t: Tape, x: Tensor) -> Tensor:
    """Saves its result; the backward adds one to it."""
    out = t.fresh(x.elements, x.itemsize)
    elements, itemsize = x.elements, x.itemsize

    def run(_: list[Tensor | None]) -> Gradients:
        raised = t.fresh(elements, itemsize)
        grad = t.fresh(elements, itemsize)
        del raised
        return (grad,)

    t.join((out,), (x,), (out,), run)
    return out
