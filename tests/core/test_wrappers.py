"""Models with towers: what is described whole, what is counted without its tower, and what is refused."""

import re
from typing import Any

import pytest

from app.core.adapter import default_targets, resolve_adapter
from app.core.architecture import Kind, Part
from app.core.architectures import describe, llava
from app.core.axolotl.run_reader import read_run
from app.core.config_json import unstated_sizes
from app.core.errors import InvalidInput
from app.core.memory import estimate_memory

TEXT: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 320,
}
SIGHT = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
LORA = {"adapter": "lora", "lora_r": 8, "lora_alpha": 16, "sequence_len": 64}


@pytest.mark.parametrize(
    ("config_json", "billions"),
    [
        # Qwen/Qwen2.5-VL-7B-Instruct as published: the language model's sizes at the top.
        (
            {
                "model_type": "qwen2_5_vl",
                "hidden_size": 3584,
                "intermediate_size": 18944,
                "num_hidden_layers": 28,
                "num_attention_heads": 28,
                "num_key_value_heads": 4,
                "vocab_size": 152064,
                "vision_config": {
                    "hidden_size": 1280,
                    "in_chans": 3,
                    "out_hidden_size": 3584,
                    "spatial_patch_size": 14,
                },
            },
            8.29,
        ),
        # Qwen/Qwen2-VL-2B-Instruct
        (
            {
                "model_type": "qwen2_vl",
                "hidden_size": 1536,
                "intermediate_size": 8960,
                "num_hidden_layers": 28,
                "num_attention_heads": 12,
                "num_key_value_heads": 2,
                "vocab_size": 151936,
                "tie_word_embeddings": True,
                "vision_config": {"depth": 32, "embed_dim": 1280, "hidden_size": 1536, "mlp_ratio": 4, "num_heads": 16},
            },
            2.21,
        ),
        # llava-hf/llava-1.5-7b-hf: all but the vocabulary is Llama's default.
        (
            {
                "model_type": "llava",
                "text_config": {"model_type": "llama", "vocab_size": 32064},
                "vision_config": dict(llava.CLIP),
            },
            7.06,
        ),
    ],
)
def test_published_models_come_to_their_published_size(config_json: dict[str, Any], billions: float) -> None:
    """As the model's page on the Hub says."""
    assert round(describe(config_json).total_parameters / 1e9, 2) == billions


def test_an_adapter_keeps_to_the_language_model() -> None:
    """What a plan targets is the text's; the tower stays frozen and takes its weights alone."""
    with_tower = {
        "model_type": "llava",
        "text_config": TEXT,
        "vision_config": SIGHT | {"model_type": "clip_vision_model"},
    }
    whole = describe(with_tower)
    run = read_run(LORA | {"lora_target_modules": default_targets(whole)})
    adapter = resolve_adapter(whole, run)
    assert {row.module.part for row in adapter.modules} == {Part.TEXT}
    memory = estimate_memory(whole, run, adapter, fused_lora=False)
    larger = describe(with_tower | {"vision_config": with_tower["vision_config"] | {"num_hidden_layers": 4}})
    more = estimate_memory(larger, run, resolve_adapter(larger, run), fused_lora=False)
    terms, grown = ({term.code: term.bytes for term in found.breakdown} for found in (memory, more))
    assert grown["weights"] - terms["weights"] == 2 * (larger.total_parameters - whole.total_parameters)
    assert {code for code in terms if terms[code] != grown[code]} == {"weights"}


@pytest.mark.parametrize(("inner", "computes"), [("gpt_oss", "gpt_oss"), ("cohere2", "cohere2"), ("phi3", "phi3")])
@pytest.mark.parametrize("key", ["text_config", "llm_config", "language_config"])
def test_a_wrapper_without_a_description_is_its_language_model(inner: str, computes: str, key: str) -> None:
    """Counted as the language model alone, said to be less than the whole."""
    facts = TEXT | {"model_type": inner}
    found, alone = describe({"model_type": "unheard_of", key: facts, "vision_config": SIGHT}), describe(facts)
    assert found.total_parameters == alone.total_parameters
    assert (found.model_type, found.computes_as) == ("unheard_of", computes)
    assert found.approximate
    assert found.towers_left_out
    assert not alone.towers_left_out
    targets = default_targets(found)
    assert isinstance(targets, str)
    run = read_run(LORA | {"lora_target_modules": targets})
    plain = read_run(LORA | {"lora_target_modules": list(default_targets(alone))})
    ours, theirs = resolve_adapter(found, run), resolve_adapter(alone, plain)
    assert ours.trainable_parameters == theirs.trainable_parameters
    within = estimate_memory(found, run, ours, fused_lora=False)
    assert within.allocated_peak_bytes == estimate_memory(alone, plain, theirs, fused_lora=False).allocated_peak_bytes
    assert not unstated_sizes({"model_type": "unheard_of", key: facts})


