"""Cases as somebody else would pick them: known models of the catalogue, ordinary runs and switches that few combine.

Chosen by hand before any estimate was looked at. ``python -m tests.reference.memory.record --cases outside`` records
them to ``tests/data/memory/outside.jsonl``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import yaml

from .cases import CCE, CHUNKED, FLASH, GC, GC_NON_REENTRANT, LIGER, OFF, PACK, SEVEN
from .catalogue import CATALOGUE, shrunk

SDPA, EAGER, FLEX = ({"attn_implementation": name} for name in ("sdpa", "eager", "flex_attention"))
FP16, FP32 = {"bf16": False, "fp16": True}, {"bf16": False, "fp16": False}
NEFT = {"neftune_noise_alpha": 5.0}
FOUR = SEVEN[:4]
PAIR = ["q_proj", "v_proj"]
ADAM8, PAGED, FUSED = ({"optimizer": name} for name in ("adamw_8bit", "paged_adamw_8bit", "adamw_torch_fused"))
LANGUAGE = r"model.language_model.layers.[\d]+.(mlp|cross_attn|self_attn).(up|down|gate|q|k|v|o)_proj"
"""As Axolotl's examples of models with towers write it."""


def lora(rank: int, targets: Any = SEVEN, **more: Any) -> dict[str, Any]:
    """An adapter over 16 bits."""
    return {"adapter": "lora", "lora_r": rank, "lora_alpha": 2 * rank, "lora_target_modules": targets} | more


def qlora(rank: int, targets: Any = SEVEN, **more: Any) -> dict[str, Any]:
    """An adapter over 4 bits."""
    return lora(rank, targets, **more) | {"adapter": "qlora", "load_in_4bit": True}


def linear(rank: int, **more: Any) -> dict[str, Any]:
    """``lora_target_linear``, without a list."""
    given = lora(rank, **more) | {"lora_target_linear": True}
    del given["lora_target_modules"]
    return given


def other(method: str, **settings: Any) -> dict[str, Any]:
    """Another of PEFT's methods."""
    return {"adapter": method} | ({"peft_config": settings} if settings else {})


def evaluated(rows: int) -> dict[str, Any]:
    """A validation split."""
    return {"val_set_size": 0.05, "eval_batch_size": rows}


def accumulated(steps: int) -> dict[str, Any]:
    """So many micro batches a step."""
    return {"gradient_accumulation_steps": steps}


def offloaded(mode: str | bool) -> dict[str, Any]:
    """Checkpoints on the host."""
    return GC | {"activation_offloading": mode}


DORA, SAVED = {"peft_use_dora": True}, {"lora_modules_to_save": ["embed_tokens", "lm_head"]}
INT8 = {"load_in_8bit": True}

