"""The guide's two templates as whole configurations: every value of theirs, mended where Axolotl would not run it.

Mended: ``datasets`` is required and was missing; the rate is a number (``2e-4`` is text in YAML 1.1); the targets are
named once (both ``lora_target_linear`` and a list were given); the attention is the one that every card has.
"""

from collections.abc import Mapping
from typing import Any

from app.core.axolotl.keys import in_order

_COMMON: dict[str, Any] = {
    "base_model": "meta-llama/Llama-3.1-8B-Instruct",
    "special_tokens": {"pad_token": "<|finetune_right_pad_id|>"},
    "datasets": [
        {"path": "fozziethebeat/alpaca_messages_2k_test", "type": "chat_template", "field_messages": "messages"}
    ],
    "chat_template": "llama3",
    "val_set_size": 0.02,
    "lora_dropout": 0.05,
    "lora_target_modules": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
    "gradient_accumulation_steps": 4,
    "num_epochs": 3,
    "learning_rate": 0.0002,
    "lr_scheduler": "cosine",
    "bf16": "auto",
    "gradient_checkpointing": True,
    "neftune_noise_alpha": 5,
}

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "lora_24gb": in_order(
        _COMMON
        | {
            "adapter": "lora",
            "lora_r": 32,
            "lora_alpha": 16,
            "sequence_len": 4096,
            "attn_implementation": "sdpa",
            "micro_batch_size": 2,
            "optimizer": "adamw_torch",
            "output_dir": "./outputs/lora",
        }
    ),
    "qlora_8gb": in_order(
        _COMMON
        | {
            "adapter": "qlora",
            "load_in_4bit": True,
            "lora_r": 64,
            "lora_alpha": 32,
            "sequence_len": 2048,
            "attn_implementation": "sdpa",
            "micro_batch_size": 1,
            "optimizer": "paged_adamw_8bit",
            "output_dir": "./outputs/qlora",
        }
    ),
}
"""By name: LoRA for 24 GB and more, QLoRA for 8 GB and more."""
