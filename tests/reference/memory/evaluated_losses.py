"""Evaluation under every loss: Liger's fused one makes the logits there, cut cross entropy makes none.

Chosen before any was estimated. ``python -m tests.reference.memory.record --cases evaluated_losses`` records them to
``tests/data/memory/evaluated_losses.jsonl``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .keys import (
    ADAM8,
    CCE,
    CHUNKED,
    EAGER,
    FLASH,
    FOUR,
    FP32,
    GC,
    LANGUAGE,
    LIGER,
    OFF,
    PACK,
    PADDED,
    SDPA,
    accumulated,
    evaluated,
    lora,
    qlora,
)
from .naming import named

LATENT = ["q_proj", "kv_a_proj_with_mqa", "kv_b_proj", "o_proj"]
ONE, FOURFOLD = evaluated(1), evaluated(4)

# model, layers where not all, rows, tokens, keys
CASES: tuple[tuple[Any, ...], ...] = (
    ("meta-llama/Llama-3.2-1B", 6, 1, 2048, lora(16), FLASH, GC, LIGER, ONE),
    ("meta-llama/Llama-3.2-1B", 6, 4, 1024, FLASH, GC, LIGER, FOURFOLD, ADAM8),
    ("meta-llama/Llama-3.1-8B", 4, 1, 2048, qlora(16), FLASH, PACK, GC, LIGER, FOURFOLD),
    ("Qwen/Qwen3-0.6B", 6, 2, 1024, lora(8), SDPA, GC, LIGER, FOURFOLD, PADDED),
    ("Qwen/Qwen2.5-1.5B", 4, 1, 2048, FLASH, LIGER, ONE, accumulated(4)),
    ("google/gemma-2-2b", 4, 1, 1024, lora(16), EAGER, GC, LIGER, FOURFOLD),
    ("google/gemma-3-4b-it", 6, 2, 1024, lora(8, LANGUAGE), OFF, FLASH, GC, LIGER, FOURFOLD),
    ("Qwen/Qwen3-30B-A3B", 3, 1, 2048, lora(16, FOUR), OFF, FLASH, GC, LIGER, FOURFOLD),
    ("deepseek-ai/DeepSeek-V2-Lite", 3, 1, 1024, lora(16, LATENT), OFF, SDPA, GC, LIGER, FOURFOLD),
    ("deepseek-ai/DeepSeek-V2-Lite", 3, 2, 1024, lora(16, LATENT), OFF, FLASH, LIGER, ONE),
    ("ByteDance-Seed/Seed-OSS-36B-Instruct", 3, 1, 1024, lora(16), FLASH, GC, LIGER, FOURFOLD),
    ("TinyLlama/TinyLlama-1.1B-Chat-v1.0", 6, 2, 1024, lora(8), FP32, OFF, SDPA, GC, LIGER, FOURFOLD),
    ("meta-llama/Llama-3.2-1B", 6, 1, 2048, lora(16), FLASH, GC, CCE, FOURFOLD),
    ("meta-llama/Llama-3.2-1B", 6, 1, 2048, lora(16), FLASH, GC, CHUNKED, FOURFOLD),
    # preferences make the logits in training too
    ("meta-llama/Llama-3.2-1B", 6, 1, 1024, lora(16), FLASH, GC, {"rl": "dpo"}, FOURFOLD),
    ("Qwen/Qwen3-0.6B", 6, 1, 1024, lora(16), FLASH, GC, {"rl": "orpo"}, FOURFOLD),
    ("HuggingFaceTB/SmolLM2-360M", 6, 2, 1024, SDPA, GC, {"rl": "kto"}, FOURFOLD),
    ("meta-llama/Llama-3.2-1B-Instruct", 6, 1, 1024, lora(16), FLASH, OFF, GC, {"reward_model": True}, FOURFOLD),
)  # fmt: skip


def cases() -> Iterator[tuple[str, dict, dict, tuple[int, int]]]:
    """All cases of this module."""
    yield from named("eval-loss", CASES)