# (model, layers where not all, rows, tokens, *keys)
CASES: tuple[tuple[Any, ...], ...] = (
    # what most people run
    ("meta-llama/Llama-3.1-8B", 8, 2, 4096, qlora(32, lora_dropout=0.05), FLASH, GC, PAGED, accumulated(4)),
    ("meta-llama/Llama-3.1-8B", 8, 8, 1024, lora(64), SDPA, GC, ADAM8),
    ("meta-llama/Llama-3.1-8B", 4, 1, 16384, qlora(16), FLASH, PACK, GC, CCE),
    ("meta-llama/Llama-3.1-8B", 4, 4, 512, linear(16), GC, evaluated(8)),
    ("meta-llama/Llama-3.2-1B", 0, 4, 2048, FLASH, PACK, GC, LIGER, ADAM8),
    ("meta-llama/Llama-3.2-1B", 0, 1, 512, GC, EAGER, CHUNKED),
    ("meta-llama/Llama-3.2-3B", 6, 3, 3000, qlora(8, PAIR, lora_dropout=0.1), OFF, GC_NON_REENTRANT, FLASH),
    ("meta-llama/Llama-3.3-70B-Instruct", 4, 1, 8192, qlora(64), FLASH, GC, CCE, PAGED, NEFT),
    ("Qwen/Qwen2.5-0.5B-Instruct", 0, 8, 512, FLASH),
    ("Qwen/Qwen2.5-1.5B", 8, 4, 2048, lora(32, FOUR), FLASH, CHUNKED, {"optimizer": "lion_8bit"}),
    ("Qwen/Qwen2.5-7B-Instruct", 6, 1, 12288, qlora(16), FLASH, offloaded("legacy"), CCE),
    ("Qwen/Qwen2.5-14B", 4, 2, 2048, lora(8, **INT8), FLASH, GC, evaluated(2)),
    ("Qwen/Qwen3-0.6B", 0, 2, 4096, lora(16, **SAVED), FLASH, GC),
    ("Qwen/Qwen3-1.7B", 8, 2, 2048, FLASH, GC, {"optimizer": "adafactor"}, CCE),
    ("Qwen/Qwen3-4B", 6, 1, 8192, qlora(128, **DORA), FLASH, GC, CCE),
    ("Qwen/Qwen3-8B", 4, 4, 1024, lora(16, **DORA, lora_dropout=0.05), SDPA, LIGER),
    ("Qwen/Qwen3-8B", 4, 1, 2048, lora(16), FLASH, GC, {"liger_rms_norm": True, "liger_rope": True}, LIGER),
    ("mistralai/Mistral-7B-v0.1", 6, 1, 8192, qlora(32), GC, CCE),
    ("mistralai/Mistral-7B-v0.3", 6, 2, 4096, linear(16, lora_dropout=0.05), FLASH, PACK, GC, ADAM8, accumulated(8)),
    ("mistralai/Mistral-Nemo-Instruct-2407", 4, 1, 4096, qlora(16), FLASH, CHUNKED, GC, {"chunked_cross_entropy_num_chunks": 16}),
    ("mistralai/Mixtral-8x7B-v0.1", 2, 2, 2048, lora(16, FOUR), FLASH, GC, {"optimizer": "adamw_bnb_8bit"}),
    ("mistralai/Mixtral-8x7B-v0.1", 2, 1, 1024, qlora(8, FOUR, quantize_moe_experts=True), GC_NON_REENTRANT, OFF),
    ("microsoft/Phi-3.5-mini-instruct", 6, 2, 4096, qlora(16, ["qkv_proj", "o_proj", "gate_up_proj", "down_proj"]), OFF, FLASH, GC),
    ("microsoft/phi-4", 4, 1, 2048, linear(32), OFF, EAGER, GC, CCE),
    ("microsoft/Phi-4-mini-instruct", 6, 4, 1024, FLASH, GC, PAGED, evaluated(16), CCE),
    ("google/gemma-2-2b", 6, 1, 4096, qlora(16), EAGER, GC, CCE),
    ("google/gemma-2-9b-it", 4, 2, 1024, lora(32, lora_dropout=0.05), EAGER, PAGED),
    ("google/gemma-3-270m", 0, 8, 2048, FLASH, GC, CCE, FUSED),
    ("google/gemma-3-1b-it", 0, 2, 2048, lora(16), SDPA, GC, CHUNKED),
    ("google/gemma-3-4b-it", 6, 2, 2048, qlora(16, LANGUAGE), OFF, FLASH, GC, CCE),
    ("google/gemma-3-12b-it", 6, 1, 4096, lora(8, LANGUAGE), OFF, EAGER, GC_NON_REENTRANT, evaluated(1)),
    ("google/gemma-4-E2B-it", 15, 1, 4096, qlora(16, LANGUAGE), OFF, SDPA, GC, CCE),
    ("google/gemma-4-E4B-it", 12, 2, 1024, lora(16, LANGUAGE), OFF, FLASH, CHUNKED),
    ("google/gemma-4-26B-A4B-it", 6, 1, 2048, lora(16, LANGUAGE), OFF, SDPA, GC, CCE, ADAM8),
    ("google/gemma-7b", 4, 2, 1024, lora(16, ["q_proj", "k_proj", "v_proj", "down_proj"]), OFF, SDPA, NEFT),
    ("Qwen/Qwen3-30B-A3B", 3, 1, 4096, lora(16), OFF, FLASH, GC, CCE),
    ("Qwen/Qwen3-30B-A3B", 4, 2, 2048, qlora(16, FOUR, quantize_moe_experts=True), FLASH, GC, CCE, ADAM8),
    ("Qwen/Qwen3-Next-80B-A3B-Instruct", 4, 1, 2048, lora(8, FOUR), OFF, FLASH, GC_NON_REENTRANT, CCE),
    ("Qwen/Qwen3.5-2B", 8, 2, 2048, lora(16, LANGUAGE), OFF, FLASH, GC, CCE),
    ("Qwen/Qwen3.5-4B", 8, 1, 4096, qlora(32, LANGUAGE), OFF, SDPA, GC),
    ("Qwen/Qwen3.5-35B-A3B", 4, 1, 2048, lora(16, LANGUAGE), OFF, FLASH, GC, CCE),
    ("deepseek-ai/DeepSeek-V2-Lite", 4, 1, 4096, lora(16, ["q_proj", "kv_a_proj_with_mqa", "kv_b_proj", "o_proj"]), OFF, FLASH, GC, CCE),
    ("deepseek-ai/DeepSeek-V2-Lite", 3, 2, 1024, qlora(8, ["q_proj", "o_proj"], quantize_moe_experts=True), OFF, SDPA, LIGER),
    ("openai/gpt-oss-20b", 4, 1, 2048, lora(16, FOUR), EAGER, GC, CCE, ADAM8),
    ("openai/gpt-oss-20b", 3, 2, 1024, qlora(8, FOUR, quantize_moe_experts=True), FLASH, GC),
    ("HuggingFaceTB/SmolLM2-135M", 0, 8, 1024, FLASH, GC, {"optimizer": "sgd"}),
    ("HuggingFaceTB/SmolLM2-1.7B-Instruct", 8, 2, 2048, lora(256), FLASH, offloaded(True), LIGER),
    ("HuggingFaceTB/SmolLM3-3B", 6, 4, 1024, lora(16, lora_dropout=0.1), FLEX, PACK, GC, CCE),
    ("tiiuae/Falcon3-7B-Instruct", 4, 2, 2048, qlora(16), FLASH, GC, {"optimizer": "paged_lion_8bit"}),
    ("tiiuae/falcon-7b-instruct", 4, 2, 2048, lora(16, ["query_key_value", "dense"]), OFF, SDPA, GC),
    ("bigcode/starcoder2-3b", 6, 1, 8192, lora(16, ["q_proj", "k_proj", "v_proj", "o_proj", "c_fc", "c_proj"]), OFF, FLASH, GC),
    ("bigcode/starcoder2-7b", 4, 2, 2048, SDPA, GC_NON_REENTRANT, CCE, ADAM8),
    ("allenai/OLMo-2-0425-1B", 8, 2, 2048, lora(32), OFF, FLASH, CCE),
    ("allenai/Olmo-3-7B-Instruct", 6, 1, 8192, qlora(32), OFF, SDPA, GC, CCE),
    ("allenai/OLMoE-1B-7B-0924", 3, 2, 2048, FLASH, GC, ADAM8),
    ("zai-org/GLM-4-9B-0414", 4, 1, 4096, qlora(16, ["q_proj", "k_proj", "v_proj", "o_proj"]), {"lora_qkv_kernel": True, "lora_o_kernel": True}, FLASH, GC),
    ("zai-org/GLM-4.5-Air", 3, 1, 1024, lora(8, FOUR), OFF, FLASH, GC, CCE),
    ("ibm-granite/granite-3.3-8b-instruct", 4, 2, 4096, qlora(64, lora_dropout=0.05), FLASH, GC, LIGER, evaluated(4)),
    ("ibm-granite/granite-3.1-3b-a800m-instruct", 4, 2, 2048, lora(16, FOUR), OFF, FLASH, CCE),
    ("LiquidAI/LFM2-1.2B", 8, 2, 4096, lora(16, ["q_proj", "k_proj", "v_proj", "out_proj", "in_proj", "w1", "w2", "w3"]), OFF, FLASH, GC),
    ("CohereLabs/c4ai-command-r7b-12-2024", 4, 1, 4096, qlora(16), FLASH, GC, CCE),
    ("EleutherAI/pythia-410m", 0, 4, 1024, SDPA, GC),
    ("stabilityai/stablelm-2-1_6b", 6, 2, 2048, lora(16), OFF, FLASH, GC, CHUNKED),
    ("facebook/opt-1.3b", 6, 2, 1024, lora(16, ["q_proj", "v_proj"]), OFF, SDPA),
    ("LGAI-EXAONE/EXAONE-4.0-1.2B", 8, 2, 2048, lora(16), FLASH, GC, CCE),
    ("swiss-ai/Apertus-8B-Instruct-2509", 4, 1, 4096, lora(16, [*FOUR, "up_proj", "down_proj"]), {"lora_qkv_kernel": True, "lora_o_kernel": True}, FLASH, GC),
    ("arcee-ai/AFM-4.5B", 4, 2, 2048, qlora(32, [*FOUR, "up_proj", "down_proj"]), OFF, FLASH, PACK, GC, CCE),
    ("ByteDance-Seed/Seed-OSS-36B-Instruct", 3, 1, 4096, qlora(32, lora_dropout=0.05), FLASH, GC, CCE, ADAM8),
    ("nvidia/Nemotron-H-4B-Base-8K", 12, 1, 2048, lora(16, FOUR), OFF, FLASH, GC, CCE),
    ("mistralai/Ministral-3-3B-Instruct-2512", 6, 1, 4096, lora(16, LANGUAGE), OFF, FLASH, GC, CCE),
    ("mistralai/Mistral-Small-3.2-24B-Instruct-2506", 3, 1, 4096, qlora(16, LANGUAGE), OFF, FLASH, GC),
    ("TinyLlama/TinyLlama-1.1B-Chat-v1.0", 8, 2, 2048, lora(8), FP32, OFF, GC, SDPA),
    ("TinyLlama/TinyLlama-1.1B-Chat-v1.0", 0, 4, 2048, qlora(32), FP16, SDPA, GC),
    # preferences
    ("meta-llama/Llama-3.1-8B-Instruct", 6, 2, 1024, qlora(16), FLASH, GC, {"rl": "dpo"}),
    ("Qwen/Qwen2.5-0.5B-Instruct", 0, 2, 1024, FLASH, GC, {"rl": "dpo"}, ADAM8),
    ("Qwen/Qwen3-1.7B", 8, 1, 2048, lora(16), FLASH, {"rl": "orpo"}, accumulated(4)),
    ("HuggingFaceTB/SmolLM2-360M", 0, 4, 1024, lora(32), SDPA, GC, {"rl": "kto"}),
    ("google/gemma-2-2b-it", 6, 1, 1024, lora(16), EAGER, GC, {"rl": "simpo"}),
    ("meta-llama/Llama-3.2-1B-Instruct", 0, 4, 512, lora(16), FLASH, OFF, {"reward_model": True}, GC),
    ("Qwen/Qwen3-4B", 6, 1, 2048, qlora(64, lora_dropout=0.05), FLASH, {"rl": "ipo", "precompute_ref_log_probs": True}, GC),
    ("mistralai/Mistral-7B-v0.3", 4, 3, 768, lora(16, **INT8), FLASH, {"rl": "kto"}, GC, PAGED),
    # methods beside LoRA
    ("Qwen/Qwen2.5-1.5B", 8, 4, 1024, other("ia3"), FLASH, GC),
    ("meta-llama/Llama-3.2-1B", 0, 2, 2048, other("prompt_tuning", num_virtual_tokens=50), FLASH, GC),
    ("meta-llama/Llama-3.2-1B", 8, 4, 512, other("prefix_tuning", num_virtual_tokens=64), SDPA),
    ("Qwen/Qwen3-0.6B", 0, 2, 1024, other("p_tuning", num_virtual_tokens=20, encoder_hidden_size=128), FLASH, CCE),
    ("mistralai/Mistral-7B-v0.3", 4, 1, 4096, other("adalora", total_step=500, init_r=32, target_r=8, target_modules=SEVEN), FLASH, GC, ADAM8),
    ("meta-llama/Llama-3.1-8B", 4, 2, 1024, other("loha", r=8, target_modules=FOUR), FLASH, GC),
    ("Qwen/Qwen2.5-7B", 4, 1, 2048, other("lokr", r=8, target_modules=SEVEN), FLASH, GC, CCE),
    ("Qwen/Qwen3-1.7B", 8, 2, 1024, other("oft", oft_block_size=32, target_modules=SEVEN), FLASH, GC, CCE),
    ("google/gemma-2b", 6, 2, 2048, other("vera", r=256, target_modules=PAIR), FLASH, GC),
    ("HuggingFaceTB/SmolLM2-1.7B", 8, 4, 1024, other("bottleneck", bottleneck_size=64), FLASH, GC, evaluated(8)),
    # switches that few combine
    ("meta-llama/Llama-3.2-1B", 0, 1, 4096, FLASH, offloaded("hidden_states"), CCE, {"optimizer": "muon"}),
    ("Qwen/Qwen3-0.6B", 0, 1, 4096, FLASH, offloaded(True), accumulated(2)),
    ("Qwen/Qwen3-4B", 6, 2, 1024, qlora(16, peft_layers_to_transform=[3, 4, 5]), OFF, FLASH, GC, CCE),
    ("Qwen/Qwen2.5-3B", 6, 2, 1024, FLASH, GC, CCE, {"unfrozen_parameters": ["model.layers.[45].", "lm_head"]}),
    ("meta-llama/Llama-3.1-8B", 4, 2, 2048, lora(16, **SAVED), SDPA, CCE, ADAM8, accumulated(2)),
    ("Qwen/Qwen2.5-7B", 4, 1, 4096, qlora(16, bnb_config_kwargs={"bnb_4bit_use_double_quant": False}), FLASH, FP16, GC),
    ("meta-llama/Llama-3.2-3B", 6, 2, 2048, lora(16), FLASH, GC, CCE, {"layer_offloading": True}),
    ("meta-llama/Llama-3.2-1B", 0, 2, 1024, FLASH, GC, CCE, {"optimizer": "galore_adamw", "optim_target_modules": ["self_attn", "mlp"]}),
    ("Qwen/Qwen3-0.6B", 0, 2, 2048, FLASH, GC, LIGER, {"optimizer": "came_pytorch"}),
    ("Qwen/Qwen3-1.7B", 6, 2, 2048, lora(64), FLASH, GC, CCE, {"optimizer": "schedule_free_adamw"}),
    ("meta-llama/Llama-3.2-1B", 0, 2, 2048, FLASH, CCE, {"optimizer": "adamw_torch_4bit"}),
    ("mistralai/Mixtral-8x7B-v0.1", 2, 1, 2048, FLASH, GC, CCE, {"optimizer": "adamw_torch_8bit"}),
    ("meta-llama/Llama-3.2-1B", 0, 4, 1024, lora(16, [*SEVEN, "embed_tokens", "lm_head"]), OFF, FLASH, GC),
    ("meta-llama/Llama-3.1-8B", 4, 1, 4096, qlora(16, [*SEVEN, "lm_head"]), OFF, FLASH, GC),
    ("Qwen/Qwen2.5-3B", 6, 2, 2048, qlora(16), {"lora_mlp_kernel": True}, FLASH, GC, NEFT),
    ("google/gemma-3-1b-it", 0, 2, 1024, lora(16, **SAVED), SDPA, PACK, GC, CCE, evaluated(4)),
)  # fmt: skip


