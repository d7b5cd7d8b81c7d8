"""Batches that hold images: towers frozen, reached by LoRA and trained, with and without checkpoints, in evaluation.

``python -m tests.reference.memory.record --cases images`` records them to ``tests/data/memory/images.jsonl``. ``images`` are those of a row, whose
tokens are among the row's, ``image_side`` the pixels of a square image's side where the processor keeps its size. Names that begin with
``held-`` were left alone until the formulas stood.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .cases import _model
from .catalogue import shrunk
from .keys import CCE, GC, GC_NON_REENTRANT, LIGER, OFF, SEVEN
from .towers import ALL, ATTENTION, MODELS

SEES = {"processor_type": "AutoProcessor", "skip_prepare_dataset": True, "remove_unused_columns": False}
ONE = SEES | {"images": 1}
TWO = SEES | {"images": 2}
SDPA = {"attn_implementation": "sdpa"}
FLASH = {"attn_implementation": "flash_attention_2"}
EAGER = {"attn_implementation": "eager"}
TUNED = {"adapter": "lora", "lora_r": 16, "lora_alpha": 32} | OFF
TEXT = TUNED | {"lora_target_modules": ALL}
LINEAR = TUNED | {"lora_target_linear": True}
NAMED = TUNED | {"lora_target_modules": SEVEN}
REACHING = TUNED | {"lora_target_modules": [*SEVEN, "qkv", "attn.proj"]}
PACKED = {"adapter": "qlora", "load_in_4bit": True}
EIGHT = {"load_in_8bit": True}
EVALUATED = {"val_set_size": 0.1}

FROZEN = {"freeze_mm_modules": True}


def _siglip(**facts: Any) -> dict[str, Any]:
    return {"model_type": "siglip_vision_model", "hidden_size": 1152, "intermediate_size": 4304, "num_hidden_layers": 27,
            "num_attention_heads": 16, "image_size": 896, "patch_size": 14, "vision_use_head": False} | facts  # fmt: skip


def _gemma(hidden: int, inter: int, layers: int, heads: int, kv: int, dim: int = 256, **sight: Any) -> dict[str, Any]:
    text = _model("gemma3_text", hidden, inter, layers, heads, kv, 262208, head_dim=dim, sliding_window=1024,
                  query_pre_attn_scalar=256)  # fmt: skip
    text.pop("tie_word_embeddings")
    return {"model_type": "gemma3", "text_config": text, "vision_config": _siglip(**sight), "mm_tokens_per_image": 256,
            "image_token_index": 262144}  # fmt: skip


FOUR = _gemma(2560, 10240, 34, 8, 4)
TWELVE = _gemma(3840, 15360, 48, 16, 8)
LARGE = _gemma(5376, 21504, 62, 32, 16, 128)
SMALL_IMAGE = _gemma(2560, 10240, 34, 8, 4, image_size=448)


SEVEN_B = MODELS["qwen2.5-vl-7b"]
THREE_B = _model("qwen2_5_vl", 2048, 11008, 36, 16, 2, 151936, tie_word_embeddings=True) | {
    "rope_scaling": SEVEN_B["rope_scaling"],
    "vision_config": SEVEN_B["vision_config"] | {"out_hidden_size": 2048},
}


def _windowed(model: dict[str, Any], text: int, sight: int) -> dict[str, Any]:
    """Qwen 2.5 VL with so many layers of each kind, every fourth of the tower's seeing a whole image."""
    made = _cut(model, text, sight)
    made["vision_config"]["fullatt_block_indexes"] = list(range(3, sight, 4))
    return made


def _cut(model: dict[str, Any], text: int, sight: int) -> dict[str, Any]:
    """The model with so many layers of each kind."""
    return shrunk(model, text) | {"vision_config": shrunk(model["vision_config"], sight)}


