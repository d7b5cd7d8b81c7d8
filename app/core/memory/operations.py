"""The operations that layers are made of: what each makes, saves for its backward, and makes there.

Source: PyTorch 2.13, ``derivatives.yaml`` for what is saved and ``FunctionsManual.cpp`` for the backward; autocast's
lists from ``aten/src/ATen/autocast_mode.h``. Sizes are packed (see ``tape``); ``t`` is the tape.
"""

from collections.abc import Sequence

from app.core.memory.tape import ACTIVATIONS, FULL, Gradients, Slot, Tape, Tensor


def cast(t: Tape, x: Tensor, itemsize: int, slot: Slot | None = None) -> Tensor:
    """``x.to(dtype)``: the same tensor where it has it; saves nothing, its backward casts the gradient back."""
    if x.itemsize == itemsize:
        return x
    out = t.fresh(x.elements, itemsize, slot)
    elements, back = x.elements, x.itemsize

    def run(_: list[Tensor | None]) -> Gradients:
        return (t.fresh(elements, back),)

    t.join((out,), (x,), (), run)
    return out


def copy(t: Tape, x: Tensor) -> Tensor:
    """``clone``, ``contiguous`` of what is not: its gradient passes through."""
    out = t.fresh(x.elements, x.itemsize)
    t.join((out,), (x,), (), lambda grads: (grads[0],))
    return out


def add(t: Tape, a: Tensor, b: Tensor) -> Tensor:
    """A sum in the wider type: the same gradient goes to both."""
    out = t.fresh(max(a.elements, b.elements), max(a.itemsize, b.itemsize))
    t.join((out,), (a, b), (), lambda grads: (grads[0], grads[0]))
    return out


def scale(t: Tape, x: Tensor, itemsize: int = 0) -> Tensor:
    """A product with, or quotient by, a number or a frozen table (of ``itemsize``): saves nothing of its own."""
    out = t.fresh(x.elements, max(x.itemsize, itemsize))
    elements, itemsize = out.elements, out.itemsize
    t.join((out,), (x,), (), lambda _: (t.fresh(elements, itemsize),))
    return out


def scale_in_place(t: Tape, x: Tensor) -> Tensor:
    """A product with a frozen tensor of one element, over what is multiplied: saved, so that the backward reads it."""
    out = x.view()
    elements, itemsize = x.elements, x.itemsize
    factor = t.parameter(1, itemsize, trained=False)
    t.join((out,), (x,), (factor,), lambda _: (t.fresh(elements, itemsize),))
    return out


def multiply(t: Tape, a: Tensor, b: Tensor) -> Tensor:
    """An elementwise product: each factor is saved where the other needs a gradient.

    The smaller factor is broadcast; its gradient is a whole product before it is summed.
    """
    out = t.fresh(max(a.elements, b.elements), max(a.itemsize, b.itemsize))
    needed = (a.node is not None, b.node is not None)
    whole, wide = out.elements, out.itemsize

    def run(_: list[Tensor | None]) -> Gradients:
        return [t.fresh(whole, wide) if one else None for one in needed]

    saved = (b if a.node is not None else None, a if b.node is not None else None)
    t.join((out,), (a, b), saved, run)
    return out


def keeping_input(t: Tape, x: Tensor, itemsize: int | None = None) -> Tensor:
    """An activation that saves its input: silu, gelu, sigmoid-like."""
    out = t.fresh(x.elements, itemsize or x.itemsize)
    elements, back = x.elements, x.itemsize
    t.join((out,), (x,), (x,), lambda _: (t.fresh(elements, back),))
    return out


def clip(t: Tape, x: Tensor) -> Tensor:
    """``clamp`` between two tensors of one element: saves its input, its backward compares it with both."""
    return custom(t, ((x.elements, x.itemsize),), (x,), (x,), (x.elements, x.elements))[0]


def keeping_output(t: Tape, x: Tensor, slot: Slot | None = None) -> Tensor:
    """An activation that saves its result: relu, tanh, sigmoid, softmax, rsqrt."""
    out = t.fresh(x.elements, x.itemsize, slot)
    elements, back = x.elements, x.itemsize
    t.join((out,), (x,), (out,), lambda _: (t.fresh(elements, back),))
    return out


def power(t: Tape, x: Tensor) -> Tensor:
    """``pow`` with a number, in fp32 under autocast: its backward makes x^(n-1), n times that, and the gradient."""
    x = cast(t, x, FULL) if t.autocast else x
    out = t.fresh(x.elements, x.itemsize)
    elements, itemsize = x.elements, x.itemsize

    def run(_: list[Tensor | None]) -> Gradients:
        held = [t.fresh(elements, itemsize) for _ in range(2)]
        result = t.fresh(elements, itemsize)
        del held
        return (result,)

    t.join((out,), (x,), (x,), run)
    return out


