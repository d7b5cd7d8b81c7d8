"""What PEFT's methods beside LoRA make of a layer: vectors, bottlenecks and prefixes, on the tape.

Sources: PEFT 0.20.0 ``tuners/ia3/layer.py`` and ``peft_model.py`` (``get_prompt``); Transformers 5.16.1
``cache_utils.py`` (``DynamicLayer.update``).
"""

from dataclasses import dataclass
from enum import StrEnum

from app.core.memory.operations import add, cast, join, keeping_input, keeping_output, multiply, scale
from app.core.memory.tape import Leaf, Tape, Tensor


class Scaled(StrEnum):
    """What IA³'s vector multiplies."""

    INPUTS = "inputs"
    OUTPUTS = "outputs"


@dataclass(frozen=True, slots=True, kw_only=True)
class BottleneckSpec:
    """An adapter of two linears in fp32 behind a part of a layer."""

    name: str
    width: int
    size: int
    bias: bool
    relu: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefixSpec:
    """Elements of the keys and of the values that stand before a micro batch's own, in one layer."""

    keys: int
    values: int


def by_vector(t: Tape, x: Tensor, width: int, itemsize: int) -> Tensor:
    """IA³: a product with a trained vector in the adapter's type, cast back."""
    vector = scale(t, t.parameter(width, itemsize, trained=True))
    return cast(t, multiply(t, cast(t, x, itemsize) if itemsize > x.itemsize else x, vector), x.itemsize)


def by_output_vector(t: Tape, x: Tensor, width: int, itemsize: int) -> Tensor:
    """IA³ behind a module: the result is not cast before the product."""
    vector = scale(t, t.parameter(width, itemsize, trained=True))
    return cast(t, multiply(t, x, vector), x.itemsize)


def prefixed(t: Tape, spec: PrefixSpec, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Keys and values with those of the prefix before them, as the cache joins them."""
    keys = Tensor(None, spec.keys, k.itemsize, Leaf(parameter=False))
    values = Tensor(None, spec.values, v.itemsize, Leaf(parameter=False))
    return join(t, (keys, k)), join(t, (values, v))


def activated(t: Tape, spec: BottleneckSpec, x: Tensor) -> Tensor:
    """ReLU saves its result, GELU its input."""
    return keeping_output(t, x) if spec.relu else keeping_input(t, x)


def residual(t: Tape, x: Tensor, y: Tensor) -> Tensor:
    """The adapter's result on top of what it was given."""
    return add(t, x, y)