def _gridded() -> Iterator[tuple[str, dict, dict, tuple[int, int]]]:
    """Images that keep their size, in patches: Qwen 2.5 VL."""
    few, sighted = _windowed(SEVEN_B, 4, 4), _windowed(SEVEN_B, 2, 12)
    large, middle, small = {"image_side": 1024}, {"image_side": 700}, {"image_side": 280}
    many = SEES | {"images": 4}
    yield "gridded-text-lora-cce", few, ONE | large | FLASH | TEXT | CCE, (1, 2048)
    yield "gridded-text-lora-sighted-cce", sighted, ONE | large | FLASH | TEXT | CCE, (1, 2048)
    yield "gridded-text-lora-cce-gc", sighted, TWO | large | FLASH | TEXT | CCE | GC, (1, 3072)
    yield "gridded-text-lora-sdpa", few, ONE | middle | SDPA | TEXT | CCE, (1, 1024)
    yield "gridded-text-lora-sdpa-gc", few, ONE | middle | SDPA | TEXT | GC, (2, 1024)
    yield "gridded-text-lora-gcnr", few, ONE | large | FLASH | TEXT | CCE | GC_NON_REENTRANT, (1, 2048)
    yield "gridded-text-qlora-gc", sighted, ONE | large | FLASH | TEXT | PACKED | CCE | GC, (1, 2048)
    yield (
        "gridded-text-lora-evaluated",
        sighted,
        ONE | large | FLASH | TEXT | CCE | GC | EVALUATED | {"eval_batch_size": 3},
        (1, 1500),
    )
    yield "gridded-small-lora-cce-gc", sighted, many | small | FLASH | TEXT | CCE | GC, (2, 768)
    yield "gridded-reached-lora-cce", few, ONE | large | FLASH | REACHING | CCE, (1, 2048)
    yield "gridded-reached-lora-gc", sighted, ONE | large | FLASH | REACHING | CCE | GC, (1, 2048)
    yield "gridded-reached-qlora-gc", few, TWO | middle | FLASH | REACHING | PACKED | CCE | GC, (1, 2048)
    yield "gridded-full-cce-gc", sighted, TWO | large | FLASH | CCE | GC, (1, 3072)
    yield "gridded-full-cce", sighted, ONE | large | FLASH | CCE, (1, 2048)
    yield "gridded-full-sdpa-gc", few, ONE | middle | SDPA | GC, (1, 1024)
    yield (
        "gridded-full-frozen-tower-gc",
        sighted,
        TWO | large | FLASH | CCE | GC | FROZEN,
        (1, 3072),
    )
    reached = ONE | large | FLASH | REACHING | CCE | FROZEN
    yield "gridded-reached-dropout-frozen", sighted, reached | {"lora_dropout": 0.1}, (1, 2048)
    yield "gridded-qlora-real-3b", _windowed(THREE_B, 36, 32), ONE | large | FLASH | TEXT | PACKED | CCE | GC, (1, 2048)
    odd = {"image_side": 900}
    yield "held-gridded-text-lora", _windowed(THREE_B, 8, 8), TWO | odd | FLASH | TEXT | CCE, (1, 2500)
    yield "held-gridded-reached-gc", _windowed(THREE_B, 6, 16), ONE | odd | FLASH | REACHING | CCE | GC, (2, 1600)
    yield "held-gridded-full-gc", _windowed(THREE_B, 4, 8), SEES | {"images": 3} | odd | FLASH | CCE | GC, (1, 3500)
    yield "held-gridded-sdpa-gc", _windowed(THREE_B, 4, 4), ONE | small | SDPA | TEXT | CCE | GC, (2, 600)


