"""As ``outside``, chosen when its cases had been worked through and before any of these was estimated.

``python -m tests.reference.memory.record --cases outside_again`` records them to
``tests/data/memory/outside_again.jsonl``.
"""

from __future__ import annotations

from collections.abc import Iterator

from .naming import named
from .outside import AGAIN


def cases() -> Iterator[tuple[str, dict, dict, tuple[int, int]]]:
    """All cases of this module."""
    yield from named("again", AGAIN)
