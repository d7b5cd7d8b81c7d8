"""Packed rows without a named attention: Transformers takes SDPA, Axolotl leaves them their mask, and takes no lengths.

The rows hold padding, of which the mask tells, so that SDPA gets one.
``python -m tests.reference.memory.record --cases packed_unnamed`` records them to ``tests/data/memory/packed_unnamed.jsonl``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .keys import ADAM8, CCE, GC, OFF, PACK, PADDED, lora, qlora
from .naming import named

# model, layers where not all, rows, tokens, keys
CASES: tuple[tuple[Any, ...], ...] = (
    ("meta-llama/Llama-3.1-8B", 3, 2, 4096, qlora(16), PACK, GC, CCE, PADDED),
    ("Qwen/Qwen3-4B", 3, 1, 2048, lora(16, lora_dropout=0.05), OFF, PACK, CCE, PADDED),
    ("ibm-granite/granite-3.1-2b-instruct", 3, 4, 1024, PACK, GC, CCE, ADAM8, PADDED),
)  # fmt: skip


def cases() -> Iterator[tuple[str, dict, dict, tuple[int, int]]]:
    """All cases of this module."""
    yield from named("unnamed", CASES)
