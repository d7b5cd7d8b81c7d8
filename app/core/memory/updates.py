"""AdaLoRA, LoHa, LoKr, VeRA and OFT beside one linear, on the tape.

LoHa and LoKr build the update as large as the weight, and save it and the input; VeRA and AdaLoRA run the input
through narrow matrices; OFT turns the input block by block. Sources: PEFT 0.20.0 ``tuners/loha/layer.py``,
``tuners/lokr/layer.py``, ``tuners/vera/layer.py``, ``tuners/adalora/layer.py`` and ``tuners/oft/layer.py``.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from app.core.architecture import Kind
from app.core.memory.operations import add, cast, copy, dropout, multiply, repeat, scale
from app.core.memory.products import autocast_copy, product
from app.core.memory.tape import FULL, Gradients, Tape, Tensor
from app.core.methods.settings import PeftType

UPDATES = frozenset((PeftType.ADALORA, PeftType.LOHA, PeftType.LOKR, PeftType.VERA, PeftType.OFT))
UNWRITTEN = frozenset((Kind.EMBEDDING, Kind.CONVOLUTION))
"""Kinds of modules that these methods take as well and that no layer's tape has them at."""
OFT_TERMS = 5
"""Of the Neumann series that stands for an inverse, by default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """What trains beside one linear.

    ``tensors`` are their shapes, ``small`` how many of LoKr's make its small factor; ``dropout`` is of the input,
    ``drops_rows`` of rows of the update. ``blocks`` are OFT's in one input, ``terms`` those of its series, 0 where it
    solves instead.
    """

    type: PeftType
    name: str
    inputs: int
    outputs: int
    tensors: tuple[tuple[int, ...], ...]
    itemsize: int
    dropout: bool = False
    drops_rows: bool = False
    small: int = 1
    blocks: int = 1
    terms: int = OFT_TERMS

    def parameter(self, t: Tape, index: int) -> Tensor:
        """One of its tensors."""
        elements = 1
        for side in self.tensors[index]:
            elements *= side
        return t.parameter(elements, self.itemsize, trained=True)

    @property
    def elements(self) -> int:
        """Of the weight beside it."""
        return self.inputs * self.outputs


def unwritten(type_: PeftType, kinds: Iterable[Kind]) -> bool:
    """Whether a method adapts what the tape does not have it at."""
    return type_ in UPDATES and any(kind in UNWRITTEN for kind in kinds)


def added(t: Tape, update: Update, x: Tensor, result: Tensor) -> Tensor:
    """The linear's result with the method's on top."""
    return _ADDED[update.type](t, update, x, result)


def _loha(t: Tape, update: Update, x: Tensor, result: Tensor) -> Tensor:
    """The update in autocast's type, whole."""
    delta = _dropped_rows(t, update, _hadamard(t, update))
    change = product(t, cast(t, x, delta.itemsize), delta, update.outputs)
    del delta
    return add(t, result, change)


def _hadamard(t: Tape, update: Update) -> Tensor:
    """``HadaWeight``: two products, multiplied. Its backward makes both anew, outside of autocast in fp32."""
    parts = [update.parameter(t, index) for index in range(4)]
    for index, part in enumerate(parts):
        key = f"{update.name}.{index}"
        if part.itemsize != t.compute and key not in t.cache:
            t.cache[key] = t.fresh(part.elements, t.compute)
    elements, itemsize, wide = update.elements, t.compute, update.itemsize
    first, second = t.fresh(elements, itemsize), t.fresh(elements, itemsize)
    both = t.fresh(elements, itemsize)
    del first, second
    out = t.fresh(elements, itemsize)
    del both
    sizes = [part.elements for part in parts]

    def run(_: list[Tensor | None]) -> Gradients:
        scaled = t.fresh(elements, itemsize)
        again = t.fresh(elements, wide)
        inner = t.fresh(elements, wide)
        del again
        made = [t.fresh(size, wide) for size in sizes[:2]]
        again = t.fresh(elements, wide)
        inner = t.fresh(elements, wide)
        del again
        made += [t.fresh(size, wide) for size in sizes[2:]]
        del scaled, inner
        return made

    t.join((out,), parts, (), run)
    return out


