"""As ``padding``: recorded with it, and not looked at until all was mended that its cases showed.

Gemma 3 with its towers never sees the mask of padding: Axolotl throws it away (``process_datasets_for_packing``).
``python -m tests.reference.memory.record --cases padding_held_back`` records them to ``tests/data/memory/padding_held_back.jsonl``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .keys import (
    ADAM8,
    CCE,
    CHUNKED,
    DORA,
    DPO,
    EAGER,
    FLASH,
    FLEX,
    FOUR,
    GC,
    GC_NON_REENTRANT,
    INT8,
    KTO,
    LANGUAGE,
    LIGER,
    OFF,
    ORPO,
    PACK,
    PADDED,
    PAGED,
    PAIR,
    REWARD,
    SDPA,
    SIMPO,
    evaluated,
    linear,
    lora,
    offloaded,
    qlora,
)
from .naming import named

CASES: tuple[tuple[Any, ...], ...] = (
    ("Qwen/Qwen2.5-7B", 4, 4, 2048, qlora(32, lora_dropout=0.05), SDPA, CCE, PADDED),
    ("Qwen/Qwen3-8B", 4, 1, 8192, lora(16), SDPA, GC, CCE, PADDED),
    ("mistralai/Mistral-7B-v0.3", 4, 2, 4096, linear(16), SDPA, CHUNKED, PADDED),
    ("HuggingFaceTB/SmolLM3-3B", 6, 2, 2048, SDPA, GC_NON_REENTRANT, CCE, ADAM8, PADDED),
    ("google/gemma-2-2b", 6, 2, 4096, lora(16, FOUR), SDPA, GC, LIGER, PADDED),
    ("google/gemma-3-4b-it", 6, 2, 2048, qlora(16, LANGUAGE), OFF, SDPA, CCE),
    ("allenai/Olmo-3-7B-Instruct", 4, 2, 8192, lora(16), OFF, SDPA, CCE, PADDED),
    ("mistralai/Mixtral-8x7B-v0.1", 2, 2, 2048, lora(8, PAIR), SDPA, GC, CCE, PADDED),
    ("meta-llama/Llama-3.2-3B", 6, 4, 1024, lora(32, **DORA), FLASH, CCE, PADDED),
    ("Qwen/Qwen2.5-1.5B", 8, 2, 4096, FLASH, GC, LIGER, PAGED, PADDED),
    ("Qwen/Qwen3-4B", 6, 8, 512, qlora(16), FLASH, CHUNKED, PADDED),
    ("google/gemma-3-12b-it", 6, 2, 2048, lora(8, LANGUAGE), OFF, FLASH, GC_NON_REENTRANT, CCE),
    ("meta-llama/Llama-3.1-8B", 4, 2, 4096, lora(16, **INT8), FLASH, CCE, offloaded("legacy"), PADDED),
    ("google/gemma-3-1b-it", 6, 4, 1024, EAGER, CCE, PADDED),
    ("HuggingFaceTB/SmolLM2-1.7B-Instruct", 8, 4, 1024, lora(64), FLEX, GC, CCE, PADDED),
    ("Qwen/Qwen3.5-4B", 8, 2, 2048, qlora(32, LANGUAGE), OFF, SDPA, GC, CCE, PADDED),
    ("LiquidAI/LFM2-1.2B", 0, 4, 1024, FLASH, GC, CCE, PADDED),
    ("nvidia/Nemotron-H-4B-Base-8K", 12, 2, 1024, lora(16, ["in_proj", "down_proj"]), OFF, SDPA, CCE, PADDED),
    ("Qwen/Qwen2.5-1.5B-Instruct", 8, 2, 1024, qlora(16), FLASH, GC, DPO, PADDED),
    ("Qwen/Qwen3-0.6B", 0, 1, 2048, lora(16), SDPA, ORPO, PADDED),
    ("meta-llama/Llama-3.2-1B-Instruct", 8, 2, 1024, SDPA, GC, SIMPO, PADDED),
    ("HuggingFaceTB/SmolLM2-135M-Instruct", 0, 5, 1024, FLASH, KTO, PADDED),
    ("Qwen/Qwen2.5-0.5B", 0, 8, 512, lora(16), OFF, SDPA, REWARD, PADDED),
    ("meta-llama/Llama-3.1-8B", 4, 2, 2048, qlora(16), SDPA, GC, CCE, evaluated(8), PADDED),
    ("google/gemma-3-270m", 0, 32, 512, lora(16), FLASH, GC, CCE),
    ("google/gemma-2-2b", 6, 4, 8192, qlora(16), SDPA, GC, CCE),
    ("meta-llama/Llama-3.2-1B", 0, 4, 2048, lora(16), SDPA, PACK, GC, CCE),
)  # fmt: skip


def cases() -> Iterator[tuple[str, dict, dict, tuple[int, int]]]:
    """All cases of this module."""
    yield from named("padding-held-back", CASES)
