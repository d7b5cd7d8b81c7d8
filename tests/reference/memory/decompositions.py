"""Cases of AdaLoRA, LoHa, LoKr, VeRA, OFT, LN tuning and trainable tokens.

``python -m tests.reference.memory.record --cases decompositions`` records them to
``tests/data/memory/decompositions.jsonl``; ``--cases decompositions_held_back``, drawn after the formulas were
written, to a file of its own.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from .cases import MODELS, TARGETS
from .keys import CCE, CHUNKED, FLASH, GC, GC_NON_REENTRANT, LIGER, SEVEN

LAYERS = 4
"""Of most models here: first, last and two between."""
RANKED = {
    "adalora": {"total_step": 100, "init_r": 16},
    "loha": {"r": 16},
    "lokr": {"r": 16},
    "vera": {"r": 256},
    "oft": {"oft_block_size": 32},
}
ALIKE = ("init_r", "r", "r", "r", "oft_block_size")


def targets(name: str) -> list[str]:
    """All of a model's linears."""
    return TARGETS.get(MODELS[name]["model_type"], SEVEN)


def case(label: str, name: str, method: str, settings: dict, keys: dict, rows: tuple[int, int], layers: int = LAYERS):
    """One case, named by what it is."""
    config = keys | {"adapter": method}
    if settings:
        config["peft_config"] = settings
    return f"{name}-{method}-{label}", MODELS[name] | {"num_hidden_layers": layers}, config, rows


def every(name: str, method: str, **extra: object) -> dict:
    """The method on all linears."""
    return RANKED[method] | {"target_modules": targets(name)} | extra


SWITCHES = {
    "adalora": {"dropout": {"lora_dropout": 0.1}, "r64": {"init_r": 64}},
    "loha": {"rank-dropout": {"rank_dropout": 0.1}, "r64": {"r": 64}},
    "lokr": {
        "both": {"r": 4, "decompose_both": True},
        "factor": {"r": 64, "decompose_factor": 8},
        "rank-dropout": {"rank_dropout": 0.1, "r": 8, "decompose_factor": 4},
    },
    "vera": {"dropout": {"vera_dropout": 0.1}, "r64": {"r": 64}},
    "oft": {
        "shared": {"block_share": True},
        "coft": {"coft": True, "oft_block_size": 64},
        "solve": {"use_cayley_neumann": False, "oft_block_size": 64},
        "blocks": {"r": 8, "oft_block_size": 0},
    },
}


def cases() -> Iterator[tuple[str, dict, dict, tuple[int, int]]]:
    """(name, config.json, keys, [rows, tokens])."""
    small, large = "llama-3.2-1b", "llama-3.1-8b"
    for method, settings in RANKED.items():
        yield case("default", small, method, {} if method != "adalora" else settings, FLASH | CCE, (1, 1024))
        yield case("all", small, method, every(small, method), FLASH | CCE, (1, 1024))
        yield case("all-gc", small, method, every(small, method), FLASH | GC, (1, 2048))
        yield case("all-sdpa", "qwen2.5-0.5b", method, every("qwen2.5-0.5b", method), CCE, (2, 512))
        keys = FLASH | CCE | GC_NON_REENTRANT | {"optimizer": "adamw_8bit"}
        yield case("all-gc", "qwen3-4b", method, every("qwen3-4b", method), keys, (1, 2048))
        yield case("all-gc", "gemma-2b", method, every("gemma-2b", method), FLASH | GC, (1, 1024))
        yield case("all", "phi-4", method, every("phi-4", method), FLASH | CHUNKED, (1, 1024))
        yield case("all-gc", "pythia-1.4b", method, every("pythia-1.4b", method), FLASH | GC | CCE, (1, 1024))
        keys = FLASH | CCE | GC | {"gradient_accumulation_steps": 4}
        yield case("all-gc", large, method, every(large, method), keys, (1, 2048), layers=32)
        for label, extra in SWITCHES[method].items():
            yield case(label, small, method, every(small, method, **extra), FLASH | CCE, (1, 512))
        keys = FLASH | CCE | GC | {"val_set_size": 0.1, "eval_batch_size": 4}
        yield case("long", small, method, every(small, method), keys, (1, 8192))
    for name in (small, "qwen2.5-0.5b", "gemma-2b", "pythia-1.4b", "phi-2"):
        given = {"target_modules": ["input_layernorm", "post_attention_layernorm"]} if name == "pythia-1.4b" else {}
        yield case("flash", name, "ln_tuning", given, FLASH | CCE, (1, 1024))
        yield case("gc", name, "ln_tuning", given, GC, (1, 2048))
        for label, keys in (("flash", FLASH | CCE), ("gc", GC)):
            names = {"target_modules": ["embed_in"]} if name == "pythia-1.4b" else {}
            yield case(label, name, "trainable_tokens", {"token_indices": list(range(64))} | names, keys, (1, 1024))
    keys = {"bf16": False, "attn_implementation": "sdpa"}
    yield case("fp32", small, "adalora", every(small, "adalora"), keys, (1, 512))
    yield case("gc", large, "ln_tuning", {}, FLASH | CCE | GC, (1, 2048), layers=32)


def draw(seed: int, count: int) -> Iterator[tuple[str, dict, dict, tuple[int, int]]]:
    """``count`` cases from ``seed``, the methods in turn."""
    random_ = random.Random(seed)
    pick = random_.choice
    names = ("llama-3.2-1b", "smollm2-135m", "mistral-7b", "qwen2.5-7b", "qwen3-4b", "gemma-3-1b", "phi-2", "phi-4",
             "olmo2-7b", "starcoder2-3b", "pythia-1.4b", "glm4-9b")  # fmt: skip
    for index in range(count):
        method = list(RANKED)[index % len(RANKED)]
        name = pick(names)
        reached = targets(name) if random_.random() < 0.6 else random_.sample(targets(name), 2)
        settings = RANKED[method] | {"target_modules": reached}
        amount = ALIKE[index % len(RANKED)]
        settings[amount] = pick([4, 8, 16, 32, 64, 128])
        if method == "adalora" and settings[amount] <= 8:
            settings["target_r"] = settings[amount] // 2  # PEFT's own is 8, and it has to have ranks to take away
        if random_.random() < 0.3:
            settings |= {"adalora": {"lora_dropout": 0.05}, "vera": {"vera_dropout": 0.05}}.get(method, {})
        config = pick([FLASH, FLASH, {"attn_implementation": "sdpa"}, {}]) | pick([{}, CCE, CHUNKED, LIGER])
        config = config | pick([{}, GC, GC_NON_REENTRANT])
        config["optimizer"] = pick(["adamw_torch_fused", "adamw_8bit", "adamw_torch", "paged_adamw_8bit", "adafactor"])
        if random_.random() < 0.3:
            config["gradient_accumulation_steps"] = 4
        rows = pick([(1, 512), (1, 2048), (2, 1024), (4, 512)])
        label = f"drawn-{seed}-{index}"
        yield case(label, name, method, settings, config, rows, layers=pick([2, 3, 6]))
