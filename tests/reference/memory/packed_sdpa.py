"""Packed rows under SDPA, where Axolotl's variable-length attention takes them and where it cannot.

Scores with a scale of their own, heads beyond 256 and windows that only a wrapper's language model has.
``python -m tests.reference.memory.record --cases packed_sdpa`` records them to ``tests/data/memory/packed_sdpa.jsonl``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .keys import ADAM8, CCE, FOUR, GC, GC_NON_REENTRANT, LANGUAGE, OFF, PACK, SDPA, lora, qlora
from .naming import named

# model, layers where not all, rows, tokens, keys
CASES: tuple[tuple[Any, ...], ...] = (
    ("ibm-granite/granite-3.1-8b-base", 3, 2, 4096, lora(16), SDPA, PACK, GC, CCE),
    ("ibm-granite/granite-3.1-2b-instruct", 3, 1, 2048, lora(16, lora_dropout=0.05), OFF, SDPA, PACK, CCE),
    ("ibm-granite/granite-3.1-2b-instruct", 3, 2, 2048, SDPA, PACK, GC, CCE, ADAM8),
    ("ibm-granite/granite-3.1-3b-a800m-instruct", 3, 2, 2048, lora(16, FOUR), OFF, SDPA, PACK, GC, CCE),
    ("google/gemma-3-27b-it", 6, 2, 2048, lora(16, LANGUAGE), OFF, SDPA, PACK, GC, CCE),
    ("google/gemma-3-12b-it", 6, 1, 4096, lora(16, LANGUAGE), OFF, SDPA, PACK, GC_NON_REENTRANT, CCE),
    ("google/gemma-3-4b-it", 6, 2, 700, SDPA, PACK, CCE, ADAM8),
    ("google/gemma-4-31B-it", 6, 1, 2048, lora(16, LANGUAGE), OFF, SDPA, PACK, GC, CCE),
    ("google/gemma-4-26B-A4B-it", 6, 1, 512, lora(16, LANGUAGE), OFF, SDPA, GC, CCE),
    ("google/gemma-4-26B-A4B-it", 6, 2, 512, lora(16, LANGUAGE), OFF, SDPA, CCE),
    ("google/gemma-2-9b", 4, 2, 2048, qlora(16), SDPA, PACK, GC, CCE),
    ("mistralai/Mistral-Small-3.2-24B-Instruct-2506", 2, 2, 2048, qlora(16, LANGUAGE), OFF, SDPA, PACK, GC, CCE),
    ("Qwen/Qwen3.5-4B", 4, 2, 2048, lora(16, LANGUAGE), OFF, SDPA, PACK, GC, CCE),
)  # fmt: skip


def cases() -> Iterator[tuple[str, dict, dict, tuple[int, int]]]:
    """All cases of this module."""
    yield from named("packed", CASES)
