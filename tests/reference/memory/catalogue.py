"""Cases over every architecture of the catalogue and of the registry: real widths, few layers of every kind.

``python -m tests.reference.memory.record --wide 3 --count 200`` draws from seed 3 and records to ``tests/data/memory/wide.jsonl``.
"""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from .cases import TARGETS, UNFUSED, _model
from .drawn import MORE_TARGETS, OPTIMIZERS
from .keys import CCE, CHUNKED, LIGER, OFF, SEVEN

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
SDPA = frozenset(("falcon", "gpt2", "opt", "llama4_text", "gpt_neox"))
ALL_TARGETS = MORE_TARGETS | {
    "bloom": TARGETS["falcon"], "mpt": ["Wqkv", "out_proj", "up_proj", "down_proj"],
    "gptj": ["q_proj", "k_proj", "v_proj", "out_proj", "fc_in", "fc_out"],
    "glm": TARGETS["glm4"], "glm4_moe_lite": ["q_a_proj", "q_b_proj", "kv_a_proj_with_mqa", "kv_b_proj", "o_proj"],
    "deepseek_v3": ["q_a_proj", "q_b_proj", "kv_a_proj_with_mqa", "kv_b_proj", "o_proj"],
    "jamba": SEVEN[:4], "nemotron_h": SEVEN[:4], "falcon_h1": SEVEN, "qwen3_5_moe": SEVEN[:4], "llama4_text": SEVEN[:4],
}  # fmt: skip
LANGUAGE = r".*language_model\.layers\.\d+\.(mlp|self_attn|feed_forward)\.({})"
TOWERS = frozenset(("gemma3", "gemma4", "mistral3", "qwen3_5", "qwen3_5_moe"))
NO_KERNELS = UNFUSED | frozenset(
    """bloom cohere deepseek_v2 deepseek_v3 falcon_h1 glm4_moe glm4_moe_lite gpt2 gptj lfm2 llama4_text mpt olmo olmo3
    olmoe opt qwen3_5_text qwen3_5_moe_text""".split()
)
LAYER_LISTS = ("layer_types", "layers_block_type", "mlp_layer_types", "no_rope_layers", "attn_layer_indices")


def pool() -> dict[str, list[dict[str, Any]]]:
    """Every model's config.json by its type, the catalogue's and those above."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for path in sorted(CATALOGUE.glob("*.yaml")):
        for row in yaml.safe_load(path.read_text("utf-8")):
            config = json.loads(json.dumps(row["config"]))
            if (
                config["model_type"] == "llama4"
            ):  # its language model alone: the wrapper's loss is not one that kernels replace
                config = config["text_config"] | {"model_type": "llama4_text"}
            if config not in found[config["model_type"]]:
                found[config["model_type"]].append(config)
    for kind, config in BARE.items():
        found[kind].append(config)
    return dict(sorted(found.items()))


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


LAYERS = {"nemotron_h": 12, "jamba": 9, "lfm2": 4, "gemma4": 6, "gemma3": 6, "gemma3_text": 6, "llama4_text": 4, "qwen3_next": 4, "qwen3_5": 4, "qwen3_5_moe": 4, "qwen3_5_text": 4, "qwen3_5_moe_text": 4,
          "deepseek_v3": 4, "olmo3": 4, "cohere2": 4}  # fmt: skip
NOT_QUANTIZED = frozenset(("falcon_h1", "nemotron_h", "jamba"))
"""Whose scan reads the weights of linears itself, which fails where bitsandbytes holds them."""


def attention_of(kind: str, random_: random.Random) -> str | None:
    """A backend that the type takes."""
    if kind in EAGER_ONLY or kind == "gpt_oss":
        return "eager"
    if kind in SDPA:
        return random_.choice(["sdpa", "sdpa", "eager"]) if kind in ("gpt_neox", "gpt2") else "sdpa"
    return random_.choices(["flash_attention_2", "sdpa", "eager", None], [70, 12, 8, 10])[0]


def wide(seed: int, count: int, only: str = "") -> Iterator[tuple[str, dict, dict, tuple[int, int]]]:
    """``count`` cases from ``seed``, each model type in turn: a row of the catalogue, a method, the switches."""
    random_ = random.Random(seed)
    models = pool()
    kinds = [kind for kind in models if only in kind]
    random_.shuffle(kinds)
    for index in range(count):
        kind = kinds[index % len(kinds)]
        model = shrunk(random_.choice(models[kind]), LAYERS.get(kind, random_.choice([2, 3])))
        yield f"wide-{seed}-{index}-{kind}", model, *_switches(random_, kind, model)


def _switches(random_: random.Random, kind: str, model: dict[str, Any]) -> tuple[dict, tuple[int, int]]:
    pick = random_.choice
    methods = {"full": 30, "lora": 30, "qlora": 0 if kind in NOT_QUANTIZED else 25, "dora": 8, "int8": 0}
    method = random_.choices(list(methods), list(methods.values()))[0]
    config: dict[str, Any] = {}
    if method != "full":
        rank = pick([4, 8, 16, 32, 64, 128])
        config |= {"adapter": "qlora" if method == "qlora" else "lora", "lora_r": rank, "lora_alpha": 2 * rank}
        config["lora_target_modules"] = targets(kind)
        if method == "qlora":
            config["load_in_4bit"] = True
        if method == "dora":
            config["peft_use_dora"] = True
        if random_.random() < 0.3:
            config["lora_dropout"] = 0.05
        if kernels_off(kind, model) or method == "dora" or random_.random() < 0.5:
            config |= OFF
        elif kind in ("apertus", "arcee", "nemotron", "starcoder2", "glm", "glm4", "jamba", "nemotron_h"):
            config |= OFF if kind == "nemotron_h" else {"lora_qkv_kernel": True, "lora_o_kernel": True}
    attention = attention_of(kind, random_)
    if attention:
        config["attn_implementation"] = attention
    loss = random_.choices([{}, CHUNKED, CCE, LIGER], [15, 20, 50, 15])[0]
    if loss is LIGER and any(part.get("final_logit_softcapping") for part in (model, model.get("text_config", {}))):
        loss = CCE
    config |= loss
    if random_.random() < 0.6:
        config["gradient_checkpointing"] = True
        if random_.random() < 0.3:
            config["gradient_checkpointing_kwargs"] = {"use_reentrant": False}
    config["optimizer"] = pick(OPTIMIZERS)
    if random_.random() < 0.25:
        config["gradient_accumulation_steps"] = pick([2, 4])
    rows, tokens = random_.choices(
        [(1, 512), (1, 1024), (1, 2048), (2, 1024), (1, 4096), (4, 1024)], [1, 2, 3, 2, 2, 1]
    )[0]
    if attention == "eager":
        rows, tokens = 1, min(tokens, 2048)
    if attention == "flash_attention_2" and random_.random() < 0.3:
        config["sample_packing"] = True
        rows, tokens = 1, rows * tokens
    return config, (rows, tokens)
