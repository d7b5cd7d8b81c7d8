"""Records parameter counts: ``python -m tests.reference.parameters.record`` from the repository's root.

Needs an interpreter with PyTorch (a CPU build will do), Transformers 5.16.1, PEFT 0.20.0 and PyYAML. Every model is built on
the meta device from its config.json, so nothing is downloaded and no weight is held. Writes one JSON line a point to
``tests/data/parameters/points.jsonl``; the first line names the versions.

A point is ``{"model": config.json, "lora": Axolotl's keys or null, "total": the bare model's parameters, "trainable":
PEFT's count or null}``. A LoRA that PEFT itself refuses is no point and is printed.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
POINTS = ROOT / "tests" / "data" / "parameters" / "points.jsonl"
PACKAGES = ("torch", "transformers", "peft")
RANKS = (1, 8, 64, 256)

PLAIN = {
    "vocab_size": 320,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "tie_word_embeddings": False,
}
MIXED = {"moe_intermediate_size": 40, "num_experts": 4, "num_experts_per_tok": 2}
NETS = {
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 12,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "head_dim": 24,
}
LATENT = {"q_lora_rank": 20, "kv_lora_rank": 24, "qk_rope_head_dim": 8, "qk_nope_head_dim": 12, "v_head_dim": 10}
ROUTED = {"n_routed_experts": 4, "n_shared_experts": 2, "num_experts_per_tok": 2, "moe_intermediate_size": 40}
GROUPED = {"n_group": 2, "topk_group": 1}
SIGHT = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
CLIP = SIGHT | {"model_type": "clip_vision_model"}
SIGLIP = SIGHT | {"model_type": "siglip_vision_model", "vision_use_head": False}
EYES = {"hidden_size": 32, "intermediate_size": 48, "depth": 2, "num_heads": 4, "out_hidden_size": 64}
LOOKING = SIGHT | {
    "num_global_layers": 2,
    "image_size": 56,
    "vision_output_dim": 96,
    "intermediate_layers_indices": [0, 1],
}
HEARING = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_mel_bins": 20,
}
GRANITE4 = {"mamba_n_heads": 8, "mamba_d_state": 6, "shared_intermediate_size": 56}
UNIFIED = {"head_dim": 16, "global_head_dim": 24}
PATCHED = {"patch_size": 4, "mm_embed_dim": 32, "mm_posemb_size": 20, "output_proj_dims": 32}
GEMMA4 = {"head_dim": 16, "global_head_dim": 24, "vocab_size_per_layer_input": 320, "hidden_size_per_layer_input": 8}
HALVED = {"num_key_value_heads": 4}
PAD = {"pad_token_id": 0}

SMALL: dict[str, tuple[dict[str, Any], ...]] = {
    "afmoe": (
        MIXED | {"head_dim": 24},
        MIXED | {"head_dim": 24, "num_dense_layers": 2, "num_shared_experts": 1, "attention_bias": True,
         "layer_types": ["full_attention", "sliding_attention", "full_attention", "sliding_attention"]},
    ),
    "apertus": ({}, {"attention_bias": True}),
    "arcee": ({"mlp_bias": True},),
    "bloom": ({"n_layer": 4, "n_head": 4},),
    "cohere": ({}, {"use_qk_norm": True}),
    "deepseek_v2": (LATENT | ROUTED | {"first_k_dense_replace": 1} | HALVED, LATENT | ROUTED | HALVED | {"q_lora_rank": None}),
    "deepseek_v3": (LATENT | ROUTED | GROUPED | HALVED | {"first_k_dense_replace": 2},),
    "ernie4_5_moe": (
        {"moe_num_experts": 4, "moe_k": 2, "moe_intermediate_size": 40},
        {"moe_num_experts": 4, "moe_k": 2, "moe_intermediate_size": 40, "moe_num_shared_experts": 0, "use_bias": True,
         "moe_layer_start_index": 0, "moe_layer_end_index": 2, "moe_layer_interval": 2, "tie_word_embeddings": True},
    ),
    "falcon_h1": ({"mamba_d_ssm": 48, "mamba_n_heads": 4, "mamba_d_head": 12, "mamba_d_state": 6, "head_dim": 24},
        {"mamba_d_ssm": None, "mamba_expand": 2, "mamba_n_heads": 4, "mamba_d_head": 32, "mamba_d_state": 6, "head_dim": 24}),
    "helium": ({"head_dim": 16} | PAD,),
    "phimoe": ({"num_local_experts": 4},),
    "falcon": ({}, {"new_decoder_architecture": True, "num_kv_heads": 2}, {"bias": True, "parallel_attn": False}),
    "gemma": ({"head_dim": 24},),
    "gemma2": ({"head_dim": 24},),
    "gemma3": ({"text_config": PLAIN | {"head_dim": 24}, "vision_config": SIGHT | {"vision_use_head": False}},),
    "gemma3_text": ({"head_dim": 24},),
    "gemma4": (
        {"text_config": PLAIN | GEMMA4 | {"num_kv_shared_layers": 2, "use_double_wide_mlp": True}, "vision_config": SIGHT
         | {"num_key_value_heads": 4, "head_dim": 8}, "audio_config": SIGHT | {"output_proj_dims": 24}},
    ),
    "gemma4_text": (
        GEMMA4 | {"num_kv_shared_layers": 2, "use_double_wide_mlp": True},
        GEMMA4 | MIXED | {"enable_moe_block": True, "top_k_experts": 2, "attention_k_eq_v": True, "num_global_key_value_heads": 1},
        GEMMA4 | {"hidden_size_per_layer_input": 0},
    ),
    "gemma4_unified": (
        {"text_config": PLAIN | UNIFIED | {"num_kv_shared_layers": 2, "use_double_wide_mlp": True}, "vision_config": PATCHED,
         "audio_config": {"audio_embed_dim": 20}},
        {"text_config": PLAIN | UNIFIED | {"attention_k_eq_v": True, "num_global_key_value_heads": 1}, "tie_word_embeddings": False},
    ),
    "glm4_moe": (ROUTED | {"use_qk_norm": True, "attention_bias": True}, ROUTED | {"num_attention_heads": 6}),
    "glm4_moe_lite": (LATENT | ROUTED | HALVED,),
    "glm46v": (
        {"text_config": PLAIN | {"model_type": "glm4v_text"}, "vision_config": EYES | {"attention_bias": True}},
        {"text_config": PLAIN | ROUTED | {"model_type": "glm4v_moe_text"}, "vision_config": EYES, "tie_word_embeddings": True},
    ),
    "glm4v": (
        {"text_config": PLAIN, "vision_config": EYES | {"image_size": 56, "patch_size": 14, "spatial_merge_size": 4}},
        {"text_config": PLAIN | {"tie_word_embeddings": True, "num_attention_heads": 5, "num_key_value_heads": 5,
         "hidden_size": 60}, "vision_config": EYES | {"out_hidden_size": 60}},
    ),
    "glm4v_moe": (
        {"text_config": PLAIN | ROUTED, "vision_config": EYES},
        {"text_config": PLAIN | ROUTED | {"attention_bias": False, "head_dim": 24, "first_k_dense_replace": 2}, "vision_config": EYES},
    ),
    "gpt2": ({"n_embd": 64, "n_layer": 4, "n_head": 4, "n_positions": 128},),
    "gpt_neox": ({}, {"attention_bias": False}),
    "gpt_oss": ({"head_dim": 24, "num_local_experts": 4, "num_experts_per_tok": 2},),
    "gptj": ({"n_embd": 64, "n_layer": 4, "n_head": 4, "rotary_dim": 8},),
    "granitemoe": ({"num_local_experts": 4, "num_experts_per_tok": 2},),
    "granitemoehybrid": (
        GRANITE4 | {"num_local_experts": 4, "layer_types": ["mamba", "attention", "mamba", "mamba"]},
        GRANITE4 | {"num_local_experts": 0, "layer_types": ["mamba", "mamba", "attention", "attention"],
         "mamba_d_head": "auto", "mamba_n_groups": 2, "mamba_proj_bias": True, "mamba_conv_bias": False},
        GRANITE4 | {"num_local_experts": 0, "layer_types": ["attention"] * 4, "position_embedding_type": "rope"},
        GRANITE4 | {"num_local_experts": 4, "layer_types": ["attention", "mamba"] * 2, "attention_bias": True},
    ),
    "hunyuan_v1_dense": ({"head_dim": 24},),
    "idefics3": ({"text_config": PLAIN | {"model_type": "llama"}, "vision_config": SIGHT},),
    "internvl": (
        {"text_config": PLAIN | {"model_type": "qwen2"}, "vision_config": SIGHT | {"image_size": [28, 56], "patch_size": [14, 14]}},
        {"text_config": PLAIN | {"model_type": "qwen3", "head_dim": 24}, "vision_config": SIGHT | {"norm_type": "rms_norm",
         "use_qk_norm": True, "attention_bias": True, "use_mask_token": True, "use_mean_pooling": False,
         "use_absolute_position_embeddings": False}, "tie_word_embeddings": False},
    ),
    "jamba": (
        {"num_experts": 4, "attn_layer_period": 2, "attn_layer_offset": 1, "mamba_d_state": 4, "mamba_dt_rank": 6},
        {"num_experts": 4, "mamba_proj_bias": True, "mamba_conv_bias": False, "attn_layer_period": 4, "attn_layer_offset": 2},
        {"num_experts": 4, "attn_layer_period": 2, "attn_layer_offset": 1, "mamba_dt_rank": "auto"},
    ),
    "lfm2": (
        {"full_attn_idxs": [1, 3]},
        {"layer_types": ["conv", "conv", "full_attention", "conv"], "conv_bias": True, "block_auto_adjust_ff_dim": False},
        {"layer_types": ["conv", "conv", "full_attention", "conv"], "block_ffn_dim_multiplier": None},
    ),
    "lfm2_moe": (
        MIXED | {"num_dense_layers": 1, "layer_types": ["conv", "full_attention", "conv", "full_attention"]},
        MIXED | {"num_dense_layers": 3, "layer_types": ["conv", "conv", "full_attention", "conv"], "conv_bias": True, "tie_embedding": True},
    ),
    "lfm2_vl": (
        {"text_config": PLAIN | {"layer_types": ["conv", "conv", "full_attention", "conv"]}, "vision_config": SIGHT},
        {"text_config": PLAIN | {"full_attn_idxs": [1, 3]}, "vision_config": SIGHT | {"vision_use_head": False, "num_patches": 16},
         "projector_use_layernorm": False, "projector_bias": False, "projector_hidden_size": 40, "tie_word_embeddings": False},
    ),
    "llama": ({}, {"attention_bias": True, "mlp_bias": True}, {"head_dim": 24}, {"tie_word_embeddings": True}),
    "llama4": (
        {"text_config": PLAIN | {"head_dim": 24, "intermediate_size_mlp": 112, "num_local_experts": 4}, "vision_config":
         SIGHT | {"projector_input_dim": 48, "projector_output_dim": 40, "vision_output_dim": 40, "intermediate_size": 128}},
    ),
    "llama4_text": ({"head_dim": 24, "intermediate_size_mlp": 112, "num_local_experts": 4, "interleave_moe_layer_step": 2},),
    "llava": (
        {"text_config": PLAIN | {"model_type": "llama"}, "vision_config": CLIP | {"image_size": 64, "patch_size": 16}},
        {"text_config": PLAIN | {"model_type": "gemma", "head_dim": 24, "tie_word_embeddings": True}, "vision_config": SIGLIP
         | {"vision_use_head": True}, "vision_feature_layer": [-2, -1], "multimodal_projector_bias": False},
        {"text_config": PLAIN | {"model_type": "mistral", "head_dim": 24}, "vision_config": SIGHT | {"model_type": "pixtral"}},
    ),
    "llava_next": ({"text_config": PLAIN | {"model_type": "mistral", "tie_word_embeddings": True}, "vision_config": CLIP},),
    "llava_onevision": ({"text_config": PLAIN | {"model_type": "qwen2"}, "vision_config": SIGLIP}, {"text_config": PLAIN}),
    "minimax_m2": ({"head_dim": 24, "num_local_experts": 4, "num_experts_per_tok": 2},),
    "ministral": ({"head_dim": 24},),
    "mistral3": (
        {"text_config": PLAIN | {"model_type": "mistral", "head_dim": 24}, "vision_config": SIGHT | {"model_type": "pixtral"}},
        {"text_config": PLAIN | {"model_type": "ministral3"}, "vision_config": SIGHT | {"model_type": "pixtral", "patch_size": 8},
         "multimodal_projector_bias": True, "tie_word_embeddings": False},
        {"text_config": PLAIN | LATENT | ROUTED | GROUPED | HALVED | {"model_type": "mistral4"},
         "vision_config": SIGHT | {"model_type": "pixtral"}},
        {"text_config": PLAIN | LATENT | ROUTED | HALVED | {"model_type": "mistral4", "first_k_dense_replace": 2, "q_lora_rank": None,
         "attention_bias": True}, "vision_config": SIGHT | {"model_type": "pixtral"}, "tie_word_embeddings": False},
    ),
    "mixtral": ({"num_local_experts": 4},),
    "mllama": (
        {"text_config": PLAIN | {"cross_attention_layers": [1, 3], "pad_token_id": 0}, "vision_config": LOOKING},
        {"text_config": PLAIN | {"pad_token_id": 0, "cross_attention_layers": []}, "vision_config": LOOKING | {"supported_aspect_ratios": [[1, 1], [1, 2]], "max_num_tiles": 2}},
    ),
    "mpt": ({"d_model": 64, "n_heads": 4, "n_layers": 4, "max_seq_len": 128},),
    "nemotron_h": (
        {"hybrid_override_pattern": "M-*E", "mamba_num_heads": 8, "mamba_head_dim": 12, "ssm_state_size": 6, "n_groups": 2,
         "head_dim": 24, "n_routed_experts": 4, "moe_intermediate_size": 40, "moe_shared_expert_intermediate_size": 56},
        {"hybrid_override_pattern": "MM*-", "mamba_num_heads": 8, "mamba_head_dim": 12, "n_groups": 2, "use_bias": True,
         "mlp_bias": True, "use_conv_bias": False},
        {"layers_block_type": ["mamba", "attention", "moe", "mamba"], "mamba_num_heads": 8, "mamba_head_dim": 12, "n_groups": 2,
         "head_dim": 24, "n_routed_experts": 4, "moe_intermediate_size": 40, "moe_shared_expert_intermediate_size": 56},
    ),
    "olmoe": ({"num_experts": 4, "num_experts_per_tok": 2},),
    "opt": ({"ffn_dim": 96, "max_position_embeddings": 128}, {"ffn_dim": 96, "word_embed_proj_dim": 32, "do_layer_norm_before": False}),
    "paligemma": (
        {"text_config": PLAIN | {"model_type": "gemma", "head_dim": 24}, "vision_config": SIGLIP, "projection_dim": 64},
        {"text_config": PLAIN | {"model_type": "gemma2", "head_dim": 24}, "vision_config": SIGLIP, "projection_dim": 64},
    ),
    "phi": ({}, {"qk_layernorm": True}),
    "qwen2_5_vl": (
        {"text_config": PLAIN, "vision_config": EYES | {"in_channels": 1}},
        PLAIN | {"vision_config": EYES, "tie_word_embeddings": True},
    ),
    "qwen2_moe": (MIXED | {"shared_expert_intermediate_size": 56, "decoder_sparse_step": 2},),
    "qwen2_vl": (
        {"text_config": PLAIN | {"tie_word_embeddings": True}, "vision_config": {"depth": 2, "embed_dim": 32, "num_heads": 4,
         "hidden_size": 64}},
        PLAIN | {"vision_config": {"depth": 2, "embed_dim": 32, "num_heads": 4, "hidden_size": 64, "mlp_ratio": 3}},
    ),
    "qwen3": ({"head_dim": 24},),
    "qwen3_5": ({"text_config": PLAIN | NETS, "vision_config": EYES},),
    "qwen3_5_moe": ({"text_config": PLAIN | NETS | MIXED | {"shared_expert_intermediate_size": 56}, "vision_config": EYES},),
    "qwen3_5_moe_text": (NETS | MIXED | {"shared_expert_intermediate_size": 56},),
    "qwen3_5_text": (NETS, NETS | {"full_attention_interval": 2, "attention_bias": True}),
    "qwen3_moe": (MIXED | {"head_dim": 24, "mlp_only_layers": [1]},),
    "qwen3_next": (
        NETS | MIXED | {"shared_expert_intermediate_size": 56},
        NETS | MIXED | {"mlp_only_layers": [0, 3], "full_attention_interval": 2},
    ),
    "qwen3_vl": (
        {"text_config": PLAIN | {"head_dim": 24}, "vision_config": EYES | {"deepstack_visual_indexes": [0, 1]}},
        {"text_config": PLAIN | {"head_dim": 24, "attention_bias": True}, "vision_config": EYES | {"deepstack_visual_indexes": []}},
    ),
    "qwen3_vl_moe": (
        {"text_config": PLAIN | MIXED | {"head_dim": 24, "mlp_only_layers": [1]}, "vision_config": EYES
         | {"deepstack_visual_indexes": [0]}},
    ),
    "glm": ({"head_dim": 24} | PAD,),
    "glm4": ({"head_dim": 24} | PAD,),
    "phi3": (PAD,),
    "smollm3": (PAD,),
    "smolvlm": (
        {"text_config": PLAIN | {"model_type": "llama"}, "vision_config": SIGHT | {"image_size": 64, "patch_size": 16},
         "scale_factor": 4},
    ),
    "seed_oss": ({"head_dim": 24, "mlp_bias": True},),
    "voxtral": (
        {"text_config": PLAIN, "audio_config": HEARING | {"max_source_positions": 50}},
        {"text_config": PLAIN | {"model_type": "mistral", "tie_word_embeddings": True}, "audio_config": {"d_model": 32,
         "encoder_layers": 2, "encoder_attention_heads": 4, "encoder_ffn_dim": 48}},
    ),
    "stablelm": ({}, {"qk_layernorm": True, "use_qkv_bias": True}, {"use_parallel_residual": True}),
}  # fmt: skip
"""What to set beside ``PLAIN`` for each type; a type not named here is tried with ``PLAIN`` alone."""

OWN_NAMES = {"bloom": ("n_layer", "n_head"), "gpt2": ("n_embd",), "gptj": ("n_embd",), "mpt": ("d_model",)}
"""Types whose configuration has other names than ``PLAIN`` for its sizes."""
NOT_ASKED = {
    "falcon": ("intermediate_size", "num_key_value_heads"),
    "opt": ("intermediate_size", "num_key_value_heads"),
}
"""Sizes of ``PLAIN`` that a type does not have."""


def small_configs(model_type: str) -> Iterator[dict[str, Any]]:
    """The small config.json of a type, one for each variant."""
    for facts in SMALL.get(model_type, ({},)):
        if "text_config" in facts:
            yield {"model_type": model_type} | facts
        elif model_type in OWN_NAMES:
            plain = {"vocab_size": 320, "tie_word_embeddings": False}
            yield {"model_type": model_type} | plain | ({"hidden_size": 64} if model_type == "bloom" else {}) | facts
        else:
            plain = {key: value for key, value in PLAIN.items() if key not in NOT_ASKED.get(model_type, ())}
            yield {"model_type": model_type} | plain | facts


HEARS = ("voxtral",)
"""Types that Axolotl loads by their own class (``axolotl/loaders/constants.py``), which the last of the three finds."""


def build(config_json: dict[str, Any]) -> Any:
    """The model as Axolotl loads it: ``AutoModelForImageTextToText`` where it knows the type, else ``AutoModelForCausalLM``."""
    import torch
    from transformers import (
        AutoConfig,
        AutoModelForCausalLM,
        AutoModelForImageTextToText,
        AutoModelForMultimodalLM,
    )
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

    facts = json.loads(json.dumps(config_json))
    model_type = facts.pop("model_type")
    sees = model_type in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
    with torch.device("meta"):
        config = AutoConfig.for_model(model_type, **facts)
        loader = AutoModelForImageTextToText if sees else AutoModelForCausalLM
        return (AutoModelForMultimodalLM if model_type in HEARS else loader).from_config(config)


def total(model: Any) -> int:
    """All parameters, shared ones once."""
    return sum(parameter.numel() for parameter in model.parameters())


def trainable(config_json: dict[str, Any], lora: dict[str, Any]) -> int:
    """What PEFT trains under Axolotl's ``lora`` keys."""
    import torch
    from peft import LoraConfig, get_peft_model

    targets = lora["lora_target_modules"]
    with torch.device("meta"):
        model = get_peft_model(
            build(config_json),
            LoraConfig(
                r=lora["lora_r"],
                lora_alpha=16,
                target_modules=targets,
                use_dora=lora.get("peft_use_dora", False),
                layers_to_transform=lora.get("peft_layers_to_transform"),
                modules_to_save=lora.get("lora_modules_to_save"),
                task_type="CAUSAL_LM",
            ),
        )
    return int(model.get_nb_trainable_parameters()[0])


