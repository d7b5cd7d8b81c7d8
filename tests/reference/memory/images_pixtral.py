"""Batches that hold images for Pixtral's tower: Mistral 3, and LLaVA's wrapper around it (Pixtral 12B).

``python -m tests.reference.memory.record --cases images_pixtral`` records them to ``tests/data/memory/images_pixtral.jsonl``. Names that begin
with ``held-`` were left alone until the formulas stood.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .cases import _model
from .catalogue import pool
from .images import EAGER, EVALUATED, FLASH, FROZEN, LINEAR, ONE, PACKED, SDPA, SEES, TEXT, TUNED, TWO, _cut
from .keys import CCE, GC, GC_NON_REENTRANT, SEVEN
from .towers import ATTENTION, MODELS, PIXTRAL

NAMED = TUNED | {"lora_target_modules": SEVEN}


def _mistral(hidden: int, inter: int, layers: int, heads: int, kv: int, tied: bool = False, **facts: Any) -> dict[str, Any]:  # fmt: skip
    text = _model("mistral", hidden, inter, layers, heads, kv, 131072, head_dim=128, sliding_window=None)
    sight = PIXTRAL | {"patch_size": 14, "image_size": 1540, "hidden_act": "silu"}
    return {"model_type": "mistral3", "text_config": text, "vision_config": sight, "spatial_merge_size": 2,
            "vision_feature_layer": -1, "tie_word_embeddings": tied} | facts  # fmt: skip


SMALL = _mistral(5120, 32768, 40, 32, 8)
THREE = _mistral(3072, 9216, 26, 32, 8, tied=True)
TINY = _mistral(1024, 2048, 8, 8, 4)
TWELVE = MODELS["pixtral-12b"] | {"vision_feature_select_strategy": "full"}


def _tower() -> Iterator[tuple[str, dict, dict, tuple[int, int]]]:
    """Small language models, so that the tower's own moments are the highest."""
    tiny, deep = _cut(TINY, 2, 6), _cut(TINY, 1, 16)
    large, middle, small = {"image_side": 1024}, {"image_side": 700}, {"image_side": 420}
    yield "pixtral-tower-lora-cce", tiny, TWO | large | FLASH | TEXT | CCE, (1, 2900)
    yield "pixtral-tower-lora-gc", deep, TWO | large | FLASH | TEXT | CCE | GC, (1, 2900)
    yield "pixtral-tower-lora-gcnr", deep, TWO | large | FLASH | NAMED | CCE | GC_NON_REENTRANT, (1, 2900)
    yield "pixtral-tower-lora-eager", tiny, TWO | small | EAGER | TEXT | CCE, (1, 512)
    yield "pixtral-tower-lora-eager-gc", deep, TWO | middle | EAGER | TEXT | CCE | GC, (1, 1400)
    yield "pixtral-tower-lora-sdpa", tiny, TWO | middle | SDPA | NAMED | CCE, (1, 1400)
    yield "pixtral-tower-lora-sdpa-aligned", tiny, TWO | {"image_side": 672} | SDPA | NAMED | CCE, (1, 1300)
    yield "pixtral-tower-lora-sdpa-gc", deep, TWO | large | SDPA | TEXT | CCE | GC, (1, 2900)
    yield (
        "pixtral-tower-full-gc",
        deep,
        SEES | {"images": 6} | large | FLASH | CCE | GC | {"optimizer": "sgd"},
        (1, 8600),
    )
    yield "pixtral-tower-full", tiny, SEES | {"images": 3} | large | FLASH | CCE | {"optimizer": "sgd"}, (1, 4300)
    yield "pixtral-tower-full-sdpa", tiny, TWO | large | SDPA | CCE | {"optimizer": "sgd"}, (1, 2900)
    yield (
        "pixtral-tower-frozen",
        deep,
        SEES | {"images": 6} | large | FLASH | CCE | FROZEN | {"optimizer": "sgd"},
        (1, 8600),
    )
    yield "pixtral-tower-frozen-sdpa", deep, TWO | large | SDPA | CCE | FROZEN | {"optimizer": "sgd"}, (1, 2900)
    evaluated = TEXT | CCE | GC | EVALUATED | {"eval_batch_size": 4}
    yield "pixtral-tower-evaluated", deep, ONE | large | FLASH | evaluated, (1, 1500)
    yield "pixtral-tower-evaluated-sdpa", deep, ONE | middle | SDPA | evaluated, (1, 800)
    yield "pixtral-tower-evaluated-eager", deep, ONE | middle | EAGER | evaluated, (1, 800)
    packed = PACKED | {"lora_target_modules": SEVEN}
    yield "pixtral-tower-qlora-eager", tiny, TWO | small | EAGER | TUNED | packed | CCE, (1, 512)
    yield "pixtral-tower-qlora-eager-gc", tiny, TWO | small | EAGER | TUNED | packed | CCE | GC, (1, 512)
    yield "pixtral-tower-qlora-sdpa", tiny, TWO | middle | SDPA | TEXT | PACKED | CCE, (1, 1400)
    yield "pixtral-tower-qlora-sdpa-gc", deep, TWO | middle | SDPA | TUNED | packed | CCE | GC, (1, 1400)
    yield "pixtral-tower-qlora-gc", deep, TWO | large | FLASH | TUNED | packed | CCE | GC, (1, 2900)
    yield "pixtral-tower-qlora-evaluated-eager", tiny, ONE | small | EAGER | PACKED | evaluated, (1, 400)
    yield "pixtral-tower-full-plain", tiny, ONE | middle | EAGER | {"optimizer": "sgd"}, (1, 800)
    yield "pixtral-tower-full-unset-gc", deep, ONE | middle | GC | {"optimizer": "sgd"}, (1, 800)
    whole = {"image_side": 1540}
    yield "pixtral-tower-whole", tiny, ONE | whole | FLASH | TEXT | CCE, (1, 3200)


