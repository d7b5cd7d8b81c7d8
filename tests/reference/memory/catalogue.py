"""Cases over every architecture of the catalogue and of the registry: real widths, few layers of every kind.

``python -m tests.reference.memory.record --wide 3 --count 200`` draws from seed 3 and records to ``tests/data/memory/wide.jsonl``.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from .cases import CCE, OFF, SEVEN, TARGETS, UNFUSED, _model
from .drawn import MORE_TARGETS

CATALOGUE = Path(__file__).parents[3] / "app" / "data" / "models"
BARE = {
    "ernie4_5": _model("ernie4_5", 1024, 3072, 18, 16, 2, 103424, head_dim=128, tie_word_embeddings=True),
    "falcon_h1": _model("falcon_h1", 2048, 4096, 24, 8, 2, 65537, head_dim=64, mamba_d_ssm=3072, mamba_n_heads=48, mamba_d_head=64,
                        mamba_d_state=256, mamba_n_groups=1, mamba_d_conv=4, mamba_expand=2, mamba_chunk_size=128),
    "glm": _model("glm", 4096, 13696, 40, 32, 2, 151552, head_dim=128, attention_bias=True, pad_token_id=0),
    "helium": _model("helium", 2560, 7040, 24, 20, 20, 48000, head_dim=128),
    "hunyuan_v1_dense": _model("hunyuan_v1_dense", 2048, 6144, 32, 16, 4, 120818, head_dim=128, tie_word_embeddings=True),
    "ministral": _model("ministral", 4096, 12288, 36, 32, 8, 131072, head_dim=128, sliding_window=32768),
    "ministral3": _model("ministral3", 3072, 9216, 26, 32, 8, 131072, head_dim=128, tie_word_embeddings=True),
    "nemotron": _model("nemotron", 4096, 16384, 32, 32, 8, 256000, head_dim=128, hidden_act="relu2", partial_rotary_factor=0.5),
    "phimoe": _model("phimoe", 4096, 6400, 32, 32, 8, 32064, num_local_experts=16, num_experts_per_tok=2, attention_bias=True,
                     lm_head_bias=True, router_jitter_noise=0.0, input_jitter_noise=0.0),
    "qwen3_5_text": _model("qwen3_5_text", 2560, 9216, 32, 16, 4, 248320, head_dim=256, linear_num_value_heads=32, linear_num_key_heads=16,
                           linear_key_head_dim=128, linear_value_head_dim=128, tie_word_embeddings=True),
}  # fmt: skip
"""A config.json for each model type of the registry that no row of the catalogue has."""

EAGER_ONLY = frozenset(("bloom", "mpt", "gptj"))
"""Which Transformers computes eagerly alone, or (GPT-J) with a flash class that is no kernel function."""
SDPA = frozenset(("falcon", "gpt2", "opt", "llama4", "gpt_neox"))
MAMBA_SEVEN = [*SEVEN]
ALL_TARGETS = MORE_TARGETS | {
    "bloom": TARGETS["falcon"], "mpt": ["Wqkv", "out_proj", "up_proj", "down_proj"],
    "gptj": ["q_proj", "k_proj", "v_proj", "out_proj", "fc_in", "fc_out"],
    "glm": TARGETS["glm4"], "glm4_moe_lite": ["q_a_proj", "q_b_proj", "kv_a_proj_with_mqa", "kv_b_proj", "o_proj"],
    "deepseek_v3": ["q_a_proj", "q_b_proj", "kv_a_proj_with_mqa", "kv_b_proj", "o_proj"],
    "jamba": SEVEN[:4], "nemotron_h": SEVEN[:4], "falcon_h1": SEVEN, "qwen3_5_moe": SEVEN[:4], "llama4": SEVEN[:4],
}  # fmt: skip
LANGUAGE = r".*language_model\.layers\.\d+\.(mlp|self_attn|feed_forward)\.({})"
TOWERS = frozenset(("gemma3", "gemma4", "llama4", "mistral3", "qwen3_5", "qwen3_5_moe"))
NO_KERNELS = UNFUSED | frozenset(
    """bloom cohere deepseek_v2 deepseek_v3 falcon_h1 glm4_moe glm4_moe_lite gpt2 gptj lfm2 llama4 mpt olmo olmo3
    olmoe opt qwen3_5_text qwen3_5_moe_text""".split()
)
LAYER_LISTS = ("layer_types", "layers_block_type", "mlp_layer_types", "no_rope_layers", "attn_layer_indices")


def pool() -> dict[str, list[dict[str, Any]]]:
    """Every model's config.json by its type, the catalogue's and those above."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for path in sorted(CATALOGUE.glob("*.yaml")):
        for row in yaml.safe_load(path.read_text("utf-8")):
            config = json.loads(json.dumps(row["config"]))
            if config not in found[config["model_type"]]:
                found[config["model_type"]].append(config)
    for kind, config in BARE.items():
        found[kind].append(config)
    return dict(sorted(found.items()))


