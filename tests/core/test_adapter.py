"""What targets reach: equal to PEFT's, refused where PEFT refuses, explained where people err.

The counts are recorded by ``tests/reference/parameters/record_targets.py``, which lets Axolotl read its keys.
"""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from app.core.adapted import is_ending
from app.core.adapter import Adapter, default_targets, linear_names, resolve_adapter, resolve_lora
from app.core.architecture import Architecture
from app.core.architectures import describe, supported_model_types
from app.core.axolotl.run_reader import read_run
from app.core.errors import InvalidInput

LINES = (Path(__file__).parents[1] / "data" / "parameters" / "targets.jsonl").read_text(encoding="utf-8").splitlines()
MODELS: list[dict[str, Any]] = json.loads(LINES[1])
POINTS: list[dict[str, Any]] = [json.loads(line) for line in LINES[2:]]
COMMON = {"adapter": "lora", "lora_alpha": 8, "lora_dropout": 0.0}
TOKENS = "peft_trainable_token_indices"
FEWEST_POINTS = 3000
LLAMA = {
    "model_type": "llama",
    "vocab_size": 320,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
QWEN3_30B = {
    "model_type": "qwen3_moe",
    "hidden_size": 2048,
    "num_hidden_layers": 48,
    "num_attention_heads": 32,
    "num_key_value_heads": 4,
    "head_dim": 128,
    "moe_intermediate_size": 768,
    "num_experts": 128,
}
SEVEN = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
GEMMA3 = {"model_type": "gemma3", "text_config": LLAMA | {"model_type": "gemma3_text"}}


def resolved(architecture: Architecture, config: dict[str, Any]) -> Adapter:
    """The adapter of a recorded configuration."""
    run = read_run(COMMON | config if "lora_r" in config else config)
    if run.lora is None:
        return resolve_adapter(architecture, run)
    return resolve_lora(architecture, run.lora)


def fault(model: dict[str, Any], **config: Any) -> tuple[str, str]:
    """Where and why a configuration is refused."""
    with pytest.raises(InvalidInput) as caught:
        resolved(describe(model), {"lora_r": 4} | config)
    return caught.value.errors[0].pointer, caught.value.errors[0].message.code


def test_points_cover_every_model_type() -> None:
    """Each description is held to what its targets reach."""
    assert len(POINTS) >= FEWEST_POINTS
    assert {model["model_type"] for model in MODELS} == set(supported_model_types())
    versions = json.loads(LINES[0])["versions"]
    assert (versions["transformers"], versions["peft"], versions["axolotl"]) == ("5.16.1", "0.20.0", "0.19.0")


@pytest.mark.parametrize("index", range(len(MODELS)), ids=[model["model_type"] for model in MODELS])
def test_every_count_is_pefts(index: int) -> None:
    """Trainable, all, and how often each name is adapted, to the last one; refused where PEFT raises."""
    architecture = describe(MODELS[index])
    for point in POINTS:
        if point["model"] != index:
            continue
        config = point["config"]
        if point.get("refused"):
            with pytest.raises(InvalidInput):
                resolved(architecture, config)
            continue
        adapter = resolved(architecture, config)
        assert adapter.trainable_parameters == point["trainable"], config
        assert adapter.total_parameters == point["all"], config
        if "names" in point:
            found: Counter[str] = Counter()
            for row in adapter.modules:
                if row.rank:
                    found[row.module.path.rpartition(".")[2]] += row.copies
            assert sum(found.values()) == sum(point["names"].values()), config


def test_experts_are_rewritten() -> None:
    """The seven usual names on a mixture of experts train all experts: 995 million, not 13."""
    architecture = describe(QWEN3_30B)
    adapter = resolved(architecture, {"lora_r": 16, "lora_target_modules": SEVEN})
    assert adapter.trainable_parameters == 994_836_480
    attention = resolved(architecture, {"lora_r": 16, "lora_target_modules": list(default_targets(architecture))})
    assert attention.trainable_parameters == 13_369_344


@pytest.mark.parametrize(
    ("model", "config", "expected"),
    [
        (LLAMA, {"lora_target_modules": ["q_prj"]}, ("lora_target_modules", "error.target_unmatched")),
        (LLAMA, {"lora_target_modules": ["q_prj", "c_attn"]}, ("lora_target_modules", "error.target_unmatched")),
        (LLAMA, {"lora_target_modules": "q_proj"}, ("lora_target_modules", "error.target_unmatched")),
        (LLAMA, {"lora_target_modules": "(q_proj"}, ("lora_target_modules", "error.target_pattern")),
        (LLAMA, {"lora_target_modules": "(.*a)*b"}, ("lora_target_modules", "error.target_pattern")),
        (LLAMA, {"lora_target_modules": "(a|a)+b"}, ("lora_target_modules", "error.target_pattern")),
        (LLAMA, {"lora_target_modules": ".*.*.*.*.*.*x"}, ("lora_target_modules", "error.target_pattern")),
        (LLAMA, {"lora_target_modules": "x" * 2000}, ("lora_target_modules", "error.target_pattern")),
        (LLAMA, {"lora_target_modules": ["self_attn"]}, ("lora_target_modules", "error.target_unsupported")),
        (LLAMA, {"lora_target_modules": ["input_layernorm"]}, ("lora_target_modules", "error.target_unsupported")),
        (LLAMA, {"lora_target_modules": []}, ("lora_target_modules", "error.target_none")),
        (
            LLAMA,
            {"lora_target_modules": ["q_proj"], "peft_layers_to_transform": [99]},
            ("peft_layers_to_transform", "error.layers_none"),
        ),
        (
            LLAMA,
            {"lora_target_modules": ".*q_proj", "peft_layers_to_transform": [1]},
            ("peft_layers_to_transform", "error.layers_with_pattern"),
        ),
        (
            LLAMA,
            {"lora_target_modules": ["q_proj"], "lora_modules_to_save": ["_proj"]},
            ("lora_modules_to_save", "error.saved_and_targeted"),
        ),
        (
            LLAMA,
            {"lora_target_parameters": ["experts.down_proj"]},
            ("lora_target_parameters", "error.target_no_experts"),
        ),
        (
            QWEN3_30B,
            {"lora_target_parameters": ["experts.up_proj"]},
            ("lora_target_parameters", "error.target_unmatched"),
        ),
        (
            LLAMA,
            {"lora_target_modules": ["q_proj"], "lora_rank_pattern": {"(q_proj": 2}},
            ("lora_rank_pattern", "error.target_pattern"),
        ),
        (
            LLAMA,
            {"lora_target_modules": ["q_proj"], "lora_modules_to_save": ["(lm_head"]},
            ("lora_modules_to_save", "error.target_pattern"),
        ),
        (QWEN3_30B, {"lora_target_modules": ["up_proj"]}, ("lora_target_modules", "error.target_part_of_fused")),
        (
            QWEN3_30B,
            {"lora_target_parameters": ["experts.down_proj"], "peft_use_dora": True},
            ("peft_use_dora", "error.dora_on_parameters"),
        ),
        ({"model_type": "nemotron_h"}, {"lora_target_linear": True}, ("lora_target_modules", "error.target_refused")),
        (
            {"model_type": "qwen3_next"},
            {"lora_target_modules": ["conv1d"]},
            ("lora_target_modules", "error.target_grouped"),
        ),
    ],
)
def test_what_cannot_be_is_refused_by_key(
    model: dict[str, Any], config: dict[str, Any], expected: tuple[str, str]
) -> None:
    """The fault names the key and the reason."""
    key, code = expected
    assert fault(model, **config) == (f"/config/{key}", code)


def test_an_unmatched_target_names_the_models_own() -> None:
    """Each wrong name is told, and what the model has instead."""
    wrong = [name for name in SEVEN if name not in ("o_proj", "down_proj")]
    with pytest.raises(InvalidInput) as caught:
        resolved(describe({"model_type": "phi3"}), {"lora_r": 4, "lora_target_modules": wrong})
    given = [error.message.params["given"] for error in caught.value.errors]
    assert given == ["q_proj", "k_proj", "v_proj", "gate_proj", "up_proj"]
    allowed = caught.value.errors[0].message.params["allowed"]
    assert isinstance(allowed, tuple)
    assert {"qkv_proj", "o_proj", "gate_up_proj", "down_proj"} <= set(allowed)


@pytest.mark.parametrize(
    ("model", "config", "same"),
    [
        (LLAMA, {"lora_target_modules": ["q_proj", "c_attn"]}, {"lora_target_modules": ["q_proj"]}),
        (
            LLAMA,
            {"lora_target_modules": ["c_attn"], "lora_target_linear": True},
            {"lora_target_linear": True},
        ),
        (
            LLAMA,
            {"lora_target_modules": ["q_proj"], "lora_target_parameters": ["experts.down_proj"]},
            {"lora_target_modules": ["q_proj"]},
        ),
        (
            QWEN3_30B,
            {"lora_target_modules": "nothing", "lora_target_parameters": ["experts.down_proj", "experts.up_proj"]},
            {"lora_target_parameters": ["experts.down_proj"]},
        ),
    ],
)
def test_what_matches_nothing_is_passed_over_where_something_else_is_adapted(
    model: dict[str, Any], config: dict[str, Any], same: dict[str, Any]
) -> None:
    """PEFT 0.20 warns at most (``inject_adapter``), so the run works."""
    architecture = describe(model)
    rank = {"lora_r": 4}
    assert resolved(architecture, rank | config).modules == resolved(architecture, rank | same).modules


def test_names_of_a_model_that_no_description_covers_are_not_known_to_match_nothing() -> None:
    unknown = describe(LLAMA | {"model_type": "not_yet"})
    assert unknown.approximate
    with pytest.raises(InvalidInput):
        resolved(unknown, {"lora_r": 4, "lora_target_modules": ["q_proj", "Wqkv"]})


def test_a_part_of_what_experts_fuse_names_the_rest() -> None:
    """PEFT would rewrite ``up_proj`` to ``gate_up_proj`` and adapt the half that was not asked for."""
    with pytest.raises(InvalidInput) as caught:
        resolved(describe(QWEN3_30B), {"lora_r": 4, "lora_target_modules": ["up_proj"]})
    said = caught.value.errors[0].message.params
    assert (said["given"], said["missing"], said["fused"]) == ("up_proj", "gate_proj", "gate_up_proj")


def test_names_to_save_that_match_nothing_are_passed_over() -> None:
    """As PEFT does."""
    config = {"lora_r": 4, "lora_target_modules": ["q_proj"], "lora_modules_to_save": ["embed_tokens", "wte"]}
    adapter = resolved(describe(LLAMA), config)
    assert {row.module.name for row in adapter.modules} == {"q_proj", "embed_tokens"}
    assert [is_ending(describe(LLAMA), end) for end in ("tokens", "self_attn", "layers.1.mlp", "wte")] == [
        *(True, True, True),
        False,
    ]


def test_full_trains_everything() -> None:
    """Tied weights once."""
    for tied in (False, True):
        architecture = describe(LLAMA | {"tie_word_embeddings": tied})
        adapter = resolve_adapter(architecture, read_run({}))
        assert adapter.trainable_parameters == architecture.total_parameters == adapter.total_parameters
        assert adapter.trainable_percent == 100


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (LLAMA, tuple(SEVEN)),
        ({"model_type": "phi3"}, ("o_proj", "down_proj", "qkv_proj", "gate_up_proj")),
        ({"model_type": "gpt_neox"}, ("query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h")),
        ({"model_type": "gpt2"}, ("c_attn", "c_proj", "c_fc")),
        (QWEN3_30B, ("q_proj", "k_proj", "v_proj", "o_proj")),
        ({"model_type": "gpt_oss"}, ("q_proj", "k_proj", "v_proj", "o_proj")),
        (
            GEMMA3,
            (
                r"model\.language_model\.layers\.\d+\.(self_attn\.|mlp\.)"
                r"(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"
            ),
        ),
    ],
)
def test_what_a_plan_targets(model: dict[str, Any], expected: tuple[str, ...] | str) -> None:
    """Explicit names in human order; attention alone for experts; a pattern where there are towers."""
    assert default_targets(describe(model)) == expected


def test_axolotls_own_choice_of_linears() -> None:
    """Towers included, GPT-NeoX's head too, no other head."""
    assert "out_proj" in linear_names(describe(GEMMA3))
    assert "lm_head" in linear_names(describe({"model_type": "gpt_neox"}))
    assert linear_names(describe(LLAMA)) == tuple(SEVEN)
    assert {"linear", "q_proj"} <= set(
        linear_names(
            describe({"model_type": "gemma4", "vision_config": {}} | {"vision_config": {"num_hidden_layers": 1}})
        )
    )
