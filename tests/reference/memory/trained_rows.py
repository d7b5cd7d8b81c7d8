"""LoRA beside rows of tables that train (``peft_trainable_token_indices``): a table's copy at each use, its gradient.

Tied heads share the rows. ``python -m tests.reference.memory.record --cases trained_rows`` records them to
``tests/data/memory/trained_rows.jsonl``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .keys import ADAM8, CCE, CHUNKED, FLASH, GC, INT8, LANGUAGE, LIGER, OFF, SDPA, evaluated, lora, qlora
from .naming import named


def rows(count: int, *tables: str) -> dict[str, Any]:
    """The key: as many rows of the input embedding, or of each table."""
    listed = [7 * row for row in range(1, count + 1)]
    return {"peft_trainable_token_indices": dict.fromkeys(tables, listed) or listed}


BOTH = ("embed_tokens", "lm_head")

# model, layers where not all, rows, tokens, keys
CASES: tuple[tuple[Any, ...], ...] = (
    ("meta-llama/Llama-3.2-1B", 4, 1, 2048, lora(16), FLASH, GC, rows(2)),
    ("meta-llama/Llama-3.2-1B", 4, 2, 1024, lora(16), FLASH, CCE, rows(100)),
    ("meta-llama/Llama-3.2-1B", 4, 1, 512, qlora(16), SDPA, OFF, GC, LIGER, rows(8)),
    ("Qwen/Qwen3-0.6B", 0, 1, 1024, lora(8), FLASH, GC, CCE, rows(4), evaluated(1)),
    ("Qwen/Qwen3-0.6B", 4, 1, 300, lora(8), FLASH, GC, CCE, rows(4, *BOTH)),
    ("google/gemma-2-2b", 4, 1, 1024, qlora(16), FLASH, GC, rows(12)),
    ("google/gemma-3-4b-it", 4, 1, 2048, qlora(16, LANGUAGE), FLASH, GC, rows(12)),
    ("meta-llama/Llama-3.1-8B", 3, 1, 2048, qlora(16), FLASH, GC, CCE, rows(2)),
    ("meta-llama/Llama-3.1-8B", 3, 1, 256, qlora(16), FLASH, GC, CCE, rows(300)),
    ("meta-llama/Llama-3.1-8B", 3, 1, 2048, lora(16), SDPA, INT8, OFF, GC, CHUNKED, rows(2, "lm_head")),
    ("meta-llama/Llama-3.1-8B", 3, 1, 1024, lora(16), FLASH, CCE, rows(50, *BOTH)),
    ("mistralai/Mistral-7B-v0.3", 3, 2, 1024, lora(64), FLASH, GC, LIGER, ADAM8, rows(5)),
)  # fmt: skip


def cases() -> Iterator[tuple[str, dict, dict, tuple[int, int]]]:
    """All cases of this module."""
    yield from named("trained-rows", CASES)
