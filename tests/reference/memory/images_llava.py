"""Batches that hold images for CLIP's tower, of which LLaVA takes one layer's result.

``python -m tests.reference.memory.record --cases images_llava`` records them to ``tests/data/memory/images_llava.jsonl``. Names that begin
with ``held-`` were left alone until the formulas stood.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .cases import _model
from .images import EAGER, EIGHT, EVALUATED, FLASH, FROZEN, LINEAR, ONE, PACKED, SDPA, SEES, TEXT, TUNED, TWO, _cut
from .keys import CCE, GC, GC_NON_REENTRANT, LIGER, SEVEN
from .towers import ATTENTION, CLIP, MODELS

NAMED = TUNED | {"lora_target_modules": SEVEN}
SGD = {"optimizer": "sgd"}
SEVEN_B = MODELS["llava-1.5-7b"]
FOUR = SEES | {"images": 4}


def _llava(hidden: int, inter: int, layers: int, heads: int, kv: int, **facts: Any) -> dict[str, Any]:
    text = _model("llama", hidden, inter, layers, heads, kv, 32064)
    return {"model_type": "llava", "text_config": text, "vision_config": CLIP} | facts


TINY = _llava(1024, 2048, 8, 8, 4)
LAST = {"vision_feature_layer": -1}
WHOLE = {"vision_feature_select_strategy": "full"}


def _tower() -> Iterator[tuple[str, dict, dict, tuple[int, int]]]:
    """Small language models and many images, so that the tower's own moments are the highest."""
    tiny, deep = _cut(TINY, 2, 6), _cut(TINY, 1, 16)
    many = SEES | {"images": 12}
    row = (1, 7200)
    yield "llava-tower-lora-cce", tiny, many | FLASH | TEXT | CCE, row
    yield "llava-tower-lora-gc", deep, many | FLASH | TEXT | CCE | GC, row
    yield "llava-tower-lora-gcnr", deep, many | FLASH | NAMED | CCE | GC_NON_REENTRANT, row
    yield "llava-tower-lora-eager", tiny, many | EAGER | TEXT | CCE, (1, 7000)
    yield "llava-tower-lora-sdpa-gc", deep, many | SDPA | LINEAR | CCE | GC, row
    yield "llava-tower-full-gc", deep, many | FLASH | CCE | GC | SGD, row
    yield "llava-tower-full", tiny, many | FLASH | CCE | SGD, row
    yield "llava-tower-frozen", deep, many | FLASH | CCE | FROZEN | SGD, row
    yield "llava-tower-frozen-gc", deep, many | FLASH | CCE | FROZEN | GC | SGD, row
    evaluated = TEXT | CCE | GC | EVALUATED | {"eval_batch_size": 4}
    yield "llava-tower-evaluated", deep, SEES | {"images": 6} | FLASH | evaluated, (1, 3600)
    yield "llava-tower-evaluated-eager", _cut(TINY, 2, 16), FOUR | EAGER | evaluated, (1, 2400)
    earlier = deep | {"vision_feature_layer": -6}
    yield "llava-tower-earlier-full", earlier, many | FLASH | CCE | SGD, row
    yield "llava-tower-earlier-lora-gc", earlier, many | FLASH | LINEAR | CCE | GC, row