def _lokr(t: Tape, update: Update, x: Tensor, result: Tensor) -> Tensor:
    """The update in the factors' type, whole, and once more in autocast's."""
    delta = _dropped_rows(t, update, _kronecker(t, update))
    wide = cast(t, x, delta.itemsize)
    change = product(t, wide, cast(t, delta, t.compute), update.outputs)
    del delta, wide
    return add(t, result, change)


def _kronecker(t: Tape, update: Update) -> Tensor:
    """``torch.kron`` and a product with a number."""
    small = _factor(t, update, 0, update.small)
    large = _factor(t, update, update.small, len(update.tensors))
    elements, itemsize = update.elements, max(small.itemsize, large.itemsize)
    whole = t.fresh(elements, itemsize)

    def run(_: list[Tensor | None]) -> Gradients:
        return t.fresh(elements, itemsize), t.fresh(elements, itemsize)

    t.join((whole,), (small, large), (large, small), run)
    return scale(t, whole)


def _factor(t: Tape, update: Update, first: int, end: int) -> Tensor:
    """One factor: a matrix of its own, or the product of two."""
    parts = [update.parameter(t, index) for index in range(first, end)]
    if len(parts) == 1:
        return parts[0]
    left = autocast_copy(t, parts[0], f"{update.name}.{first}")
    return product(t, left, parts[1], update.tensors[first + 1][1], key=f"{update.name}.{first + 1}")


def _dropped_rows(t: Tape, update: Update, delta: Tensor) -> Tensor:
    """``rank_dropout`` multiplies a view in place, whose backward (``CopySlices``) copies the gradient twice."""
    if not update.drops_rows:
        return delta
    out = delta.view()
    elements, itemsize = delta.elements, delta.itemsize

    def run(_: list[Tensor | None]) -> Gradients:
        result = t.fresh(elements, itemsize)
        again = [t.fresh(elements, itemsize) for _ in range(2)]
        del again
        return (result,)

    t.join((out,), (delta,), (Tensor(None, update.outputs, itemsize),), run)
    return out


def _vera(t: Tape, update: Update, x: Tensor, result: Tensor) -> Tensor:
    """Shared frozen matrices, cast anew at each use, with a vector behind each; the sum is in fp32."""
    wanted, rank = result.itemsize, update.tensors[1][0]
    down, up = (Tensor(None, rank * side, FULL) for side in (update.inputs, update.outputs))
    x = cast(t, x, update.itemsize)
    dropped = dropout(t, x) if update.dropout else x
    inner = product(t, dropped, down, rank)
    del dropped
    inner = multiply(t, update.parameter(t, 1), inner)
    change = product(t, inner, up, update.outputs)
    del inner
    change = multiply(t, update.parameter(t, 0), change)
    result = add(t, result, change)
    del change
    return cast(t, result, wanted)


def _adalora(t: Tape, update: Update, x: Tensor, result: Tensor) -> Tensor:
    """Three matrices; a quotient in fp32 by the rank, added in place."""
    (rank, _), _, _ = update.tensors
    x = cast(t, x, update.itemsize)
    valued = multiply(t, update.parameter(t, 0), update.parameter(t, 1))
    dropped = dropout(t, x) if update.dropout else x
    change = product(t, dropped, cast(t, valued, t.compute), rank)
    del dropped, valued
    change = product(t, change, cast(t, update.parameter(t, 2), t.compute), update.outputs)
    change = scale(t, change)
    change = _by_rank(t, change)
    out = Tensor(result.storage, result.elements, result.itemsize)
    t.join((out,), (result, change), (), lambda grads: (grads[0], grads[0]))
    return out


