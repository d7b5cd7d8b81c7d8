"""Batches that hold images, read by Qwen 2 VL and Qwen 3.5; what a case says stands in ``images``.

``python -m tests.reference.memory.record --cases images_qwen`` records them to ``tests/data/memory/images_qwen.jsonl``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .cases import _model
from .catalogue import pool
from .images import (
    EAGER,
    EIGHT,
    EVALUATED,
    FLASH,
    FROZEN,
    LINEAR,
    ONE,
    PACKED,
    REACHING,
    SDPA,
    SEES,
    TEXT,
    TUNED,
    TWO,
    _cut,
)
from .keys import CCE, GC, GC_NON_REENTRANT, SEVEN
from .towers import ATTENTION, MODELS, TURNED

TWO_B = MODELS["qwen2-vl-2b"]
SEVEN_B = (
    _model("qwen2_vl", 3584, 18944, 28, 28, 4, 152064)
    | TURNED
    | {"vision_config": TWO_B["vision_config"] | {"hidden_size": 3584}}
)
FED = TUNED | {"lora_target_modules": [*SEVEN, "qkv", "attn.proj", "fc1", "fc2"]}
LARGE, MIDDLE, SMALL = {"image_side": 1024}, {"image_side": 700}, {"image_side": 280}


def _merged() -> Iterator[tuple[str, dict, dict, tuple[int, int]]]:
    """Every layer of the tower sees a whole image: Qwen 2 VL."""
    few, sighted = _cut(SEVEN_B, 4, 4), _cut(SEVEN_B, 2, 12)
    yield "qwen2-text-lora-cce", few, ONE | LARGE | FLASH | TEXT | CCE, (1, 2048)
    yield "qwen2-text-lora-sighted-cce", sighted, ONE | LARGE | FLASH | TEXT | CCE, (1, 2048)
    yield "qwen2-text-lora-cce-gc", sighted, TWO | LARGE | FLASH | TEXT | CCE | GC, (1, 3072)
    yield "qwen2-text-lora-sdpa", few, ONE | MIDDLE | SDPA | TEXT | CCE, (1, 1024)
    yield "qwen2-text-lora-sdpa-two", few, TWO | MIDDLE | SDPA | TEXT | CCE, (1, 1536)
    yield "qwen2-text-lora-sdpa-gc", few, ONE | MIDDLE | SDPA | TEXT | GC, (2, 1024)
    yield "qwen2-text-lora-eager", few, ONE | SMALL | EAGER | TEXT | CCE, (1, 512)
    yield "qwen2-text-lora-eager-gc", sighted, TWO | MIDDLE | EAGER | TEXT | CCE | GC, (1, 1536)
    yield "qwen2-text-lora-gcnr", few, ONE | LARGE | FLASH | TEXT | CCE | GC_NON_REENTRANT, (1, 2048)
    yield "qwen2-text-qlora-gc", sighted, ONE | LARGE | FLASH | TEXT | PACKED | CCE | GC, (1, 2048)
    yield "qwen2-text-8bit-gc", sighted, ONE | LARGE | FLASH | TEXT | EIGHT | CCE | GC, (1, 2048)
    evaluated = ONE | LARGE | FLASH | TEXT | CCE | GC | EVALUATED | {"eval_batch_size": 3}
    yield "qwen2-text-lora-evaluated", sighted, evaluated, (1, 1500)
    yield "qwen2-small-lora-cce-gc", sighted, SEES | {"images": 4} | SMALL | FLASH | TEXT | CCE | GC, (2, 768)
    yield "qwen2-reached-lora-cce", sighted, ONE | LARGE | FLASH | REACHING | CCE, (1, 2048)
    yield "qwen2-reached-lora-gc", sighted, ONE | LARGE | FLASH | REACHING | CCE | GC, (1, 2048)
    yield "qwen2-reached-qlora-gc", few, TWO | MIDDLE | FLASH | REACHING | PACKED | CCE | GC, (1, 2048)
    yield "qwen2-fed-lora-sdpa", sighted, ONE | MIDDLE | SDPA | FED | CCE, (1, 1024)
    yield "qwen2-fed-qlora-gc", sighted, ONE | LARGE | FLASH | FED | PACKED | CCE | GC, (1, 1500)
    yield "qwen2-fed-lora-gcnr", sighted, ONE | MIDDLE | FLASH | FED | CCE | GC_NON_REENTRANT, (1, 1024)
    yield "qwen2-full-cce-gc", sighted, TWO | LARGE | FLASH | CCE | GC, (1, 3072)
    yield "qwen2-full-cce", sighted, ONE | LARGE | FLASH | CCE, (1, 2048)
    yield "qwen2-full-sdpa-gc", few, ONE | MIDDLE | SDPA | GC, (1, 1024)
    yield "qwen2-full-frozen-tower-gc", sighted, TWO | LARGE | FLASH | CCE | GC | FROZEN, (1, 3072)
    yield (
        "qwen2-reached-dropout-frozen",
        sighted,
        ONE | LARGE | FLASH | REACHING | CCE | FROZEN | {"lora_dropout": 0.1},
        (1, 2048),
    )
    yield "qwen2-qlora-real-2b", TWO_B, ONE | LARGE | FLASH | TEXT | PACKED | CCE | GC, (1, 2048)


def _of(model_type: str, width: int) -> dict[str, Any]:
    """The catalogue's model of this type and width."""
    return next(model for model in pool()[model_type] if model["text_config"]["hidden_size"] == width)


