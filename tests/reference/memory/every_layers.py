"""Every n-th layer checkpointed, the others kept: ``gradient_checkpointing_kwargs.every_n_layers``.

``python -m tests.reference.memory.record --cases every_layers`` records them to ``tests/data/memory/every_layers.jsonl``.
"""

from __future__ import annotations

from collections.abc import Iterator

from .cases import MODELS, few, lora, qlora
from .catalogue import pool, shrunk, targets
from .keys import CCE, CHUNKED, EAGER, FLASH, GC, LIGER, OFF, PACK, SDPA
from .towers import ALL
from .towers import MODELS as SEEING


def every(layers: int, *, reentrant: bool | None = None) -> dict:
    """Every so manieth layer, by a checkpoint of this kind, or of the default one."""
    kind = {} if reentrant is None else {"use_reentrant": reentrant}
    return GC | {"gradient_checkpointing_kwargs": {"every_n_layers": layers} | kind}


def _chosen() -> Iterator[tuple]:
    small, large = "llama-3.2-1b", "llama-3.1-8b"
    for kind in (True, False, None):
        yield f"{small}-full-2-{kind}", small, FLASH | CCE | every(2, reentrant=kind), (1, 2048)
        yield f"{small}-lora-3-{kind}", small, lora(small) | FLASH | CCE | every(3, reentrant=kind), (1, 2048)
        yield f"{large}-qlora-4-{kind}", large, qlora(large) | FLASH | CCE | every(4, reentrant=kind), (1, 4096)
        yield f"{large}-qlora-peft-2-{kind}", large, qlora(large) | FLASH | every(2, reentrant=kind) | OFF, (1, 1024)
    yield f"{small}-full-16", small, FLASH | every(16), (2, 1024)
    yield f"{small}-full-accumulated", small, FLASH | CCE | every(2) | {"gradient_accumulation_steps": 4}, (1, 2048)
    yield "qwen3-4b-lora-5", "qwen3-4b", lora("qwen3-4b") | SDPA | CHUNKED | every(5, reentrant=True), (1, 2048)
    yield "gemma-2-9b-qlora-eager-2", "gemma-2-9b", qlora("gemma-2-9b") | EAGER | every(2), (1, 1024)
    yield "phi-2-full-3", "phi-2", FLASH | CHUNKED | every(3, reentrant=True), (1, 2048)
    yield (
        "mistral-7b-lora-8bit-2",
        "mistral-7b",
        lora("mistral-7b", load_in_8bit=True) | FLASH | CCE | every(2),
        (1, 2048),
    )
    yield f"{small}-dpo-2", small, lora(small) | FLASH | every(2) | {"rl": "dpo"}, (4, 512)


def _seeing() -> Iterator[tuple]:
    for name, layers, count in (("internvl3-1b", 5, 2), ("qwen2-vl-2b", 7, 3), ("llava-onevision-0.5b", 6, 2)):
        model = SEEING[name]
        text = model.get("text_config", model) | {"num_hidden_layers": layers}
        model = model | ({"text_config": text} if "text_config" in model else text)
        tuned = {"adapter": "lora", "lora_r": 16, "lora_alpha": 32, "lora_target_modules": ALL} | OFF
        yield f"{name}-lora-{count}", model, FLASH | CCE | every(count) | tuned, (1, 2048)
        yield f"{name}-full-{count}", model, FLASH | CCE | every(count, reentrant=True), (2, 1024)


def _held_back() -> Iterator[tuple]:
    """Not looked at until the formulas stood."""
    yield "held-qwen2.5-0.5b-full-2", "qwen2.5-0.5b", FLASH | CHUNKED | every(2, reentrant=True), (3, 700)
    yield "held-olmo2-7b-lora-7", "olmo2-7b", lora("olmo2-7b") | FLASH | LIGER | every(7), (1, 3000)
    yield "held-gemma-3-1b-lora-2", "gemma-3-1b", lora("gemma-3-1b") | SDPA | CCE | every(2, reentrant=True), (2, 1024)
    yield (
        "held-mistral-7b-v0.1-qlora-6",
        "mistral-7b-v0.1",
        qlora("mistral-7b-v0.1", lora_dropout=0.1) | FLASH | PACK | every(6) | CCE,
        (1, 8192),
    )
    yield (
        "held-starcoder2-3b-full-3",
        "starcoder2-3b",
        FLASH | LIGER | every(3) | {"optimizer": "adamw_8bit"},
        (1, 2048),
    )
    yield "held-pythia-1.4b-lora-2", "pythia-1.4b", lora("pythia-1.4b") | EAGER | every(2, reentrant=True), (1, 900)
    yield "held-qwen3-30b-a3b-qlora-3", "qwen3-30b-a3b", qlora("qwen3-30b-a3b") | FLASH | CCE | every(3), (1, 2048)
    yield (
        "held-granite-8b-dora-2",
        "granite-8b",
        lora("granite-8b", peft_use_dora=True) | FLASH | CCE | every(2),
        (1, 1024),
    )
    yield "held-llama-3.2-1b-kto-3", "llama-3.2-1b", lora("llama-3.2-1b") | FLASH | every(3) | {"rl": "kto"}, (4, 512)
    yield "held-cohere2-7b-qlora-2", "cohere2-7b", qlora("cohere2-7b") | SDPA | CCE | every(2), (1, 1500)


def _sharing() -> Iterator[tuple]:
    """Gemma 4 E2B, whose layers hand keys and values on, from layers that are made again and from others."""
    model = next(model for model in pool()["gemma4"] if model["text_config"].get("num_kv_shared_layers"))
    tuned = {"adapter": "lora", "lora_r": 16, "lora_alpha": 32, "lora_target_modules": targets("gemma4")} | OFF
    for layers in (2, 5):
        yield f"gemma-4-e2b-lora-{layers}", shrunk(model, 10), tuned | CCE | every(layers), (1, 1024)
        yield f"gemma-4-e2b-full-{layers}", shrunk(model, 10), CCE | every(layers) | {"optimizer": "sgd"}, (1, 4096)


def cases() -> Iterator[tuple[str, dict, dict, tuple[int, int]]]:
    """Text, models that see, and those held back."""
    for part in (_chosen, _seeing, _held_back, _sharing):
        for name, model, given, rows in part():
            yield name, few(MODELS[model], 9) if isinstance(model, str) else model, given, rows