def _by_rank(t: Tape, x: Tensor) -> Tensor:
    """A quotient by a number held in fp32, which is saved."""
    out = t.fresh(x.elements, FULL)
    elements = x.elements
    t.join((out,), (x,), (Tensor(None, 1, FULL),), lambda _: (t.fresh(elements, FULL),))
    return out


_ADDED: Mapping[PeftType, Callable[[Tape, Update, Tensor, Tensor], Tensor]] = {
    PeftType.LOHA: _loha,
    PeftType.LOKR: _lokr,
    PeftType.VERA: _vera,
    PeftType.ADALORA: _adalora,
}


def rotated(t: Tape, update: Update, x: Tensor) -> Tensor:
    """OFT: the input's blocks, each times an orthogonal matrix, in fp32; results on the way stay until it returns."""
    wide = cast(t, x, update.itemsize)
    turn = _orthogonal(t, update)
    sides = update.inputs * (update.inputs // update.blocks)
    turn = repeat(t, turn, sides)
    left, right = cast(t, wide, t.compute), cast(t, turn, t.compute)
    out = t.fresh(left.elements, t.compute)
    shapes = [(one.elements, one.itemsize) if one.node is not None else None for one in (left, right)]

    def run(_: list[Tensor | None]) -> Gradients:
        return [None if size is None else t.fresh(*size) for size in shapes]

    t.join((out,), (left, right), (left, right if left.node is not None else None), run)
    del left, right
    together = copy(t, out) if update.blocks > 1 else out
    turned = cast(t, together, update.itemsize)
    del turn, out
    return turned


def _orthogonal(t: Tape, update: Update) -> Tensor:
    """Cayley's transform of skew-symmetric blocks: a series of products, or a solution of linear equations."""
    weight = update.parameter(t, 0)
    (blocks, entries), size = update.tensors[0], update.inputs // update.blocks
    elements = blocks * size * size
    upper = t.fresh(elements, update.itemsize)
    t.join((upper,), (weight,), (), lambda _: (t.fresh(blocks * entries, update.itemsize),))
    skew = t.fresh(elements, update.itemsize)
    t.join((skew,), (upper, upper), (), lambda grads: (grads[0], t.fresh(elements, update.itemsize)))
    del upper
    if not update.terms:
        return _solved(t, skew)
    turn = t.fresh(elements, update.itemsize)
    if update.terms > 1:
        turn = _plus(t, turn, skew)
    if update.terms > 2:
        power = _times(t, skew, skew)
        turn = _plus(t, turn, power)
        for _ in range(3, update.terms - 1):
            power = _times(t, power, skew)
            turn = _plus(t, turn, power)
        turn = _plus(t, turn, _times(t, power, skew))
    return turn


def _plus(t: Tape, total: Tensor, term: Tensor) -> Tensor:
    """``add_``, twice the term."""
    out = Tensor(total.storage, total.elements, total.itemsize)
    elements, itemsize = total.elements, total.itemsize
    t.join((out,), (total, term), (), lambda grads: (grads[0], t.fresh(elements, itemsize)))
    return out


def _times(t: Tape, a: Tensor, b: Tensor) -> Tensor:
    """``bmm``: autocast's copies are saved."""
    left, right = cast(t, a, t.compute), cast(t, b, t.compute)
    out = t.fresh(a.elements, t.compute)
    elements, itemsize = out.elements, out.itemsize
    t.join((out,), (left, right), (left, right), lambda _: (t.fresh(elements, itemsize), t.fresh(elements, itemsize)))
    return out


def _solved(t: Tape, skew: Tensor) -> Tensor:
    """``linalg.solve``: saves the left side, its factors and the solution."""
    elements, itemsize = skew.elements, skew.itemsize
    left, right = add(t, skew, Tensor(None, 0, itemsize)), scale(t, skew)
    factors = t.fresh(elements, itemsize)
    out = t.fresh(elements, itemsize)
    t.join(
        (out,),
        (left, right),
        (left, factors, out),
        lambda _: (t.fresh(elements, itemsize), t.fresh(elements, itemsize)),
    )
    return out
