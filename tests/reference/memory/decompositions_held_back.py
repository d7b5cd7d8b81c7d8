"""Held-back cases of ``decompositions``, drawn after the formulas were written."""

from __future__ import annotations

from collections.abc import Iterator

from .decompositions import draw


def cases() -> Iterator[tuple[str, dict, dict, tuple[int, int]]]:
    """Thirty, six a method."""
    yield from draw(20, 30)
