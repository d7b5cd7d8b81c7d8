"""Architectures that were described last: whole, with adapters, in 4 and 8 bits, with every kind of checkpoint.

``python -m tests.reference.memory.record --cases newcomers`` records them to ``tests/data/memory/newcomers.jsonl``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .cases import _model
from .catalogue import shrunk
from .keys import (
    ADAM8,
    CCE,
    CHUNKED,
    DORA,
    EAGER,
    FLASH,
    GC,
    GC_NON_REENTRANT,
    INT8,
    LIGER,
    OFF,
    PACK,
    PAGED,
    QUANTIZED,
    SDPA,
    SEVEN,
    accumulated,
    evaluated,
    lora,
    qlora,
)
from .towers import ALL, ATTENTION, PIXTRAL, TARGETS

LATENT_ATTENTION = TARGETS.replace("NAMES", "q_a_proj|q_b_proj|kv_a_proj_with_mqa|kv_b_proj|o_proj")

GLM_VISION = {"depth": 24, "hidden_size": 1536, "num_heads": 12, "out_hidden_size": 4096, "intermediate_size": 13696,
              "image_size": 336, "patch_size": 14}  # fmt: skip
TURNED = {
    "rope_parameters": {
        "rope_type": "default",
        "rope_theta": 10000.0,
        "mrope_section": [8, 12, 12],
        "partial_rotary_factor": 0.5,
    }
}
GRANITE4 = {"mamba_d_state": 128, "mamba_expand": 2, "mamba_n_groups": 1, "mamba_chunk_size": 256, "embedding_multiplier": 12,
            "logits_scaling": 3, "residual_multiplier": 0.246, "attention_multiplier": 0.015625, "tie_word_embeddings": True,
            "layer_types": (["mamba"] * 2 + ["attention"] + ["mamba"]) * 10, "position_embedding_type": "nope"}  # fmt: skip
MODELS: dict[str, dict[str, Any]] = {
    "granite-4.0-h-tiny": _model("granitemoehybrid", 1536, 512, 40, 12, 4, 100352, num_local_experts=64, num_experts_per_tok=6,
                                 shared_intermediate_size=1024, mamba_n_heads=48, mamba_d_head=64) | GRANITE4,
    "granite-4.0-h-micro": _model("granitemoehybrid", 2048, 8192, 40, 32, 8, 100352, num_local_experts=0, num_experts_per_tok=0,
                                  shared_intermediate_size=8192, mamba_n_heads=64, mamba_d_head=64) | GRANITE4,
    "granite-4.0-micro": _model("granitemoehybrid", 2560, 8192, 40, 40, 8, 100352, num_local_experts=0, num_experts_per_tok=0,
                                shared_intermediate_size=8192, mamba_n_heads=80, mamba_d_head=64)
    | GRANITE4 | {"layer_types": ["attention"] * 40, "position_embedding_type": "rope"},
    "lfm2-8b-a1b": _model("lfm2_moe", 2048, 7168, 24, 32, 8, 65536, moe_intermediate_size=1792, num_experts=32, num_experts_per_tok=4,
                          num_dense_layers=2, tie_word_embeddings=True,
                          layer_types=["conv", "conv", "full_attention", "conv"] * 6),
    "lfm2-vl-450m": {"model_type": "lfm2_vl", "text_config": _model("lfm2", 1024, 6656, 16, 16, 8, 65536, block_auto_adjust_ff_dim=True,
                     layer_types=["conv", "conv", "full_attention", "conv"] * 4, tie_word_embeddings=True),
                     "vision_config": {"hidden_size": 768, "num_hidden_layers": 12, "vision_use_head": False}},
    "glm-4.1v-9b": {"model_type": "glm4v", "text_config": _model("glm4v_text", 4096, 13696, 40, 32, 2, 151552) | TURNED,
                    "vision_config": GLM_VISION},
    "glm-4.6v-flash": {"model_type": "glm46v", "text_config": _model("glm4v_text", 4096, 13696, 40, 32, 2, 151552) | TURNED,
                       "vision_config": GLM_VISION},
    "glm-4.5v": {"model_type": "glm4v_moe", "text_config": _model("glm4v_moe_text", 4096, 10944, 46, 96, 8, 151552, head_dim=128,
                 moe_intermediate_size=1408, n_routed_experts=128, n_shared_experts=1, num_experts_per_tok=8, first_k_dense_replace=1,
                 pad_token_id=0) | TURNED, "vision_config": GLM_VISION | {"intermediate_size": 10944}},
    "llama-3.2-11b-vision": {"model_type": "mllama", "text_config": _model("mllama_text_model", 4096, 14336, 40, 32, 8, 128256,
                             cross_attention_layers=[3, 8, 13, 18, 23, 28, 33, 38], pad_token_id=0),
                             "vision_config": {"hidden_size": 1280, "image_size": 560, "num_hidden_layers": 32}},
    "gemma-4-12b": {"model_type": "gemma4_unified", "text_config": _model("gemma4_unified_text", 3840, 15360, 48, 16, 8, 262144, head_dim=256,
                    sliding_window=1024, attention_k_eq_v=True, num_global_key_value_heads=1, tie_word_embeddings=True,
                    final_logit_softcapping=30.0), "vision_config": {}, "audio_config": {}},
    "voxtral-mini-3b": {"model_type": "voxtral", "text_config": _model("llama", 3072, 8192, 30, 32, 8, 131072, head_dim=128),
                        "audio_config": {}},
    "mistral-small-4": {"model_type": "mistral3", "text_config": _model("mistral4", 4096, 12288, 36, 32, 32, 131072, kv_lora_rank=256, q_lora_rank=1024,
                        qk_rope_head_dim=64, qk_nope_head_dim=64, v_head_dim=128, moe_intermediate_size=2048, n_routed_experts=128, n_shared_experts=1,
                        num_experts_per_tok=4, first_k_dense_replace=0), "vision_config": PIXTRAL,
                        "tie_word_embeddings": False},
    "minimax-m2": _model("minimax_m2", 3072, 1536, 62, 48, 8, 200064, head_dim=128, num_local_experts=256, num_experts_per_tok=8),
    "ernie-4.5-21b-a3b": _model("ernie4_5_moe", 2560, 12288, 28, 20, 4, 103424, moe_num_experts=64, moe_k=6, moe_intermediate_size=1536,
                                tie_word_embeddings=True),
    "trinity-nano": _model("afmoe", 1024, 3072, 56, 8, 2, 200192, head_dim=128, num_dense_layers=2, num_experts=128, num_experts_per_tok=8,
                           num_shared_experts=1, moe_intermediate_size=256, sliding_window=2048, mup_enabled=True),
}  # fmt: skip
DEPTH = {
    "granite-4.0-h-tiny": 4,
    "granite-4.0-h-micro": 4,
    "lfm2-8b-a1b": 4,
    "lfm2-vl-450m": 3,
    "llama-3.2-11b-vision": 5,
    "trinity-nano": 5,
}
EXPERTS = (
    "granite-4.0-h-tiny",
    "lfm2-8b-a1b",
    "glm-4.5v",
    "mistral-small-4",
    "minimax-m2",
    "ernie-4.5-21b-a3b",
    "trinity-nano",
)
SCANNED = ("granite-4.0-h-tiny", "granite-4.0-h-micro")
"""Whose scan reads the weights of linears itself, which fails where bitsandbytes holds them."""
OWN = {
    "granite-4.0-h-micro": ["q_proj", "k_proj", "v_proj", "o_proj", "in_proj", "input_linear", "output_linear"],
    "granite-4.0-micro": ["q_proj", "k_proj", "v_proj", "o_proj", "input_linear", "output_linear"],
    "lfm2-8b-a1b": ["q_proj", "k_proj", "v_proj", "out_proj", "in_proj"],
    "lfm2-vl-450m": r".*language_model\.layers\.\d+\.(conv|self_attn|feed_forward)\.(q_proj|k_proj|v_proj|out_proj|in_proj|w1|w2|w3)",
    "granite-4.0-h-tiny": SEVEN[:4],
    "glm-4.1v-9b": ALL.replace("gate_proj|up_proj", "gate_up_proj"),
    "glm-4.6v-flash": ALL.replace("gate_proj|up_proj", "gate_up_proj"),
    "glm-4.5v": ATTENTION,
    "mistral-small-4": LATENT_ATTENTION,
    "minimax-m2": SEVEN[:4],
    "ernie-4.5-21b-a3b": SEVEN[:4],
    "trinity-nano": SEVEN[:4],
}


def small(name: str) -> dict[str, Any]:
    """The model with few of its layers."""
    return shrunk(MODELS[name], DEPTH.get(name, 2))


def cases() -> Iterator[tuple[str, dict, dict, tuple[int, int]]]:
    """All cases of this module."""
    for name in MODELS:
        model, targets = small(name), OWN.get(name, ALL)
        kernels = {"lora_qkv_kernel": True, "lora_o_kernel": True} if name.startswith("granite") else OFF
        cut = CCE
        fused = CCE if model.get("text_config", {}).get("final_logit_softcapping") else LIGER
        yield f"new-full-{name}", model, FLASH | cut | GC | ADAM8, (2, 1024)
        yield f"new-full-plain-{name}", model, SDPA, (1, 1024)
        yield f"new-lora-{name}", model, FLASH | cut | lora(16, targets) | kernels, (2, 1024)
        yield (
            f"new-lora-dropout-{name}",
            model,
            SDPA | lora(64, targets, lora_dropout=0.05) | OFF | GC_NON_REENTRANT,
            (1, 1500),
        )
        yield f"new-dora-{name}", model, FLASH | CHUNKED | lora(8, targets, **DORA) | OFF | GC, (1, 2048)
        yield f"new-eager-{name}", model, EAGER | fused | lora(8, targets) | OFF | GC | evaluated(2), (1, 700)
        yield f"new-long-{name}", model, FLASH | PACK | cut | lora(16, targets) | OFF | GC | PAGED, (1, 8192)
        if name not in SCANNED:
            yield f"new-qlora-{name}", model, FLASH | fused | GC | qlora(16, targets) | OFF | accumulated(2), (1, 2048)
            yield f"new-int8-{name}", model, FLASH | cut | GC | lora(16, targets, **INT8) | OFF, (2, 512)
        if name in EXPERTS and name not in SCANNED:
            yield f"new-experts-{name}", model, FLASH | cut | GC | qlora(16, targets) | OFF | QUANTIZED, (1, 2048)
