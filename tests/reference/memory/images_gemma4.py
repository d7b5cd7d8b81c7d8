"""Batches that hold images, read by Gemma 4; what a case says stands in ``images``.

``python -m tests.reference.memory.record --cases images_gemma4`` records them to ``tests/data/memory/images_gemma4.jsonl``.
"""

from __future__ import annotations

from collections.abc import Iterator

from .images import EAGER, EVALUATED, FLASH, FROZEN, ONE, PACKED, SDPA, SEES, TEXT, TUNED, TWO, _cut
from .images_qwen import _of
from .keys import CCE, GC, SEVEN
from .newcomers import MODELS
from .towers import ALL, ATTENTION

NAMED = TUNED | {"lora_target_modules": rf"{ALL}|.*vision_tower\.encoder.*\.({'|'.join(SEVEN)})\.linear"}
"""Which reaches the tower, whose linears stand in wrappers."""


def cases() -> Iterator[tuple[str, dict, dict, tuple[int, int]]]:
    """All cases of this module."""
    small, large, moe = _of("gemma4", 1536), _of("gemma4", 5376), _of("gemma4", 2816)
    few, sighted, wide = _cut(small, 10, 4), _cut(small, 10, 12), _cut(large, 6, 6)
    for model in (few, sighted):
        model["audio_config"] = None
    yield "gemma4-text-lora", few, ONE | SDPA | TEXT, (1, 1024)
    yield "gemma4-text-lora-cce", few, ONE | SDPA | TEXT | CCE, (1, 1024)
    yield "gemma4-text-lora-cce-gc", sighted, TWO | SDPA | TEXT | CCE | GC, (1, 1024)
    yield "gemma4-text-lora-flash-cce", few, ONE | FLASH | TEXT | CCE, (1, 1024)
    yield "gemma4-text-lora-flash-gc", sighted, TWO | FLASH | TEXT | CCE | GC, (2, 768)
    yield "gemma4-text-lora-eager-cce", few, ONE | EAGER | TEXT | CCE, (1, 640)
    yield "gemma4-text-lora-eager-gc", few, TWO | EAGER | TEXT | CCE | GC, (1, 640)
    yield "gemma4-text-qlora-gc", sighted, ONE | SDPA | TEXT | PACKED | CCE | GC, (1, 2048)
    yield "gemma4-wide-lora-cce", wide, ONE | SDPA | TEXT | CCE, (1, 1024)
    yield "gemma4-wide-lora-cce-gc", wide, SEES | {"images": 3} | SDPA | TEXT | CCE | GC, (1, 1536)
    evaluated = TWO | SDPA | TEXT | CCE | GC | EVALUATED | {"eval_batch_size": 3}
    yield "gemma4-text-lora-evaluated", sighted, evaluated, (1, 768)
    yield "gemma4-wide-lora-evaluated", wide, evaluated, (1, 768)
    yield "gemma4-named-lora-cce", sighted, ONE | SDPA | NAMED | CCE, (1, 640)
    yield "gemma4-named-lora-gc", sighted, TWO | SDPA | NAMED | CCE | GC, (1, 1024)
    yield "gemma4-named-lora-flash", few, ONE | FLASH | NAMED | CCE, (1, 640)
    yield "gemma4-named-lora-eager", few, ONE | EAGER | NAMED | CCE, (1, 640)
    yield "gemma4-named-qlora-gc", sighted, ONE | SDPA | NAMED | PACKED | CCE | GC, (1, 1024)
    yield "gemma4-wide-named-lora-cce", wide, ONE | SDPA | NAMED | CCE, (1, 640)
    yield "gemma4-wide-named-lora-gc", wide, TWO | SDPA | NAMED | CCE | GC, (1, 1024)
    yield "gemma4-full-gc", few, ONE | SDPA | GC, (1, 1024)
    yield "gemma4-full-cce-gc", sighted, TWO | SDPA | CCE | GC, (1, 1024)
    yield "gemma4-full-cce", sighted, ONE | SDPA | CCE, (1, 640)
    yield "gemma4-wide-full-cce", _cut(large, 2, 6), ONE | SDPA | CCE, (1, 640)
    yield "gemma4-full-frozen-tower-gc", sighted, TWO | SDPA | CCE | GC | FROZEN, (1, 1024)
    yield "gemma4-named-frozen", sighted, ONE | SDPA | NAMED | CCE | FROZEN | {"lora_dropout": 0.1}, (1, 640)
    attention = TUNED | {"lora_target_modules": ATTENTION}
    yield "gemma4-moe-lora-gc", _cut(moe, 6, 6), ONE | SDPA | attention | CCE | GC, (1, 1024)
    twelve = _cut(MODELS["gemma-4-12b"], 6, 1)
    yield "gemma4-12b-text-lora-cce", twelve, TWO | SDPA | TEXT | CCE, (1, 1024)
    yield "gemma4-12b-text-lora-gc", twelve, SEES | {"images": 4} | SDPA | TEXT | GC, (1, 1200)
    yield "gemma4-12b-full-cce-gc", twelve, TWO | SDPA | CCE | GC, (1, 1024)
    yield "gemma4-12b-full-flash", twelve, SEES | {"images": 4} | FLASH | CCE, (1, 1200)
    yield "gemma4-12b-full-frozen", twelve, TWO | SDPA | CCE | GC | FROZEN, (1, 1024)
    yield "gemma4-12b-text-qlora-evaluated", twelve, evaluated | PACKED, (1, 768)
    yield "gemma4-qlora-real-e2b", small, ONE | SDPA | TEXT | PACKED | CCE | GC, (1, 2048)
