"""Models with a vision tower, trained on text: whole, with adapters, in 4 bits; the tower is stored and does not run.

``python -m tests.reference.memory.record --cases towers`` records them to ``tests/data/memory/towers.jsonl``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .cases import _model
from .catalogue import shrunk
from .keys import CCE, GC, LIGER, OFF, SEVEN

TARGETS = r".*(language_model|text_model)\.layers\.\d+\.(mlp|self_attn)\.(NAMES)"
ATTENTION = TARGETS.replace("NAMES", "|".join(SEVEN[:4]))
ALL = TARGETS.replace("NAMES", "|".join(SEVEN))
ROWS = (2, 1024)
CLIP = {"model_type": "clip_vision_model", "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24,
        "num_attention_heads": 16, "image_size": 336, "patch_size": 14}  # fmt: skip
SIGLIP = {"model_type": "siglip_vision_model", "hidden_size": 1152, "intermediate_size": 4304, "num_hidden_layers": 27,
          "num_attention_heads": 16, "image_size": 384, "patch_size": 14, "vision_use_head": False}  # fmt: skip
PIXTRAL = {"model_type": "pixtral", "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24,
           "num_attention_heads": 16, "image_size": 1024, "patch_size": 16}  # fmt: skip
INTERN = {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16}
MERGED = {"depth": 32, "num_heads": 16}
TURNED = {"rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]}}
TURNED3 = {"rope_scaling": {"rope_type": "default", "mrope_section": [24, 20, 20], "mrope_interleaved": True}}


def _with(model_type: str, text: dict[str, Any], sight: dict[str, Any], **facts: Any) -> dict[str, Any]:
    return {"model_type": model_type, "text_config": text, "vision_config": sight} | facts


MODELS: dict[str, dict[str, Any]] = {
    "qwen2-vl-2b": _model("qwen2_vl", 1536, 8960, 28, 12, 2, 151936, tie_word_embeddings=True)
    | TURNED
    | {"vision_config": MERGED | {"embed_dim": 1280, "hidden_size": 1536}},
    "qwen2.5-vl-7b": _model("qwen2_5_vl", 3584, 18944, 28, 28, 4, 152064)
    | TURNED
    | {"vision_config": MERGED | {"hidden_size": 1280, "intermediate_size": 3420, "out_hidden_size": 3584}},
    "qwen3-vl-4b": _with(
        "qwen3_vl",
        _model("qwen3_vl_text", 2560, 9728, 36, 32, 8, 151936, head_dim=128) | TURNED3,
        {"depth": 24, "hidden_size": 1024, "intermediate_size": 4096, "num_heads": 16, "out_hidden_size": 2560},
        tie_word_embeddings=True,
    ),
    "qwen3-vl-30b-a3b": _with(
        "qwen3_vl_moe",
        _model("qwen3_vl_moe_text", 2048, 6144, 48, 32, 4, 151936, head_dim=128, moe_intermediate_size=768,
               num_experts=128, num_experts_per_tok=8, tie_word_embeddings=False) | TURNED3,
        {"depth": 27, "hidden_size": 1152, "intermediate_size": 4304, "num_heads": 16, "out_hidden_size": 2048},
    ),
    "llava-1.5-7b": _with("llava", _model("llama", 4096, 11008, 32, 32, 32, 32064), CLIP),
    "pixtral-12b": _with("llava", _model("mistral", 5120, 14336, 40, 32, 8, 131072, head_dim=128, sliding_window=None), PIXTRAL,
                         vision_feature_layer=-1),
    "llava-1.6-mistral-7b": _with("llava_next", _model("mistral", 4096, 14336, 32, 32, 8, 32064, sliding_window=None), CLIP),
    "llava-onevision-0.5b": _with("llava_onevision", _model("qwen2", 896, 4864, 24, 14, 2, 152000, tie_word_embeddings=True), SIGLIP,
                                  tie_word_embeddings=True),
    "paligemma-3b": _with("paligemma", _model("gemma", 2048, 16384, 18, 8, 1, 257216, head_dim=256), SIGLIP),
    "paligemma2-3b": _with(
        "paligemma",
        _model("gemma2", 2304, 9216, 26, 8, 4, 257216, head_dim=256, sliding_window=4096, query_pre_attn_scalar=256),
        SIGLIP,
        projection_dim=2304,
    ),
    "internvl3-1b": _with("internvl", _model("qwen2", 896, 4864, 24, 14, 2, 151674), INTERN, tie_word_embeddings=False),
    "internvl3.5-4b": _with("internvl", _model("qwen3", 2560, 9728, 36, 32, 8, 151936, head_dim=128), INTERN),
    "idefics3-8b": _with("idefics3", _model("llama", 4096, 14336, 32, 32, 8, 128259, pad_token_id=0), SIGLIP, pad_token_id=0),
    "smolvlm2-2.2b": _with("smolvlm", _model("llama", 2048, 8192, 24, 32, 32, 49280, pad_token_id=0), SIGLIP, scale_factor=3,
                           pad_token_id=0),
}  # fmt: skip


def cases() -> Iterator[tuple[str, dict, dict, tuple[int, int]]]:
    """All cases of this module."""
    flash = {"attn_implementation": "flash_attention_2"}
    for name, model in MODELS.items():
        small = shrunk(model, 2)
        targets = ATTENTION if model["model_type"].endswith("_moe") else ALL
        tuned = {"lora_r": 16, "lora_alpha": 32, "lora_target_modules": targets} | OFF
        yield f"towers-full-{name}", small, flash | CCE | GC, ROWS
        yield f"towers-lora-{name}", small, flash | CCE | tuned | {"adapter": "lora"}, ROWS
        yield f"towers-plain-{name}", small, {"attn_implementation": "sdpa"} | tuned | {"adapter": "lora"}, (1, 1024)
        qlora = {"adapter": "qlora", "load_in_4bit": True}
        yield f"towers-qlora-{name}", small, flash | LIGER | GC | tuned | qlora, (1, 2048)
