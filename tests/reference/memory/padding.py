"""Batches with padding, and rows: masks of zeros and ones, keys widened for them, tokens gathered for FlashAttention, tables made once.

``padded`` is no key of Axolotl's: one token of the batch is padding. ``python -m tests.reference.memory.record --cases padding``
records them to ``tests/data/memory/padding.jsonl``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .keys import (
    ADAM8,
    CCE,
    CODER,
    DPO,
    EAGER,
    FLASH,
    FLEX,
    FOUR,
    FP16,
    FP32,
    GC,
    GC_NON_REENTRANT,
    KTO,
    LANGUAGE,
    LIGER,
    OFF,
    ORPO,
    PACK,
    PADDED,
    PAIR,
    REWARD,
    SDPA,
    lora,
    offloaded,
    qlora,
)
from .naming import named

BATCHED = ["query_key_value", "dense"]

# (model, layers where not all, rows, tokens, *keys)
CASES: tuple[tuple[Any, ...], ...] = (
    # SDPA: a mask, keys widened
    ("meta-llama/Llama-3.1-8B", 4, 2, 2048, lora(16), SDPA, CCE, PADDED),
    ("meta-llama/Llama-3.1-8B", 4, 2, 4096, qlora(16), SDPA, GC, CCE, PADDED),
    ("meta-llama/Llama-3.1-8B", 4, 1, 4096, qlora(16), SDPA, GC_NON_REENTRANT, LIGER, PADDED),
    ("meta-llama/Llama-3.2-1B", 0, 4, 2048, SDPA, CCE, PADDED),
    ("Qwen/Qwen2.5-0.5B", 0, 2, 2048, SDPA, GC, CCE, PADDED),
    ("microsoft/phi-2", 6, 2, 2048, lora(16, ["q_proj", "k_proj", "v_proj", "dense"]), OFF, SDPA, CCE, PADDED),
    ("mistralai/Mistral-7B-v0.1", 4, 2, 6144, qlora(16), SDPA, CCE, PADDED),
    ("google/gemma-3-1b-it", 0, 2, 2048, lora(16), SDPA, CCE, PADDED),
    ("google/gemma-4-E2B-it", 20, 2, 1024, lora(16, LANGUAGE), OFF, SDPA, CCE, PADDED),
    ("deepseek-ai/DeepSeek-V2-Lite", 3, 2, 1024, lora(8, ["q_proj", "o_proj"]), OFF, SDPA, CCE, PADDED),
    ("tiiuae/falcon-7b-instruct", 4, 2, 2048, lora(16, BATCHED), OFF, SDPA, CCE, PADDED),
    ("Qwen/Qwen3-30B-A3B", 2, 2, 1024, lora(16, FOUR), SDPA, CCE, PADDED),
    ("Qwen/Qwen2.5-1.5B", 8, 4, 1024, lora(16, lora_dropout=0.05), OFF, SDPA, CCE, FP16, PADDED),
    ("microsoft/phi-2", 3, 2, 1024, SDPA, FP32, CCE, PADDED),
    ("meta-llama/Llama-3.2-1B", 0, 4, 1024, qlora(16), SDPA, offloaded(True), CCE, PADDED),
    # FlashAttention: tokens gathered, and put back
    ("meta-llama/Llama-3.1-8B", 4, 2, 2048, lora(16), FLASH, CCE, PADDED),
    ("meta-llama/Llama-3.1-8B", 4, 2, 4096, qlora(16), FLASH, GC, CCE, PADDED),
    ("meta-llama/Llama-3.2-1B", 0, 4, 2048, FLASH, CCE, PADDED),
    ("Qwen/Qwen3-4B", 6, 2, 2048, lora(16, PAIR), OFF, FLASH, GC_NON_REENTRANT, CCE, PADDED),
    ("google/gemma-2-2b", 6, 2, 2048, lora(16), FLASH, CCE, PADDED),
    ("deepseek-ai/DeepSeek-V2-Lite", 3, 2, 2048, lora(8, ["q_proj", "o_proj"]), OFF, FLASH, CCE, PADDED),
    ("openai/gpt-oss-20b", 3, 2, 1024, lora(8, FOUR), FLASH, CCE, PADDED),
    ("microsoft/Phi-3-mini-4k-instruct", 6, 4, 1024, lora(16, ["qkv_proj", "o_proj"]), OFF, FLASH, CCE, PADDED),
    # other attention
    ("google/gemma-2-2b", 6, 2, 2048, qlora(16), EAGER, CCE, PADDED),
    ("meta-llama/Llama-3.2-1B", 0, 4, 512, EAGER, GC, CCE, PADDED),
    ("Qwen/Qwen3-0.6B", 0, 4, 1024, lora(16), FLEX, CCE, PADDED),
    # other mixers
    ("LiquidAI/LFM2-1.2B", 8, 2, 2048, lora(16, ["q_proj", "k_proj", "v_proj", "out_proj"]), OFF, SDPA, CCE, PADDED),
    ("Qwen/Qwen3.5-2B", 8, 2, 2048, lora(16, LANGUAGE), OFF, FLASH, CCE, PADDED),
    ("Qwen/Qwen3-Next-80B-A3B-Instruct", 4, 2, 1024, lora(8, FOUR), OFF, SDPA, CCE, PADDED),
    ("nvidia/NVIDIA-Nemotron-Nano-9B-v2", 12, 2, 1024, lora(16, ["in_proj", "up_proj"]), OFF, FLASH, CCE, PADDED),
    ("ai21labs/Jamba-v0.1", 8, 2, 512, lora(16, FOUR), OFF, SDPA, CCE, PADDED),
    # pairs
    ("meta-llama/Llama-3.2-1B-Instruct", 0, 1, 2048, lora(16), SDPA, GC, DPO, PADDED),
    ("Qwen/Qwen2.5-0.5B", 0, 2, 1024, SDPA, DPO, PADDED),
    ("meta-llama/Llama-3.2-1B", 8, 2, 1024, qlora(16), FLASH, ORPO, PADDED),
    ("Qwen/Qwen3-0.6B", 0, 4, 512, FLASH, REWARD, ADAM8, PADDED),
    ("Qwen/Qwen3-0.6B", 0, 2, 1024, lora(16), SDPA, KTO, PADDED),
    # rows without padding
    ("Qwen/Qwen2.5-0.5B", 0, 8, 1024, lora(16), FLASH, CCE),
    ("HuggingFaceTB/SmolLM2-135M", 0, 16, 1024, lora(16), FLASH, GC, CCE),
    ("google/gemma-3-270m", 0, 8, 2048, lora(16), SDPA, GC, CCE),
    ("mistralai/Mistral-7B-v0.1", 4, 4, 6144, lora(16), SDPA, GC, CCE),
    ("bigcode/starcoder2-3b", 4, 2, 8192, qlora(16, CODER), OFF, SDPA, GC, CCE),
    ("HuggingFaceTB/SmolLM2-135M", 0, 8, 1024, lora(16), EAGER, GC, CCE),
    ("google/gemma-3-1b-it", 6, 4, 2048, lora(16), SDPA, PACK, GC, CCE),
    ("Qwen/Qwen2.5-0.5B", 0, 4, 2048, lora(16), SDPA, PACK, GC, CCE),
    ("Qwen/Qwen2.5-0.5B", 0, 4, 2048, lora(16), EAGER, PACK, CCE),
    ("HuggingFaceTB/SmolLM2-135M-Instruct", 0, 3, 1024, lora(16), FLASH, GC, KTO),
)  # fmt: skip


def cases() -> Iterator[tuple[str, dict, dict, tuple[int, int]]]:
    """All cases of this module."""
    yield from named("padding", CASES)