def _held_back() -> Iterator[tuple[str, dict, dict, tuple[int, int]]]:
    """Left alone until the formulas stood."""
    thirteen = _llava(5120, 13824, 40, 40, 40)
    attention = TUNED | {"lora_target_modules": ATTENTION, "lora_r": 48, "lora_alpha": 48}
    three, five = SEES | {"images": 3}, SEES | {"images": 5}
    other = CLIP | {"image_size": 224, "patch_size": 16, "hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12}  # fmt: skip
    based = TINY | {"vision_config": other}
    yield "held-llava-text-lora-13b", _cut(thirteen, 3, 9), three | FLASH | attention | CCE, (1, 2000)
    yield "held-llava-text-sdpa-gc-13b", _cut(thirteen, 2, 20), TWO | SDPA | TEXT | GC, (2, 1300)
    yield "held-llava-linear-gcnr", _cut(TINY, 3, 10), five | FLASH | LINEAR | CCE | GC_NON_REENTRANT, (1, 3300)
    yield "held-llava-named-eager", _cut(TINY, 3, 7), ONE | EAGER | NAMED | CCE, (3, 900)
    yield "held-llava-full-gc", _cut(TINY, 4, 11), five | FLASH | CCE | GC, (1, 3300)
    yield "held-llava-full-earlier", _cut(TINY, 3, 12) | {"vision_feature_layer": 4}, five | FLASH | CCE, (2, 3000)
    evaluated = PACKED | CCE | GC | EVALUATED | {"eval_batch_size": 5}
    yield "held-llava-qlora-evaluated", _cut(TINY, 2, 14), three | SDPA | TEXT | evaluated, (1, 1800)
    yield "held-llava-frozen-last", _cut(TINY, 2, 13) | LAST | WHOLE, five | SDPA | CCE | FROZEN | SGD, (2, 3000)
    yield "held-llava-other-tower", _cut(based, 2, 9), five | FLASH | LINEAR | PACKED | CCE, (1, 1200)
    yield "held-llava-other-full", _cut(based, 2, 6), SEES | {"images": 20} | FLASH | CCE, (1, 4000)


def cases() -> Iterator[tuple[str, dict, dict, tuple[int, int]]]:
    """All cases of this module."""
    few, sighted = _cut(SEVEN_B, 3, 4), _cut(SEVEN_B, 2, 12)
    # a tower that is frozen
    yield "llava-text-lora-cce", few, ONE | FLASH | TEXT | CCE, (1, 1024)
    yield "llava-text-lora-sighted-cce", sighted, TWO | FLASH | TEXT | CCE, (1, 1500)
    yield "llava-text-lora-cce-gc", sighted, FOUR | FLASH | TEXT | CCE | GC, (1, 3072)
    yield "llava-text-lora-sdpa", few, ONE | SDPA | TEXT, (2, 1024)
    yield "llava-text-lora-sdpa-gc", sighted, TWO | SDPA | TEXT | GC, (2, 1536)
    yield "llava-text-lora-eager", few, ONE | EAGER | TEXT | CCE, (1, 1024)
    yield "llava-text-lora-eager-gc", sighted, ONE | EAGER | TEXT | CCE | GC, (1, 1024)
    yield "llava-text-lora-gcnr", sighted, TWO | FLASH | TEXT | CCE | GC_NON_REENTRANT, (1, 2048)
    yield "llava-text-qlora-gc", sighted, TWO | FLASH | TEXT | PACKED | CCE | GC, (1, 2048)
    yield "llava-text-qlora-sdpa", few, ONE | SDPA | TEXT | PACKED | CCE, (1, 1024)
    yield "llava-text-8bit-cce-gc", few, ONE | FLASH | TEXT | EIGHT | CCE | GC, (1, 1024)
    evaluated = FLASH | TEXT | CCE | GC | EVALUATED | {"eval_batch_size": 3}
    yield "llava-text-lora-evaluated", sighted, TWO | evaluated, (1, 1500)
    accumulated = {"gradient_accumulation_steps": 2}
    yield "llava-text-lora-accumulated", few, ONE | FLASH | TEXT | CCE | GC | accumulated, (1, 1024)
    yield "llava-text-lora-last", few | LAST, TWO | FLASH | TEXT | CCE, (1, 1500)
    yield "llava-text-lora-whole", few | WHOLE, TWO | FLASH | TEXT | CCE, (1, 1500)
    # a tower that LoRA reaches
    yield "llava-named-lora-cce", few, ONE | FLASH | NAMED | CCE, (1, 1024)
    yield "llava-named-lora-gc", sighted, TWO | FLASH | NAMED | CCE | GC, (1, 2048)
    yield "llava-named-lora-gcnr", sighted, TWO | FLASH | NAMED | CCE | GC_NON_REENTRANT, (1, 2048)
    yield "llava-linear-lora-sdpa", few, ONE | SDPA | LINEAR | CCE, (1, 1024)
    yield "llava-linear-qlora-gc", sighted, TWO | FLASH | LINEAR | PACKED | CCE | GC, (1, 2048)
    yield "llava-linear-dropout-cce", few, ONE | FLASH | LINEAR | CCE | {"lora_dropout": 0.1}, (1, 1024)
    yield "llava-linear-dropout-frozen", sighted, ONE | FLASH | LINEAR | CCE | FROZEN | {"lora_dropout": 0.1}, (1, 1024)  # fmt: skip
    # everything trains, or all but the tower
    yield "llava-full-cce-gc", few, TWO | FLASH | CCE | GC, (1, 2048)
    yield "llava-full-cce", sighted, TWO | FLASH | CCE, (1, 2048)
    yield "llava-full-sdpa-gc", few, ONE | SDPA | GC, (1, 1024)
    yield "llava-full-8bit-gc", sighted, TWO | FLASH | CCE | GC | {"optimizer": "adamw_8bit"}, (1, 2048)
    yield "llava-full-frozen-tower-gc", few, TWO | FLASH | CCE | GC | FROZEN, (1, 2048)
    yield "llava-full-frozen-tower", sighted, TWO | FLASH | CCE | FROZEN, (1, 2048)
    yield "llava-text-liger-gc", few, TWO | FLASH | TEXT | LIGER | GC, (1, 2048)
    # the whole model
    yield "llava-qlora-real-7b", SEVEN_B, TWO | FLASH | TEXT | PACKED | CCE | GC, (1, 2048)
    yield "llava-lora-real-7b", SEVEN_B, ONE | SDPA | NAMED | GC, (1, 2048)
    yield from _tower()
    yield from _held_back()
