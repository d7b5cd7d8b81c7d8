"""4-bit bases of which a list (``llm_int8_skip_modules``) keeps some linears from being packed.

The list takes the place of Transformers' own, on which the head stands. ``python -m tests.reference.memory.record --cases
skipped_modules`` records them to ``tests/data/memory/skipped_modules.jsonl``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .keys import CCE, FLASH, GC, OFF, SDPA, qlora
from .naming import named


def skip(*names: str) -> dict[str, Any]:
    """The key."""
    return {"bnb_config_kwargs": {"llm_int8_skip_modules": list(names)}}


# model, layers where not all, rows, tokens, keys
CASES: tuple[tuple[Any, ...], ...] = (
    ("meta-llama/Llama-3.1-8B", 3, 1, 2048, qlora(16), FLASH, GC, CCE, skip("lm_head", "down_proj")),
    ("meta-llama/Llama-3.1-8B", 3, 1, 2048, qlora(16), FLASH, GC, skip("down_proj")),
    ("meta-llama/Llama-3.1-8B", 3, 2, 1024, qlora(16), SDPA, OFF, CCE, skip("lm_head", "k_proj", "v_proj")),
    ("Qwen/Qwen3-8B", 3, 1, 2048, qlora(16), FLASH, GC, CCE, skip("lm_head", r"model\.layers\..*self_attn")),
    ("Qwen/Qwen3-8B", 3, 1, 1024, qlora(16), SDPA, OFF, skip("o_proj", "up_proj")),
    ("meta-llama/Llama-3.1-8B", 4, 1, 2048, qlora(16), FLASH, GC, CCE, skip("lm_head", "model.layers.1.mlp")),
)  # fmt: skip


def cases() -> Iterator[tuple[str, dict, dict, tuple[int, int]]]:
    """All cases of this module."""
    yield from named("skipped-modules", CASES)
