"""Headroom: the one meaning of "fits with room to spare", and the least change to a configuration that leaves it.

A configuration has headroom where the whole of its range lies within the card: a fragmented allocator and a large CUDA
context fit too. It is what the verdict ``fits`` says; ``tight`` is what fits without.

Headroom is bought with what costs no quality, and with sequences only down to the guide's smaller template. Where that
does not do, a plan is tight rather than crippled, and still leaves a small reserve where it can.
"""

from collections.abc import Callable

from app.core.fit import LOSSLESS, Fitted, Ladder, Rung, climb, reach
from app.services.measuring import Meter

PAID_FOR_HEADROOM = (*LOSSLESS, Rung.SEQUENCE)
"""What may be changed for headroom alone: no rank, no bits, no transfers to the host."""

RESERVE_SHARE = 0.02
"""Of the card's memory: what a tight plan leaves beyond what it is expected to take, for rounding of the driver's."""


def with_reserve(capacity_bytes: int) -> int:
    """What a tight plan may take of a card."""
    return int(capacity_bytes * (1 - RESERVE_SHARE))


def least_change(meter: Meter, capacity_bytes: int, *, paid: Ladder, whole: Callable[[], Ladder]) -> Fitted:
    """The least change that leaves headroom by ``paid``, else a reserve by ``whole``, else one that fits at all.

    ``paid`` holds the rungs that headroom may cost, ``whole`` every rung there is.
    """
    measure = meter.process_bytes
    found = reach(paid, measure=measure, at_most=meter.most_bytes, capacity_bytes=capacity_bytes)
    if found is not None:
        return found
    reserved = capacity_bytes - with_reserve(capacity_bytes)
    return climb(whole(), measure=measure, capacity_bytes=capacity_bytes, reserved_bytes=reserved)