def _held_back() -> Iterator[tuple[str, dict, dict, tuple[int, int]]]:
    """Left alone until the formulas stood."""
    ministral, mixture = (next(one for one in pool()["mistral3"] if one["text_config"]["model_type"] == kind) for kind in ("ministral3", "mistral4"))  # fmt: skip
    attention = TUNED | {"lora_target_modules": ATTENTION, "lora_r": 48, "lora_alpha": 48}
    odd, three = {"image_side": 900}, SEES | {"images": 3}
    yield "held-pixtral-text-lora", _cut(SMALL, 4, 9), TWO | odd | FLASH | attention | CCE, (1, 3000)
    yield "held-pixtral-text-sdpa-gc", _cut(SMALL, 3, 16), three | odd | SDPA | TEXT | CCE | GC, (1, 3800)
    yield "held-pixtral-ministral-gc", _cut(ministral, 6, 20), TWO | {"image_side": 1250} | FLASH | NAMED | CCE | GC, (1, 4200)  # fmt: skip
    yield "held-pixtral-ministral-full-gc", _cut(ministral, 5, 10), three | odd | FLASH | CCE | GC, (1, 3600)
    yield "held-pixtral-full", _cut(THREE, 3, 14), ONE | odd | SDPA | CCE, (2, 1400)
    yield "held-pixtral-eager", _cut(TINY, 4, 6), TWO | {"image_side": 420} | EAGER | NAMED | CCE, (2, 1200)
    evaluated = FLASH | TEXT | PACKED | CCE | GC | EVALUATED | {"eval_batch_size": 2}
    yield "held-pixtral-qlora-evaluated", _cut(TINY, 3, 10), TWO | odd | evaluated, (1, 2600)
    yield "held-pixtral-frozen", _cut(TINY, 4, 18), three | odd | EAGER | CCE | FROZEN | {"optimizer": "sgd"}, (1, 3600)
    larger = ONE | {"image_side": 2500} | SDPA | TEXT | CCE | GC_NON_REENTRANT
    yield "held-pixtral-too-large", _cut(SMALL, 3, 6), larger, (1, 3600)
    yield "held-pixtral-wrapped", _cut(TWELVE, 4, 7), ONE | odd | FLASH | LINEAR | CCE, (1, 3600)
    yield "held-pixtral-mixture", _cut(mixture, 2, 5), ONE | odd | FLASH | attention | CCE | GC, (1, 1500)


