"""gpt-oss's feed-forward in tiles: ``tiled_mlp`` takes router and experts together, whose class is the one it looks for.

``python -m tests.reference.memory.record --cases tiled_experts`` records them to ``tests/data/memory/tiled_experts.jsonl``.
"""

from __future__ import annotations

from collections.abc import Iterator

from .cases import MODELS, few, lora, qlora
from .keys import CCE, EXPERTS, FLASH, GC, GC_NON_REENTRANT, QUANTIZED
from .tiled import tiled

NAME = "gpt-oss-20b"
ACCUMULATED = {"gradient_accumulation_steps": 2}
SMALL = {"optimizer": "adamw_8bit"}


def cases() -> Iterator[tuple[str, dict, dict, tuple[int, int]]]:
    """Frozen experts, whole ones, packed ones, and such as have adapters of their own."""
    model = few(MODELS[NAME])
    for name, given, rows in (
        ("lora-gc-4", lora(NAME) | FLASH | CCE | GC | tiled(4), (1, 8192)),
        ("lora-gc-16", lora(NAME) | FLASH | CCE | GC | tiled(16), (1, 16384)),
        ("lora-gcnr-4", lora(NAME) | FLASH | CCE | GC_NON_REENTRANT | tiled(4), (1, 8192)),
        ("lora-4", lora(NAME) | FLASH | CCE | tiled(4), (1, 8192)),
        ("full-gc-4", FLASH | CCE | GC | SMALL | tiled(4), (1, 8192)),
        ("full-8", FLASH | CCE | SMALL | tiled(8), (1, 16384)),
        ("full-gc-accumulated", FLASH | CCE | GC | SMALL | ACCUMULATED | tiled(4), (1, 8192)),
        ("qlora-experts-gc-4", qlora(NAME) | QUANTIZED | FLASH | CCE | GC | tiled(4), (1, 8192)),
        ("qlora-experts-gcnr-2", qlora(NAME) | QUANTIZED | FLASH | CCE | GC_NON_REENTRANT | tiled(2), (1, 4096)),
        ("lora-on-experts-gc-4", lora(NAME) | EXPERTS | FLASH | CCE | GC | tiled(4), (1, 8192)),
        ("held-lora-on-experts-8", lora(NAME) | EXPERTS | FLASH | CCE | tiled(8), (1, 16384)),
        ("held-full-gcnr-3", FLASH | CCE | GC_NON_REENTRANT | SMALL | tiled(3), (1, 6001)),
        ("held-lora-default", lora(NAME) | FLASH | CCE | GC | tiled(), (1, 65536)),
    ):
        yield f"tiled-experts-{name}", model, given, rows
