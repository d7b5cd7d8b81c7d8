"""Pairs of runs in which a switch that saves takes more: exceptions to the laws of ``tests/core/memory/test_savings.py``.

``python -m tests.reference.memory.record --cases exceptions`` records them to ``tests/data/memory/exceptions.jsonl``. A case
whose name ends in ``without`` lacks the switch that the one of the same name ending in ``with`` has.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .cases import MODELS, _model
from .keys import FLASH, GC, INT8, LIGER, OFF, SEVEN

NARROW = _model("llama", 512, 1536, 4, 8, 8, 32000)
"""Its embeddings are half of it."""


def _lora(rank: int, **more: Any) -> dict[str, Any]:
    return (
        {"adapter": "lora", "lora_r": rank, "lora_alpha": 2 * rank, "lora_target_modules": SEVEN} | OFF | FLASH | more
    )


def pairs() -> Iterator[tuple[str, dict, dict, dict, tuple[int, int]]]:
    """A name, a model, the keys of both, the switch, and rows and tokens."""
    one = MODELS["llama-3.2-1b"]
    yield "liger-full-few-tokens", NARROW, FLASH | GC, LIGER, (1, 64)
    yield "adamw-8bit-full-wide-vocabulary", NARROW, FLASH | GC, {"optimizer": "adamw_8bit"}, (1, 64)
    fused = {key: value for key, value in _lora(16).items() if key not in OFF}
    yield "int8-without-kernels", one, fused, INT8, (2, 4096)
    shallow = _model("llama", 2048, 8192, 4, 16, 16, 32000)
    yield "int8-all-kept-many-tokens", shallow, _lora(8, lora_dropout=0.05), INT8, (8, 8192)
    eager = _lora(256, attn_implementation="eager", lora_dropout=0.05)
    yield "int8-eager-high-rank", NARROW, eager | GC, INT8, (1, 4096)
    dora = _lora(16, peft_use_dora=True)
    yield "nf4-dora-all-kept", one, dora, {"adapter": "qlora", "load_in_4bit": True}, (2, 4096)
    yield "int8-dora-all-kept", one, dora, INT8, (2, 2048)


def cases() -> Iterator[tuple[str, dict, dict, tuple[int, int]]]:
    """All cases of this module."""
    for name, model, keys, switch, rows in pairs():
        yield f"{name}-without", model, keys, rows
        yield f"{name}-with", model, keys | switch, rows
