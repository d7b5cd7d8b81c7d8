"""IA³ and OFT: what multiplies a module's inputs or outputs.

Sources: PEFT 0.20.0, ``tuners/ia3``, ``tuners/oft``. Papers: arXiv:2205.05638, arXiv:2306.07280.
"""

from math import prod

from app.core.architecture import Kind, Module
from app.core.messages import Message, message
from app.core.methods.decompositions import Shapes
from app.core.methods.settings import Rotation


def ia3(module: Module, *, feedforward: bool) -> tuple[Shapes, Message]:
    """One vector: on the inputs of a feed-forward's module, on the outputs of any other."""
    if module.kind is Kind.CONVOLUTION:
        outputs, inputs, *_ = module.shape
        inputs *= module.groups
    else:
        inputs, outputs = module.shape
    width = inputs if feedforward else outputs
    return ((width,),), message("formula.ia3_input" if feedforward else "formula.ia3_output", width=width)


def oft(module: Module, settings: Rotation) -> tuple[Shapes, Message]:
    """Blocks along the inputs, each a skew-symmetric matrix by its upper triangle."""
    if module.kind is Kind.CONVOLUTION:
        width = module.shape[1] * module.shape[2] ** 2
    elif module.kind is Kind.EMBEDDING:
        width = module.shape[1]
    else:
        width = module.shape[0]
    if settings.blocks:
        blocks = _dividing(width, settings.blocks)
        size = width // blocks
    else:
        size = _dividing(width, settings.block_size)
        blocks = width // size
    if settings.block_share:
        blocks = 1
    shape = (blocks, size * (size - 1) // 2)
    return (shape,), message("formula.oft", blocks=blocks, size=size, less=size - 1, total=prod(shape))


def _dividing(width: int, wanted: int) -> int:
    """The divisor of ``width`` nearest to ``wanted``, the lower of two as near."""
    if wanted >= width:
        return width
    higher = wanted
    while width % higher:
        higher += 1
    lower = wanted
    while width % lower:
        lower -= 1
    return lower if wanted - lower <= higher - wanted else higher
