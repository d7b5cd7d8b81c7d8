"""The nearest right thing to what was typed."""

from collections.abc import Iterable
from difflib import get_close_matches
from functools import lru_cache

LONGEST = 100
"""Characters of what was typed that are compared; the comparison's time grows with their square."""
SHORT = 3
"""Up to so many characters look like half of everything, so more of them have to agree."""


def nearest(given: str, allowed: Iterable[str], count: int = 3) -> tuple[str, ...]:
    """Up to ``count`` of ``allowed`` that look most like ``given``, best first, ignoring case."""
    return _nearest(given.lower()[:LONGEST], frozenset(allowed), count)


@lru_cache(maxsize=4096)
def _nearest(given: str, allowed: frozenset[str], count: int) -> tuple[str, ...]:
    by_lower = {name.lower(): name for name in sorted(allowed)}
    matches = get_close_matches(given, by_lower, n=count, cutoff=0.5 if len(given) > SHORT else 0.65)
    return tuple(by_lower[match] for match in matches)
