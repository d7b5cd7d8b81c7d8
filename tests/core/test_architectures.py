"""Descriptions of architectures: counts equal to Transformers' and PEFT's, nonsense refused by name.

The counts are recorded by ``tests/reference/parameters/record.py``.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from app.core.adapter import default_targets, resolve_adapter
from app.core.architecture import Kind
from app.core.architectures import describe, supported_model_types
from app.core.axolotl.run_reader import read_run
from app.core.errors import InvalidInput

LINES = (Path(__file__).parents[1] / "data" / "parameters" / "points.jsonl").read_text(encoding="utf-8").splitlines()
POINTS: list[dict[str, Any]] = [json.loads(line) for line in LINES[1:]]
MODEL_TYPES = supported_model_types()
FEWEST_POINTS = 300
LLAMA = {
    "model_type": "llama",
    "vocab_size": 320,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
CROSS = "/model/text_config/cross_attention_layers"
GEMMA3 = {"model_type": "gemma3", "text_config": LLAMA | {"model_type": "gemma3_text"}}


def of_type(model_type: str) -> list[dict[str, Any]]:
    """The points of one model type."""
    return [point for point in POINTS if point["model"]["model_type"] == model_type]


def test_points_cover_every_model_type() -> None:
    """Each description is held to a recorded count."""
    assert len(POINTS) >= FEWEST_POINTS
    assert set(MODEL_TYPES) <= {point["model"]["model_type"] for point in POINTS}
    assert json.loads(LINES[0])["versions"]["transformers"] == "5.16.1"


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_total_is_transformers(model_type: str) -> None:
    """The bare model's parameters, to the last one."""
    for point in of_type(model_type):
        architecture = describe(point["model"])
        assert architecture.total_parameters == point["total"], point["model"]
        assert not architecture.approximate


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_trainable_is_pefts(model_type: str) -> None:
    """What PEFT trains, to the last parameter."""
    for point in of_type(model_type):
        if point["lora"] is None:
            continue
        adapter = resolve_adapter(describe(point["model"]), read_run(point["lora"]))
        assert adapter.trainable_parameters == point["trainable"], point


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_blocks_cover_each_layer_once(model_type: str) -> None:
    """The blocks share the layers out, and every row of the language model stands in layers that exist."""
    for point in of_type(model_type):
        architecture = describe(point["model"])
        layers = [layer for block in architecture.blocks for layer in block.layers]
        assert sorted(layers) == list(range(architecture.num_layers))
        assert all(row.layers is None or row.layers for row in architecture.modules)
        paths = [path for row in architecture.modules for path in row.paths()]
        assert len(paths) == len(set(paths))


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_default_targets_exist(model_type: str) -> None:
    """What a plan targets is there to be targeted."""
    for point in of_type(model_type):
        architecture = describe(point["model"])
        targets = default_targets(architecture)
        if isinstance(targets, str):
            paths = [path for row in architecture.modules for path in row.paths()]
            hit = [path for path in paths if re.fullmatch(targets, path)]
            assert hit
            names = set(targets.rpartition("(")[2].rstrip(")").split("|"))
            assert {path.rpartition(".")[2] for path in hit} == names
            assert not any("vision" in path or "audio" in path for path in hit)
        else:
            kinds = (Kind.LINEAR, Kind.CONV1D)
            assert targets
            assert set(targets) <= {row.name for row in architecture.modules if row.kind in kinds}


