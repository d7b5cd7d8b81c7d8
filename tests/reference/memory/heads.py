"""Cases of heads and losses that the other modules do not reach: Liger's cross entropy on logits, preference losses
over scaled and soft-capped logits, LayerNorms where everything is fp32; what a low-rank optimizer projects.

``python -m tests.reference.memory.record --cases heads`` records them to ``tests/data/memory/heads.jsonl``.
"""

from __future__ import annotations

from collections.abc import Iterator

from .cases import MODELS, lora, qlora
from .catalogue import pool, shrunk, targets
from .keys import CCE, FLASH, FP32, GC, LIGER_LOGITS, OFF

LAYERS = 4
PARTS = {
    "head": ["^lm_head.weight$"],
    "last": ["model.layers.3."],
    "middle": ["model.layers.1.mlp", "model.layers.2.self_attn"],
    "embedding": ["model.embed_tokens"],
    "norm": ["model.norm.weight"],
}
"""What trains of a model alone, by Axolotl's patterns, which are met from a name's beginning."""
SMALL, LARGE = "llama-3.2-1b", "llama-3.1-8b"


def _losses() -> Iterator[tuple]:
    for gc_name, gc in {"nogc": {}, "gc": GC}.items():
        yield f"liger-logits-full-1b-{gc_name}", SMALL, FLASH | LIGER_LOGITS | gc, (1, 2048)
        yield f"liger-logits-lora-1b-{gc_name}", SMALL, lora(SMALL) | FLASH | LIGER_LOGITS | gc, (2, 1024)
        yield f"liger-logits-qlora-8b-{gc_name}", LARGE, qlora(LARGE) | FLASH | LIGER_LOGITS | gc, (1, 4096)
    for gc_name, gc in {"nogc": {}, "gc": GC}.items():
        for part, names in PARTS.items():
            yield f"part-{part}-8b-{gc_name}", LARGE, FLASH | CCE | gc | {"unfrozen_parameters": names}, (1, 2048)
    yield "liger-logits-full-fp32-1b", SMALL, FP32 | LIGER_LOGITS | GC, (1, 1024)


def _preference() -> Iterator[tuple]:
    for model in ("gemma-2-9b", "granite-8b", "cohere2-7b"):
        for kind in ("dpo", "orpo", "kto"):
            rows = (2, 512) if kind == "kto" else (1, 512)
            yield f"{kind}-lora-{model}", model, lora(model) | OFF | GC | {"rl": kind}, rows
        yield f"dpo-lora-{model}-nogc", model, lora(model) | OFF | {"rl": "dpo"}, (1, 1024)


def _precision() -> Iterator[tuple]:
    for model in ("pythia-1.4b", "starcoder2-3b"):
        yield f"fp32-lora-{model}-gc", model, lora(model) | OFF | FP32 | GC, (1, 1024)
        yield f"fp32-lora-{model}-nogc", model, lora(model) | OFF | FP32, (1, 512)
        yield f"fp32-full-{model}-gc", model, FP32 | GC, (1, 512)


def _projected() -> Iterator[tuple]:
    """What a low-rank optimizer projects: every linear, an untied head among them; patterns; layers by number."""
    chosen = {
        "all": "all_linear",
        "patterns": [r".*.attn.*", r".*.mlp.*"],
        "layers": [r".*layers\.[13]\..*", "layers.0."],
    }
    for name, names in chosen.items():
        for optimizer in ("galore_adamw", "galore_adafactor"):
            tuned = {"optimizer": optimizer, "optim_target_modules": names}
            yield f"{optimizer}-{name}-full-8b", LARGE, FLASH | CCE | GC | tuned, (1, 256)
    tuned = {"optimizer": "galore_adamw", "optim_target_modules": "all_linear"}
    yield "galore_adamw-all-full-1b-tied", SMALL, FLASH | CCE | GC | tuned, (1, 256)


def _small_inputs() -> Iterator[tuple]:
    """Gemma 4 E2B: keys and values of an earlier layer, a small embedding in each layer."""
    model = next(model for model in pool()["gemma4"] if model["text_config"].get("num_kv_shared_layers"))
    tuned = {"adapter": "lora", "lora_r": 16, "lora_alpha": 32, "lora_target_modules": targets("gemma4")}
    yield "shared-keys-lora-0-gc", shrunk(model, 10), tuned | OFF | GC, (1, 1024)
    yield "shared-keys-lora-0-nogc", shrunk(model, 10), tuned | OFF, (1, 512)


def cases() -> Iterator[tuple[str, dict, dict, tuple[int, int]]]:
    """All cases of this module."""
    for part in (_losses, _preference, _precision, _projected):
        for name, model, cfg, rows in part():
            yield (
                name,
                MODELS[model] | {"num_hidden_layers": LAYERS},
                {k: v for k, v in cfg.items() if v is not None},
                rows,
            )
    yield from _small_inputs()
