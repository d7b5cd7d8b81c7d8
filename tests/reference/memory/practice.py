"""What practitioners run: real depths, long contexts, large ranks, trained copies, experts, offloading, preferences.

Models are those that earlier draws met least. All were chosen before any was estimated.
``python -m tests.reference.memory.record --cases practice`` records them to ``tests/data/memory/practice.jsonl``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .keys import (
    ADAM8,
    CCE,
    CHUNKED,
    DORA,
    EAGER,
    EXPERTS,
    FLASH,
    FLASH3,
    FLEX,
    FOUR,
    FUSED,
    GC,
    GC_NON_REENTRANT,
    HEAD,
    INT8,
    LANGUAGE,
    LATENT,
    LIGER,
    NEFT,
    NEOX,
    OFF,
    PACK,
    PAGED,
    PAIR,
    PHI,
    QUANTIZED,
    ROWS,
    RS,
    SAVED,
    SDPA,
    accumulated,
    evaluated,
    linear,
    lora,
    offloaded,
    optimizer,
    qlora,
)
from .naming import named

LINEAR4 = linear(16) | {"adapter": "qlora", "load_in_4bit": True}
DOWN = {"lora_target_parameters": ["mlp.experts.down_proj"]}


# (model, layers where not all, rows, tokens, *keys)
CASES: tuple[tuple[Any, ...], ...] = (
    # at their real depth
    ("meta-llama/Llama-3.1-8B-Instruct", 0, 1, 32768, qlora(16), FLASH, PACK, GC, CCE, PAGED),
    ("Qwen/Qwen2.5-Coder-7B", 0, 1, 16384, qlora(64), FLASH, PACK, GC, LIGER, ADAM8),
    ("Qwen/Qwen2.5-72B-Instruct", 0, 2, 4096, qlora(16), FLASH, PACK, GC, CCE, PAGED),
    ("meta-llama/Llama-3.3-70B-Instruct", 0, 1, 8192, qlora(8, lora_dropout=0.05), FLASH, offloaded(True), CHUNKED, ADAM8),
    ("meta-llama/Llama-2-70b-hf", 0, 1, 4096, qlora(64, PAIR), SDPA, GC, PAGED),
    ("mistralai/Mistral-Small-24B-Base-2501", 0, 2, 8192, linear(256), FLASH3, PACK, GC, CCE, ADAM8),
    ("microsoft/phi-4", 0, 1, 16384, qlora(32, PHI), OFF, FLASH, GC, CCE),
    ("google/gemma-2-2b-it", 0, 2, 4096, FLASH, offloaded(True), CCE, ADAM8),
    ("meta-llama/Llama-3.2-3B-Instruct", 0, 2, 4096, lora(64, **DORA, lora_dropout=0.1), OFF, FLASH, offloaded("legacy")),
    ("Qwen/Qwen3-4B-Instruct-2507", 0, 4, 2048, qlora(32), FLASH, GC, LIGER, evaluated(8)),
    ("LGAI-EXAONE/EXAONE-4.0-1.2B", 0, 2, 4096, FLASH, GC, CHUNKED, optimizer("paged_adamw_32bit")),
    ("HuggingFaceTB/SmolLM3-3B", 0, 1, 8192, FLASH, GC, CCE, PAGED, accumulated(8)),
    # long contexts
    ("meta-llama/Llama-3.1-405B-Instruct", 4, 1, 8192, qlora(16), FLASH, GC, CCE, PAGED),
    ("google/gemma-2-27b-it", 4, 1, 8192, qlora(16), FLASH, GC, CCE),
    ("google/gemma-3-27b-pt", 6, 1, 16384, lora(16, LANGUAGE), OFF, SDPA, GC, CCE),
    ("Qwen/Qwen3-32B", 6, 1, 16384, qlora(16, **DORA), FLASH, PACK, GC, LIGER),
    ("microsoft/Phi-3-mini-128k-instruct", 8, 1, 32768, FLASH, GC, CCE, optimizer("adamw_bnb_8bit")),
    ("allenai/Olmo-3-32B-Think", 4, 1, 8192, qlora(32), OFF, SDPA, GC, CHUNKED),
    ("LGAI-EXAONE/EXAONE-4.0-32B", 4, 1, 8192, qlora(32), FLASH, GC, LIGER),
    ("CohereLabs/c4ai-command-r-v01", 3, 1, 8192, qlora(16), OFF, FLASH, GC, CCE),
    ("CohereLabs/c4ai-command-r7b-12-2024", 4, 1, 8192, FLASH, GC, optimizer("adafactor")),
    ("deepseek-ai/DeepSeek-R1-Distill-Llama-8B", 8, 1, 24576, qlora(16), FLASH, PACK, offloaded("legacy"), CCE),
    ("deepseek-ai/DeepSeek-R1-Distill-Qwen-14B", 8, 1, 8192, lora(512), SDPA, GC, CCE),
    ("codellama/CodeLlama-34b-hf", 4, 1, 16384, qlora(16), FLASH, PACK, GC),
    ("mistralai/Mistral-Nemo-Base-2407", 6, 1, 32768, qlora(8), FLASH, offloaded("hidden_states"), CCE),
    ("tiiuae/Falcon3-10B-Base", 4, 2, 4096, lora(64, **DORA, lora_dropout=0.05), FLASH, GC_NON_REENTRANT),
    ("mistralai/Mistral-7B-v0.1", 4, 1, 16384, lora(16), FLASH, GC, CCE),
    ("nvidia/NVIDIA-Nemotron-Nano-12B-v2", 12, 1, 8192, lora(16, FOUR), OFF, FLASH, GC, CCE),
    # small models with large vocabularies
    ("google/gemma-3-270m-it", 0, 16, 1024, FLASH, GC, evaluated(32)),
    ("google/gemma-3-270m", 0, 4, 2048, lora(8), SDPA, evaluated(16)),
    ("Qwen/Qwen3-0.6B-Base", 0, 8, 1024, SDPA, CCE, optimizer("muon")),
    ("Qwen/Qwen2.5-Coder-0.5B", 0, 8, 2048, linear(16), FLASH, PACK, GC, evaluated(8)),
    ("bigscience/bloom-560m", 0, 2, 1024, EAGER, GC),
    ("LiquidAI/LFM2-350M", 0, 4, 2048, FLASH, CCE, optimizer("schedule_free_adamw")),
    ("EleutherAI/pythia-160m", 0, 16, 512, SDPA, evaluated(64)),
    ("HuggingFaceTB/SmolLM2-135M-Instruct", 0, 8, 1024, lora(512), FLASH),
    ("facebook/opt-350m", 0, 4, 1024, SDPA, GC, CHUNKED),
    ("distilbert/distilgpt2", 0, 16, 512, SDPA, FUSED),
    ("openai-community/gpt2-xl", 8, 2, 1024, lora(16, ["c_attn", "c_proj", "c_fc"], lora_dropout=0.1), OFF, SDPA, GC),
    # packing
    ("mistralai/Mistral-7B-Instruct-v0.3", 8, 4, 4096, lora(16), SDPA, PACK, GC, CCE),
    ("Qwen/Qwen2.5-3B-Instruct", 8, 2, 8192, SDPA, PACK, GC, CCE, ADAM8),
    ("google/gemma-3-4b-pt", 6, 2, 4096, qlora(16, LANGUAGE), OFF, SDPA, PACK, GC, CCE),
    ("ibm-granite/granite-3.1-8b-base", 4, 4, 2048, qlora(32, lora_dropout=0.05), FLASH3, PACK, GC),
    ("Qwen/Qwen3-8B-Base", 6, 1, 4096, SDPA, PACK, GC),
    ("allenai/OLMo-2-1124-13B", 4, 2, 4096, lora(16), OFF, FLEX, PACK, GC, LIGER),
    # preferences
    ("meta-llama/Meta-Llama-3-8B-Instruct", 6, 1, 4096, qlora(16), FLASH, GC, {"rl": "dpo"}, PAGED),
    ("Qwen/Qwen2-7B-Instruct", 4, 2, 1024, lora(128), SDPA, {"rl": "dpo"}),
    ("google/gemma-3-1b-it", 0, 1, 1024, FLASH, GC, {"rl": "orpo"}, ADAM8),
    ("mistralai/Mistral-7B-Instruct-v0.2", 8, 2, 2048, qlora(64, lora_dropout=0.1), FLASH, GC, {"rl": "orpo"}, accumulated(4)),
    ("Qwen/Qwen3-1.7B-Base", 8, 4, 512, FLASH, GC, {"rl": "kto"}, ADAM8),
    ("google/gemma-2-9b", 3, 2, 1024, lora(16), EAGER, GC, {"rl": "kto"}),
    ("microsoft/Phi-3.5-mini-instruct", 6, 4, 1024, lora(16, PHI), OFF, FLASH, GC, {"reward_model": True}),
    ("Qwen/Qwen2.5-0.5B", 0, 4, 1024, SDPA, GC, {"reward_model": True}),
    ("HuggingFaceTB/SmolLM2-360M-Instruct", 0, 2, 2048, FLASH, GC, {"rl": "dpo"}, ADAM8, accumulated(4)),
    ("ibm-granite/granite-3.1-2b-base", 6, 2, 1024, lora(32), FLASH, {"rl": "simpo"}, PAGED),
    ("tiiuae/Falcon3-7B-Base", 4, 2, 1024, lora(16, **INT8), FLASH, GC, {"rl": "dpo"}),
    ("Qwen/Qwen3-30B-A3B-Base", 3, 1, 1024, lora(16, FOUR), OFF, FLASH, GC, {"rl": "dpo"}),
    # trained copies, ranks and DoRA
    ("meta-llama/Llama-3.1-8B-Instruct", 6, 1, 4096, qlora(16, **SAVED), FLASH, GC, CCE),
    ("Qwen/Qwen2.5-7B-Instruct", 4, 2, 2048, lora(32, **HEAD), FLASH, GC, CHUNKED, ADAM8),
    ("Qwen/Qwen3-4B-Base", 6, 2, 2048, qlora(16, **ROWS), FLASH, GC, evaluated(2)),
    ("mistralai/Mistral-Nemo-Instruct-2407", 4, 2, 2048, lora(16, **SAVED), FLASH, GC, LIGER, PAGED),
    ("google/gemma-3-1b-pt", 0, 2, 2048, qlora(16, **SAVED), SDPA, GC),
    ("Qwen/Qwen2.5-32B-Instruct", 4, 1, 4096, qlora(256, **RS), FLASH, GC, CCE, PAGED),
    ("meta-llama/Llama-2-13b-hf", 4, 2, 2048, lora(8, PAIR, **HEAD, lora_dropout=0.05), OFF, SDPA),
    ("meta-llama/Meta-Llama-3-8B", 8, 1, 2048, lora(16, **DORA, lora_dropout=0.1), FLASH),
    ("Qwen/Qwen2.5-14B-Instruct", 4, 2, 2048, qlora(32, **DORA, lora_dropout=0.05), OFF, FLASH, GC, CCE),
    ("google/gemma-7b-it", 4, 1, 4096, lora(16, **DORA, lora_dropout=0.1), OFF, FLASH, GC, CCE),
    ("EleutherAI/gpt-neox-20b", 4, 2, 2048, qlora(16, NEOX, lora_dropout=0.05), OFF, SDPA, GC),
    # experts
    ("Qwen/Qwen3-30B-A3B-Instruct-2507", 2, 1, 4096, lora(16, FOUR, **EXPERTS), OFF, FLASH, GC, CCE),
    ("allenai/OLMoE-1B-7B-0924", 3, 2, 2048, lora(8, FOUR, **EXPERTS), OFF, FLASH, CHUNKED),
    ("openai/gpt-oss-20b", 3, 1, 4096, lora(16, FOUR, **EXPERTS), OFF, FLASH, GC, CCE),
    ("openai/gpt-oss-120b", 2, 1, 8192, qlora(16, FOUR, **QUANTIZED), FLASH, GC, CCE, ADAM8),
    ("mistralai/Mixtral-8x22B-v0.1", 2, 1, 4096, qlora(16, FOUR, **QUANTIZED, **DOWN), OFF, FLASH, GC, CCE),
    ("zai-org/GLM-4.7-Flash", 4, 1, 4096, lora(16, LATENT, **INT8, **QUANTIZED, **EXPERTS), OFF, FLASH, GC, CCE),
    ("Qwen/Qwen3-Coder-480B-A35B-Instruct", 2, 1, 8192, qlora(16, FOUR, **QUANTIZED), FLASH, GC, LIGER, PAGED),
    ("Qwen/Qwen3-235B-A22B", 2, 1, 4096, lora(16, FOUR, **INT8, **QUANTIZED), OFF, FLASH, GC_NON_REENTRANT, CCE),
    ("Qwen/Qwen3.6-35B-A3B", 4, 2, 4096, qlora(16, LANGUAGE, **QUANTIZED), OFF, FLASH, PACK, GC, CCE),
    ("deepseek-ai/DeepSeek-V3", 4, 1, 4096, qlora(8, LATENT, **QUANTIZED), OFF, FLASH, GC, CCE),
    ("zai-org/GLM-4.5", 4, 1, 2048, qlora(16, FOUR, **QUANTIZED), OFF, FLASH, GC, CHUNKED),
    ("ibm-granite/granite-3.1-3b-a800m-instruct", 6, 2, 2048, FLASH, GC, CCE, ADAM8),
    ("nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16", 12, 1, 4096, lora(16, FOUR), OFF, FLASH, GC, CCE),
    ("Qwen/Qwen1.5-MoE-A2.7B-Chat", 3, 4, 1024, linear(16), OFF, SDPA, GC, CCE),
    # offloading and optimizers
    ("Qwen/Qwen3-14B-Base", 6, 1, 8192, FLASH, offloaded("disk"), CCE, PAGED),
    ("mistralai/Mistral-7B-Instruct-v0.1", 8, 2, 4096, SDPA, offloaded("legacy"), CCE, ADAM8),
    ("TinyLlama/TinyLlama-1.1B-intermediate-step-1431k-3T", 0, 4, 2048, FLASH, PACK, GC, CHUNKED, optimizer("muon")),
    ("Qwen/Qwen2.5-Coder-1.5B", 0, 2, 2048, FLASH, GC, CCE, optimizer("schedule_free_adamw")),
    ("tiiuae/Falcon3-1B-Instruct", 0, 4, 2048, FLASH, GC, LIGER, optimizer("paged_lion_8bit")),
    ("allenai/OLMo-2-0425-1B-Instruct", 0, 4, 1024, FLASH, GC, CCE, optimizer("ademamix_8bit")),
    ("microsoft/phi-1_5", 0, 4, 1024, SDPA, GC, optimizer("adamw_torch_8bit")),
    ("stabilityai/stablelm-2-12b", 4, 2, 2048, qlora(16), OFF, FLASH, offloaded(True), optimizer("ademamix")),
    ("bigcode/starcoder2-3b", 0, 2, 4096, FLASH, offloaded("hidden_states"), CCE, NEFT, optimizer("lion_8bit")),
    # evaluation larger than training, and models with towers
    ("meta-llama/Llama-3.2-1B-Instruct", 0, 1, 4096, lora(16), FLASH, GC, CCE, evaluated(16)),
    ("mistralai/Ministral-8B-Instruct-2410", 6, 2, 2048, qlora(16), FLASH, GC, CHUNKED, evaluated(16)),
    ("google/gemma-3-4b-it", 6, 2, 2048, LINEAR4, OFF, SDPA, GC, CCE),
    ("google/gemma-3-12b-pt", 6, 1, 4096, qlora(16, LANGUAGE), OFF, FLASH, GC, CHUNKED, evaluated(4)),
    ("mistralai/Mistral-Small-3.1-24B-Instruct-2503", 3, 1, 4096, FLASH, GC, CCE, PAGED),
    ("mistralai/Ministral-3-14B-Instruct-2512", 6, 2, 4096, qlora(32, LANGUAGE, lora_dropout=0.05), OFF, FLASH, PACK, GC, CCE),
    ("Qwen/Qwen3.5-27B", 4, 1, 4096, FLASH, GC, CCE, ADAM8),
    ("google/gemma-4-E4B-it", 12, 1, 2048, FLASH, GC, CCE, optimizer("adafactor")),
    ("Qwen/Qwen3.5-4B", 0, 1, 8192, qlora(16, LANGUAGE), OFF, FLASH, GC, CCE, PAGED),
)  # fmt: skip


def cases() -> Iterator[tuple[str, dict, dict, tuple[int, int]]]:
    """All cases of this module."""
    yield from named("practice", CASES)
