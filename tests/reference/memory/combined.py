"""Switches that no earlier case holds together, in twos and threes, over every kind of model: written down before any was estimated.

``python -m tests.reference.memory.record --cases combined`` records them to ``tests/data/memory/combined.jsonl``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from .catalogue import BARE, LANGUAGE
from .every_layers import every
from .keys import (
    ADAM8,
    ATTENDING,
    CCE,
    CHUNKED,
    CODER,
    DORA,
    DPO,
    EAGER,
    EXPERTS,
    FLASH,
    FLASH3,
    FLEX,
    FOUR,
    FP16,
    FP32,
    FUSED,
    GC,
    GC_NON_REENTRANT,
    HALF,
    HEAD,
    INT8,
    IPO,
    KTO,
    LATENT,
    LIGER,
    LIGER_LOGITS,
    NEFT,
    NEOX,
    OFF,
    ORPO,
    PACK,
    PADDED,
    PAGED,
    PAIR,
    PHI,
    QUANTIZED,
    RELORA,
    REWARD,
    ROWS,
    SAVED,
    SDPA,
    SEVEN,
    SIMPO,
    accumulated,
    evaluated,
    lora,
    offloaded,
    optimizer,
    other,
    qlora,
)
from .naming import catalogued, named
from .newcomers import MODELS as LATE
from .newcomers import OWN
from .selective import KEPT, WINDOWS
from .tiled import tiled
from .towers import ALL
from .towers import MODELS as SEEING

GATED = ["q_proj", "k_proj", "v_proj", "out_proj", "in_proj", "w1", "w2", "w3"]
GPTQ = {"gptq": True}
PACKING = {"quant_method": "gptq", "bits": 4, "group_size": 128, "desc_act": False, "sym": True}
LAYERS = {"layer_offloading": True}
WRAPPED = LANGUAGE.format("|".join(SEVEN))
LLAMA4 = r".*language_model\.model\.layers\.\d+\.self_attn\.(q_proj|k_proj|v_proj|o_proj)"


def computing(name: str, **more: Any) -> dict[str, Any]:
    """A type that 4-bit weights are unpacked in."""
    return {"bnb_config_kwargs": {"bnb_4bit_compute_dtype": name} | more}


# (model, layers where not all, rows, tokens, *keys)
CASES: tuple[tuple[Any, ...], ...] = (
    # whole models: loss, attention, precision, checkpoints and optimizers
    ("Qwen/Qwen2.5-1.5B", 5, 3, 1333, FP32, EAGER, GC_NON_REENTRANT, LIGER_LOGITS, optimizer("adafactor")),
    ("meta-llama/Llama-3.2-1B", 0, 5, 777, FP16, SDPA, GC, CHUNKED, {"chunked_cross_entropy_num_chunks": 3}, optimizer("lion_32bit")),
    ("google/gemma-2-2b", 4, 2, 1500, EAGER, GC_NON_REENTRANT, CCE, NEFT, optimizer("ademamix")),
    ("helium", 6, 2, 1001, FLASH, every(2), NEFT, optimizer("paged_adamw_32bit")),
    ("microsoft/phi-1_5", 6, 3, 1500, FLASH3, GC, LIGER, optimizer("muon")),
    ("ibm-granite/granite-3.1-2b-base", 5, 2, 1100, FLEX, GC_NON_REENTRANT, CHUNKED, optimizer("adamw_torch_4bit")),
    ("HuggingFaceTB/SmolLM3-3B", 6, 2, 2500, SDPA, PACK, KEPT, optimizer("lomo")),
    ("stabilityai/stablelm-3b-4e1t", 4, 3, 901, SDPA, PADDED, GC, optimizer("adopt_adamw")),
    ("ernie4_5", 6, 1, 5003, FLASH, GC, tiled(3), NEFT, accumulated(2), optimizer("sgd")),
    ("allenai/OLMo-1B-hf", 5, 2, 750, FP32, SDPA, {"optimizer": "rmsprop", "optim_args": {"momentum": 0.9}}),
    ("openai-community/gpt2-medium", 8, 7, 333, SDPA, NEFT, GC_NON_REENTRANT, optimizer("came_pytorch")),
    ("EleutherAI/pythia-70m", 0, 7, 101, EAGER, PADDED, optimizer("schedule_free_radam")),
    ("CohereLabs/aya-23-8B", 3, 1, 3001, FLASH, offloaded("legacy"), LIGER, ADAM8),
    ("allenai/OLMo-2-0425-1B", 4, 3, 901, EAGER, CHUNKED, {"optimizer": "apollo_adamw", "optim_target_modules": "all_linear"}),
    ("Qwen/Qwen3-0.6B", 0, 1, 17, FLASH),
    ("Qwen/Qwen3-1.7B", 6, 2, 3000, SDPA, WINDOWS, LIGER, accumulated(2), optimizer("ademamix_8bit")),
    ("meta-llama/Llama-3.2-1B", 0, 1, 131072, FLASH, GC_NON_REENTRANT, CCE, tiled(16), FUSED),
    ("LGAI-EXAONE/EXAONE-4.0-1.2B", 6, 3, 700, EAGER, GC, LIGER_LOGITS, NEFT, optimizer("adalomo")),
    ("Qwen/Qwen2.5-3B", 6, 2, 1700, FLASH, GC_NON_REENTRANT, CHUNKED, ADAM8, accumulated(4), {"unfrozen_parameters": ["model.embed_tokens", "model.layers.0."]}),
    ("mistralai/Mistral-7B-v0.3", 5, 1, 2300, SDPA, GC, CCE, {"unfrozen_parameters": ["model.layers.[34].mlp", "lm_head"]}, optimizer("adamw_torch")),
    ("arcee-ai/AFM-4.5B-Base", 4, 2, 1300, FLASH, offloaded("hidden_states"), CHUNKED, optimizer("grokadamw")),
    ("swiss-ai/Apertus-8B-Instruct-2509", 3, 1, 1700, SDPA, GC_NON_REENTRANT, LIGER, optimizer("dion")),
    ("hunyuan_v1_dense", 4, 3, 513, EAGER, offloaded(True), CCE, optimizer("stable_adamw")),
    # LoRA's own keys
    ("meta-llama/Llama-3.1-8B", 5, 3, 700, lora(200, **DORA, lora_rank_pattern={"q_proj": 8, "down_proj": 3}), OFF, FLASH, GC_NON_REENTRANT),
    ("meta-llama/Llama-3.1-8B", 5, 1, 3111, qlora(16, lora_rank_pattern={"o_proj": 1, "up_proj": 200}), FLASH, GC, CCE),
    ("Qwen/Qwen2.5-7B", 6, 2, 1100, qlora(3, peft_layers_to_transform=[0, 1]), OFF, SDPA, CHUNKED),
    ("Qwen/Qwen2.5-7B", 6, 2, 1100, lora(33, peft_layers_to_transform=[2, 5], lora_dropout=0.1), FLASH, GC_NON_REENTRANT, CCE),
    ("mistralai/Mistral-7B-v0.3", 4, 2, 1300, lora(64, **INT8, **HEAD, lora_rank_pattern={"v_proj": 128}), FLASH, GC, LIGER),
    ("Qwen/Qwen3-1.7B", 6, 3, 900, lora(16, **ROWS, **DORA), OFF, SDPA, GC, LIGER),
    ("meta-llama/Llama-3.2-3B", 5, 2, 1700, qlora(8, lora_modules_to_save=["norm", "input_layernorm"]), OFF, FLASH, GC, CCE),
    ("ibm-granite/granite-3.3-8b-instruct", 4, 2, 800, qlora(1, **DORA, peft_autocast_adapter_dtype=False), FLASH, CHUNKED, accumulated(2)),
    ("Qwen/Qwen3-8B", 4, 2, 1500, qlora(16, **DORA, **computing("float32")), FLASH, GC, CCE),
    ("meta-llama/Llama-2-7b-hf", 4, 2, 900, qlora(32, **computing("float32", bnb_4bit_quant_storage="float32")), FP16, SDPA, GC_NON_REENTRANT),
    ("google/gemma-7b", 3, 2, 1000, qlora(16, **SAVED, bnb_config_kwargs={"bnb_4bit_use_double_quant": False}), FLASH, CCE, PAGED),
    ("mistralai/Mistral-7B-Instruct-v0.2", 3, 3, 700, lora(16, load_in_4bit=True, lora_dropout=0.05), RELORA, OFF, SDPA, PACK, GC),
    ("tiiuae/Falcon3-3B-Base", 4, 2, 1025, lora(8, **DORA), RELORA, FLASH, FP16, GC, PAGED),
    ("HuggingFaceTB/SmolLM2-1.7B", 5, 5, 600, lora(16, [*SEVEN, "embed_tokens"]), FLASH, GC, CCE),
    ("Qwen/Qwen2.5-0.5B", 0, 3, 600, qlora(4, [*FOUR, "embed_tokens"], lora_dropout=0.1), OFF, SDPA, CHUNKED),
    ("meta-llama/Llama-3.1-8B", 3, 1, 1500, lora(16, [*PAIR, "lm_head"]), OFF, FLASH, GC, CHUNKED, evaluated(3)),
    ("meta-llama/Llama-3.2-3B", 6, 3, 1000, lora(32, **INT8), FLASH, {"layer_offloading": True}, GC, CCE, evaluated(7)),
    ("Qwen/Qwen3-4B", 5, 2, 1100, qlora(16, **DORA, lora_dropout=0.05), OFF, SDPA, {"layer_offloading": True}, GC_NON_REENTRANT, NEFT),
    ("mistralai/Mistral-7B-v0.3", 5, 1, 6000, lora(16, **INT8), OFF, SDPA, GC, CCE, tiled(5)),
    ("Qwen/Qwen2.5-14B", 3, 2, 1400, lora(16, **INT8, lora_dropout=0.1), FLASH, offloaded("hidden_states"), NEFT),
    ("mistralai/Mistral-7B-v0.1", 3, 2, 5000, lora(16, **INT8), EAGER, GC, CCE),
    ("meta-llama/Llama-3.2-1B", 8, 5, 700, lora(16, **INT8), FLEX, CHUNKED, PACK, optimizer("lion_8bit")),
    ("Qwen/Qwen2.5-7B", 4, 3, 900, lora(16), GPTQ, OFF, FLASH, offloaded("legacy"), NEFT, PADDED),
    ("meta-llama/Llama-3.1-8B", 4, 2, 1500, lora(64, **HEAD), GPTQ, OFF, SDPA, PACK, GC, CCE, ADAM8),
    ("mistralai/Mistral-7B-v0.3", 5, 1, 3000, lora(8, peft_layers_to_transform=[3, 4]), GPTQ, OFF, FLASH, GC_NON_REENTRANT, evaluated(5)),
    ("stabilityai/stablelm-2-1_6b", 4, 4, 500, qlora(200, lora_dropout=0.1), HALF, OFF, FLASH, KEPT),
    ("EleutherAI/pythia-1b", 5, 3, 900, qlora(16, NEOX, **DORA), OFF, EAGER, GC, FP16, PADDED),
    ("EleutherAI/gpt-j-6b", 3, 2, 700, qlora(16, ["q_proj", "k_proj", "v_proj", "out_proj", "fc_in", "fc_out"], lora_dropout=0.1), OFF, EAGER, GC_NON_REENTRANT),
    ("bigscience/bloom-1b7", 4, 3, 500, lora(200, NEOX), OFF, EAGER, GC, evaluated(7)),
    ("mosaicml/mpt-7b-instruct", 3, 2, 600, lora(16, ["Wqkv", "out_proj", "up_proj", "down_proj"], lora_dropout=0.1), OFF, EAGER, FP16, CHUNKED),
    ("tiiuae/falcon-40b", 2, 3, 700, qlora(1, NEOX), OFF, SDPA, PADDED, GC),
    ("facebook/opt-350m", 0, 5, 400, qlora(16, ["q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"]), OFF, SDPA, FP16, GC, evaluated(9)),
    ("bigcode/starcoder2-7b", 0, 1, 4500, lora(16, CODER, lora_dropout=0.05), OFF, FLASH, GC_NON_REENTRANT, CHUNKED),
    ("LiquidAI/LFM2-700M", 0, 3, 900, qlora(16, GATED, **DORA), OFF, EAGER, GC, CCE),
    ("zai-org/GLM-4-9B-0414", 3, 2, 1000, lora(16, FOUR), ATTENDING, SDPA, RELORA, NEFT, PADDED),
    # PEFT's other methods
    ("meta-llama/Llama-3.2-1B", 8, 3, 900, other("ia3"), FP16, SDPA, PADDED, GC),
    ("microsoft/Phi-3.5-mini-instruct", 4, 3, 700, other("prefix_tuning", num_virtual_tokens=33), EAGER, CHUNKED),
    ("Qwen/Qwen2.5-1.5B", 6, 5, 500, other("prompt_tuning", num_virtual_tokens=7), FLASH, PADDED, GC, accumulated(2)),
    ("mistralai/Mistral-7B-v0.3", 4, 2, 800, other("p_tuning", num_virtual_tokens=11), FP16, SDPA, GC_NON_REENTRANT, evaluated(5)),
    ("Qwen/Qwen3-1.7B", 5, 2, 1100, other("bottleneck", bottleneck_size=200), SDPA, offloaded(True), CCE, NEFT),
    ("HuggingFaceTB/SmolLM2-360M", 8, 3, 700, other("bottleneck", placement="pfeiffer", non_linearity="gelu"), FP32, EAGER, CHUNKED),
    ("meta-llama/Llama-3.2-3B", 4, 2, 900, other("adalora", total_step=200, init_r=24, target_r=8, target_modules=SEVEN), FP16, FLASH, offloaded("hidden_states")),
    ("Qwen/Qwen2.5-3B", 4, 3, 800, other("loha", r=3, target_modules=SEVEN), FLASH, PACK, GC_NON_REENTRANT, NEFT, CCE),
    ("Qwen/Qwen3-0.6B", 8, 2, 777, other("lokr", r=5, target_modules=FOUR, decompose_both=True), EAGER, PACK, GC, evaluated(3)),
    ("meta-llama/Llama-3.2-1B", 6, 2, 1500, other("vera", r=200, target_modules=PAIR), FP16, FLASH, offloaded("legacy"), CCE),
    ("Qwen/Qwen2.5-0.5B", 8, 3, 901, other("oft", oft_block_size=16, target_modules=SEVEN), FLEX, NEFT, GC, LIGER),
    ("google/gemma-2-2b", 4, 2, 900, other("ln_tuning"), SDPA, CHUNKED, NEFT, PACK, evaluated(4)),
    ("ibm-granite/granite-3.1-2b-instruct", 5, 3, 800, other("trainable_tokens", token_indices=list(range(300))), SDPA, PACK, GC, CHUNKED, accumulated(3)),
    # experts
    ("Qwen/Qwen3-30B-A3B", 2, 2, 900, qlora(16, FOUR, **QUANTIZED, **computing("float32")), FP16, OFF, SDPA, GC),
    ("Qwen/Qwen3-30B-A3B", 2, 2, 1000, lora(8, FOUR, **EXPERTS), OFF, SDPA, PACK, GC_NON_REENTRANT, NEFT, LIGER, evaluated(3)),
    ("mistralai/Mixtral-8x7B-v0.1", 2, 3, 500, EAGER, PADDED, GC, accumulated(2), optimizer("sgd")),
    ("ibm-granite/granite-3.1-3b-a800m-instruct", 4, 3, 400, qlora(16, FOUR), OFF, FLASH, GC, KTO),
    ("allenai/OLMoE-1B-7B-0924", 3, 3, 700, lora(16, FOUR, lora_dropout=0.1), OFF, SDPA, PACK, FP16, CHUNKED),
    ("deepseek-ai/DeepSeek-V3", 4, 2, 600, lora(16, LATENT, **INT8), OFF, SDPA, PADDED, GC_NON_REENTRANT, CCE),
    ("zai-org/GLM-4.5-Air", 2, 1, 1100, FLASH, GC, CHUNKED, optimizer("adafactor")),
    ("Qwen/Qwen1.5-MoE-A2.7B-Chat", 2, 2, 700, lora(16, FOUR, **DORA), OFF, EAGER, GC_NON_REENTRANT, LIGER),
    ("phimoe", 2, 2, 900, qlora(16, FOUR, lora_dropout=0.05), OFF, FLASH, CHUNKED, PADDED),
    ("zai-org/GLM-4.7-Flash", 3, 2, 900, qlora(16, LATENT, **QUANTIZED), OFF, SDPA, PADDED, offloaded("legacy"), CCE),
    ("Qwen/Qwen3.5-35B-A3B", 4, 1, 1500, lora(8, WRAPPED, **INT8, **QUANTIZED), OFF, FLASH, GC_NON_REENTRANT, CCE),
    ("lfm2-8b-a1b", 4, 2, 600, lora(16, OWN["lfm2-8b-a1b"]), OFF, FLASH, GC, DPO),
    ("ai21labs/Jamba-v0.1", 8, 1, 700, FLASH, GC_NON_REENTRANT, CCE, NEFT, optimizer("sgd")),
    ("nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16", 12, 2, 800, lora(16, FOUR, lora_dropout=0.1), OFF, SDPA, PADDED, FP16, GC),
    ("falcon_h1", 4, 2, 700, lora(8, **DORA), OFF, FLASH, PADDED, GC, CHUNKED),
    ("granite-4.0-h-tiny", 4, 2, 600, lora(16, OWN["granite-4.0-h-tiny"]), OFF, FLASH, GC, KTO),
    ("meta-llama/Llama-4-Scout-17B-16E-Instruct", 4, 1, 900, lora(8, LLAMA4), OFF, SDPA, GC),
    ("meta-llama/Llama-4-Maverick-17B-128E-Instruct", 2, 1, 700, qlora(8, LLAMA4), OFF, EAGER, GC, PADDED),
    ("openai/gpt-oss-20b", 2, 2, 700, lora(16, FOUR), OFF, EAGER, GC, KTO),
    ("openai/gpt-oss-20b", 2, 3, 500, EAGER, PADDED, NEFT, CHUNKED, GC, optimizer("sgd")),
    ("deepseek-ai/DeepSeek-V2-Lite", 3, 2, 1100, qlora(8, ["q_proj", "o_proj"], **QUANTIZED), OFF, FLASH, PACK, offloaded("hidden_states"), CHUNKED),
    ("Qwen/Qwen3-Next-80B-A3B-Instruct", 4, 2, 600, lora(8, FOUR, lora_dropout=0.05), OFF, EAGER, PADDED, GC, LIGER),
    # models with towers
    ("google/gemma-3-4b-it", 6, 2, 1100, lora(16, WRAPPED), OFF, EAGER, PACK, FP16, GC),
    ("google/gemma-4-E2B-it", 12, 2, 700, FLASH, NEFT, GC, CHUNKED, ADAM8),
    ("mistralai/Mistral-Small-3.1-24B-Base-2503", 2, 2, 600, qlora(16, WRAPPED), OFF, FLASH, GC, DPO),
    ("qwen2-vl-2b", 4, 3, 700, lora(16, ALL, lora_dropout=0.1), OFF, SDPA, offloaded(True), CCE),
    ("qwen3-vl-4b", 3, 3, 701, lora(16, ALL, **DORA), OFF, SDPA, PADDED, GC_NON_REENTRANT, LIGER),
    ("internvl3.5-4b", 3, 4, 400, lora(16, ALL, **INT8), OFF, FLASH, GC, NEFT, evaluated(7)),
    ("llava-1.5-7b", 3, 2, 700, EAGER, GC, CHUNKED, optimizer("paged_lion_8bit")),
    ("paligemma2-3b", 4, 2, 800, qlora(16, ALL), OFF, EAGER, GC_NON_REENTRANT, CCE),
    ("idefics3-8b", 3, 2, 900, lora(16, ALL, **HEAD), OFF, FLASH, PACK, GC),
    ("llama-3.2-11b-vision", 5, 2, 500, lora(16, ALL), OFF, SDPA, GC, ORPO),
    ("voxtral-mini-3b", 3, 3, 600, qlora(16, ALL, lora_dropout=0.1), OFF, SDPA, PADDED, CHUNKED),
    ("glm-4.1v-9b", 3, 2, 900, lora(16, OWN["glm-4.1v-9b"], **INT8), OFF, FLASH, PACK, GC_NON_REENTRANT, CCE),
    ("lfm2-vl-450m", 4, 3, 700, FLASH, PADDED, GC, LIGER, optimizer("schedule_free_adamw")),
    ("Qwen/Qwen3.5-9B", 4, 3, 700, qlora(16, WRAPPED, lora_dropout=0.05), OFF, SDPA, PADDED, offloaded("legacy")),
    # preferences
    ("tiiuae/Falcon3-7B-Base", 3, 2, 400, qlora(16), EAGER, FP16, GC, SIMPO),
    ("Qwen/Qwen2.5-0.5B", 8, 3, 500, SDPA, PADDED, GC, IPO, ADAM8),
    ("meta-llama/Llama-3.1-8B", 4, 1, 700, qlora(16, lora_rank_pattern={"q_proj": 128}), FLASH, GC, DPO, evaluated(5)),
    ("Qwen/Qwen3-4B", 3, 3, 400, qlora(16), OFF, SDPA, GC, PADDED, REWARD),
    ("HuggingFaceTB/SmolLM2-360M", 0, 3, 333, FLASH, GC, KTO, accumulated(2), optimizer("lion_8bit")),
    ("google/gemma-3-1b-pt", 6, 1, 900, lora(16, **DORA), OFF, SDPA, GC, ORPO, PADDED),
    ("Qwen/Qwen3-8B", 0, 2, 1500, qlora(16), FLASH, GC, DPO, PAGED),
    ("meta-llama/Llama-2-13b-hf", 3, 2, 600, lora(16, PAIR, **INT8), OFF, EAGER, GC, ORPO),
    ("allenai/OLMo-2-0425-1B", 4, 2, 600, FLEX, GC, SIMPO, {"cpo_alpha": 0.0}, ADAM8),
    # very short, very long, many rows, at their real depth
    ("meta-llama/Llama-3.1-8B", 0, 1, 63, qlora(3), FLASH, GC),
    ("Qwen/Qwen2.5-7B", 0, 7, 129, lora(200), SDPA, GC, CCE, evaluated(1)),
    ("mistralai/Mistral-7B-v0.1", 0, 1, 40000, qlora(16), FLASH, PACK, offloaded("legacy"), CCE),
    ("google/gemma-3-1b-it", 0, 6, 700, lora(16), SDPA, PADDED, FP16, GC, CHUNKED),
    ("microsoft/Phi-3-medium-4k-instruct", 0, 1, 5000, lora(16, PHI, **INT8), OFF, FLASH, GC, LIGER),
    ("allenai/Olmo-3-1025-7B", 0, 1, 9001, qlora(16), OFF, FLASH, GC_NON_REENTRANT, CHUNKED),
    ("ByteDance-Seed/Seed-OSS-36B-Base", 0, 1, 1999, qlora(200), FLASH, GC, LIGER, optimizer("paged_ademamix_8bit")),
)  # fmt: skip

# as above, of `combined_again`
AGAIN: tuple[tuple[Any, ...], ...] = (
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


def model(name: str, keys: dict[str, Any]) -> dict[str, Any]:
    """A config.json by the name that some list of models has for it; packed where the keys say so."""
    found = LATE.get(name) or SEEING.get(name) or BARE.get(name) or catalogued(name)
    return json.loads(json.dumps(found)) | ({"quantization_config": PACKING} if keys.get("gptq") else {})


def cases() -> Iterator[tuple[str, dict, dict, tuple[int, int]]]:
    """All cases of this module."""
    yield from named("combined", CASES, model)
