"""Activation offloading without autocast: weights in fp16 by 8 bits alone, or by ``float16``.

``python -m tests.reference.memory.record --cases offloaded_fp16`` records them to ``tests/data/memory/offloaded_fp16.jsonl``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .keys import CCE, FLASH, HALF, SDPA, lora, offloaded
from .naming import named

INT8 = {"load_in_8bit": True, "bf16": False}

# model, layers where not all, rows, tokens, keys
CASES: tuple[tuple[Any, ...], ...] = (
    ("meta-llama/Llama-3.1-8B", 3, 2, 2048, lora(16), SDPA, offloaded(True), CCE, INT8),
    ("meta-llama/Llama-3.1-8B", 3, 2, 2048, lora(16), SDPA, offloaded("legacy"), INT8),
    ("Qwen/Qwen3-4B", 3, 1, 2048, lora(16), FLASH, offloaded(True), HALF),
    ("meta-llama/Llama-3.2-1B", 3, 2, 1024, SDPA, offloaded(True), CCE, HALF),
)  # fmt: skip


def cases() -> Iterator[tuple[str, dict, dict, tuple[int, int]]]:
    """All cases of this module."""
    yield from named("offloaded-fp16", CASES)
