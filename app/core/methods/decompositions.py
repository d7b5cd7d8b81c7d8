"""AdaLoRA, LoHa, LoKr and VeRA: what stands beside one weight.

Sources: PEFT 0.20.0, ``tuners/adalora/layer.py``, ``tuners/loha/layer.py``, ``tuners/lokr/layer.py``,
``tuners/vera/layer.py``. Papers: arXiv:2303.10512, arXiv:2108.06098, arXiv:2212.10650, arXiv:2310.11454.
"""

from dataclasses import dataclass
from math import prod

from app.core.architecture import Kind, Module
from app.core.messages import Message, message
from app.core.methods.settings import Decomposed, PeftType

Shapes = tuple[tuple[int, ...], ...]
PLANE = 4
"""Dimensions of the weight of a ``Conv2d``."""
LINE = 3
"""And of a ``Conv1d``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weight:
    """A module as these methods see it: outputs, inputs of one group and a kernel (none for a linear)."""

    outputs: int
    inputs: int
    kernel: tuple[int, ...]

    @classmethod
    def of(cls, module: Module) -> "Weight":
        """The module's."""
        if module.kind is Kind.CONVOLUTION:
            outputs, inputs, *kernel = module.shape
            return cls(outputs=outputs, inputs=inputs, kernel=tuple(kernel))
        inputs, outputs = module.shape
        return cls(outputs=outputs, inputs=inputs, kernel=())


def adalora(module: Module, settings: Decomposed, rank: int) -> tuple[Shapes, Message]:
    """Singular vectors on both sides and a value for each."""
    weight = Weight.of(module)
    inputs = weight.inputs * module.groups * prod(weight.kernel)
    shapes = ((rank, inputs), (rank, 1), (weight.outputs, rank))
    return shapes, message("formula.adalora", rank=rank, inputs=inputs, outputs=weight.outputs)


def loha(module: Module, settings: Decomposed, rank: int) -> tuple[Shapes, Message]:
    """Two low-rank products, multiplied element by element."""
    weight = Weight.of(module)
    if settings.effective_convolution and prod(weight.kernel) > 1:
        kernel = weight.kernel if len(weight.kernel) > 1 else (*weight.kernel, 1)
        shapes: Shapes = 2 * ((rank, rank, *kernel), (rank, weight.outputs), (rank, weight.inputs))
        return shapes, message(
            "formula.loha_kernel",
            rank=rank,
            inputs=weight.inputs,
            outputs=weight.outputs,
            kernel=prod(kernel),
        )
    inputs = weight.inputs * prod(weight.kernel)
    shapes = 2 * ((weight.outputs, rank), (rank, inputs))
    return shapes, message("formula.loha", rank=rank, inputs=inputs, outputs=weight.outputs)


def lokr(module: Module, settings: Decomposed, rank: int) -> tuple[Shapes, Message]:
    """A Kronecker product of a small matrix and a low-rank one, either whole where the rank is no less than half."""
    weight = Weight.of(module)
    in_m, in_n = factors(weight.inputs, settings.decompose_factor)
    out_l, out_k = factors(weight.outputs, settings.decompose_factor)
    kernel = prod(weight.kernel)
    small: Shapes = ((out_l, in_m),)
    if settings.decompose_both and rank < max(out_l, in_m) / 2:
        small = ((out_l, rank), (rank, in_m))
    effective = settings.effective_convolution and kernel > 1
    large: Shapes
    if rank >= max(out_k, in_n) / 2:
        large = ((out_k, in_n * kernel),)
    elif effective:
        large = ((rank, rank * kernel), (rank, out_k), (rank, in_n))
    else:
        large = ((out_k, rank), (rank, in_n * kernel))
    shapes = (*small, *large)
    parts = " + ".join(f"{rows:,}·{columns:,}" for rows, columns in shapes)
    return shapes, message("formula.lokr", parts=parts)


def factors(dimension: int, wanted: int) -> tuple[int, int]:
    """``dimension`` as a product of two numbers, the first at most the second: near its root, or near ``wanted``."""
    if wanted > 0 and dimension % wanted == 0:
        return wanted, dimension // wanted
    most = dimension if wanted == -1 else wanted
    small, large = 1, dimension
    length = small + large
    while small < large:
        following = small + 1
        while dimension % following:
            following += 1
        if following + dimension // following > length or following > most:
            break
        small, large = following, dimension // following
    return min(small, large), max(small, large)


def vera(module: Module, settings: Decomposed, rank: int) -> tuple[Shapes, Message]:
    """A vector for the outputs and one for the rank; the matrices are shared and frozen."""
    outputs = Weight.of(module).outputs
    return ((outputs,), (rank,)), message("formula.vera", rank=rank, outputs=outputs)


DECOMPOSITIONS = {
    PeftType.ADALORA: adalora,
    PeftType.LOHA: loha,
    PeftType.LOKR: lokr,
    PeftType.VERA: vera,
}

_LINEARS = frozenset((Kind.LINEAR, Kind.HEAD))


def takes(type_: PeftType, module: Module) -> bool:
    """Whether PEFT implements a method for a kind of module."""
    dimensions = len(module.shape)
    match type_:
        case PeftType.ADALORA:
            convolution = dimensions == PLANE
            conv1d, embedding = True, False
        case PeftType.LOHA | PeftType.LOKR:
            convolution = dimensions in (LINE, PLANE)
            conv1d, embedding = False, False
        case PeftType.IA3:
            convolution = dimensions > LINE
            conv1d, embedding = True, False
        case PeftType.OFT:
            convolution = dimensions == PLANE
            conv1d, embedding = False, True
        case _:
            convolution, conv1d, embedding = False, True, False
    if module.kind is Kind.CONVOLUTION:
        return convolution
    if module.kind is Kind.CONV1D:
        return conv1d
    return module.kind in _LINEARS or (module.kind is Kind.EMBEDDING and embedding)
