"""PEFT 0.20.0's own choices where a configuration leaves them out, by the model's type in Transformers.

Source: ``peft/utils/constants.py``. Held to PEFT by ``tests/reference/parameters/record_methods.py``. A text is a
pattern.
"""

from collections.abc import Mapping
from typing import TypeAlias

from app.core.methods.settings import PeftType

Names: TypeAlias = tuple[str, ...] | str

_QUERY_VALUE = ("q_proj", "v_proj")
_GEMMA4 = r".*language_model\..*\.(q_proj|v_proj)"

LORA: Mapping[str, Names] = {
    "bloom": ("query_key_value",),
    "falcon": ("query_key_value",),
    "gemma": _QUERY_VALUE,
    "gemma2": _QUERY_VALUE,
    "gemma3_text": _QUERY_VALUE,
    "gemma4": _GEMMA4,
    "gpt2": ("c_attn",),
    "gpt_neox": ("query_key_value",),
    "gptj": _QUERY_VALUE,
    "llama": _QUERY_VALUE,
    "llama4": _QUERY_VALUE,
    "mistral": _QUERY_VALUE,
    "mixtral": _QUERY_VALUE,
    "mpt": ("Wqkv",),
    "nemotron_h": ("q_proj", "k_proj", "v_proj", "o_proj"),
    "opt": _QUERY_VALUE,
    "phi": ("q_proj", "v_proj", "fc1", "fc2"),
    "qwen2": _QUERY_VALUE,
    "qwen3": _QUERY_VALUE,
    "stablelm": _QUERY_VALUE,
}

ADALORA: Mapping[str, Names] = {
    "bloom": ("query_key_value",),
    "gemma": _QUERY_VALUE,
    "gemma2": _QUERY_VALUE,
    "gemma3_text": _QUERY_VALUE,
    "gemma4": _GEMMA4,
    "gpt2": ("c_attn",),
    "gpt_neox": ("query_key_value",),
    "gptj": _QUERY_VALUE,
    "llama": _QUERY_VALUE,
    "llama4": _QUERY_VALUE,
    "nemotron_h": ("q_proj", "k_proj", "v_proj", "o_proj"),
    "opt": ("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"),
    "qwen2": _QUERY_VALUE,
    "qwen3": _QUERY_VALUE,
}

_NORMS = ("input_layernorm", "post_attention_layernorm", "norm")
_AROUND = (
    "input_layernorm",
    "post_attention_layernorm",
    "pre_feedforward_layernorm",
    "post_feedforward_layernorm",
    "norm",
)

LN_TUNING: Mapping[str, Names] = {
    "bloom": ("input_layernorm", "post_attention_layernorm", "ln_f"),
    "falcon": ("input_layernorm", "post_attention_layernorm", "ln_f"),
    "gemma": _NORMS,
    "gemma2": _AROUND,
    "gemma3_text": _AROUND,
    "gpt2": ("ln_1", "ln_2", "ln_f"),
    "gptj": ("ln_1", "ln_f"),
    "llama": _NORMS,
    "mistral": _NORMS,
    "phi": ("input_layernorm", "final_layernorm"),
    "qwen2": ("post_attention_layernorm",),
    "qwen3": ("post_attention_layernorm",),
    "llava": (
        "multi_modal_projector",
        "input_layernorm",
        "post_attention_layernorm",
        "norm",
        "embed_tokens",
        "lm_head",
    ),
}

_QUERY_VALUE_DOWN = ("q_proj", "v_proj", "down_proj")

IA3: Mapping[str, Names] = {
    "bloom": ("query_key_value", "mlp.dense_4h_to_h"),
    "falcon": ("query_key_value", "dense_4h_to_h"),
    "gemma": _QUERY_VALUE_DOWN,
    "gemma2": _QUERY_VALUE_DOWN,
    "gemma3_text": _QUERY_VALUE_DOWN,
    "gpt2": ("c_attn", "mlp.c_proj"),
    "gpt_neox": ("query_key_value", "dense_4h_to_h"),
    "gptj": ("q_proj", "v_proj", "fc_out"),
    "llama": ("k_proj", "v_proj", "down_proj"),
    "llama4": _QUERY_VALUE_DOWN,
    "mistral": ("k_proj", "v_proj", "down_proj"),
    "mixtral": ("k_proj", "v_proj", "w2"),
    "opt": ("q_proj", "k_proj", "fc2"),
    "phi": ("q_proj", "v_proj", "fc2"),
    "qwen2": _QUERY_VALUE_DOWN,
    "qwen3": _QUERY_VALUE_DOWN,
}

