"""As ``combined``, written down when what its cases had shown was mended and before any of these was estimated.

``python -m tests.reference.memory.record --cases combined_again`` records them to
``tests/data/memory/combined_again.jsonl``.
"""

from __future__ import annotations

from collections.abc import Iterator

from .combined import AGAIN, model
from .naming import named


def cases() -> Iterator[tuple[str, dict, dict, tuple[int, int]]]:
    """All cases of this module."""
    yield from named("combined-again", AGAIN, model)
