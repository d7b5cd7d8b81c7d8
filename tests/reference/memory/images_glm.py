"""Batches that hold images, read by GLM 4.1V, 4.5V and 4.6V; what a case says stands in ``images``.

``python -m tests.reference.memory.record --cases images_glm`` records them to ``tests/data/memory/images_glm.jsonl``. Names that begin with
``held-`` were left alone until the formulas stood.
"""

from __future__ import annotations

from collections.abc import Iterator

from .images import EAGER, EVALUATED, FLASH, FROZEN, LINEAR, ONE, PACKED, SDPA, SEES, TUNED, TWO, _cut
from .images_qwen import LARGE, MIDDLE, SMALL
from .keys import CCE, GC, GC_NON_REENTRANT, SEVEN
from .newcomers import MODELS, OWN

NINE, MOE = MODELS["glm-4.1v-9b"], MODELS["glm-4.5v"]
TEXT, ATTENTION = (TUNED | {"lora_target_modules": OWN[name]} for name in ("glm-4.1v-9b", "glm-4.5v"))
REACHING = TUNED | {"lora_target_modules": ["qkv", "attn.proj", *SEVEN[:4], "gate_proj", "up_proj", "down_proj"]}


def cases() -> Iterator[tuple[str, dict, dict, tuple[int, int]]]:
    """All cases of this module."""
    few, sighted = _cut(NINE, 4, 4), _cut(NINE, 2, 12)
    yield "glm-text-lora-cce", few, ONE | LARGE | FLASH | TEXT | CCE, (1, 2048)
    yield "glm-text-lora-cce-gc", sighted, TWO | LARGE | FLASH | TEXT | CCE | GC, (1, 3072)
    yield "glm-text-lora-sdpa-gc", few, ONE | MIDDLE | SDPA | TEXT | GC, (2, 1024)
    yield "glm-text-lora-eager-gc", sighted, TWO | MIDDLE | EAGER | TEXT | CCE | GC, (1, 1536)
    yield "glm-text-qlora-gc", sighted, ONE | LARGE | FLASH | TEXT | PACKED | CCE | GC, (1, 2048)
    evaluated = ONE | LARGE | FLASH | TEXT | CCE | GC | EVALUATED | {"eval_batch_size": 3}
    yield "glm-text-lora-evaluated", sighted, evaluated, (1, 1500)
    yield "glm-reached-lora-cce", sighted, ONE | LARGE | FLASH | REACHING | CCE, (1, 2048)
    yield "glm-reached-lora-gc", sighted, TWO | LARGE | FLASH | REACHING | CCE | GC, (1, 3072)
    yield "glm-reached-lora-gcnr", sighted, ONE | LARGE | FLASH | REACHING | CCE | GC_NON_REENTRANT, (1, 2048)
    yield "glm-reached-qlora-gc", few, TWO | MIDDLE | FLASH | REACHING | PACKED | CCE | GC, (1, 2048)
    yield "glm-linear-lora-sdpa", few, ONE | MIDDLE | SDPA | LINEAR | CCE, (1, 1024)
    yield "glm-full-cce-gc", sighted, TWO | LARGE | FLASH | CCE | GC, (1, 3072)
    yield "glm-full-cce", sighted, ONE | LARGE | FLASH | CCE, (1, 2048)
    yield "glm-full-sdpa-gc", few, ONE | MIDDLE | SDPA | GC, (1, 1024)
    yield "glm-full-frozen-tower-gc", sighted, TWO | LARGE | FLASH | CCE | GC | FROZEN, (1, 3072)
    yield "glm-moe-lora-gc", _cut(MOE, 2, 8), ONE | LARGE | FLASH | ATTENTION | CCE | GC, (1, 2048)
    other = _cut(MODELS["glm-4.6v-flash"], 2, 8)
    yield "glm46v-reached-lora-gc", other, ONE | LARGE | FLASH | REACHING | CCE | GC, (1, 2048)
    odd = {"image_side": 1300}
    yield "held-glm-text-lora", _cut(NINE, 5, 8), TWO | odd | FLASH | TEXT | CCE, (1, 4700)
    yield "held-glm-reached-gcnr", _cut(NINE, 3, 9), TWO | SMALL | SDPA | REACHING | CCE | GC_NON_REENTRANT, (1, 900)
    yield "held-glm-full-gc", _cut(NINE, 3, 7), SEES | {"images": 3} | SMALL | FLASH | GC, (1, 1000)