IA3_FEEDFORWARD: Mapping[str, Names] = {
    "bloom": ("mlp.dense_4h_to_h",),
    "falcon": ("dense_4h_to_h",),
    "gemma": ("down_proj",),
    "gemma2": ("down_proj",),
    "gemma3_text": ("down_proj",),
    "gpt2": ("mlp.c_proj",),
    "gpt_neox": ("dense_4h_to_h",),
    "gptj": ("fc_out",),
    "llama": ("down_proj",),
    "llama4": ("down_proj",),
    "mistral": ("down_proj",),
    "mixtral": ("w2",),
    "opt": ("fc2",),
    "phi": ("fc2",),
    "qwen2": ("down_proj",),
    "qwen3": ("down_proj",),
}

TARGETS: Mapping[PeftType, Mapping[str, Names]] = {
    PeftType.ADALORA: ADALORA,
    PeftType.IA3: IA3,
    PeftType.LN_TUNING: LN_TUNING,
    PeftType.LOHA: LORA,
    PeftType.LOKR: LORA,
    PeftType.OFT: LORA,
    PeftType.VERA: {**LORA, "phi": _QUERY_VALUE},
}

_COMMON = (
    "task_type",
    "peft_type",
    "auto_mapping",
    "peft_version",
    "base_model_name_or_path",
    "revision",
    "inference_mode",
)
_PROMPT = ("num_virtual_tokens", "token_dim", "num_transformer_submodules", "num_attention_heads", "num_layers")
_LAYERS = ("layers_to_transform", "layers_pattern")
_LYCORIS = ("rank_pattern", "alpha_pattern", "r", "alpha", "rank_dropout", "module_dropout", "use_effective_conv2d")

FIELDS: Mapping[PeftType, tuple[str, ...]] = {
    PeftType.PROMPT_TUNING: (
        *_COMMON,
        *_PROMPT,
        "modules_to_save",
        "prompt_tuning_init",
        "prompt_tuning_init_text",
        "tokenizer_name_or_path",
        "tokenizer_kwargs",
    ),
    PeftType.PREFIX_TUNING: (
        *_COMMON,
        *_PROMPT,
        "modules_to_save",
        "init_weights",
        "encoder_hidden_size",
        "prefix_projection",
    ),
    PeftType.P_TUNING: (
        *_COMMON,
        *_PROMPT,
        "modules_to_save",
        "encoder_reparameterization_type",
        "encoder_hidden_size",
        "encoder_num_layers",
        "encoder_dropout",
    ),
    PeftType.IA3: (
        *_COMMON,
        "target_modules",
        "exclude_modules",
        "feedforward_modules",
        "fan_in_fan_out",
        "modules_to_save",
        "init_ia3_weights",
    ),
    PeftType.BOTTLENECK: ("bottleneck_size", "placement", "non_linearity", "bias"),
    PeftType.ADALORA: (
        *_COMMON,
        "r",
        "target_modules",
        "exclude_modules",
        "lora_alpha",
        "lora_dropout",
        "fan_in_fan_out",
        "bias",
        "use_rslora",
        "modules_to_save",
        "init_lora_weights",
        *_LAYERS,
        "rank_pattern",
        "alpha_pattern",
        "target_r",
        "init_r",
        "tinit",
        "tfinal",
        "deltaT",
        "beta1",
        "beta2",
        "orth_reg_weight",
        "total_step",
    ),
    PeftType.LOHA: (
        *_COMMON,
        *_LYCORIS,
        "target_modules",
        "exclude_modules",
        "init_weights",
        *_LAYERS,
        "modules_to_save",
    ),
    PeftType.LOKR: (
        *_COMMON,
        *_LYCORIS,
        "decompose_both",
        "decompose_factor",
        "rank_dropout_scale",
        "target_modules",
        "exclude_modules",
        "init_weights",
        *_LAYERS,
        "modules_to_save",
    ),
    PeftType.VERA: (
        *_COMMON,
        "r",
        "target_modules",
        "projection_prng_key",
        "save_projection",
        "vera_dropout",
        "d_initial",
        "fan_in_fan_out",
        "bias",
        "modules_to_save",
        "init_weights",
        *_LAYERS,
    ),
    PeftType.OFT: (
        *_COMMON,
        "r",
        "oft_block_size",
        "module_dropout",
        "target_modules",
        "fan_in_fan_out",
        "bias",
        "exclude_modules",
        "init_weights",
        *_LAYERS,
        "modules_to_save",
        "coft",
        "eps",
        "block_share",
        "use_cayley_neumann",
        "num_cayley_neumann_terms",
    ),
    PeftType.LN_TUNING: (*_COMMON, "target_modules", "exclude_modules", "modules_to_save"),
    PeftType.TRAINABLE_TOKENS: (*_COMMON, "token_indices", "target_modules", "init_weights"),
}
"""Each method's settings by PEFT's names; bottleneck's are this product's."""
