"""Held-back cases of ``gptq_chosen``, drawn when the formula stood."""

from __future__ import annotations

from collections.abc import Iterator

from .gptq_chosen import Case, draw


def cases() -> Iterator[Case]:
    """Sixteen."""
    yield from draw(31, 16)