@lru_cache
def _models() -> dict[str, dict[str, Any]]:
    """The catalogue's config.json by id."""
    paths = sorted(CATALOGUE.glob("*.yaml"))
    return {row["id"]: row["config"] for path in paths for row in yaml.safe_load(path.read_text("utf-8"))}


def catalogued(name: str, _keys: dict[str, Any] | None = None) -> dict[str, Any]:
    """A copy of the catalogue's config.json of this id."""
    return json.loads(json.dumps(_models()[name]))


def named(
    label: str, chosen: tuple[tuple[Any, ...], ...], model_of: Callable[..., dict[str, Any]] = catalogued
) -> Iterator[tuple[str, dict, dict, tuple[int, int]]]:
    """(name, config.json, keys, [rows, tokens]); a packed batch for attention that takes lengths is one row."""
    for index, (model, layers, rows, tokens, *parts) in enumerate(chosen):
        config: dict[str, Any] = {}
        for part in parts:
            config |= part
        described = model_of(model, config)
        if layers:
            described = shrunk(described, layers)
        one = config.get("sample_packing") and config.get("attn_implementation") not in (None, "sdpa", "eager")
        yield (
            f"{label}-{index}-{model.rpartition('/')[2].lower()}",
            described,
            config,
            (1, rows * tokens) if one else (rows, tokens),
        )


def cases() -> Iterator[tuple[str, dict, dict, tuple[int, int]]]:
    """All cases of this module."""
    yield from named("outside", CASES)
