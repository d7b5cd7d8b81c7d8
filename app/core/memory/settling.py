"""A tower's layers and moments in numbers, where the batch's images have made its lengths known.

What is recorded as polynomials (``tape``) keeps the adapter's rank alone as a variable.
"""

from dataclasses import replace

from app.core.memory.layers import LayerSpec
from app.core.memory.linears import LinearSpec
from app.core.memory.profile import LayerProfile, Stage
from app.core.memory.tape import RANK, SLOTS, TEMPORARIES, Lengths, Moment, fields


def untrained(spec: LayerSpec) -> LayerSpec:
    """A layer that a reentrant checkpoint cuts off: what goes in asks for no gradient, so that nothing in it does.

    Factors of an adapter compute there and get none. Source: PyTorch ``torch/utils/checkpoint.py``.
    """

    def frozen(one: LinearSpec) -> LinearSpec:
        return replace(one, trained=False, idle=True)

    forward = spec.feed_forward
    return replace(
        spec,
        projections=tuple(frozen(one) for one in spec.projections),
        out=frozen(spec.out) if spec.out is not None else None,
        feed_forward=replace(forward, linears=tuple(frozen(one) for one in forward.linears)) if forward else None,
    )


def in_numbers(layer: LayerProfile, lengths: Lengths) -> LayerProfile:
    """A layer's sizes at these lengths."""
    return replace(
        layer,
        kept=settled(layer.kept, lengths),
        copies=settled(layer.copies, lengths),
        gradients=settled(layer.gradients, lengths),
        stuck=settled(layer.stuck, lengths),
        quiet=at(layer.quiet, lengths),
        forward=at(layer.forward, lengths),
        backward=at(layer.backward, lengths),
    )


def one(*sizes: int) -> Stage:
    """Moments of one tensor each."""
    made = []
    for size in sizes:
        slots = [0] * SLOTS
        slots[TEMPORARIES] = size
        made.append(Moment(total=size, slots=tuple(slots)))
    return Stage(moments=tuple(made))


def at(stage: Stage, lengths: Lengths) -> Stage:
    """A stage's moments at these lengths."""
    return Stage(
        moments=tuple(
            Moment(total=settled(moment.total, lengths), slots=tuple([settled(size, lengths) for size in moment.slots]))
            for moment in stage.moments
        )
    )


def settled(size: int, lengths: Lengths) -> int:
    """A polynomial at these lengths, of which the adapter's rank alone is left."""
    c, t, s, u, w, _, r, q, _, b = fields(size)
    tokens, row = lengths.tokens, lengths.row
    number = c + (t + s * row) * tokens + (u + w * row) * row + b * lengths.blocked
    return number + (r + q * tokens) * RANK