def _deep(model: dict[str, Any], text: int, sight: int) -> dict[str, Any]:
    """Qwen 3 VL with so many layers of each kind, three of which hand on what they make."""
    made = _cut(model, text, sight)
    made["vision_config"]["deepstack_visual_indexes"] = [sight * part // 4 - 1 for part in (1, 2, 3)]
    return made


def _stacked() -> Iterator[tuple[str, dict, dict, tuple[int, int]]]:
    """Features of several of the tower's layers, added behind the language model's first ones: Qwen 3 VL."""
    four, moe = MODELS["qwen3-vl-4b"], MODELS["qwen3-vl-30b-a3b"]
    few, sighted = _deep(four, 4, 4), _deep(four, 3, 12)
    large, middle = {"image_side": 1024}, {"image_side": 700}
    yield "stacked-text-lora-cce", few, ONE | large | FLASH | TEXT | CCE, (1, 2048)
    yield "stacked-text-lora-cce-gc", sighted, TWO | large | FLASH | TEXT | CCE | GC, (1, 3072)
    yield "stacked-text-lora-sdpa-gc", sighted, ONE | middle | SDPA | TEXT | GC, (2, 1024)
    yield "stacked-text-qlora-gc", sighted, SEES | {"images": 4} | large | FLASH | TEXT | PACKED | CCE | GC, (1, 4608)
    yield (
        "stacked-text-lora-evaluated",
        sighted,
        ONE | large | FLASH | TEXT | CCE | GC | EVALUATED | {"eval_batch_size": 4},
        (1, 1200),
    )
    yield "stacked-reached-lora-cce", sighted, ONE | large | FLASH | REACHING | CCE, (1, 1500)
    yield "stacked-reached-lora-gc", sighted, TWO | large | FLASH | REACHING | CCE | GC, (1, 2500)
    yield "stacked-linear-lora-cce", few, ONE | middle | SDPA | LINEAR | CCE, (1, 1024)
    yield "stacked-linear-qlora-gc", sighted, ONE | large | FLASH | LINEAR | PACKED | CCE | GC, (1, 1500)
    yield "stacked-full-cce-gc", sighted, TWO | large | FLASH | CCE | GC, (1, 3072)
    yield "stacked-full-cce", sighted, SEES | {"images": 3} | large | FLASH | CCE, (1, 3500)
    yield "stacked-full-sdpa-gc", few, ONE | middle | SDPA | GC, (1, 1024)
    yield (
        "stacked-full-frozen-tower-gc",
        sighted,
        TWO | large | FLASH | CCE | GC | FROZEN,
        (1, 3072),
    )
    attention = TUNED | {"lora_target_modules": ATTENTION}
    yield "stacked-moe-lora-gc", _deep(moe, 3, 8), ONE | large | FLASH | attention | CCE | GC, (1, 2048)
    yield "stacked-qlora-real-4b", _deep(four, 36, 24), TWO | large | FLASH | REACHING | PACKED | CCE | GC, (1, 3072)
    odd = {"image_side": 1300}
    yield "held-stacked-text-lora", _deep(four, 5, 16), TWO | odd | FLASH | TEXT | CCE, (1, 3900)
    yield "held-stacked-reached-gc", _deep(four, 4, 20), TWO | odd | FLASH | REACHING | CCE | GC, (1, 3500)
    yield "held-stacked-full", _deep(four, 3, 8), SEES | {"images": 3} | odd | FLASH | CCE, (1, 5200)
    yield (
        "held-stacked-reached-gcnr",
        _deep(four, 4, 8),
        ONE | odd | FLASH | REACHING | CCE | GC_NON_REENTRANT,
        (1, 2048),
    )


def cases() -> Iterator[tuple[str, dict, dict, tuple[int, int]]]:
    """All cases of this module."""
    few = _cut(FOUR, 6, 4)
    sighted = _cut(FOUR, 2, 12)
    # a tower that is frozen
    yield "images-text-lora-sdpa", few, ONE | SDPA | TEXT, (1, 1024)
    yield "images-text-lora-flash-cce", few, ONE | FLASH | TEXT | CCE, (1, 1024)
    yield "images-text-lora-flash-cce-gc", few, TWO | FLASH | TEXT | CCE | GC, (1, 1024)
    yield "images-text-lora-sdpa-cce-gc-rows", few, ONE | SDPA | TEXT | CCE | GC, (2, 768)
    yield "images-text-lora-eager-cce", few, ONE | EAGER | TEXT | CCE, (1, 640)
    yield "images-text-lora-eager-gc", few, ONE | EAGER | TEXT | GC, (1, 640)
    yield "images-text-lora-gcnr", few, ONE | FLASH | TEXT | CCE | GC_NON_REENTRANT, (1, 1024)
    yield "images-text-lora-sighted-cce", sighted, TWO | FLASH | TEXT | CCE, (1, 768)
    yield "images-text-lora-sighted-gc", sighted, TWO | SDPA | TEXT | CCE | GC, (2, 768)
    yield "images-text-qlora-gc", few, ONE | FLASH | TEXT | PACKED | GC, (1, 2048)
    yield "images-text-qlora-cce", few, ONE | SDPA | TEXT | PACKED | CCE, (1, 1024)
    yield "images-text-8bit-cce-gc", few, ONE | FLASH | TEXT | EIGHT | CCE | GC, (1, 1024)
    yield (
        "images-text-lora-accumulated",
        few,
        ONE | FLASH | TEXT | CCE | GC | {"gradient_accumulation_steps": 2},
        (1, 1024),
    )
    yield (
        "images-text-lora-evaluated",
        few,
        TWO | FLASH | TEXT | CCE | GC | EVALUATED | {"eval_batch_size": 4},
        (1, 1024),
    )
    yield "images-text-lora-evaluated-plain", few, ONE | SDPA | TEXT | GC | EVALUATED | {"eval_batch_size": 2}, (1, 768)
    yield "images-text-lora-real-4b", FOUR, ONE | SDPA | TEXT | GC, (1, 2048)
    yield "images-text-qlora-real-12b", TWELVE, TWO | FLASH | TEXT | PACKED | CCE | GC, (1, 2048)
    # a tower that LoRA reaches
    yield "images-linear-lora-cce", few, ONE | FLASH | LINEAR | CCE, (1, 1024)
    yield "images-linear-lora-cce-gc", sighted, ONE | SDPA | LINEAR | CCE | GC, (1, 1024)
    yield "images-named-lora-cce", sighted, ONE | FLASH | NAMED | CCE, (1, 1024)
    yield "images-linear-qlora-cce-gc", few, TWO | FLASH | LINEAR | PACKED | CCE | GC, (2, 768)
    yield "images-linear-dora-cce", few, ONE | FLASH | LINEAR | CCE | {"peft_use_dora": True}, (1, 1024)
    yield "images-linear-dropout-cce", few, ONE | FLASH | LINEAR | CCE | {"lora_dropout": 0.1}, (1, 1024)
    # everything trains, or all but the tower
    yield "images-full-sdpa-gc", few, ONE | SDPA | GC, (1, 1024)
    yield "images-full-flash-cce-gc", sighted, TWO | FLASH | CCE | GC, (1, 1024)
    yield "images-full-flash-cce", sighted, ONE | FLASH | CCE, (1, 1024)
    yield "images-full-8bit-states", sighted, ONE | FLASH | CCE | GC | {"optimizer": "adamw_8bit"}, (2, 512)
    yield "images-full-frozen-tower-gc", few, TWO | FLASH | CCE | GC | FROZEN, (2, 768)
    yield "images-full-frozen-tower", sighted, ONE | FLASH | CCE | FROZEN, (1, 1024)
    # an adapter in a tower that is frozen all the same
    for name, more in {
        "dropout": {"lora_dropout": 0.1},
        "dora": {"peft_use_dora": True},
        "qlora-gc": PACKED | GC,
    }.items():
        yield f"images-linear-{name}-frozen", sighted, ONE | FLASH | LINEAR | CCE | FROZEN | more, (1, 600)
    # other sizes
    yield "images-small-lora-cce", _cut(SMALL_IMAGE, 6, 6), TWO | FLASH | TEXT | CCE, (2, 1024)
    yield "images-many-lora-gc", few, SEES | {"images": 6} | FLASH | TEXT | CCE | GC, (1, 2048)
    # left alone until the formulas stood
    attention = TUNED | {"lora_target_modules": ATTENTION, "lora_r": 48, "lora_alpha": 48}
    yield (
        "held-images-text-lora-12b",
        _cut(TWELVE, 12, 9),
        SEES | {"images": 3} | SDPA | attention | CCE | GC,
        (1, 1500),
    )
    yield "held-images-linear-lora-27b", _cut(LARGE, 6, 5), TWO | FLASH | LINEAR | CCE, (1, 800)
    yield "held-images-full-rows", _cut(FOUR, 6, 9), ONE | FLASH | GC, (3, 600)
    yield "held-images-text-liger", few, ONE | FLASH | TEXT | LIGER | GC, (1, 1000)
    yield (
        "held-images-qlora-evaluated",
        sighted,
        TWO | SDPA | TEXT | PACKED | CCE | GC | EVALUATED | {"eval_batch_size": 3},
        (1, 900),
    )
    yield "held-images-text-lora-real-4b", FOUR, TWO | FLASH | TEXT | CCE, (1, 1100)
    yield from _gridded()
    yield from _stacked()
