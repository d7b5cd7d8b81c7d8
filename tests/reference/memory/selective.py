"""Checkpoints that keep attention's results: ``selective_checkpointing``, by Axolotl's own policy and PyTorch's contexts.

``python -m tests.reference.memory.record --cases selective`` records them to ``tests/data/memory/selective.jsonl``.
"""

from __future__ import annotations

from collections.abc import Iterator

from .cases import MODELS, few, lora, qlora
from .keys import CCE, CHUNKED, EAGER, FLASH, FLEX, GC, LIGER, OFF, PACK, SDPA

OLDER = SDPA | {"before_ampere": True, "bf16": False, "fp16": True}
KEPT = GC | {"selective_checkpointing": True}
WINDOWS = GC | {"selective_checkpointing": {"save_sliding_window": True}}
EVERY = KEPT | {"gradient_checkpointing_kwargs": {"every_n_layers": 2}}


def _chosen() -> Iterator[tuple]:
    small, large = "llama-3.2-1b", "llama-3.1-8b"
    yield f"{small}-full-kept", small, FLASH | CCE | KEPT, (1, 8192)
    yield f"{small}-full-sdpa-kept", small, SDPA | CCE | KEPT | {"gradient_accumulation_steps": 2}, (1, 4096)
    yield f"{small}-lora-kept", small, lora(small) | FLASH | CCE | KEPT, (1, 4096)
    yield f"{small}-lora-plain", small, lora(small) | FLASH | KEPT, (2, 1024)
    yield f"{large}-qlora", large, qlora(large) | FLASH | CCE | KEPT, (1, 8192)
    yield f"{large}-qlora-peft", large, qlora(large) | SDPA | CCE | KEPT | OFF, (1, 4096)
    yield f"{large}-qlora-older", large, qlora(large) | OLDER | CCE | KEPT, (1, 2048)
    yield "llama-2-7b-lora-older", "llama-2-7b", lora("llama-2-7b") | OLDER | LIGER | KEPT, (1, 3000)
    yield f"{large}-lora-packed-sdpa", large, lora(large) | SDPA | PACK | CCE | KEPT, (2, 2048)
    yield f"{large}-lora-packed-flash", large, lora(large) | FLASH | PACK | CCE | KEPT | {"documents": 4}, (1, 8192)
    yield f"{small}-lora-eager", small, lora(small) | EAGER | CCE | KEPT, (1, 1500)
    yield f"{small}-lora-flex", small, lora(small) | FLEX | CCE | KEPT, (1, 4096)
    yield "gemma-2-9b-qlora", "gemma-2-9b", qlora("gemma-2-9b") | FLASH | CCE | KEPT, (1, 8192)
    yield "gemma-3-1b-lora-sdpa", "gemma-3-1b", lora("gemma-3-1b") | SDPA | CCE | KEPT, (1, 4096)
    yield "gemma-3-1b-lora-windows", "gemma-3-1b", lora("gemma-3-1b") | SDPA | CCE | WINDOWS, (1, 4096)
    yield "mistral-7b-v0.1-qlora-long", "mistral-7b-v0.1", qlora("mistral-7b-v0.1") | FLASH | CCE | KEPT, (1, 8192)
    yield "mistral-7b-v0.1-qlora-short", "mistral-7b-v0.1", qlora("mistral-7b-v0.1") | FLASH | CCE | KEPT, (1, 4096)
    yield "mistral-7b-v0.1-qlora-sdpa", "mistral-7b-v0.1", qlora("mistral-7b-v0.1") | SDPA | CCE | KEPT, (1, 6000)
    yield "phi-2-lora-every", "phi-2", lora("phi-2") | FLASH | CCE | EVERY, (1, 4096)


def _held_back() -> Iterator[tuple]:
    """Not looked at until the formulas stood."""
    yield "held-qwen3-4b-lora", "qwen3-4b", lora("qwen3-4b") | FLASH | CCE | KEPT, (2, 3000)
    yield "held-qwen2.5-0.5b-full-kept", "qwen2.5-0.5b", SDPA | CHUNKED | KEPT, (1, 4096)
    yield "held-gpt-oss-20b-lora", "gpt-oss-20b", lora("gpt-oss-20b") | FLASH | CCE | KEPT, (1, 4096)
    yield "held-cohere2-7b-qlora", "cohere2-7b", qlora("cohere2-7b") | FLASH | CCE | KEPT, (1, 8192)
    yield "held-starcoder2-3b-full", "starcoder2-3b", FLASH | LIGER | KEPT | {"optimizer": "adamw_8bit"}, (1, 6000)
    yield "held-olmo2-7b-lora", "olmo2-7b", lora("olmo2-7b", lora_dropout=0.1) | FLASH | CCE | KEPT, (1, 4096)
    yield "held-pythia-1.4b-full", "pythia-1.4b", FLASH | CCE | KEPT, (1, 8192)
    yield "held-glm4-9b-qlora", "glm4-9b", qlora("glm4-9b") | FLASH | CCE | EVERY, (1, 5000)
    yield (
        "held-llama-2-7b-lora-8bit",
        "llama-2-7b",
        lora("llama-2-7b", load_in_8bit=True) | FLASH | CCE | KEPT,
        (1, 4096),
    )


def cases() -> Iterator[tuple[str, dict, dict, tuple[int, int]]]:
    """Methods, kernels and windows, and those held back."""
    for part in (_chosen, _held_back):
        for name, model, given, rows in part():
            yield name, few(MODELS[model]), given, rows
