"""A base model as ``axolotl/loaders/model.py`` makes it: Transformers' own class, its attention, its patches, its packing."""

from __future__ import annotations

import torch

from . import autocast, bnb, experts, flash, fused_lora, gptq, grouped, liger, scans, tiled
from .settings import kernels, weights_dtype

FLASH = ("flash_attention_2", "flash_attention_3", "flash_attention_4")
HEADS = {"lm_head", "embed_out", "score"}
"""Linears that are not packed."""


def stand_in(cfg: dict) -> None:
    """What runs in the place of kernels, before anything is built; what an earlier case patched is as it was."""
    autocast.install()
    bnb.install()
    fused_lora.install()
    fused_lora.restore()
    tiled.restore()
    flash.install()
    flash.sdpa.before_ampere = bool(cfg.get("before_ampere"))
    flash.FlashAttention.apart = not cfg.get("selective_checkpointing")
    grouped.install()
    scans.install()


def configured(model: dict) -> tuple:
    """Transformers' configuration of a ``config.json``, and how its weights are packed already."""
    from transformers import AutoConfig

    arguments = dict(model)
    packing = arguments.pop("quantization_config", None)
    config = AutoConfig.for_model(arguments.pop("model_type"), **arguments)
    config.use_cache = False
    if _sees(config) or config.model_type == "voxtral":  # ``check_model_config``, where ``is_multimodal``
        config.get_text_config().use_cache = False
    return config, packing


def _sees(config) -> bool:
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

    return config.model_type in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES


def attention(cfg: dict) -> str:
    """The implementation that is asked for."""
    return cfg.get("attn_implementation") or "sdpa"


def _takes_lengths(config, cfg: dict) -> bool:
    """Whether Axolotl puts its variable-length attention in the place of SDPA (``_apply_sdpa_varlen_patch``)."""
    kinds = getattr(config, "layer_types", None) or ["sliding_attention"]
    windowed = getattr(config, "sliding_window", None) and "sliding_attention" in kinds
    latent = (getattr(config, "qk_nope_head_dim", None) or 0) + (getattr(config, "qk_rope_head_dim", None) or 0)
    uneven = latent and getattr(config, "v_head_dim", None) not in (None, latent)
    dim, width, heads = (getattr(config, key, None) for key in ("head_dim", "hidden_size", "num_attention_heads"))
    dim = dim or (width // heads if width and heads else 0)  # a model with towers is not asked for its text's
    return weights_dtype(cfg) != torch.float32 and not windowed and not uneven and dim <= 256


def _implementation(config, cfg: dict, rows: tuple[int, int]) -> str:
    """The name of what runs attention; how many documents a packed batch holds is told to it."""
    packed = bool(cfg.get("sample_packing"))
    named = cfg.get("attn_implementation") == "sdpa"  # Axolotl asks for the name, which has no default
    varlen = named and packed and _takes_lengths(config, cfg)
    # of rows that stay apart each holds several documents, or nothing would be packed
    flash.flash_attention.documents = cfg.get("documents", rows[0] * (2 if varlen else 1)) if packed else None
    flash.flash_attention.padded = bool(cfg.get("padded"))
    if varlen:
        return "simulated_varlen"
    asked = attention(cfg)
    return "simulated_flash" if asked in FLASH else "simulated_flex" if asked == "flex_attention" else asked


def loaded(config, cfg: dict, rows: tuple[int, int]):
    """The model as it is before anything is packed, patched for its attention, its kernels and its tiles."""
    from transformers import (
        AutoModelForCausalLM,
        AutoModelForImageTextToText,
        AutoModelForMultimodalLM,
        AutoModelForSequenceClassification,
    )
    from transformers.initialization import no_init_weights

    implementation = _implementation(config, cfg, rows)
    fused = kernels(cfg)
    if config.model_type in ("gemma4", "gemma4_text", "gemma4_unified"):
        fused_lora.patch_gemma4(config.model_type.removesuffix("_text"), bool(cfg.get("gradient_checkpointing")))
    liger.patch_module(config.model_type, cfg)
    if cfg.get("tiled_mlp"):
        tiled.patch(config.model_type, cfg)
    if fused["lora_qkv_kernel"] or fused["lora_o_kernel"]:
        fused_lora.patch_attention(config)
    auto = AutoModelForImageTextToText if _sees(config) else AutoModelForCausalLM
    auto = AutoModelForMultimodalLM if config.model_type == "voxtral" else auto
    if cfg.get("reward_model"):
        auto, config.num_labels, config.pad_token_id = AutoModelForSequenceClassification, 1, 0
    with no_init_weights():
        base = auto.from_config(config, dtype=weights_dtype(cfg))
    liger.patch_model(base, cfg)
    base.config._attn_implementation = implementation
    return base


def pack(base, packing: dict | None, cfg: dict) -> bool:
    """Pack its weights; whether PEFT prepares it for training where they are, which it does not behind packed experts."""
    if cfg.get("gptq"):
        gptq.quantize(base, packing)
    elif cfg.get("load_in_4bit") and cfg.get("adapter") == "qlora":
        given = cfg.get("bnb_config_kwargs") or {}
        computing = given.get("bnb_4bit_compute_dtype", weights_dtype(cfg))
        bnb.quantize(
            base,
            HEADS,
            4,
            given.get("bnb_4bit_use_double_quant", True),
            getattr(torch, computing) if isinstance(computing, str) else computing,
            given.get("llm_int8_skip_modules"),
        )
    elif cfg.get("load_in_8bit"):
        bnb.quantize(base, HEADS, 8)
    return not (cfg.get("quantize_moe_experts") and experts.quantize(base, cfg))
