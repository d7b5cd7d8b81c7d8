"""Cases of the switches: every optimizer, offloading, precision, preference training, kernels.

``python -m tests.reference.memory.record --cases switches`` records them to ``tests/data/memory/switches.jsonl``. The
optimizers' own packages must be importable (README).
"""

from __future__ import annotations

from collections.abc import Iterator

from .cases import MODELS, lora, qlora
from .keys import CCE, CHUNKED, FLASH, GC, LIGER, OFF

LAYERS = 4
"""Of the models here: a switch acts on each layer alike, and four of them are first, last and two between."""
SMALL, MIDDLE, LARGE = "llama-3.2-1b", "qwen3-4b", "llama-3.1-8b"
NEW_OPTIMIZERS = (
    "ademamix", "ademamix_8bit", "paged_ademamix_32bit", "paged_ademamix_8bit", "paged_lion_8bit", "paged_lion_32bit", "rmsprop_bnb",
    "rmsprop_bnb_8bit", "rmsprop_bnb_32bit", "adamw_torch_8bit", "adamw_torch_4bit", "ao_adamw_fp8", "optimi_adamw", "stable_adamw",
    "schedule_free_adamw", "schedule_free_radam", "schedule_free_sgd", "came_pytorch", "adopt_adamw", "adamc", "galore_adamw",
    "galore_adafactor", "apollo_adamw", "muon", "dion", "sinkgd", "flash_adamw", "flash_adam", "flash_sgd", "flash_sgdw", "flash_lion",
    "grokadamw",
)  # fmt: skip
SHORT = ("stable_adamw", "adamc", "galore_adamw", "galore_adafactor", "apollo_adamw")
"""Those recorded on as few layers as the rest of this module."""
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
        rl = {"reward_model": True} | OFF if kind == "reward" else {"rl": kind}
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


LIGER_PARTS = {
    "rms": {"liger_rms_norm": True},
    "glu": {"liger_glu_activation": True},
    "rope": {"liger_rope": True},
    "all": {"liger_rms_norm": True, "liger_glu_activation": True, "liger_rope": True},
}


def _precision() -> Iterator[tuple]:
    fp32 = {"bf16": False, "fp16": False}
    fp16 = {"bf16": False, "fp16": True}
    for loss_name, loss in {"plain": {}, "chunked": CHUNKED}.items():
        yield f"precision-fp32-full-1b-{loss_name}", SMALL, fp32 | GC | loss, (1, 512)
        yield f"precision-fp32-lora-1b-{loss_name}", SMALL, lora(SMALL) | fp32 | OFF | GC | loss, (1, 1024)
    yield "precision-fp32-lora-1b-nogc", SMALL, lora(SMALL) | fp32 | OFF | CHUNKED, (2, 512)
    yield "precision-fp32-full-4b", MIDDLE, fp32 | GC, (1, 1024)
    yield "precision-fp16-lora-8b", LARGE, lora(LARGE) | FLASH | fp16 | GC | CCE, (1, 2048)
    yield "precision-fp16-qlora-8b", LARGE, qlora(LARGE) | FLASH | fp16 | GC, (1, 2048)
    yield "precision-fp16-lora-1b-nogc", SMALL, lora(SMALL) | FLASH | fp16, (2, 1024)
    for name, kwargs in {"fp4": {"bnb_4bit_quant_type": "fp4"}, "storage": {"bnb_4bit_quant_storage": "uint8"},
                         "computing-fp32": {"bnb_4bit_compute_dtype": "float32"}}.items():  # fmt: skip
        yield f"precision-{name}-qlora-8b", LARGE, qlora(LARGE, bnb_config_kwargs=kwargs) | FLASH | GC | CCE, (1, 2048)
        yield (
            f"precision-{name}-qlora-8b-peft",
            LARGE,
            qlora(LARGE, bnb_config_kwargs=kwargs) | FLASH | GC | CCE | OFF,
            (1, 1024),
        )


def _offloading() -> Iterator[tuple]:
    for mode in (True, "legacy", "hidden_states"):
        given = GC | {"activation_offloading": mode}
        if mode == "hidden_states":
            given |= {"gradient_checkpointing_kwargs": {"use_reentrant": False}}
        name = str(mode).lower()
        yield f"offload-{name}-full-1b", SMALL, FLASH | CCE | given, (1, 8192)
        yield f"offload-{name}-full-1b-plain", SMALL, FLASH | given, (1, 2048)
        yield f"offload-{name}-lora-1b", SMALL, lora(SMALL) | FLASH | CCE | given, (1, 8192)
        yield f"offload-{name}-lora-8b", LARGE, lora(LARGE) | FLASH | CCE | given, (1, 8192)
        yield f"offload-{name}-lora-8b-peft", LARGE, lora(LARGE) | FLASH | CCE | OFF | given, (1, 8192)
        yield f"offload-{name}-qlora-8b", LARGE, qlora(LARGE) | FLASH | CCE | given, (1, 16384)
        yield f"offload-{name}-qlora-4b-plain", MIDDLE, qlora(MIDDLE) | FLASH | given, (2, 2048)
    reentrant = GC | {
        "activation_offloading": "hidden_states",
        "gradient_checkpointing_kwargs": {"use_reentrant": True},
    }
    yield "offload-reentrant-full-1b", SMALL, FLASH | CCE | reentrant, (1, 8192)
    yield "offload-reentrant-lora-8b", LARGE, lora(LARGE) | FLASH | CCE | reentrant, (1, 8192)
    yield "offload-reentrant-qlora-8b", LARGE, qlora(LARGE) | FLASH | CCE | reentrant, (1, 16384)


def _kernels() -> Iterator[tuple]:
    flex = {"attn_implementation": "flex_attention"}
    for gc_name, gc in {"nogc": {}, "gc": GC}.items():
        yield f"flex-full-1b-{gc_name}", SMALL, flex | CCE | gc, (1, 2048)
        yield f"flex-lora-8b-{gc_name}", LARGE, lora(LARGE) | flex | CCE | gc, (1, 2048)
        yield f"flex-qlora-4b-{gc_name}", MIDDLE, qlora(MIDDLE) | flex | CCE | gc, (1, 2048)
        for part, keys in LIGER_PARTS.items():
            yield f"liger-{part}-full-1b-{gc_name}", SMALL, FLASH | CCE | gc | keys, (1, 2048)
            yield f"liger-{part}-lora-8b-{gc_name}", LARGE, lora(LARGE) | FLASH | CCE | gc | keys, (1, 2048)
        yield (
            f"liger-all-qlora-4b-peft-{gc_name}",
            MIDDLE,
            qlora(MIDDLE) | FLASH | LIGER | OFF | gc | LIGER_PARTS["all"],
            (1, 2048),
        )
        yield f"liger-all-full-1b-sdpa-{gc_name}", SMALL, CHUNKED | gc | LIGER_PARTS["all"], (1, 1024)


def cases() -> Iterator[tuple[str, dict, dict, tuple[int, int]]]:
    """All cases of this module."""
    for part in (_preference, _offloading, _precision, _kernels, _optimizers):
        for name, model, cfg, rows in part():
            whole = part is _optimizers and not any(f"-{each}-" in name for each in SHORT)
            layers = {} if whole else {"num_hidden_layers": LAYERS}
            yield name, MODELS[model] | layers, {k: v for k, v in cfg.items() if v is not None}, rows
