"""Weights in fp16 and no autocast: ``float16: true`` with ``bf16: false``, and a base in 8 bits beside ``bf16: false`` alone.

``python -m tests.reference.memory.record --cases pure_half`` records them to ``tests/data/memory/pure_half.jsonl``. What the stack refuses
(a product of two types, which no autocast makes one) stands in ``pure_half-refused.jsonl``.
"""

from __future__ import annotations

from collections.abc import Iterator

from .cases import MODELS, few, lora, qlora
from .keys import CHUNKED, EAGER, FLASH, GC, GC_NON_REENTRANT, HALF, LIGER, OFF, PACK, SDPA

EIGHT = {"bf16": False, "load_in_8bit": True}
EVALUATING = {"val_set_size": 0.1, "eval_batch_size": 3}


def _full() -> Iterator[tuple]:
    yield "llama-3.2-1b-full", "llama-3.2-1b", HALF | FLASH, (1, 1024)
    yield "llama-3.2-1b-full-gc-chunked", "llama-3.2-1b", HALF | FLASH | GC | CHUNKED, (2, 1500)
    yield "qwen2.5-0.5b-full-liger", "qwen2.5-0.5b", HALF | FLASH | LIGER | {"optimizer": "adamw_8bit"}, (1, 2048)
    yield "gemma-2b-full-gc-fp16", "gemma-2b", HALF | FLASH | GC | {"gradient_accumulation_steps": 2}, (1, 777)
    yield "phi-2-full", "phi-2", HALF | FLASH, (1, 1024)
    yield "pythia-1.4b-full-gc-fp16", "pythia-1.4b", HALF | FLASH | GC, (2, 1024)
    yield "llama-3.2-1b-full-sdpa", "llama-3.2-1b", HALF | SDPA, (1, 1024)


def _adapters() -> Iterator[tuple]:
    yield "llama-3.2-1b-lora", "llama-3.2-1b", lora("llama-3.2-1b") | HALF | FLASH, (1, 1024)
    yield "llama-3.2-1b-lora-gc-peft", "llama-3.2-1b", lora("llama-3.2-1b") | HALF | FLASH | GC | OFF, (1, 2048)
    yield (
        "llama-3.2-1b-lora-peft-dropout",
        "llama-3.2-1b",
        lora("llama-3.2-1b", lora_dropout=0.1) | HALF | SDPA | CHUNKED | OFF,
        (2, 700),
    )
    yield "llama-3.1-8b-qlora-gc", "llama-3.1-8b", qlora("llama-3.1-8b") | HALF | SDPA | GC, (1, 2048)
    yield "llama-3.1-8b-qlora-peft-eager", "llama-3.1-8b", qlora("llama-3.1-8b") | HALF | EAGER | LIGER | OFF, (1, 1024)
    yield (
        "mistral-7b-qlora-gcnr-peft",
        "mistral-7b",
        qlora("mistral-7b", 32) | HALF | FLASH | GC_NON_REENTRANT | LIGER | OFF,
        (1, 3000),
    )
    yield "mistral-7b-lora-8bit", "mistral-7b", lora("mistral-7b") | EIGHT | FLASH | GC, (1, 2048)
    yield "llama-2-7b-lora-8bit-kept", "llama-2-7b", lora("llama-2-7b") | EIGHT | SDPA | LIGER, (1, 1024)
    yield "gemma-2b-lora-gc", "gemma-2b", lora("gemma-2b") | HALF | FLASH | GC, (1, 1024)
    yield "gemma-2-9b-qlora-gc-fp16", "gemma-2-9b", qlora("gemma-2-9b") | HALF | EAGER | GC, (1, 900)
    yield "phi-2-lora-peft", "phi-2", lora("phi-2") | HALF | FLASH, (1, 1024)
    yield (
        "qwen3-4b-dora-gc-peft",
        "qwen3-4b",
        lora("qwen3-4b", peft_use_dora=True) | HALF | FLASH | GC | LIGER | OFF,
        (1, 1024),
    )
    yield "qwen3-4b-qdora", "qwen3-4b", qlora("qwen3-4b", peft_use_dora=True) | HALF | FLASH | LIGER, (1, 512)
    yield "phi-4-qlora-gc-fp16", "phi-4", qlora("phi-4") | HALF | FLASH | GC, (1, 2048)
    yield "nemotron-4b-lora-gc", "nemotron-4b", lora("nemotron-4b") | HALF | SDPA | GC, (1, 1500)
    yield "cohere2-7b-qlora-gc-fp16", "cohere2-7b", qlora("cohere2-7b") | HALF | SDPA | GC, (1, 512)
    yield "starcoder2-3b-lora-gc", "starcoder2-3b", lora("starcoder2-3b") | HALF | FLASH | GC | LIGER, (2, 1024)


def _held_back() -> Iterator[tuple]:
    """Not looked at until the formulas stood."""
    yield "held-smollm2-135m-full-gc", "smollm2-135m", HALF | FLASH | GC, (4, 512)
    yield "held-olmo2-7b-full-gc", "olmo2-7b", HALF | FLASH | GC | LIGER | {"optimizer": "adafactor"}, (1, 1024)
    yield "held-stablelm-1.6b-full", "stablelm-1.6b", HALF | FLASH | CHUNKED, (1, 1100)
    yield (
        "held-qwen2.5-7b-qlora-gc-packed",
        "qwen2.5-7b",
        qlora("qwen2.5-7b", 64) | HALF | FLASH | GC | PACK | {"documents": 4},
        (1, 4096),
    )
    yield (
        "held-llama-3.2-1b-qlora-packed-sdpa",
        "llama-3.2-1b",
        qlora("llama-3.2-1b") | HALF | SDPA | PACK | OFF,
        (2, 1024),
    )
    yield (
        "held-llama-3.2-1b-lora-eval",
        "llama-3.2-1b",
        lora("llama-3.2-1b") | HALF | FLASH | GC | LIGER | EVALUATING,
        (1, 1024),
    )
    yield "held-pythia-1.4b-lora-peft", "pythia-1.4b", lora("pythia-1.4b") | HALF | EAGER | CHUNKED, (2, 600)
    yield (
        "held-granite-8b-qlora-gc",
        "granite-8b",
        qlora("granite-8b", lora_dropout=0.05) | HALF | FLASH | GC,
        (1, 2222),
    )
    yield "held-glm4-9b-lora-8bit-gc", "glm4-9b", lora("glm4-9b") | EIGHT | FLASH | GC | LIGER, (1, 1024)
    yield "held-gemma-3-1b-lora-gc-peft", "gemma-3-1b", lora("gemma-3-1b") | HALF | SDPA | GC | OFF, (1, 1024)
    yield (
        "held-mistral-7b-v0.1-qlora-bf16-adapter",
        "mistral-7b-v0.1",
        qlora("mistral-7b-v0.1", peft_autocast_adapter_dtype=False) | HALF | SDPA | GC | OFF,
        (1, 6000),
    )
    yield "held-falcon-7b-lora", "falcon-7b", lora("falcon-7b") | HALF | SDPA | CHUNKED, (1, 1024)


def cases() -> Iterator[tuple[str, dict, dict, tuple[int, int]]]:
    """Full, adapters, and those held back."""
    for part in (_full, _adapters, _held_back):
        for name, model, given, rows in part():
            yield name, few(MODELS[model]), given, rows