def test_a_known_wrapper_around_another_language_model_is_that_model_alone() -> None:
    """InternVL takes any; what is recorded within it is what is described within it."""
    found = describe({"model_type": "internvl", "text_config": TEXT | {"model_type": "olmo2"}, "vision_config": SIGHT})
    assert (found.computes_as, found.towers_left_out) == ("olmo2", True)
    assert not describe({"model_type": "internvl", "text_config": TEXT | {"model_type": "qwen2"}}).towers_left_out
    assert not describe({"model_type": "internvl"}).towers_left_out


def test_the_wrapper_says_whether_the_head_is_tied() -> None:
    """Its own flag counts before that of the language model."""
    inner = TEXT | {"model_type": "llama", "tie_word_embeddings": True}
    wrapped = {"model_type": "unheard_of", "text_config": inner}
    for config_json, tied in ((wrapped, True), (wrapped | {"tie_word_embeddings": False}, False)):
        found = describe(config_json)
        head = next(module for module in found.modules if module.kind is Kind.HEAD)
        assert found.tie_word_embeddings is tied
        assert bool(head.tied_to) is tied
        assert head.tied_to in (None, *(module.path for module in found.modules))


@pytest.mark.parametrize("tower", [{"vision_config": {}}, {"mm_vision_tower": "openai/clip"}, {"audio_config": SIGHT}])
def test_sizes_at_the_top_beside_a_tower_are_a_language_model_without_it(tower: dict[str, Any]) -> None:
    """Of remote code, such as MiniCPM-V's: Llama's shape, the tower left out."""
    assert describe({"model_type": "unheard_of"} | TEXT | tower).towers_left_out
    assert not describe({"model_type": "unheard_of"} | TEXT).towers_left_out


@pytest.mark.parametrize(
    ("config_json", "pointer", "code"),
    [
        ({"model_type": "x", "text_config": TEXT}, "/model/text_config/model_type", "missing"),
        ({"model_type": "x", "llm_config": {"model_type": "bert"}}, "/model/llm_config/model_type", "wrapper"),
        ({"text_config": TEXT}, "/model/model_type", "missing"),
        ({"model_type": "x", "text_config": 7}, "/model/text_config", "mapping"),
        ({"model_type": "llava", "text_config": {"model_type": "bert"}}, "/model/text_config/model_type", "inner_type"),
        (
            {"model_type": "llava", "vision_config": {"model_type": "vit"}},
            "/model/vision_config/model_type",
            "inner_type",
        ),
        ({"model_type": "internvl", "downsample_ratio": 0}, "/model/downsample_ratio", "number"),
        (
            {"model_type": "internvl", "vision_config": {"image_size": [1]}},
            "/model/vision_config/image_size",
            "integer",
        ),
        (
            {"model_type": "internvl", "vision_config": {"patch_size": [14, None]}},
            "/model/vision_config/patch_size",
            "missing",
        ),
        ({"model_type": "qwen2_vl", "vision_config": {"num_heads": 7}}, "/model/vision_config/num_heads", "divides"),
    ],
)
def test_what_is_missing_is_named(config_json: dict[str, Any], pointer: str, code: str) -> None:
    """The field, at its place in the file."""
    with pytest.raises(InvalidInput) as caught:
        describe(config_json)
    assert [(error.pointer, error.message.code) for error in caught.value.errors] == [
        (pointer, f"error.config_json.{code}")
    ]


def test_the_pattern_of_targets_stands_under_the_language_model() -> None:
    """A tower's linears of the same name are not taken along."""
    found = describe({"model_type": "smolvlm", "text_config": TEXT | {"model_type": "llama"}, "vision_config": SIGHT})
    pattern = str(default_targets(found))
    paths = [path for module in found.modules for path in module.paths()]
    hit = [path for path in paths if re.fullmatch(pattern, path)]
    assert hit
    assert all(path.startswith("model.text_model.layers.") for path in hit)
    assert any(path.endswith("q_proj") for path in paths if path.startswith("model.vision_model."))
