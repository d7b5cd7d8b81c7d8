"""As ``outside``, chosen when its cases had been worked through and before any of these was estimated.

``python -m tests.reference.memory.record --cases outside_again`` records them to
``tests/data/memory/outside_again.jsonl``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .cases import CCE, CHUNKED, FLASH, GC, GC_NON_REENTRANT, LIGER, OFF, PACK, SEVEN
from .outside import (
    ADAM8,
    DORA,
    EAGER,
    FLEX,
    FOUR,
    FP16,
    FP32,
    FUSED,
    INT8,
    LANGUAGE,
    NEFT,
    PAGED,
    PAIR,
    SAVED,
    SDPA,
    accumulated,
    evaluated,
    linear,
    lora,
    named,
    offloaded,
    other,
    qlora,
)

RS = {"peft_use_rslora": True}
ATTENDING = {"lora_qkv_kernel": True, "lora_o_kernel": True}
PHI = ["qkv_proj", "o_proj", "gate_up_proj", "down_proj"]
EVERY = {"liger_rms_norm": True, "liger_glu_activation": True, "liger_rope": True}
CASES: tuple[tuple[Any, ...], ...] = (
    ("meta-llama/Llama-3.1-8B", 6, 4, 2048, qlora(16), GC, ADAM8, evaluated(4)),
    ("meta-llama/Llama-3.1-8B", 4, 1, 32768, lora(16), FLASH, PACK, GC, CCE, FUSED),
    ("meta-llama/Llama-3.1-8B", 4, 2, 2048, lora(64, **DORA), FLASH, GC, CHUNKED),
    ("meta-llama/Llama-3.2-3B", 6, 2, 2048, qlora(32, [*FOUR, "gate_proj", "up_proj"], **DORA), FLASH, CCE),
    ("meta-llama/Llama-3.2-3B", 8, 1, 4096, lora(16, FOUR, lora_dropout=0.05), FLASH, GC_NON_REENTRANT, OFF),
    ("meta-llama/Llama-3.2-1B", 0, 2, 2048, FP32, SDPA, GC),
    ("meta-llama/Llama-3.2-1B", 0, 4, 1024, FLASH, EVERY, CCE, GC, ADAM8),
    ("meta-llama/Llama-2-7b-hf", 6, 4, 1024, lora(8, PAIR), EAGER),
    ("Qwen/Qwen2.5-0.5B", 0, 4, 2048, lora(16, **SAVED), FLASH, GC, CCE),
    ("Qwen/Qwen2.5-1.5B-Instruct", 8, 8, 512, qlora(16, lora_dropout=0.1), SDPA, GC, FP16),
    ("Qwen/Qwen2.5-7B", 4, 2, 2048, lora(16, **INT8, **DORA, lora_dropout=0.05), FLASH, GC, CCE),
    ("Qwen/Qwen2.5-7B", 6, 1, 8192, qlora(64, **RS), FLASH, offloaded(True)),
    ("Qwen/Qwen2.5-32B", 3, 1, 4096, linear(16) | {"adapter": "qlora", "load_in_4bit": True}, FLASH, LIGER, GC),
    ("Qwen/Qwen3-4B", 6, 4, 1024, FLASH, GC, PAGED, CHUNKED, accumulated(4)),
    ("Qwen/Qwen3-8B", 4, 2, 4096, lora(32), FLEX, PACK, GC, LIGER),
    ("Qwen/Qwen3-14B", 3, 1, 2048, qlora(16, lora_rank_pattern={"q_proj": 64}), OFF, FLASH, GC, CCE),
    ("Qwen/Qwen3-30B-A3B", 2, 1, 2048, FLASH, GC, CCE, PAGED),
    ("Qwen/Qwen1.5-MoE-A2.7B-Chat", 3, 2, 1024, lora(16, FOUR), FLASH, CCE),
    ("Qwen/Qwen3.5-2B", 8, 2, 1024, FLASH, GC, CCE, ADAM8),
    ("Qwen/Qwen3.5-9B", 4, 1, 4096, qlora(16, LANGUAGE), OFF, FLASH, GC_NON_REENTRANT),
    ("mistralai/Mistral-7B-v0.1", 4, 2, 6000, lora(16), SDPA, GC, CCE),
    ("mistralai/Mistral-7B-Instruct-v0.3", 6, 8, 512, lora(16, **INT8), FLASH, GC, evaluated(16)),
    ("mistralai/Ministral-8B-Instruct-2410", 4, 1, 4096, qlora(32, lora_dropout=0.05), FLASH, CCE, offloaded("hidden_states")),
    ("mistralai/Mixtral-8x7B-Instruct-v0.1", 2, 2, 1024, lora(8, ["q_proj", "v_proj"], lora_dropout=0.05), OFF, SDPA, GC),
    ("microsoft/phi-2", 6, 4, 1024, qlora(16, ["q_proj", "k_proj", "v_proj", "dense"]), OFF, FLASH, GC),
    ("microsoft/Phi-3-mini-4k-instruct", 6, 2, 2048, lora(32, PHI, **DORA), OFF, FLASH, GC, CCE),
    ("google/gemma-2-9b", 3, 1, 4096, qlora(32), FLASH, GC, CHUNKED),
    ("google/gemma-3-4b-it", 6, 4, 1024, FLASH, GC, CCE, ADAM8),
    ("google/gemma-3-27b-it", 6, 1, 2048, qlora(16, LANGUAGE), OFF, SDPA, GC, LIGER, PAGED),
    ("google/gemma-4-E2B-it", 20, 1, 2048, FLASH, GC, CCE, ADAM8),
    ("google/gemma-4-E4B-it", 0, 1, 4096, lora(16, LANGUAGE), OFF, FLASH, GC, CCE),
    ("google/gemma-4-E2B-it", 0, 2, 1024, qlora(8, LANGUAGE), OFF, SDPA, CCE),
    ("google/gemma-4-31B-it", 6, 1, 4096, lora(16, LANGUAGE), OFF, SDPA, GC_NON_REENTRANT, CCE),
    ("deepseek-ai/DeepSeek-V2-Lite", 3, 2, 1024, FLASH, GC, ADAM8),
    ("openai/gpt-oss-20b", 3, 1, 4096, lora(8, FOUR, quantize_moe_experts=True, **INT8), FLASH, GC, CCE),
    ("HuggingFaceTB/SmolLM2-360M", 0, 16, 512, FLASH, CCE, NEFT),
    ("HuggingFaceTB/SmolLM3-3B", 6, 2, 4096, qlora(16), FLASH, GC, accumulated(8), evaluated(2)),
    ("tiiuae/Falcon3-1B-Base", 8, 4, 1024, lora(16, FOUR), ATTENDING, FLASH, GC_NON_REENTRANT),
    ("bigcode/starcoder2-15b", 3, 1, 4096, qlora(16, ["q_proj", "k_proj", "v_proj", "o_proj", "c_fc", "c_proj"]), OFF, FLASH, GC),
    ("allenai/OLMo-2-1124-7B", 4, 2, 2048, linear(16), OFF, SDPA, GC, CCE),
    ("allenai/OLMoE-1B-7B-0924", 3, 2, 1024, lora(16), OFF, FLASH, GC, CHUNKED),
    ("ibm-granite/granite-3.1-2b-instruct", 6, 4, 1024, FLASH, GC, CCE, PAGED),
    ("LiquidAI/LFM2-1.2B", 8, 2, 2048, lora(16, ["q_proj", "k_proj", "v_proj", "out_proj"], **INT8), OFF, FLASH, GC, CCE),
    ("nvidia/NVIDIA-Nemotron-Nano-9B-v2", 12, 1, 2048, lora(16, FOUR), OFF, FLASH, GC),
    ("TinyLlama/TinyLlama-1.1B-Chat-v1.0", 0, 4, 2048, qlora(16), FLASH, PACK, GC, LIGER, ADAM8),
    ("Qwen/Qwen2.5-1.5B-Instruct", 8, 3, 1024, qlora(16), FLASH, GC, {"rl": "kto"}, ADAM8),
    ("google/gemma-4-E2B-it", 12, 1, 1024, lora(16, LANGUAGE), OFF, SDPA, GC, {"rl": "dpo"}),
    ("meta-llama/Llama-3.2-1B-Instruct", 0, 2, 2048, lora(32, lora_dropout=0.05), FLASH, GC, {"rl": "dpo"}, PAGED, accumulated(2)),
    ("Qwen/Qwen3-0.6B", 0, 2, 1024, FLASH, GC, {"rl": "orpo"}, ADAM8),
    ("HuggingFaceTB/SmolLM2-135M-Instruct", 0, 4, 1024, FLASH, GC, {"rl": "kto"}),
    ("Qwen/Qwen3-0.6B", 0, 8, 512, FLASH, {"reward_model": True}, ADAM8),
    ("meta-llama/Llama-3.1-8B", 4, 2, 2048, other("ia3"), SDPA, GC_NON_REENTRANT, CCE),
    ("Qwen/Qwen2.5-7B", 4, 1, 2048, other("oft", oft_block_size=16, target_modules=FOUR), SDPA, LIGER),
    ("google/gemma-2-2b", 6, 2, 1024, other("lokr", r=16, target_modules=SEVEN), EAGER, GC),
)  # fmt: skip


def cases() -> Iterator[tuple[str, dict, dict, tuple[int, int]]]:
    """All cases of this module."""
    yield from named("again", CASES)
