"""Every model type without checkpointing, whole and with adapters: what its layers save decides the peak, so that each
trait of a type shows (``app/core/memory/traits.py``).

``python -m tests.reference.memory.record --cases traits`` records them to ``tests/data/memory/traits.jsonl``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .catalogue import EAGER_ONLY, LAYERS, SDPA, pool, shrunk, targets
from .keys import CCE, OFF

ROWS = (2, 1024)
PLAIN: dict[str, Any] = {}
"""Llama 4's loss stands in its wrapper, which is left out here."""
TEXTS = {"gemma4_text": "gemma4", "qwen3_5_moe_text": "qwen3_5_moe"}
"""Language models that the catalogue has within a wrapper alone."""


def _models() -> Iterator[tuple[str, dict[str, Any]]]:
    models = pool()
    for kind, found in models.items():
        yield kind, found[0]
    for kind, wrapper in TEXTS.items():
        yield kind, models[wrapper][0]["text_config"] | {"model_type": kind}


def cases() -> Iterator[tuple[str, dict, dict, tuple[int, int]]]:
    """All cases of this module."""
    for kind, model in _models():
        attention = (
            "eager" if kind in EAGER_ONLY or kind == "gpt_oss" else "sdpa" if kind in SDPA else "flash_attention_2"
        )
        common = (PLAIN if kind == "llama4_text" else CCE) | {"attn_implementation": attention}
        tuned = {"adapter": "lora", "lora_r": 16, "lora_alpha": 32, "lora_target_modules": targets(kind)}
        small = shrunk(model, LAYERS.get(kind, 2))
        yield f"traits-full-{kind}", small, common, ROWS
        yield f"traits-lora-{kind}", small, common | tuned | OFF, ROWS
