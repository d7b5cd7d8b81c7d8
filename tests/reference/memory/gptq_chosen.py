"""Cases whose base is a GPTQ checkpoint: ``python -m tests.reference.memory.record --cases gptq_chosen``."""

from __future__ import annotations

import random
from collections.abc import Iterator

from .cases import MODELS, TARGETS
from .keys import CCE, CHUNKED, FLASH, GC, GC_NON_REENTRANT, LIGER, OFF, SEVEN

Case = tuple[str, dict, dict, tuple[int, int]]


def case(
    label: str, name: str, keys: dict, rows: tuple[int, int], *, layers: int, bits: int = 4, group: int = 128
) -> Case:
    """One case: LoRA over the packed model, with Axolotl's own kernels off, since they cannot read packed weights."""
    packing = {"quant_method": "gptq", "bits": bits, "group_size": group, "desc_act": False, "sym": True}
    model = MODELS[name] | {"num_hidden_layers": layers, "quantization_config": packing}
    targets = TARGETS.get(model["model_type"], SEVEN)
    config = {"adapter": "lora", "lora_r": 16, "lora_target_modules": targets} | OFF | keys | {"gptq": True}
    return f"{name}-gptq-{label}", model, config, rows


def cases() -> Iterator[Case]:
    """(name, config.json, keys, [rows, tokens])."""
    whole, small = "llama-3.1-8b", "llama-3.2-1b"
    yield case("gc-cce", whole, FLASH | GC | CCE, (1, 2048), layers=32)
    yield case("cce", whole, FLASH | CCE, (1, 2048), layers=32)
    yield case("sdpa", small, {}, (2, 512), layers=16)
    yield case("r128-dropout", small, FLASH | CCE | {"lora_r": 128, "lora_dropout": 0.05}, (1, 1024), layers=16)
    yield case("gc-non-reentrant", "qwen2.5-7b", FLASH | GC_NON_REENTRANT | CHUNKED, (1, 2048), layers=8)
    yield case("group-32", "qwen2.5-0.5b", FLASH | GC, (4, 512), layers=24, group=32)
    yield case("8-bit", "mistral-7b", FLASH | GC | CCE, (1, 4096), layers=8, bits=8)
    yield case("whole-column", "gemma-2b", FLASH | GC, (1, 1024), layers=8, group=-1)
    yield case("fp16", whole, {"bf16": False, "fp16": True} | GC | CHUNKED, (1, 1024), layers=8)
    yield case("phi", "phi-2", GC | CCE, (1, 1024), layers=8)
    yield case(
        "attention-alone", whole, FLASH | CCE | {"lora_target_modules": ["q_proj", "v_proj"]}, (1, 1024), layers=8
    )
    yield case("evaluation", whole, FLASH | GC | CCE | {"val_set_size": 0.1, "eval_batch_size": 8}, (1, 512), layers=8)
    yield case("8bit-adam", "phi-4", FLASH | CCE | {"optimizer": "adamw_8bit"}, (1, 1024), layers=6)
    yield case("accumulation", "pythia-1.4b", FLASH | GC | {"gradient_accumulation_steps": 4}, (1, 2048), layers=24)


def draw(seed: int, count: int) -> Iterator[Case]:
    """``count`` cases from ``seed``."""
    random_ = random.Random(seed)
    pick = random_.choice
    names = ("llama-2-7b", "smollm2-135m", "ministral-8b", "qwen3-4b", "gemma-2-9b", "gemma-3-1b", "olmo2-7b",
             "starcoder2-3b", "granite-8b", "cohere2-7b", "stablelm-1.6b", "glm4-9b", "nemotron-4b")  # fmt: skip
    for index in range(count):
        keys = pick([FLASH, FLASH, {"attn_implementation": "sdpa"}, {}]) | pick([{}, CCE, CHUNKED, LIGER])
        keys = keys | pick([{}, GC, GC, GC_NON_REENTRANT]) | {"lora_r": pick([4, 16, 64])}
        keys["optimizer"] = pick(["adamw_torch_fused", "adamw_8bit", "adamw_torch", "paged_adamw_8bit"])
        if random_.random() < 0.3:
            keys["lora_dropout"] = 0.05
        if random_.random() < 0.3:
            keys["gradient_accumulation_steps"] = 4
        rows = pick([(1, 512), (1, 2048), (2, 1024), (4, 512)])
        packing = {"bits": pick([4, 4, 4, 8]), "group": pick([128, 128, 64, -1])}
        yield case(f"drawn-{seed}-{index}", pick(names), keys, rows, layers=pick([2, 4, 8]), **packing)
