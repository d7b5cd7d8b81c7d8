"""What a tower runs before or behind its layers, recorded as a layer is."""

from collections.abc import Callable
from dataclasses import dataclass

from app.core.memory.profile import Stage, moments_from
from app.core.memory.settling import at, settled
from app.core.memory.tape import GRADIENTS, TEMPORARIES, Leaf, Lengths, Tape, Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """A norm, a projector; bytes and moments like a layer's."""

    kept: int
    copies: int
    differentiable: bool
    gradients: int
    forward: Stage
    backward: Stage


def profile_end(
    t: Tape, run: Callable[[Tape, Tensor], Tensor], width: int, stream: int, lengths: Lengths, *, needs: bool
) -> End:
    """What is kept of ``run``, and its moments; it reads ``width`` packed elements of ``stream`` bytes.

    ``needs`` where what it reads asks for a gradient.
    """
    source = Leaf(parameter=False)
    x = t.fresh(width, stream)
    x.node = source if needs else None
    given = [x]
    del x
    out = run(t, given.pop())
    forward, differentiable = Stage(moments=t.moments()), out.node is not None
    before = t.now
    t.end_autocast()
    copies = before - t.now
    kept, mark = t.now - out.bytes, len(t.log)
    size = out.elements, out.itemsize
    ends = [out]
    del out
    if differentiable:
        t.backward(ends.pop(), t.fresh(*size, TEMPORARIES))
    backward = Stage(moments=moments_from(t, mark))
    gradients = settled(sum(amount for slot, amount in t.log if slot == GRADIENTS), lengths)
    t.forget(source)
    return End(
        kept=settled(kept, lengths),
        copies=settled(copies, lengths),
        differentiable=differentiable,
        gradients=gradients,
        forward=at(forward, lengths),
        backward=at(backward, lengths),
    )