@pytest.mark.parametrize(
    ("model", "pointer"),
    [
        (LLAMA | {"num_attention_heads": 0}, "/model/num_attention_heads"),
        (LLAMA | {"hidden_size": -64}, "/model/hidden_size"),
        (LLAMA | {"vocab_size": "many"}, "/model/vocab_size"),
        (LLAMA | {"intermediate_size": 1.5}, "/model/intermediate_size"),
        (LLAMA | {"num_hidden_layers": 10**9}, "/model/num_hidden_layers"),
        (LLAMA | {"num_attention_heads": 7}, "/model/num_attention_heads"),
        (LLAMA | {"num_key_value_heads": 3}, "/model/num_key_value_heads"),
        (LLAMA | {"tie_word_embeddings": "yes"}, "/model/tie_word_embeddings"),
        (LLAMA | {"model_type": ""}, "/model/model_type"),
        (LLAMA | {"model_type": 7}, "/model/model_type"),
        ({"model_type": "lama"}, "/model/model_type"),
        (GEMMA3 | {"text_config": {"num_hidden_layers": 0}}, "/model/text_config/num_hidden_layers"),
        (GEMMA3 | {"text_config": 7}, "/model/text_config"),
        (GEMMA3 | {"vision_config": {"num_attention_heads": 5}}, "/model/vision_config/num_attention_heads"),
        (GEMMA3 | {"vision_config": {"patch_size": 0}}, "/model/vision_config/patch_size"),
        ({"model_type": "mistral3", "text_config": {"model_type": "bert"}}, "/model/text_config/model_type"),
        ({"model_type": "gemma4", "audio_config": {"hidden_size": -1}}, "/model/audio_config/hidden_size"),
        ({"model_type": "gemma4_text", "num_kv_shared_layers": 31}, "/model/num_kv_shared_layers"),
        ({"model_type": "gemma4_text", "enable_moe_block": True}, "/model/num_experts"),
        ({"model_type": "glm4_moe", "num_attention_heads": 8192}, "/model/num_attention_heads"),
        ({"model_type": "jamba", "attn_layer_offset": 8}, "/model/attn_layer_offset"),
        ({"model_type": "lfm2", "layer_types": ["conv"]}, "/model/layer_types"),
        ({"model_type": "lfm2", "full_attn_idxs": 3}, "/model/full_attn_idxs"),
        ({"model_type": "nemotron_h", "hybrid_override_pattern": "M?"}, "/model/hybrid_override_pattern"),
        ({"model_type": "nemotron_h", "hybrid_override_pattern": "M" * 9999}, "/model/hybrid_override_pattern"),
        ({"model_type": "nemotron_h", "layers_block_type": []}, "/model/layers_block_type"),
        ({"model_type": "qwen3_next", "linear_num_key_heads": 5}, "/model/linear_num_key_heads"),
        ({"model_type": "qwen3_5_text", "layer_types": [1] * 32}, "/model/layer_types"),
        ({"model_type": "qwen3_moe", "mlp_only_layers": "0"}, "/model/mlp_only_layers"),
        ({"model_type": "llama4_text", "moe_layers": 3}, "/model/moe_layers"),
        (
            {"model_type": "gemma4_text", "attention_k_eq_v": True, "num_global_key_value_heads": 3},
            "/model/num_global_key_value_heads",
        ),
        ({"model_type": "falcon_h1", "mamba_n_heads": 7}, "/model/mamba_n_heads"),
        ({"model_type": "helium", "head_dim": 100}, "/model/head_dim"),
        ({"model_type": "qwen3_5", "vision_config": {"num_heads": 7}}, "/model/vision_config/num_heads"),
        (
            {"model_type": "gemma4", "vision_config": {"num_key_value_heads": 5}},
            "/model/vision_config/num_key_value_heads",
        ),
        ({"model_type": "lfm2", "block_ffn_dim_multiplier": "wide"}, "/model/block_ffn_dim_multiplier"),
        ({"model_type": "lfm2_moe"}, "/model/layer_types"),
        ({"model_type": "lfm2_vl", "text_config": {"model_type": "lfm2_moe"}}, "/model/text_config/model_type"),
        ({"model_type": "granitemoehybrid", "mamba_n_heads": 7}, "/model/mamba_n_heads"),
        ({"model_type": "granitemoehybrid", "mamba_d_head": 65}, "/model/mamba_d_head"),
        ({"model_type": "mllama", "text_config": {"cross_attention_layers": 3}}, CROSS),
        ({"model_type": "mllama", "text_config": {"cross_attention_layers": list(range(40))}}, CROSS),
        ({"model_type": "glm46v", "text_config": {"model_type": "glm4"}}, "/model/text_config/model_type"),
        ({"model_type": "voxtral", "text_config": {"model_type": "bert"}}, "/model/text_config/model_type"),
        (
            {"model_type": "voxtral", "audio_config": {"num_attention_heads": 7}},
            "/model/audio_config/num_attention_heads",
        ),
    ],
)
def test_nonsense_is_refused_by_name(model: dict[str, Any], pointer: str) -> None:
    """The fault names the field, nested ones too."""
    with pytest.raises(InvalidInput) as caught:
        describe(model)
    assert [error.pointer for error in caught.value.errors] == [pointer]


@pytest.mark.parametrize("model_type", MODEL_TYPES)
@pytest.mark.parametrize("value", [0, -1, 10**9, "4", True, [4]])
def test_no_type_takes_nonsense_layers(model_type: str, value: object) -> None:
    """Whatever stands for the number of layers, no description builds on nonsense."""
    facts = {"num_hidden_layers": value, "n_layer": value, "n_layers": value}
    with pytest.raises(InvalidInput):
        describe({"model_type": model_type} | facts | {"text_config": facts})


def test_unknown_type_is_counted_as_approximate() -> None:
    """A type without a description is counted in Llama's shape and says so."""
    architecture = describe(LLAMA | {"model_type": "llamette"})
    assert architecture.approximate
    assert architecture.total_parameters == describe(LLAMA).total_parameters
