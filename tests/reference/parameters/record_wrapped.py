"""Records what PEFT calls parameters once it has wrapped a model: ``python -m tests.reference.parameters.record_wrapped``.

Needs what ``record`` needs. Writes ``tests/data/parameters/wrapped.json``: versions, and for each small model its
config.json, Axolotl's keys and the names of all parameters, as ``named_parameters`` lists them.
"""

import json
from importlib.metadata import version
from typing import Any

from peft import LoraConfig, get_peft_model

from tests.reference.parameters.record import PACKAGES, ROOT, build

WRAPPED = ROOT / "tests" / "data" / "parameters" / "wrapped.json"
SMALL: dict[str, Any] = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 2,
    "vocab_size": 64,
}  # fmt: skip
DENSE = {"model_type": "qwen2", **SMALL}
MIXTURE = {"model_type": "qwen3_moe", **SMALL, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}
CASES: tuple[tuple[dict[str, Any], dict[str, Any], dict[str, Any]], ...] = (
    (
        DENSE,
        {"lora_target_modules": ["q_proj", "embed_tokens"], "peft_use_dora": True, "lora_modules_to_save": ["lm_head"]},
        {"target_modules": ["q_proj", "embed_tokens"], "use_dora": True, "modules_to_save": ["lm_head"]},
    ),
    (
        DENSE,
        {"lora_target_modules": ["q_proj"], "lora_modules_to_save": ["norm"]},
        {"target_modules": ["q_proj"], "modules_to_save": ["norm"], "lora_bias": True},
    ),
    (
        DENSE,
        {"lora_target_modules": ["q_proj"], "peft_trainable_token_indices": [1]},
        {"target_modules": ["q_proj"], "trainable_token_indices": {"embed_tokens": [1]}},
    ),
    (
        MIXTURE,
        {"lora_target_modules": ["q_proj"], "lora_target_parameters": ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]},
        {"target_modules": ["q_proj"], "target_parameters": ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]},
    ),
)  # fmt: skip


def main() -> None:
    """Wrap each and write its names down."""
    rows = []
    for config, keys, settings in CASES:
        model = get_peft_model(build(config), LoraConfig(r=2, **settings))
        rows.append({"model": config, "config": keys, "names": [name for name, _ in model.named_parameters()]})
    versions = {name: version(name) for name in PACKAGES}
    found = {"versions": versions, "script": "tests/reference/parameters/record_wrapped.py", "rows": rows}
    WRAPPED.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
