"""Evaluation of other rows than those that train: several where one trains, and one where several do.

``python -m tests.reference.memory.record --cases evaluated_rows`` records them to ``tests/data/memory/evaluated_rows.jsonl``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .keys import CHUNKED, EAGER, GC, OFF, SDPA, lora
from .naming import named

PHI = ["qkv_proj", "o_proj"]


def evaluated(rows: int) -> dict[str, Any]:
    """Evaluation in so many rows."""
    return {"val_set_size": 0.1, "eval_batch_size": rows}


# model, layers where not all, rows, tokens, keys
CASES: tuple[tuple[Any, ...], ...] = (
    ("microsoft/Phi-3-mini-4k-instruct", 3, 1, 1024, lora(8, PHI), OFF, EAGER, GC, evaluated(8)),
    ("microsoft/Phi-3-mini-4k-instruct", 3, 1, 1024, lora(8, PHI), OFF, EAGER, GC, CHUNKED, evaluated(8)),
    ("Qwen/Qwen3-0.6B", 3, 1, 1024, lora(8), SDPA, GC, CHUNKED, evaluated(8)),
    ("Qwen/Qwen3-0.6B", 3, 1, 1024, lora(8), SDPA, GC, evaluated(8)),
)  # fmt: skip


def cases() -> Iterator[tuple[str, dict, dict, tuple[int, int]]]:
    """All cases of this module."""
    yield from named("evaluated", CASES)
