"""Cases of the switches: every optimizer, offloading, precision, preference training, kernels.

``python -m tests.reference.memory.record --cases switches`` records them to ``tests/data/memory/switches.jsonl``. The
optimizers' own packages must be importable (README).
"""

from __future__ import annotations

from collections.abc import Iterator

from .cases import CCE, CHUNKED, FLASH, GC, GC_NON_REENTRANT, LIGER, MODELS, OFF, SEVEN, lora, qlora

SMALL, MIDDLE, LARGE = "llama-3.2-1b", "qwen3-4b", "llama-3.1-8b"
NEW_OPTIMIZERS = (
    "ademamix", "ademamix_8bit", "paged_ademamix_32bit", "paged_ademamix_8bit", "paged_lion_8bit", "paged_lion_32bit", "rmsprop_bnb",
    "rmsprop_bnb_8bit", "rmsprop_bnb_32bit", "adamw_torch_8bit", "adamw_torch_4bit", "ao_adamw_fp8", "optimi_adamw", "stable_adamw",
    "schedule_free_adamw", "schedule_free_radam", "schedule_free_sgd", "came_pytorch", "adopt_adamw", "adamc", "galore_adamw",
    "galore_adafactor", "apollo_adamw", "muon", "dion", "sinkgd", "flash_adamw", "flash_adam", "flash_sgd", "flash_sgdw", "flash_lion",
    "grokadamw",
)  # fmt: skip
LOW_RANK = ("galore", "apollo")


def _optimizers() -> Iterator[tuple]:
    for name in NEW_OPTIMIZERS:
        optimizer = {"optimizer": name}
        if name.startswith(LOW_RANK):
            optimizer["optim_target_modules"] = ["self_attn", "mlp"]
        yield f"optimizer-{name}-full-1b", SMALL, FLASH | CCE | GC | optimizer, (1, 512)
        if not name.startswith(LOW_RANK):
            yield f"optimizer-{name}-lora-r64-8b", LARGE, lora(LARGE, 64) | FLASH | CCE | GC | optimizer, (1, 256)


def _preference() -> Iterator[tuple]:
    for kind in ("dpo", "ipo", "orpo", "kto", "simpo", "reward"):
        rl = {"reward_model": True} if kind == "reward" else {"rl": kind}
        rows = (2, 512) if kind == "kto" else (1, 512)
        yield f"{kind}-full-1b", SMALL, FLASH | GC | rl, rows
        yield f"{kind}-lora-1b", SMALL, lora(SMALL) | FLASH | GC | rl, rows
        yield f"{kind}-lora-1b-nogc", SMALL, lora(SMALL) | FLASH | rl, (2, 512)
        yield f"{kind}-qlora-8b", LARGE, qlora(LARGE) | FLASH | GC | rl, (2, 1024)
        yield f"{kind}-qlora-4b-sdpa-dropout", MIDDLE, qlora(MIDDLE, lora_dropout=0.05) | GC | rl, (2, 768)
    for kind in ("dpo", "kto"):
        rl = {"rl": kind, "precompute_ref_log_probs": True}
        yield f"{kind}-full-1b-precomputed", SMALL, FLASH | GC | rl, (2, 512)
        yield f"{kind}-lora-1b-precomputed", SMALL, lora(SMALL) | FLASH | GC | rl, (2, 512)
    yield "dpo-full-1b-unset-attention", SMALL, GC | {"rl": "dpo"}, (1, 512)
    yield "dpo-lora-8b-int8", LARGE, lora(LARGE, load_in_8bit=True) | FLASH | GC | {"rl": "dpo"}, (1, 1024)
    yield "dpo-lora-1b-long", SMALL, lora(SMALL) | FLASH | GC | {"rl": "dpo"}, (1, 4096)
    yield "orpo-lora-1b-long", SMALL, lora(SMALL) | FLASH | GC | {"rl": "orpo"}, (1, 4096)
    yield "simpo-lora-1b-no-nll", SMALL, lora(SMALL) | FLASH | GC | {"rl": "simpo", "cpo_alpha": 0.0}, (1, 2048)


def cases() -> Iterator[tuple[str, dict, dict, tuple[int, int]]]:
    """All cases of this module."""
    for part in (_optimizers, _preference):
        for name, model, cfg, rows in part():
            yield name, MODELS[model], {k: v for k, v in cfg.items() if v is not None}, rows
