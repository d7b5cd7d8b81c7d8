"""Batches of images whose peak is where a tower alone decides it: one or two layers of text beside a tower that is deep, wide or thin.

``python -m tests.reference.memory.record --cases image_corners`` records them to ``tests/data/memory/image_corners.jsonl``. Mutants that all
other cases let live told which.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .images import EAGER, FLASH, FOUR, NAMED, ONE, REACHING, SDPA, SEVEN_B, SMALL_IMAGE, TWO, _cut, _deep, _windowed
from .images_llava import SEVEN_B as LLAVA
from .keys import CCE, GC
from .towers import MODELS

ACCUMULATED = {"gradient_accumulation_steps": 2}
TOWER = {"unfrozen_parameters": ["model.vis"]}
HALF = {"bf16": False, "fp16": True}
SMALL, MIDDLE = {"image_side": 280}, {"image_side": 700}


def _thin(model: dict[str, Any], width: int) -> dict[str, Any]:
    """The model whose tower's feed-forward is as narrow."""
    return model | {"vision_config": model["vision_config"] | {"intermediate_size": width}}


def cases() -> Iterator[tuple[str, dict, dict, tuple[int, int]]]:
    """All cases of this module."""
    small, wide = _cut(SMALL_IMAGE, 1, 8), _cut(FOUR, 1, 3)
    # gradients that are there already
    yield "corner-siglip-tower-accumulated", small, ONE | FLASH | CCE | TOWER | ACCUMULATED, (1, 300)
    yield "corner-siglip-tower-accumulated-gc", small, ONE | FLASH | CCE | GC | TOWER | ACCUMULATED, (1, 300)
    windowed = _windowed(SEVEN_B, 1, 8)
    yield (
        "corner-windowed-tower-accumulated-gc",
        windowed,
        ONE | SMALL | FLASH | CCE | GC | TOWER | ACCUMULATED,
        (1, 128),
    )
    # nothing but what stands behind a tower trains, beneath a language model that is frozen
    projector = {"unfrozen_parameters": ["model.multi_modal_projector"]}
    few = _cut(SMALL_IMAGE, 4, 4)
    yield "corner-siglip-projector", few, ONE | FLASH | CCE | projector, (1, 1024)
    yield "corner-siglip-projector-gc", few, ONE | FLASH | CCE | GC | projector, (1, 1024)
    llava = _cut(LLAVA, 4, 5)
    yield "corner-llava-projector", llava, ONE | SDPA | CCE | projector, (1, 1500)
    yield "corner-llava-projector-gc", llava, ONE | SDPA | GC | projector, (1, 1500)
    merger = {"unfrozen_parameters": ["model.visual.merger"]}
    yield "corner-stacked-merger", _deep(MODELS["qwen3-vl-4b"], 4, 7), ONE | MIDDLE | FLASH | CCE | merger, (1, 900)
    # scores of a whole image
    yield "corner-siglip-eager", wide, ONE | EAGER | NAMED | CCE, (1, 300)
    yield "corner-siglip-eager-fp16", wide, ONE | EAGER | NAMED | CCE | HALF, (1, 300)
    yield "corner-siglip-eager-gc", wide, TWO | EAGER | NAMED | CCE | GC, (1, 600)
    # windows put together again, beside next to no feed-forward
    thin = _thin(windowed, 64)
    yield "corner-windowed-thin-sdpa", thin, ONE | MIDDLE | SDPA | REACHING | CCE, (1, 700)
    yield "corner-windowed-thin-sdpa-gc", thin, TWO | MIDDLE | SDPA | REACHING | CCE | GC, (1, 1300)
    older = {"before_ampere": True} | HALF
    yield "corner-windowed-older-card", windowed, ONE | MIDDLE | SDPA | REACHING | CCE | older, (1, 700)
    yield "corner-windowed-older-card-gc", windowed, ONE | MIDDLE | SDPA | REACHING | CCE | GC | older, (1, 700)
    # what is handed on, and let go of layer by layer
    stacked = _deep(MODELS["qwen3-vl-4b"], 3, 16)
    yield "corner-stacked-tower-gc", stacked, ONE | SMALL | FLASH | CCE | GC | TOWER, (1, 100)
    yield "corner-stacked-tower", stacked, ONE | MIDDLE | FLASH | CCE | TOWER, (1, 600)
    some = REACHING | {"peft_layers_to_transform": [5, 6, 7]}
    yield "corner-stacked-some-layers", stacked, ONE | MIDDLE | FLASH | CCE | some, (1, 600)