def loras(config_json: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The adapters recorded for a small model."""
    from app.core.adapter import default_targets, linear_names
    from app.core.architecture import Part
    from app.core.architectures import describe

    architecture = describe(config_json)
    default = default_targets(architecture)
    targets: Any = default if isinstance(default, str) else list(default)
    base = {"adapter": "lora", "lora_target_modules": targets}
    yield from (base | {"lora_r": rank} for rank in RANKS)
    yield base | {"lora_r": 8, "peft_use_dora": True}
    if not isinstance(targets, str):
        yield base | {"lora_r": 8, "peft_layers_to_transform": [0, 2]}
    if not architecture.tie_word_embeddings:
        yield base | {"lora_r": 64, "lora_modules_to_save": ["lm_head"]}
    if all(module.part is Part.TEXT for module in architecture.modules):
        names = linear_names(architecture) or targets
        yield {"adapter": "lora", "lora_target_modules": [names[0]], "lora_r": 256}
        yield {"adapter": "lora", "lora_target_modules": [names[-1]], "lora_r": 1, "peft_use_dora": True}
        if list(names) != targets:
            yield {"adapter": "lora", "lora_target_modules": list(names), "lora_r": 8}


def points(catalogue: Path, only: list[str] | None) -> Iterator[dict[str, Any]]:
    """Every point: the small configurations with their adapters, then the catalogue's rows; of ``only`` these types."""
    import yaml

    from app.core.adapter import default_targets
    from app.core.architectures import describe, supported_model_types

    for model_type in only or supported_model_types():
        for config_json in small_configs(model_type):
            try:
                whole = total(build(config_json))
            except Exception as error:  # noqa: BLE001
                print("not built:", model_type, repr(error)[:200], file=sys.stderr)
                continue
            yield {"model": config_json, "lora": None, "total": whole, "trainable": None}
            for lora in loras(config_json):
                try:
                    trained = trainable(config_json, lora)
                except Exception as error:  # noqa: BLE001
                    print("refused:", model_type, lora, repr(error)[:200], file=sys.stderr)
                    continue
                yield {"model": config_json, "lora": lora, "total": whole, "trainable": trained}
    seen: set[str] = set()
    for path in sorted(catalogue.glob("*.yaml")):
        for row in yaml.safe_load(path.read_text(encoding="utf-8")):
            config_json = row["config"]
            if only and config_json["model_type"] not in only:
                continue
            whole = total(build(config_json))
            yield {"model": config_json, "lora": None, "total": whole, "trainable": None}
            if config_json["model_type"] not in seen:
                seen.add(config_json["model_type"])
                default = default_targets(describe(config_json))
                targets = default if isinstance(default, str) else list(default)
                lora = {"adapter": "lora", "lora_target_modules": targets, "lora_r": 64}
                try:
                    trained = trainable(config_json, lora)
                except Exception as error:  # noqa: BLE001
                    print("refused:", row["id"], repr(error)[:200], file=sys.stderr)
                    continue
                yield {"model": config_json, "lora": lora, "total": whole, "trainable": trained}


def main() -> None:
    """Write the points."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=POINTS)
    parser.add_argument("--only", nargs="*", help="record these model types anew and keep the others")
    given = parser.parse_args()
    os.environ["HF_HUB_OFFLINE"] = "1"
    warnings.filterwarnings("ignore")
    logging.disable(logging.CRITICAL)
    lines = [json.dumps({"versions": {package: version(package) for package in PACKAGES}})]
    if given.only:
        first, *kept = given.out.read_text(encoding="utf-8").splitlines()
        if lines != [first]:
            raise SystemExit("the others were recorded with other versions")
        lines += [line for line in kept if json.loads(line)["model"]["model_type"] not in given.only]
    lines += [json.dumps(point) for point in points(ROOT / "app" / "data" / "models", given.only)]
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    print(len(lines) - 1, "points")


if __name__ == "__main__":
    main()
