"""Batches that hold images, recorded when the formulas for Qwen 2 VL, Qwen 3.5 and Gemma 4 stood, and left as they came.

``python -m tests.reference.memory.record --cases images_held_back`` records them to ``tests/data/memory/images_held_back.jsonl``.
"""

from __future__ import annotations

from collections.abc import Iterator

from .images import EAGER, EIGHT, EVALUATED, FLASH, FROZEN, ONE, PACKED, REACHING, SDPA, SEES, TEXT, TWO, _cut
from .images_gemma4 import NAMED
from .images_qwen import FED, TWO_B, _of
from .keys import CCE, GC, GC_NON_REENTRANT, LIGER

THREE = SEES | {"images": 3}


def cases() -> Iterator[tuple[str, dict, dict, tuple[int, int]]]:
    """All cases of this module."""
    odd, small = {"image_side": 1300}, {"image_side": 450}
    yield "held-qwen2-text-lora", _cut(TWO_B, 6, 10), TWO | odd | FLASH | TEXT | CCE, (1, 4600)
    yield "held-qwen2-fed-gc", _cut(TWO_B, 5, 14), TWO | small | SDPA | FED | CCE | GC, (2, 1100)
    yield "held-qwen2-full-frozen", _cut(TWO_B, 3, 6), THREE | small | FLASH | GC | FROZEN, (1, 1400)
    yield "held-qwen2-eager", _cut(TWO_B, 4, 5), THREE | small | EAGER | TEXT | CCE | GC, (1, 1000)
    nine, two = _of("qwen3_5", 4096), _of("qwen3_5", 2048)
    yield "held-qwen3.5-text-lora", _cut(nine, 4, 9), TWO | odd | FLASH | TEXT | CCE, (1, 3900)
    yield (
        "held-qwen3.5-reached-gcnr",
        _cut(two, 8, 10),
        ONE | odd | FLASH | REACHING | CCE | GC_NON_REENTRANT,
        (1, 2100),
    )
    yield "held-qwen3.5-full", _cut(two, 4, 8), THREE | small | FLASH | CCE, (1, 1200)
    evaluated = ONE | small | SDPA | TEXT | PACKED | GC | EVALUATED | {"eval_batch_size": 2}
    yield "held-qwen3.5-qlora-evaluated", _cut(two, 4, 12), evaluated, (1, 700)
    four, large = _of("gemma4", 2560), _of("gemma4", 5376)
    four["audio_config"] = None
    yield "held-gemma4-text-lora", _cut(four, 12, 9), THREE | SDPA | TEXT | CCE, (1, 1300)
    yield "held-gemma4-named-gc", _cut(four, 12, 6), TWO | SDPA | NAMED | CCE | GC, (2, 800)
    yield "held-gemma4-8bit-liger-gc", _cut(four, 12, 4), ONE | SDPA | TEXT | EIGHT | LIGER | GC, (1, 900)
    yield "held-gemma4-wide-full-gc", _cut(large, 3, 8), TWO | SDPA | CCE | GC, (1, 900)
    yield "held-gemma4-wide-qlora-flash", _cut(large, 6, 10), THREE | FLASH | TEXT | PACKED | CCE | GC, (1, 1200)