def depth_key(config: dict[str, Any]) -> str:
    """The name of the number of layers."""
    return next(key for key in ("num_hidden_layers", "n_layer", "n_layers", "num_layers") if key in config)


def shrunk(config: dict[str, Any], layers: int) -> dict[str, Any]:
    """``config`` with its first ``layers`` layers alone, of the language model and of every tower."""
    out = json.loads(json.dumps(config))
    for name, inner in list(out.items()):
        if isinstance(inner, dict) and name.endswith("_config") and name != "rope_scaling":
            out[name] = shrunk(inner, layers)
    if "hybrid_override_pattern" in out:
        out["hybrid_override_pattern"] = out["hybrid_override_pattern"][:layers]
    keys = [key for key in ("num_hidden_layers", "n_layer", "n_layers", "num_layers", "depth") if key in out]
    for key in keys:
        out[key] = min(layers, out[key])
    for key in LAYER_LISTS:
        if isinstance(out.get(key), list):
            out[key] = out[key][:layers]
    if out.get("num_kv_shared_layers"):
        out["num_kv_shared_layers"] = min(out["num_kv_shared_layers"], layers // 2)
    return out


def kernels_off(kind: str, config: dict[str, Any]) -> bool:
    """Whether Axolotl's fused LoRA kernels cannot patch the model."""
    return kind in NO_KERNELS


def targets(kind: str) -> list[str] | str:
    """What a careful user adapts: the language model's projections."""
    names = ALL_TARGETS.get(kind, SEVEN)
    return LANGUAGE.format("|".join(names)) if kind in TOWERS else list(names)


LAYERS = {"nemotron_h": 12, "jamba": 9, "lfm2": 4, "gemma4": 6, "gemma3": 6, "gemma3_text": 6, "llama4": 4, "qwen3_next": 4,
          "deepseek_v3": 4, "olmo3": 4, "cohere2": 4}  # fmt: skip
EXPLORED = (
    {"gradient_checkpointing": False} | CCE,
    {"gradient_checkpointing": True} | CCE,
)


def attention_of(kind: str) -> str:
    """The fastest backend that the type takes."""
    if kind in EAGER_ONLY or kind == "gpt_oss":
        return "eager"
    return "sdpa" if kind in SDPA else "flash_attention_2"


def explore() -> Iterator[tuple[str, dict, dict, tuple[int, int]]]:
    """For each type: full, LoRA and QLoRA, with and without checkpointing, where only the layers matter."""
    for kind, configs in pool().items():
        model = shrunk(min(configs, key=lambda c: len(json.dumps(c))), LAYERS.get(kind, 3))
        attention = {"attn_implementation": attention_of(kind)}
        lora = {"lora_r": 16, "lora_alpha": 32, "lora_target_modules": targets(kind)}
        for name, method in {
            "full": {}, "lora": {"adapter": "lora"} | lora | OFF, "qlora": {"adapter": "qlora", "load_in_4bit": True} | lora | OFF,
            "fused": {"adapter": "lora"} | lora,
        }.items():  # fmt: skip
            if name == "fused" and kernels_off(kind, model):
                continue
            for gc in (False, True):
                config = (
                    method | attention | CCE | ({"gradient_checkpointing": True} if gc else {}) | {"optimizer": "sgd"}
                )
                yield f"explore-{kind}-{name}-{'gc' if gc else 'nogc'}", model, config, (1, 2048)