def _scanning() -> Iterator[tuple[str, dict, dict, tuple[int, int]]]:
    """Qwen 3 VL's tower, without features of other layers, before layers most of which scan: Qwen 3.5."""
    four, moe = _of("qwen3_5", 2560), _of("qwen3_5_moe", 2048)
    few, sighted = _cut(four, 4, 4), _cut(four, 4, 12)
    yield "qwen3.5-text-lora-cce", few, ONE | LARGE | FLASH | TEXT | CCE, (1, 2048)
    yield "qwen3.5-text-lora-cce-gc", sighted, TWO | LARGE | FLASH | TEXT | CCE | GC, (1, 3072)
    yield "qwen3.5-text-lora-sdpa", few, TWO | MIDDLE | SDPA | TEXT | CCE, (1, 1536)
    yield "qwen3.5-text-lora-sdpa-gc", sighted, ONE | MIDDLE | SDPA | TEXT | GC, (2, 1024)
    yield "qwen3.5-text-lora-eager-gc", sighted, TWO | MIDDLE | EAGER | TEXT | CCE | GC, (1, 1536)
    yield "qwen3.5-text-lora-gcnr", sighted, ONE | LARGE | FLASH | TEXT | CCE | GC_NON_REENTRANT, (1, 2048)
    yield "qwen3.5-text-qlora-gc", sighted, SEES | {"images": 4} | LARGE | FLASH | TEXT | PACKED | CCE | GC, (1, 4608)
    evaluated = ONE | LARGE | FLASH | TEXT | CCE | GC | EVALUATED | {"eval_batch_size": 3}
    yield "qwen3.5-text-lora-evaluated", sighted, evaluated, (1, 1500)
    yield "qwen3.5-reached-lora-cce", sighted, ONE | LARGE | FLASH | REACHING | CCE, (1, 1500)
    yield "qwen3.5-reached-lora-gc", sighted, TWO | LARGE | FLASH | REACHING | CCE | GC, (1, 2500)
    yield "qwen3.5-reached-lora-gcnr", few, ONE | LARGE | FLASH | REACHING | CCE | GC_NON_REENTRANT, (1, 1500)
    yield "qwen3.5-linear-lora-cce", few, ONE | MIDDLE | SDPA | LINEAR | CCE, (1, 1024)
    yield "qwen3.5-linear-qlora-gc", sighted, ONE | LARGE | FLASH | LINEAR | PACKED | CCE | GC, (1, 1500)
    yield "qwen3.5-full-cce-gc", sighted, TWO | LARGE | FLASH | CCE | GC, (1, 3072)
    yield "qwen3.5-full-cce", sighted, SEES | {"images": 3} | LARGE | FLASH | CCE, (1, 3500)
    yield "qwen3.5-full-sdpa-gc", few, ONE | MIDDLE | SDPA | GC, (1, 1024)
    yield "qwen3.5-full-frozen-tower-gc", sighted, TWO | LARGE | FLASH | CCE | GC | FROZEN, (1, 3072)
    attention = TUNED | {"lora_target_modules": ATTENTION}
    yield "qwen3.5-moe-lora-gc", _cut(moe, 4, 8), ONE | LARGE | FLASH | attention | CCE | GC, (1, 2048)
    yield "qwen3.5-moe-lora", _cut(moe, 4, 8), ONE | MIDDLE | SDPA | attention | CCE, (1, 1024)
    yield "qwen3.5-qlora-real-4b", four, TWO | LARGE | FLASH | REACHING | PACKED | CCE | GC, (1, 3072)


def cases() -> Iterator[tuple[str, dict, dict, tuple[int, int]]]:
    """All cases of this module."""
    yield from _merged()
    yield from _scanning()
