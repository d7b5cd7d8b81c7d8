"""SDPA on cards before Ampere (``before_ampere``, which is no key of Axolotl's): in 16 bits, with grouped keys and without.

``python -m tests.reference.memory.record --cases older_cards`` records them to ``tests/data/memory/older_cards.jsonl``. Narrow models and
long rows, so that attention decides.
"""

from __future__ import annotations

from collections.abc import Iterator

from .cases import MODELS, lora, qlora
from .keys import CCE, CHUNKED, GC, GC_NON_REENTRANT

MODEL = "llama-3.2-1b"
T4 = {"attn_implementation": "sdpa", "before_ampere": True, "bf16": False, "fp16": True}
HEADS = {"grouped": (16, 4), "one": (16, 1), "whole": (16, 16), "pairs": (12, 6)}
LORA, QLORA = lora(MODEL), qlora(MODEL)
RUNS = {
    "lora": LORA | GC,
    "lora-kept": LORA,
    "qlora": QLORA | GC | CCE,
    "qlora-not-reentrant": QLORA | GC_NON_REENTRANT | CHUNKED,
    "qlora-offloading": QLORA | GC | CCE | {"activation_offloading": True},
    "full": GC | {"optimizer": "adamw_8bit"},
    "full-kept-bf16": {"bf16": True, "fp16": False, "optimizer": "sgd"},
}
REAL = (
    "qwen3-4b",
    "qwen2.5-0.5b",
    "gemma-2b",
    "gemma-3-1b",
    "phi-2",
    "mistral-7b-v0.1",
    "stablelm-1.6b",
    "smollm2-135m",
)
LENGTHS = ((1, 2048), (2, 1027), (1, 4096), (3, 640), (1, 3001))


def cases() -> Iterator[tuple[str, dict, dict, tuple[int, int]]]:
    """Every head layout by every run, lengths in turn; and models as they are, of three layers."""
    index = 0
    for layout, (heads, groups) in HEADS.items():
        for kind, keys in RUNS.items():
            rows = LENGTHS[index % len(LENGTHS)]
            index += 1
            model = MODELS[MODEL] | {
                "num_hidden_layers": 3,
                "hidden_size": 64 * heads,
                "intermediate_size": 3072,
                "num_attention_heads": heads,
                "num_key_value_heads": groups,
                "vocab_size": 32000,
            }
            yield f"{layout}-{kind}-{rows[0]}x{rows[1]}", model, T4 | keys, rows
    for name in REAL:
        yield (
            f"{name}-qlora",
            MODELS[name] | {"num_hidden_layers": 3, "vocab_size": 32000},
            T4 | qlora(name) | GC,
            (1, 2304),
        )
