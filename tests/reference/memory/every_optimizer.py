"""Cases of the optimizers that step within the backward, that project in 8 bits, and of what else a name stands for.

``python -m tests.reference.memory.record --cases every_optimizer`` records them to ``tests/data/memory/every_optimizer.jsonl``.
"""

from __future__ import annotations

from collections.abc import Iterator

from .cases import MODELS, lora, qlora
from .keys import CCE, CHUNKED, FLASH, GC

LAYERS = 4
SMALL, MIDDLE, LARGE = "llama-3.2-1b", "qwen3-4b", "llama-3.1-8b"
IMMEDIATE = ("lomo", "adalomo", "galore_adamw_layerwise", "apollo_adamw_layerwise", "galore_adamw_8bit_layerwise")
AT_THE_END = ("galore_adamw_8bit", "q_galore_adamw8bit", "adamw_anyprecision")
PROJECTED = ("galore", "apollo", "q_galore")
WIDE = {"attn_implementation": "sdpa"}
TARGETS = {"pythia-1.4b": ["attention", "mlp"]}


def _full() -> Iterator[tuple]:
    """Tied and untied heads, weights in two types, norms behind, biases, experts; where the loss is the highest moment and where it is not."""
    for name in (*IMMEDIATE, *AT_THE_END):
        yield f"{name}-full-1b", name, SMALL, FLASH | CCE | GC, (1, 512)
        yield f"{name}-full-8b-sdpa-plain", name, LARGE, WIDE | GC, (1, 512)
        yield f"{name}-full-4b-nogc", name, MIDDLE, FLASH | CHUNKED, (1, 1024)
        yield f"{name}-full-olmo2", name, "olmo2-7b", FLASH | CCE | GC, (2, 256)
        yield f"{name}-full-pythia", name, "pythia-1.4b", FLASH | GC, (1, 2048)
        yield f"{name}-full-smollm-long", name, "smollm2-135m", FLASH | CCE | GC, (1, 8192)
    for name in ("lomo", "adalomo"):
        yield (
            f"{name}-full-8b-accumulated",
            name,
            LARGE,
            FLASH | CCE | GC | {"gradient_accumulation_steps": 4},
            (1, 1024),
        )
    for name in ("lomo", "galore_adamw_layerwise", "apollo_adamw_layerwise", "galore_adamw_8bit"):
        yield f"{name}-full-mixtral", name, "mixtral-8x7b", FLASH | CCE | GC, (1, 256)
    for name in ("galore_adamw_layerwise", "galore_adamw_8bit"):
        yield f"{name}-full-8b-rank", name, LARGE, FLASH | CCE | GC | {"optim_args": {"rank": 1024}}, (1, 256)
    yield (
        "q_galore_adamw8bit-full-8b-rank",
        "q_galore_adamw8bit",
        LARGE,
        FLASH | CCE | GC | {"qgalore_rank": 512},
        (1, 256),
    )
    for label, name, args in (
        ("sgd-momentum", "sgd", {"momentum": 0.9}),
        ("rmsprop-momentum", "rmsprop", {"momentum": 0.9}),
        ("rmsprop-centered", "rmsprop", {"momentum": 0.9, "centered": True}),
    ):
        yield f"{label}-full-1b", name, SMALL, FLASH | CCE | GC | {"optim_args": args}, (1, 512)
        yield f"{label}-full-8b-sdpa", name, LARGE, WIDE | CHUNKED | GC | {"optim_args": args}, (1, 512)
    # the stack refuses these two
    yield "galore_adafactor_layerwise-full-1b", "galore_adafactor_layerwise", SMALL, FLASH | CCE | GC, (1, 512)
    yield "adalomo-full-mixtral", "adalomo", "mixtral-8x7b", FLASH | CCE | GC, (1, 256)


def _adapted() -> Iterator[tuple]:
    for name in ("lomo", "adalomo", "adamw_anyprecision", "galore_adamw_8bit", "galore_adamw_layerwise"):
        yield f"{name}-lora-r64-8b", name, LARGE, lora(LARGE, 64) | FLASH | CCE | GC, (1, 256)
        yield f"{name}-qlora-8b", name, LARGE, qlora(LARGE) | FLASH | CCE | GC, (1, 1024)
    packed = {"bnb_config_kwargs": {"bnb_4bit_quant_storage": "uint8"}}
    yield "adalomo-qlora-8b-storage", "adalomo", LARGE, qlora(LARGE) | packed | FLASH | CCE | GC, (1, 256)
    yield "polora-lora-r64-8b", "polora", LARGE, lora(LARGE, 64) | FLASH | CCE | GC, (1, 256)
    yield "polora-lora-r256-1b", "polora", SMALL, lora(SMALL, 256) | FLASH | CCE | GC, (1, 128)
    yield "polora-qlora-8b", "polora", LARGE, qlora(LARGE) | FLASH | CCE | GC, (1, 1024)
    yield "polora-qlora-r128-4b", "polora", MIDDLE, qlora(MIDDLE, 128) | FLASH | CCE | GC, (1, 128)
    yield "polora-lora-mlp-1b", "polora", SMALL, lora(SMALL, 128) | FLASH | CCE | GC | {"lora_target_modules": ["down_proj", "gate_proj"]}, (1, 128)  # fmt: skip
    yield "polora-lora-bf16-1b", "polora", SMALL, lora(SMALL, 128) | FLASH | CCE | GC | {"peft_autocast_adapter_dtype": False}, (1, 128)  # fmt: skip


def cases() -> Iterator[tuple[str, dict, dict, tuple[int, int]]]:
    """All cases of this module."""
    for part in (_full, _adapted):
        for name, optimizer, model, cfg, rows in part():
            chosen = {"optimizer": optimizer}
            if optimizer.startswith(PROJECTED):
                chosen["optim_target_modules"] = TARGETS.get(model, ["self_attn", "mlp"])
            layers = {"num_hidden_layers": 2 if model == "mixtral-8x7b" else LAYERS}
            yield name, MODELS[model] | layers, {k: v for k, v in (cfg | chosen).items() if v is not None}, rows
