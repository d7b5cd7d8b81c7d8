"""As ``combined``, written down when what its cases had shown was mended and before any of these was estimated.

``python -m tests.reference.memory.record --cases combined_again`` records them to
``tests/data/memory/combined_again.jsonl``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .cases import CCE, CHUNKED, FLASH, GC, GC_NON_REENTRANT, LIGER, OFF, SEVEN
from .combined import ATTENDING, DPO, IPO, KTO, LIGER_LOGITS, LLAMA4, ORPO, RELORA, REWARD, SIMPO, computing, model
from .every_layers import every
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
    NEFT,
    PAGED,
    PAIR,
    SAVED,
    SDPA,
    accumulated,
    evaluated,
    lora,
    named,
    offloaded,
    other,
    qlora,
)
from .padding import PADDED
from .practice import EXPERTS, FLASH3, LATENT, QUANTIZED, optimizer
from .selective import KEPT
from .towers import ALL

LAYERS = {"layer_offloading": True}

# (model, layers where not all, rows, tokens, *keys)
CASES: tuple[tuple[Any, ...], ...] = (
    ("Qwen/Qwen3-8B", 5, 2, 1500, qlora(16), FLASH, LAYERS, GC_NON_REENTRANT, CCE, evaluated(3)),
    ("meta-llama/Llama-3.1-8B", 6, 1, 3001, qlora(32, PAIR), OFF, SDPA, LAYERS, GC_NON_REENTRANT, CCE, PADDED),
    ("Qwen/Qwen3-30B-A3B", 3, 1, 900, qlora(8, FOUR, **QUANTIZED), OFF, FLASH, LAYERS, GC_NON_REENTRANT, CHUNKED),
    ("google/gemma-2-2b", 4, 3, 700, other("prefix_tuning", num_virtual_tokens=77), EAGER, CCE, evaluated(5)),
    ("Qwen/Qwen2.5-0.5B", 8, 4, 450, other("prefix_tuning", num_virtual_tokens=130, prefix_projection=True, encoder_hidden_size=256), FP16, SDPA, PADDED),
    ("meta-llama/Llama-2-7b-hf", 3, 2, 800, other("prefix_tuning", num_virtual_tokens=19), FLASH, PADDED, LIGER, accumulated(2)),
    ("meta-llama/Llama-3.2-1B", 4, 2, 700, other("prompt_tuning", num_virtual_tokens=90), EAGER, CCE, evaluated(6)),
    ("Qwen/Qwen3-1.7B", 3, 5, 300, other("p_tuning", num_virtual_tokens=25), FLASH, CHUNKED, PADDED),
    ("zai-org/GLM-4.7-Flash", 3, 1, 1300, lora(16, LATENT, **INT8, **QUANTIZED), OFF, FLASH, offloaded("legacy"), CCE),
    ("mistralai/Mixtral-8x7B-v0.1", 2, 2, 900, qlora(16, FOUR, **QUANTIZED), OFF, SDPA, offloaded(True), CCE, NEFT),
    ("openai/gpt-oss-20b", 2, 2, 1100, qlora(8, FOUR, **QUANTIZED), OFF, FLASH, offloaded("legacy"), CHUNKED),
    ("Qwen/Qwen3-30B-A3B", 2, 1, 2100, lora(16, FOUR), OFF, FLASH, offloaded("legacy"), LIGER, evaluated(2)),
    ("meta-llama/Llama-4-Scout-17B-16E-Instruct", 4, 1, 700, lora(16, LLAMA4), OFF, SDPA, offloaded("legacy")),
    ("allenai/OLMoE-1B-7B-0924", 3, 2, 800, qlora(8, FOUR, **QUANTIZED, **EXPERTS), OFF, SDPA, GC_NON_REENTRANT, CCE, accumulated(2)),
    ("mistralai/Mistral-7B-v0.3", 4, 3, 700, qlora(64, **DORA, lora_dropout=0.1), FLASH, GC_NON_REENTRANT, LIGER, accumulated(3)),
    ("meta-llama/Llama-3.2-3B", 4, 1, 2500, lora(16, **DORA), FLASH, offloaded("legacy"), CCE, evaluated(4)),
    ("Qwen/Qwen2.5-7B", 3, 2, 600, lora(8, **DORA), {"lora_qkv_kernel": True, "lora_o_kernel": True, "lora_mlp_kernel": True}, SDPA, GC, DPO),
    ("Qwen/Qwen2.5-1.5B", 5, 2, 1500, FP32, SDPA, GC, optimizer("muon"), accumulated(2)),
    ("google/gemma-3-270m", 0, 5, 900, EAGER, NEFT, GC, optimizer("sgd")),
    ("EleutherAI/pythia-410m", 8, 3, 900, FP16, SDPA, every(3), LIGER_LOGITS, ADAM8),
    ("bigcode/starcoder2-3b", 4, 2, 1300, FLASH3, KEPT, CHUNKED, accumulated(4), PAGED),
    ("Qwen/Qwen3-4B", 4, 3, 500, qlora(16, **computing("float32"), lora_dropout=0.05), OFF, EAGER, GC, KTO),
    ("HuggingFaceTB/SmolLM2-1.7B", 4, 2, 700, FLASH, GC, IPO, optimizer("paged_adamw_32bit"), accumulated(2)),
    ("tiiuae/Falcon3-7B-Base", 3, 4, 500, lora(16, **INT8), OFF, SDPA, GC, REWARD, PADDED),
    ("ibm-granite/granite-3.1-2b-base", 4, 2, 800, lora(200, lora_rank_pattern={"down_proj": 4}), ATTENDING, FLEX, GC, SIMPO),
    ("meta-llama/Llama-3.2-1B", 6, 3, 700, lora(16, [*SEVEN, "embed_tokens"], lora_dropout=0.1), OFF, SDPA, PADDED, RELORA, FP16, GC),
    ("google/gemma-7b", 3, 1, 1100, qlora(16, **SAVED), FLASH, GC_NON_REENTRANT, CHUNKED, PAGED, evaluated(3)),
    ("qwen2.5-vl-7b", 3, 2, 900, qlora(16, ALL), OFF, EAGER, PADDED, offloaded("hidden_states"), LIGER),
    ("smolvlm2-2.2b", 3, 2, 700, FLASH, GC, CHUNKED, NEFT, FUSED),
    ("Qwen/Qwen3.5-2B", 4, 2, 900, FP32, SDPA, GC_NON_REENTRANT, optimizer("adafactor")),
    ("ai21labs/Jamba-v0.1", 8, 2, 600, lora(16, FOUR, lora_dropout=0.1), OFF, SDPA, PADDED, offloaded("legacy"), CCE),
    ("LiquidAI/LFM2-350M", 0, 6, 333, FP16, SDPA, PADDED, GC, CHUNKED, evaluated(9)),
    ("deepseek-ai/DeepSeek-V2-Lite", 3, 1, 1500, lora(16, ["q_proj", "kv_b_proj"], **DORA), OFF, EAGER, GC, NEFT, ORPO),
)  # fmt: skip


def cases() -> Iterator[tuple[str, dict, dict, tuple[int, int]]]:
    """All cases of this module."""
    yield from named("combined-again", CASES, model)