def mean(t: Tape, x: Tensor, elements: int) -> Tensor:
    """A mean over the last dimension; its backward divides an expanded gradient."""
    out = t.fresh(elements, x.itemsize)
    whole, itemsize = x.elements, x.itemsize
    t.join((out,), (x,), (), lambda _: (t.fresh(whole, itemsize),))
    return out


def dropout(t: Tape, x: Tensor) -> Tensor:
    """The result and a mask of a byte each, which is saved; the input itself in evaluation."""
    if not t.training:
        return x
    out = t.fresh(x.elements, x.itemsize)
    mask = t.fresh(x.elements, 1)
    elements, itemsize = x.elements, x.itemsize
    t.join((out,), (x,), (mask,), lambda _: (t.fresh(elements, itemsize),))
    return out


def split(t: Tape, x: Tensor, parts: Sequence[int]) -> tuple[Tensor, ...]:
    """Views of parts of one tensor; their gradients are put together in one (``chunk``, ``split``)."""
    out = tuple(x.strided(part) for part in parts)
    elements, itemsize = x.elements, x.itemsize
    t.join(out, (x,), (), lambda _: (t.fresh(elements, itemsize),))
    return out


def unbind(t: Tape, x: Tensor, parts: Sequence[int]) -> tuple[Tensor, ...]:
    """Views of parts that another dimension tells apart: gradients are stacked, and laid out as the whole is."""
    out = tuple(x.strided(part) for part in parts)
    elements, itemsize = x.elements, x.itemsize

    def run(_: list[Tensor | None]) -> Gradients:
        stacked = t.fresh(elements, itemsize)
        laid = t.fresh(elements, itemsize)
        del stacked
        return (laid,)

    t.join(out, (x,), (), run)
    return out


def slices(t: Tape, x: Tensor, parts: Sequence[int]) -> tuple[Tensor, ...]:
    """Views by indexing: each slice's backward fills a whole tensor of zeros."""
    elements, itemsize = x.elements, x.itemsize
    found = []
    for part in parts:
        out = x.strided(part)
        t.join((out,), (x,), (), lambda _: (t.fresh(elements, itemsize),))
        found.append(out)
    return tuple(found)


def join(t: Tape, parts: Sequence[Tensor]) -> Tensor:
    """``cat``: its gradient is cut into views."""
    out = t.fresh(sum(part.elements for part in parts), max(part.itemsize for part in parts))
    sizes = [part.elements for part in parts]
    t.join(
        (out,), parts, (), lambda grads: [grads[0] and Tensor(grads[0].storage, n, grads[0].itemsize) for n in sizes]
    )
    return out


def gather(t: Tape, x: Tensor, elements: int) -> Tensor:
    """Rows picked by an index; the backward puts them into zeros of the input's shape."""
    out = t.fresh(elements, x.itemsize)
    whole, itemsize = x.elements, x.itemsize
    t.join((out,), (x,), (), lambda _: (t.fresh(whole, itemsize),))
    return out


def repeat(t: Tape, x: Tensor, elements: int) -> Tensor:
    """``expand`` and ``reshape``: a wide copy, whose gradient is summed."""
    if elements == x.elements:
        return x
    out = t.fresh(elements, x.itemsize)
    narrow, itemsize = x.elements, x.itemsize
    t.join((out,), (x,), (), lambda _: (t.fresh(narrow, itemsize),))
    return out


def spread(t: Tape, x: Tensor, elements: int) -> Tensor:
    """``expand`` of what is one: a view, whose gradient is summed."""
    if elements == x.elements:
        return x
    out = x.view(elements)
    narrow, itemsize = x.elements, x.itemsize
    t.join((out,), (x,), (), lambda _: (t.fresh(narrow, itemsize),))
    return out


def custom(
    t: Tape,
    outputs: Sequence[tuple[int, int]],
    inputs: Sequence[Tensor | None],
    saved: Sequence[Tensor | None],
    temporaries: Sequence[int] = (),
) -> tuple[Tensor, ...]:
    """A kernel of its own: (elements, itemsize) of what it makes, what it saves.

    The backward makes the inputs' gradients with ``temporaries`` (packed bytes) beside them.
    """
    out = tuple(t.fresh(elements, itemsize) for elements, itemsize in outputs)
    sizes = [None if x is None or x.node is None else (x.elements, x.itemsize) for x in inputs]

    def run(_: list[Tensor | None]) -> Gradients:
        made = [None if size is None else t.fresh(*size) for size in sizes]
        held = [t.fresh(size, 1) for size in temporaries]
        del held
        return made

    t.join(out, inputs, saved, run)
    return out


def saved_only(t: Tape, elements: int, itemsize: int) -> Tensor:
    """Something small that a kernel makes to save, such as a log-sum-exp."""
    return t.fresh(elements, itemsize, ACTIVATIONS)
