"""Memory against sequence length: one configuration, everything else as it is, at the lengths that matter."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import cycle
from typing import Any

from app.core.estimate import Memory, Verdict
from app.services.estimating import verdict
from app.services.measuring import Meter

SHORTEST = 512
LONGEST = 1 << 20
FEWEST, MOST = 3, 8
"""Points that are worth a picture."""
FINENESS = 64
"""Lengths are rounded down to this where the longest that fits is sought."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AtLength:
    """What one length takes on the card."""

    sequence_len_tokens: int
    memory: Memory
    fits: bool
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    """Lengths in ascending order, the configuration's own among them.

    ``longest`` is the longest that fits with headroom, ``at_most`` the longest that fits at all, each a multiple of
    ``FINENESS`` or all of the model's context; None where not even the shortest one does. ``whole_context`` tells that
    it is the context that ends ``longest``.
    """

    points: tuple[AtLength, ...]
    longest: AtLength | None
    at_most: AtLength | None
    whole_context: bool


def by_length(*, meter: Meter, config: Mapping[str, Any], capacity_bytes: int) -> Lengths:
    """Powers of two up to the first that does not fit, but a few at least, and the configuration's own length.

    Raises:
        InvalidInput: the configuration holds values that cannot be.
    """
    own = int(config.get("sequence_len") or SHORTEST)
    context = min(meter.architecture.context_tokens or LONGEST, LONGEST)
    scale = _Scale(meter, config, capacity_bytes)
    lengths = {own}
    tokens = min(SHORTEST, own)
    while tokens <= max(context, own):
        lengths.add(tokens)
        tokens *= 2
    points: list[AtLength] = []
    for tokens in sorted(lengths):
        points.append(scale.at(tokens))
        if tokens >= own and len(points) >= FEWEST and scale.expected(tokens) > capacity_bytes:
            break
    tried = [point.sequence_len_tokens for point in points]
    longest = scale.longest(tried, context, scale.at_the_most)
    at_most = scale.longest(tried, context, scale.expected)
    shown = points[-MOST:] if own >= points[-MOST:][0].sequence_len_tokens else points[:MOST]
    return Lengths(
        points=tuple(shown),
        longest=scale.at(longest) if longest else None,
        at_most=scale.at(at_most) if at_most else None,
        whole_context=longest == context,
    )


class _Scale:
    """One configuration at any length."""

    def __init__(self, meter: Meter, config: Mapping[str, Any], capacity_bytes: int) -> None:
        self.meter = meter
        self.config = config
        self.capacity_bytes = capacity_bytes
        self.known: dict[int, AtLength] = {}

    def at(self, tokens: int) -> AtLength:
        """What ``tokens`` take, measured once: a search comes back to its ends."""
        known = self.known.get(tokens)
        if known is None:
            memory = self.meter.memory({**self.config, "sequence_len": tokens})
            known = self.known[tokens] = AtLength(
                sequence_len_tokens=tokens,
                memory=memory,
                fits=memory.process_bytes <= self.capacity_bytes,
                verdict=verdict(memory, self.capacity_bytes),
            )
        return known

    def expected(self, tokens: int) -> int:
        """What ``tokens`` are expected to take."""
        return self.at(tokens).memory.process_bytes

    def at_the_most(self, tokens: int) -> int:
        """The upper end of their range."""
        return self.at(tokens).memory.range_bytes[1]

    def longest(self, tried: list[int], context: int, takes: Callable[[int], int]) -> int | None:
        """The longest that ``takes`` no more than there is, to ``FINENESS``.

        It lies between the last of ``tried`` that fits and the first that does not, and nearly on the line between
        what both take; so what the line says is tried, then what lies beside it, then the middle of what is left.
        """
        room = self.capacity_bytes
        fitting = [tokens for tokens in tried if takes(tokens) <= room]
        if not fitting:
            return None
        low = max(fitting)
        above = [tokens for tokens in tried if tokens > low]
        if not above and (context <= low or takes(context) <= room):
            return max(low, context)
        high = min(above) if above else context
        fits = True
        for way in cycle((_on_the_line, _beside, _in_the_middle)):
            first, last = low // FINENESS + 1, (high - 1) // FINENESS
            if first > last:
                break
            share = (room - takes(low)) / (takes(high) - takes(low))
            tokens = FINENESS * min(max(way(low, high, share, fits), first), last)
            fits = takes(tokens) <= room
            low, high = (tokens, high) if fits else (low, tokens)
        return low


def _on_the_line(low: int, high: int, share: float, _fits: bool) -> int:
    return int(low + share * (high - low)) // FINENESS


def _beside(low: int, high: int, _share: float, fits: bool) -> int:
    return low // FINENESS + 1 if fits else (high - 1) // FINENESS


def _in_the_middle(low: int, high: int, _share: float, _fits: bool) -> int:
    return (low + high) // 2 // FINENESS
