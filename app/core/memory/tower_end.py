"""What stands behind a tower's layers, recorded: the norm, the projector, what puts their result in order."""

from collections.abc import Callable
from dataclasses import dataclass

from app.core.memory.profile import Stage, moments_from
from app.core.memory.settling import at, settled
from app.core.memory.tape import GRADIENTS, TEMPORARIES, Leaf, Lengths, Tape, Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """Behind the tower's layers: the norm, the projector; packed bytes and moments like a layer's."""

    kept: int
    copies: int
    differentiable: bool
    gradients: int
    stuck: int
    """Of what it keeps, what its nodes hold on to behind its backward."""
    forward: Stage
    backward: Stage


def recorded_end(
    run: Callable[[Tape, Tensor], Tensor],
    given: tuple[int, int],
    *,
    needs: bool,
    compute: int,
    gradients_present: bool,
    autocast: bool,
    lengths: Lengths,
) -> End:
    """``run`` on elements of an itemsize that are ``given``, in numbers."""
    t = Tape(compute=compute, gradients_present=gradients_present, autocast=autocast)
    source = Leaf(parameter=False)
    x = t.fresh(*given)
    x.node = source if needs else None
    inputs = [x]
    del x
    out = run(t, inputs.pop())
    forward, differentiable = Stage(moments=t.moments()), out.node is not None
    before = t.now
    t.end_autocast()
    copies = before - t.now
    kept, mark = t.now - out.bytes, len(t.log)
    stuck = sum(storage.bytes for storage in t.stuck)
    size = out.elements, out.itemsize
    ends = [out]
    del out
    if differentiable:
        t.backward(ends.pop(), t.fresh(*size, TEMPORARIES))
    backward = Stage(moments=moments_from(t, mark))
    gradients = sum(amount for slot, amount in t.log if slot == GRADIENTS)
    t.forget(source)
    return End(
        kept=settled(kept, lengths),
        copies=settled(copies, lengths),
        differentiable=differentiable,
        gradients=settled(gradients, lengths),
        stuck=settled(stuck, lengths),
        forward=at(forward, lengths),
        backward=at(backward, lengths),
    )
