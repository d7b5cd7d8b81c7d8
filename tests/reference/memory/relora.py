"""Cases of ReLoRA from its first restart on: short batches, where merging is the highest moment, and longer ones.

``python -m tests.reference.memory.record --cases relora`` records them to ``tests/data/memory/relora.jsonl``.
"""

from __future__ import annotations

from collections.abc import Iterator

from .cases import MODELS, lora, qlora
from .keys import CCE, CHUNKED, FLASH, GC

LAYERS = 4
SMALL, MIDDLE, LARGE = "llama-3.2-1b", "qwen3-4b", "llama-3.1-8b"
RELORA = {"relora": True, "jagged_restart_steps": 100, "optimizer": "adamw_8bit"}


def _cases() -> Iterator[tuple]:
    yield "lora-8b-short", LARGE, lora(LARGE) | FLASH | CCE | GC, (1, 64)
    yield "lora-r64-8b", LARGE, lora(LARGE, 64) | FLASH | CCE | GC, (1, 256)
    yield "lora-1b-nogc", SMALL, lora(SMALL) | FLASH | CCE, (2, 1024)
    yield (
        "lora-4b-attention",
        MIDDLE,
        lora(MIDDLE) | FLASH | CCE | GC | {"lora_target_modules": ["q_proj", "v_proj"]},
        (1, 64),
    )
    yield "lora-1b-bf16", SMALL, lora(SMALL) | FLASH | CCE | GC | {"peft_autocast_adapter_dtype": False}, (1, 64)
    yield "qlora-8b-short", LARGE, qlora(LARGE) | FLASH | CCE | GC, (1, 64)
    yield "qlora-8b", LARGE, qlora(LARGE) | FLASH | CCE | GC, (1, 2048)
    yield "qlora-4b-nogc", MIDDLE, qlora(MIDDLE) | FLASH | CHUNKED, (1, 1024)
    yield "qlora-1b-long", SMALL, qlora(SMALL, 64) | FLASH | CCE | GC, (1, 8192)


def cases() -> Iterator[tuple[str, dict, dict, tuple[int, int]]]:
    """All cases of this module."""
    for name, model, cfg, rows in _cases():
        yield f"relora-{name}", MODELS[model] | {"num_hidden_layers": LAYERS}, cfg | RELORA, rows