def cases() -> Iterator[tuple[str, dict, dict, tuple[int, int]]]:
    """All cases of this module."""
    few, sighted = _cut(SMALL, 3, 4), _cut(SMALL, 2, 12)
    slim = _cut(THREE, 4, 8)
    large, middle, small = {"image_side": 1024}, {"image_side": 700}, {"image_side": 280}
    whole = {"image_side": 1540}
    many = SEES | {"images": 4}
    # a tower that is frozen
    yield "pixtral-text-lora-cce", few, ONE | large | FLASH | TEXT | CCE, (1, 2048)
    yield "pixtral-text-lora-sighted-cce", sighted, ONE | large | FLASH | TEXT | CCE, (1, 2048)
    yield "pixtral-text-lora-cce-gc", sighted, TWO | large | FLASH | TEXT | CCE | GC, (1, 3072)
    yield "pixtral-text-lora-sdpa", few, ONE | middle | SDPA | TEXT | CCE, (1, 1024)
    yield "pixtral-text-lora-sdpa-aligned", sighted, ONE | {"image_side": 672} | SDPA | TEXT | CCE, (1, 1024)
    yield "pixtral-text-lora-sdpa-gc", sighted, TWO | middle | SDPA | TEXT | GC, (2, 1536)
    yield "pixtral-text-lora-eager", few, ONE | middle | EAGER | TEXT | CCE, (1, 1024)
    yield "pixtral-text-lora-eager-gc", sighted, ONE | middle | EAGER | TEXT | CCE | GC, (1, 1024)
    yield "pixtral-text-lora-gcnr", sighted, ONE | large | FLASH | TEXT | CCE | GC_NON_REENTRANT, (1, 2048)
    yield "pixtral-text-lora-sdpa-gcnr", sighted, ONE | large | SDPA | TEXT | CCE | GC_NON_REENTRANT, (1, 2048)
    yield "pixtral-text-lora-whole-gc", sighted, ONE | whole | FLASH | TEXT | CCE | GC, (1, 4096)
    yield "pixtral-text-qlora-gc", sighted, ONE | large | FLASH | TEXT | PACKED | CCE | GC, (1, 2048)
    yield "pixtral-text-qlora-sdpa", few, ONE | middle | SDPA | TEXT | PACKED | CCE, (1, 1024)
    yield "pixtral-small-lora-cce-gc", sighted, many | small | FLASH | TEXT | CCE | GC, (2, 768)
    evaluated = FLASH | TEXT | CCE | GC | EVALUATED
    yield "pixtral-text-lora-evaluated", sighted, ONE | large | evaluated | {"eval_batch_size": 3}, (1, 2048)
    yield "pixtral-text-lora-evaluated-sdpa", sighted, ONE | middle | evaluated | SDPA | {"eval_batch_size": 3}, (1, 1024)  # fmt: skip
    # a tower that LoRA reaches
    yield "pixtral-named-lora-cce", few, ONE | large | FLASH | NAMED | CCE, (1, 2048)
    yield "pixtral-named-lora-gc", sighted, TWO | large | FLASH | NAMED | CCE | GC, (1, 3072)
    yield "pixtral-named-lora-gcnr", sighted, ONE | large | FLASH | NAMED | CCE | GC_NON_REENTRANT, (1, 2048)
    yield "pixtral-linear-lora-sdpa", slim, ONE | middle | SDPA | LINEAR | CCE, (1, 1024)
    yield "pixtral-linear-qlora-gc", sighted, ONE | large | FLASH | LINEAR | PACKED | CCE | GC, (1, 2048)
    yield "pixtral-linear-dora-cce", slim, ONE | large | FLASH | LINEAR | CCE | {"peft_use_dora": True}, (1, 2048)
    dropped = ONE | large | FLASH | LINEAR | CCE | {"lora_dropout": 0.1}
    yield "pixtral-linear-dropout-cce", slim, dropped, (1, 2048)
    yield "pixtral-linear-dropout-frozen", sighted, dropped | FROZEN, (1, 2048)
    # everything trains, or all but the tower
    yield "pixtral-full-cce-gc", slim, TWO | large | FLASH | CCE | GC, (1, 3072)
    yield "pixtral-full-cce", sighted, ONE | large | FLASH | CCE, (1, 2048)
    yield "pixtral-full-sdpa-gc", few, ONE | middle | SDPA | GC, (1, 1024)
    yield "pixtral-full-8bit-gc", slim, ONE | large | FLASH | CCE | GC | {"optimizer": "adamw_8bit"}, (1, 2048)
    yield "pixtral-full-frozen-tower-gc", slim, TWO | large | FLASH | CCE | GC | FROZEN, (1, 3072)
    yield "pixtral-full-frozen-tower", sighted, ONE | large | FLASH | CCE | FROZEN, (1, 2048)
    # whole models
    yield "pixtral-qlora-real-24b", SMALL, ONE | large | FLASH | TEXT | PACKED | CCE | GC, (1, 2048)
    yield "pixtral-lora-real-3b", THREE, TWO | large | SDPA | TEXT | GC, (1, 3072)
    # within LLaVA's wrapper, a token a patch
    wrapped, deep = _cut(TWELVE, 3, 4), _cut(TWELVE, 2, 12)
    yield "pixtral-wrapped-text-lora-cce", wrapped, ONE | middle | FLASH | TEXT | CCE, (1, 2560)
    yield "pixtral-wrapped-text-lora-gc", deep, TWO | {"image_side": 512} | SDPA | TEXT | CCE | GC, (1, 2560)
    yield "pixtral-wrapped-named-lora-gc", deep, ONE | large | FLASH | NAMED | CCE | GC, (1, 4608)
    yield "pixtral-wrapped-full-gc", wrapped, ONE | middle | FLASH | CCE | GC, (1, 2560)
    yield from _tower()
    yield from _held_back()
