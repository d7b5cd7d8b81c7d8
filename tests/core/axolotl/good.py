"""A good configuration, models to try it on, and what is said of it with changes."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from app.core.architecture import Architecture, Kind
from app.core.axolotl.rules import check
from app.core.findings import Finding
from app.core.hardware import Hardware
from tests.core.axolotl.examples import architecture, experts, schema, tower

GOOD: Mapping[str, Any] = {
    "base_model": "someone/Model-8B",
    "datasets": [{"path": "a/b", "type": "alpaca"}],
    "adapter": "lora",
    "lora_r": 16,
    "lora_alpha": 32,
    "lora_target_modules": ["q_proj", "v_proj"],
    "sequence_len": 2048,
    "optimizer": "adamw_torch_fused",
    "learning_rate": 0.0002,
}
LLAMA = architecture()
PHI3 = architecture("phi3")
STARCODER2 = architecture("starcoder2")
GPT2 = architecture("gpt2", kind=Kind.CONV1D, names=("c_attn",))
NEOX = architecture("gpt_neox", names=("query_key_value",))
VISION = architecture("gemma3", extra=(tower(),))
PUBLISHED_IN_FP8 = replace(LLAMA, published_in="fp8")
MOE = architecture("qwen3_moe", extra=(experts(),), expert_names={"gate_proj": "gate_up_proj"}, experts=4)
FULL = {"adapter": None, "lora_r": None, "lora_alpha": None, "lora_target_modules": None}
QLORA = {"adapter": "qlora", "load_in_4bit": True}


def findings(
    changes: Mapping[str, Any], model: Architecture | None = LLAMA, card: Hardware | None = None
) -> dict[str, Finding]:
    """What is said of a good configuration with ``changes``, by code."""
    return {finding.code: finding for finding in check({**GOOD, **changes}, model, card, schema())}
