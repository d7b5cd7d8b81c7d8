"""What requests and answers share: a configuration, a config.json, keys to vary, and an example of each."""

from typing import Annotated, Any, Literal

from pydantic import WithJsonSchema

QLORA_EXAMPLE: dict[str, Any] = {
    "base_model": "meta-llama/Llama-3.1-8B-Instruct",
    "adapter": "qlora",
    "load_in_4bit": True,
    "lora_r": 64,
    "lora_alpha": 32,
    "lora_dropout": 0.05,
    "lora_target_linear": True,
    "sequence_len": 2048,
    "sample_packing": True,
    "attn_implementation": "flash_attention_2",
    "micro_batch_size": 1,
    "gradient_accumulation_steps": 4,
    "gradient_checkpointing": True,
    "optimizer": "paged_adamw_8bit",
    "learning_rate": 0.0002,
    "num_epochs": 3,
    "bf16": "auto",
    "datasets": [{"path": "mlabonne/FineTome-100k", "type": "chat_template"}],
}
YAML_EXAMPLE = """base_model: meta-llama/Llama-3.1-8B-Instruct
datasets:
  - path: tatsu-lab/alpaca
    type: alpaca
adapter: lora
lora_r: 16
lora_alpha: 32
lora_target_modules: [q_proj, v_proj]
flash_attention: true  # the old switch
relora_steps: 200
learning_rate: 2e-4
"""
MODEL_EXAMPLE: dict[str, Any] = {
    "model_type": "llama",
    "vocab_size": 32000,
    "hidden_size": 2048,
    "intermediate_size": 5632,
    "num_hidden_layers": 22,
    "num_attention_heads": 32,
    "num_key_value_heads": 4,
    "max_position_embeddings": 2048,
    "tie_word_embeddings": False,
}

CONFIG_SCHEMA: dict[str, Any] = {
    "title": "Config",
    "type": "object",
    "additionalProperties": True,
    "description": "A configuration in Axolotl's own keys. Keys left out take Axolotl's defaults.",
    "examples": [QLORA_EXAMPLE],
}
MODEL_SCHEMA: dict[str, Any] = {
    "title": "Model",
    "type": "object",
    "additionalProperties": True,
    "description": "A Hugging Face config.json as pasted. It overrides the catalogue's facts of base_model.",
    "examples": [MODEL_EXAMPLE],
}

COMPONENT = "x-component"
"""Marks a schema that the OpenAPI document holds by this name and refers to."""

Config = Annotated[dict[str, Any], WithJsonSchema({COMPONENT: "Config"})]
Model = Annotated[dict[str, Any], WithJsonSchema({COMPONENT: "Model"})]

VaryKey = Literal[
    "eval_batch_size",
    "cut_cross_entropy",
    "gradient_checkpointing",
    "micro_batch_size",
    "optimizer",
    "sequence_len",
    "lora_r",
    "adapter",
    "activation_offloading",
]
GridKey = Literal["sequence_len", "micro_batch_size", "lora_r"]
