"""The nearest right thing to what was typed."""

from collections.abc import Iterable
from difflib import SequenceMatcher
from functools import lru_cache

LONGEST = 100
"""Characters of what was typed that are compared; the comparison's time grows with their square."""
SHORT = 3
"""Up to so many characters look like half of everything, so more of them have to agree."""

SLIP = 0.75
"""The likeness of a slip, ``learning_rte`` or ``lora_target_module``: what was meant may be put in its place."""
KIN = 0.6
"""The likeness from which a name is worth mentioning: ``warmup`` and ``warmup_steps``."""


def nearest(given: str, allowed: Iterable[str], count: int = 3) -> tuple[str, ...]:
    """Up to ``count`` of ``allowed`` that look most like ``given``, best first, ignoring case."""
    return _nearest(given.lower()[:LONGEST], frozenset(allowed), count)


@lru_cache(maxsize=4096)
def likeness(given: str, other: str) -> float:
    """How much of both agrees, from 0 to 1, ignoring case."""
    return SequenceMatcher(None, given[:LONGEST].lower(), other.lower()).ratio()


def akin(given: str, other: str) -> bool:
    """Whether a name is worth mentioning for another: a slip of it, or one of the two has all words of the other.

    ``warmup`` and ``warmup_steps`` are; ``report_to`` and ``eot_tokens`` only share letters.
    """
    alike = likeness(given, other)
    words, others = set(given.lower().split("_")), set(other.lower().split("_"))
    return alike >= SLIP or (alike >= KIN and (words <= others or others <= words))


@lru_cache(maxsize=4096)
def _nearest(given: str, allowed: frozenset[str], count: int) -> tuple[str, ...]:
    by_lower = {name.lower(): name for name in sorted(allowed)}
    matches = closest(given, by_lower, count, 0.5 if len(given) > SHORT else 0.65)
    return tuple(by_lower[match] for match in matches)


def closest(given: str, names: Iterable[str], count: int, cutoff: float) -> list[str]:
    """``difflib.get_close_matches``, which compares all; here those first that could be nearest, till none is left.

    How many letters two texts share, in any order, bounds how alike they are, and is found in a tenth of the time.
    """
    matcher = SequenceMatcher()
    matcher.set_seq2(given)
    bounds = []
    for name in names:
        matcher.set_seq1(name)
        if matcher.real_quick_ratio() >= cutoff and (bound := matcher.quick_ratio()) >= cutoff:
            bounds.append((bound, name))
    best: list[tuple[float, str]] = []
    for bound, name in sorted(bounds, reverse=True):
        if len(best) == count and bound < best[-1][0]:
            break
        matcher.set_seq1(name)
        if (alike := matcher.ratio()) >= cutoff:
            best = sorted((*best, (alike, name)), reverse=True)[:count]
    return [name for _, name in best]
