"""Batches that hold images for LLaVA-NeXT, which cuts them into tiles.

``python -m tests.reference.memory.record --cases images_llava_next`` records them to ``tests/data/memory/images_llava_next.jsonl``. Names that
begin with ``held-`` were left alone until the formulas stood.
"""

from __future__ import annotations

from collections.abc import Iterator

from .images import EAGER, EVALUATED, FLASH, FROZEN, LINEAR, ONE, PACKED, SDPA, SEES, TEXT, TWO, _cut
from .images_llava import NAMED, SGD
from .images_llava import TINY as TINY_LLAVA
from .keys import CCE, GC, GC_NON_REENTRANT
from .towers import MODELS

SEVEN_B = MODELS["llava-1.6-mistral-7b"]
TINY = TINY_LLAVA | {"model_type": "llava_next"}


def _held_back() -> Iterator[tuple[str, dict, dict, tuple[int, int]]]:
    """Left alone until the formulas stood."""
    large, small = {"image_side": 800}, {"image_side": 200}
    broad = _cut(TINY, 3, 9) | {"image_grid_pinpoints": [[336, 1008], [672, 1344]]}
    yield "held-next-text-lora", _cut(SEVEN_B, 2, 11), TWO | large | SDPA | TEXT | CCE, (1, 6100)
    yield "held-next-broad-gc", broad, SEES | {"images": 3} | large | FLASH | LINEAR | CCE | GC, (1, 9000)
    yield "held-next-full", _cut(TINY, 3, 8), SEES | {"images": 3} | small | FLASH | CCE, (2, 3700)
    yield "held-next-qlora-small", _cut(SEVEN_B, 3, 7), TWO | small | FLASH | NAMED | PACKED | CCE | GC, (2, 2400)
    evaluated = EAGER | TEXT | CCE | GC | EVALUATED | {"eval_batch_size": 2}
    yield "held-next-evaluated", _cut(TINY, 2, 12), ONE | small | evaluated, (1, 1300)
    yield "held-next-frozen", broad, TWO | large | SDPA | CCE | FROZEN | SGD, (1, 6000)


def cases() -> Iterator[tuple[str, dict, dict, tuple[int, int]]]:
    """All cases of this module."""
    few, tiny, deep = _cut(SEVEN_B, 3, 4), _cut(TINY, 2, 6), _cut(TINY, 2, 14)
    large, small = {"image_side": 1024}, {"image_side": 300}
    yield "next-text-lora-cce", few, ONE | large | FLASH | TEXT | CCE, (1, 3200)
    yield "next-text-lora-sdpa-gc", few, TWO | small | SDPA | TEXT | GC, (2, 2560)
    yield "next-text-lora-gcnr", few, ONE | large | FLASH | TEXT | CCE | GC_NON_REENTRANT, (1, 3200)
    yield "next-text-qlora-gc", few, TWO | large | FLASH | TEXT | PACKED | CCE | GC, (1, 6000)
    yield "next-linear-lora-gc", few, ONE | large | FLASH | LINEAR | CCE | GC, (1, 3200)
    yield "next-full-gc", few, ONE | large | FLASH | CCE | GC, (1, 3200)
    yield "next-tower-lora-cce", tiny, TWO | large | FLASH | TEXT | CCE, (1, 6000)
    yield "next-tower-lora-gc", deep, TWO | large | FLASH | LINEAR | CCE | GC, (1, 6000)
    yield "next-tower-lora-eager", tiny, TWO | small | EAGER | NAMED | CCE, (1, 2400)
    yield "next-tower-full", tiny, ONE | large | FLASH | CCE | SGD, (1, 3000)
    yield "next-tower-full-gc", deep, TWO | large | FLASH | CCE | GC | SGD, (1, 6000)
    yield "next-tower-frozen", deep, TWO | large | FLASH | CCE | FROZEN | SGD, (1, 6000)
    evaluated = FLASH | TEXT | CCE | GC | EVALUATED | {"eval_batch_size": 3}
    yield "next-tower-evaluated", deep, TWO | large | evaluated, (1, 6000)
    shallow = _cut(TINY, 2, 2)
    yield "next-end-lora-cce", shallow, SEES | {"images": 4} | large | FLASH | LINEAR | CCE, (1, 12000)
    yield "next-end-full-gc", shallow, SEES | {"images": 4} | large | FLASH | CCE | GC | SGD, (1, 12000)
    yield from _held_back()
