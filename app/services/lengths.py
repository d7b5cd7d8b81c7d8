"""Memory against sequence length: one configuration, everything else as it is, at the lengths that matter."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from app.core.architecture import Architecture
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


def by_length(
    *, architecture: Architecture, config: Mapping[str, Any], capacity_bytes: int, meter: Meter | None = None
) -> Lengths:
    """Powers of two up to the first that does not fit, but a few at least, and the configuration's own length.

    ``meter`` is one that keeps what it measured, where the model is one of the catalogue.

    Raises:
        InvalidInput: the configuration holds values that cannot be.
    """
    own = int(config.get("sequence_len") or SHORTEST)
    context = min(architecture.context_tokens or LONGEST, LONGEST)
    scale = _Scale(meter or Meter(architecture), config, capacity_bytes)
    lengths = {own}
    tokens = min(SHORTEST, own)
    while tokens <= max(context, own):
        lengths.add(tokens)
        tokens *= 2
    points: list[AtLength] = []
    for tokens in sorted(lengths):
        points.append(scale.at(tokens))
        if tokens >= own and len(points) >= FEWEST and not scale.fits(tokens):
            break
    tried = [point.sequence_len_tokens for point in points]
    longest = scale.longest(tried, context, scale.has_headroom)
    at_most = scale.longest(tried, context, scale.fits)
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
        """What ``tokens`` take."""
        known = self.known.get(tokens)
        if known is None:
            known = self.known[tokens] = self._measured(tokens)
        return known

    def _measured(self, tokens: int) -> AtLength:
        memory = self.meter.memory({**self.config, "sequence_len": tokens})
        return AtLength(
            sequence_len_tokens=tokens,
            memory=memory,
            fits=memory.process_bytes <= self.capacity_bytes,
            verdict=verdict(memory, self.capacity_bytes),
        )

    def fits(self, tokens: int) -> bool:
        """Whether the expected value is within the card."""
        return self._bytes(tokens) <= self.capacity_bytes

    def _bytes(self, tokens: int) -> int:
        known = self.known.get(tokens)
        if known is None:
            return self.meter.process_bytes({**self.config, "sequence_len": tokens})
        return known.memory.process_bytes

    def has_headroom(self, tokens: int) -> bool:
        """Whether all of the range is within the card."""
        return self.meter.most_bytes({**self.config, "sequence_len": tokens}) <= self.capacity_bytes

    @staticmethod
    def longest(tried: list[int], context: int, fits: Callable[[int], bool]) -> int | None:
        """The longest that ``fits``, to ``FINENESS``: between the last of ``tried`` that does and what lies above."""
        fitting = [tokens for tokens in tried if fits(tokens)]
        if not fitting:
            return None
        low = max(fitting)
        above = [tokens for tokens in tried if tokens > low]
        if not above and (context <= low or fits(context)):
            return max(low, context)
        high = min(above) if above else context
        while high - low > FINENESS:
            middle = (low + high) // 2 // FINENESS * FINENESS
            if middle <= low:
                break
            low, high = (middle, high) if fits(middle) else (low, middle)
        return low
