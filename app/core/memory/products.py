"""Matrix products under autocast, which every adapter is made of.

Source: ``aten/src/ATen/autocast_mode.h``, ``cached_cast``.
"""

from app.core.memory.operations import cast
from app.core.memory.tape import Gradients, Tape, Tensor, Viewed


def product(
    t: Tape, x: Tensor, weight: Tensor, outputs: int, *, key: str = "", bias: Tensor | None = None, turned: bool = True
) -> Tensor:
    """``F.linear`` under autocast: both cast to its type, the input saved where the weight trains; else as they are.

    Autocast keeps its copy of a trained leaf until the region ends; a frozen weight is cast anew at each use, and the
    copy is saved where the input needs a gradient. A weight that is stored ``turned`` is saved as a view of it. Rows of
    tokens are multiplied as one matrix, of whose gradient the input's is a view.
    """
    compute = t.compute if t.autocast else x.itemsize
    x = cast(t, x, compute)
    weight = autocast_copy(t, weight, key)
    if turned:
        weight = weight.view()
    rows = x.elements // max(1, weight.elements // outputs)
    out = t.fresh(rows * outputs, compute)
    x_size = x.elements if x.node is not None else 0
    w_size = weight.elements if weight.node is not None else 0
    b_size, b_itemsize = (outputs, bias.itemsize) if bias is not None and bias.node is not None else (0, 0)

    def run(_: list[Tensor | None]) -> Gradients:
        return (
            Viewed(t.fresh(x_size, compute)) if x_size else None,
            t.fresh(w_size, compute) if w_size else None,
            t.fresh(b_size, b_itemsize) if b_size else None,
        )

    t.join((out,), (x, weight, bias), (x if w_size else None, weight if x_size else None), run)
    return out


def autocast_copy(t: Tape, weight: Tensor, key: str) -> Tensor:
    """A weight in autocast's type."""
    if weight.itemsize == t.compute or not t.autocast:
        return weight
    if weight.node is None:
        return t.fresh(weight.elements, t.compute)
    if key not in t.cache:
        t.cache[key] = cast(t, weight, t.compute)
    return t.cache[key]
