"""What is left behind where a layer is made again, rows that are no multiple of 128, and evaluation of models with towers.

``python -m tests.reference.memory.record --cases made_again`` records them to ``tests/data/memory/made_again.jsonl``. They were written down
before any of them was estimated.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .keys import (
    ADAM8,
    CCE,
    CHUNKED,
    FLASH,
    FOUR,
    FP16,
    GC,
    GC_NON_REENTRANT,
    INT8,
    LANGUAGE,
    OFF,
    SDPA,
    accumulated,
    evaluated,
    lora,
    offloaded,
    qlora,
)
from .naming import named, together
from .newcomers import ALL, MODELS
from .towers import shrunk

TWELVE = "gemma-4-12b"
# layers, rows, tokens, keys of Gemma 4 12B
UNIFIED: tuple[tuple[Any, ...], ...] = (
    (12, 1, 4096, qlora(32, ALL), OFF, FLASH, GC, CCE),
    (7, 2, 2048, lora(16, ALL), OFF, SDPA, GC, CCE),
    (12, 1, 2048, lora(16, ALL, **INT8), OFF, FLASH, GC, CCE),
    (6, 4, 512, FLASH, GC, CCE, ADAM8, accumulated(4)),
    (12, 1, 3000, lora(8, ALL), OFF, FLASH, GC, CCE, evaluated(4)),
)
# model, layers where not all, rows, tokens, keys
CASES: tuple[tuple[Any, ...], ...] = (
    ("google/gemma-4-31B-it", 12, 1, 4096, qlora(16, LANGUAGE), OFF, FLASH, GC, CCE),
    ("google/gemma-4-26B-A4B-it", 6, 1, 2048, lora(16, LANGUAGE, **INT8), OFF, FLASH, GC, CCE),
    ("google/gemma-4-E4B-it", 0, 1, 2048, qlora(16, LANGUAGE), OFF, SDPA, GC, CCE),
    ("meta-llama/Llama-3.1-8B", 6, 2, 2048, lora(16, FOUR, **INT8), FLASH, GC_NON_REENTRANT, CCE),
    ("Qwen/Qwen2.5-7B", 6, 1, 4096, lora(64, **INT8), SDPA, GC_NON_REENTRANT, CHUNKED),
    ("google/gemma-3-27b-it", 6, 1, 4096, qlora(16, LANGUAGE), OFF, FLASH, GC, CCE, evaluated(2)),
    ("google/gemma-3-4b-it", 12, 1, 2048, lora(16, LANGUAGE), OFF, SDPA, GC, CCE, evaluated(8)),
    ("mistralai/Mistral-Small-3.2-24B-Instruct-2506", 4, 1, 2048, qlora(16, LANGUAGE), OFF, FLASH, GC, CCE, evaluated(8)),
    ("meta-llama/Llama-3.2-1B-Instruct", 0, 2, 300, lora(16), FLASH, GC, {"rl": "dpo"}),
    ("Qwen/Qwen3-0.6B", 0, 8, 200, FLASH, GC, CCE, ADAM8),
    ("Qwen/Qwen3-0.6B", 0, 6, 330, {"attn_implementation": "sdpa"}, CCE, {"padded": True}),
    ("meta-llama/Llama-3.1-8B", 4, 2, 1024, lora(16), FLASH, offloaded("legacy"), CCE, FP16),
)  # fmt: skip


def cases() -> Iterator[tuple[str, dict, dict, tuple[int, int]]]:
    """All cases of this module."""
    for place, (layers, rows, tokens, *keys) in enumerate(UNIFIED):
        yield f"again-{TWELVE}-{place}", shrunk(MODELS[TWELVE], layers), together(keys), (rows, tokens)
    yield from named("made-again", CASES)
