"""``docs/memory.md`` shows every term with today's bytes, and names code that is there."""

import re
from pathlib import Path

from app.core.adapter import resolve_adapter
from app.core.architectures import describe
from app.core.axolotl.run_reader import read_run
from app.core.memory import estimate_memory
from app.core.summand import formula

ROOT = Path(__file__).parents[3]
DOCUMENT = (ROOT / "docs/memory.md").read_text(encoding="utf-8")
LLAMA_8B = {
    "model_type": "llama",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
}
QLORA = {
    "adapter": "qlora",
    "load_in_4bit": True,
    "lora_r": 16,
    "lora_target_linear": True,
    "sequence_len": 2048,
    "gradient_checkpointing": True,
}


def test_every_term_stands_there_with_its_bytes() -> None:
    """In the order of the breakdown."""
    architecture, run = describe(LLAMA_8B), read_run(QLORA)
    memory = estimate_memory(architecture, run, resolve_adapter(architecture, run), fused_lora=True)
    shown = re.findall(r"^\| `(\w+)` \|.* ([\d,]+) \|$", DOCUMENT, re.MULTILINE)
    assert [(term, int(size.replace(",", ""))) for term, size in shown] == [
        (term.code, term.bytes) for term in memory.breakdown
    ]


def test_every_term_stands_there_with_its_formula() -> None:
    """With this model's numbers."""
    architecture, run = describe(LLAMA_8B), read_run(QLORA)
    memory = estimate_memory(architecture, run, resolve_adapter(architecture, run), fused_lora=True)
    shown = re.findall(r"^\| `(\w+)` \| ([\d, ×÷+]+) \| [^|]* \|$", DOCUMENT, re.MULTILINE)
    assert shown == [(code, formula(summands)) for code, summands in memory.formulas.items()]


def test_the_modules_that_it_names_are_there() -> None:
    """All of them in the memory package."""
    named = re.findall(r"`(\w+\.py)`", DOCUMENT)
    assert named
    assert all((ROOT / "app/core/memory" / name).is_file() for name in named)
