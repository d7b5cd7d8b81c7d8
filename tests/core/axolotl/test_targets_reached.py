"""Experts and towers that are reached by keys that do not name them, with how much trains there."""

from dataclasses import replace
from typing import Any

import pytest

from app.core.architecture import Architecture, Kind, Module, Part
from app.core.architectures import describe
from app.core.findings import Effect, Finding
from tests.core.axolotl.examples import architecture
from tests.core.axolotl.good import VISION, findings

SHAPE: dict[str, Any] = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 320}
EXPERTS = {"moe_intermediate_size": 32, "num_experts": 4, "num_experts_per_tok": 2}
QWEN3_MOE = describe({"model_type": "qwen3_moe", "num_key_value_heads": 2, **SHAPE, **EXPERTS})
GLM4_MOE = describe(
    {
        "model_type": "glm4_moe",
        "num_key_value_heads": 2,
        "intermediate_size": 96,
        "moe_intermediate_size": 32,
        "n_routed_experts": 4,
        "num_experts_per_tok": 2,
        "n_shared_experts": 1,
        "first_k_dense_replace": 1,
        **SHAPE,
    }
)
EVERY = {"lora_target_modules": None, "lora_target_linear": True}
ALL = {"lora_target_modules": "all-linear"}


def said(changes: dict[str, Any], model: Architecture, what: str) -> Finding | None:
    """The finding on what is reached."""
    found = findings({"lora_r": 8, "lora_dropout": 0.0} | changes, model)
    return found.get(f"targets_{what}_counted") or found.get(f"targets_{what}")


@pytest.mark.parametrize(
    ("changes", "model", "key"),
    [
        (ALL, QWEN3_MOE, "lora_target_modules"),
        (EVERY, GLM4_MOE, "lora_target_linear"),
        (ALL, GLM4_MOE, "lora_target_modules"),
    ],
)
def test_experts_are_counted(changes: dict[str, Any], model: Architecture, key: str) -> None:
    finding = said(changes, model, "experts")
    assert finding is not None
    assert (finding.key, finding.effect) == (key, Effect.MISLEADS)
    layers = sum(module.copies for module in model.modules if module.path.endswith(".experts.down_proj"))
    each = 2 * 8 * (64 + 2 * 32) + 8 * (32 + 64)  # gate and up are one parameter, at r for each
    assert finding.message.params["count"] == layers * 4 * each
    assert finding.fix is not None
    assert finding.fix.set == {"lora_target_modules": ["q_proj", "k_proj", "v_proj", "o_proj"]}
    assert finding.fix.unset == (("lora_target_linear",) if key == "lora_target_linear" else ())


def test_every_linear_passes_over_experts_whose_names_no_linear_has() -> None:
    assert said(EVERY, QWEN3_MOE, "experts") is None


@pytest.mark.parametrize("changes", [EVERY, ALL])
def test_towers_are_counted(changes: dict[str, Any]) -> None:
    finding = said(changes, VISION, "towers")
    assert finding is not None
    assert finding.message.params["count"] == 2 * (8 + 8) * 8


@pytest.mark.parametrize("broken", [{"lora_r": "x"}, {"lora_modules_to_save": ["("]}])
def test_what_cannot_be_resolved_is_said_without_a_count(broken: dict[str, Any]) -> None:
    finding = said(ALL | broken, VISION, "towers")
    assert finding is not None
    assert "count" not in finding.message.params


def test_linears_that_are_called_by_numbers_stop_the_run_before_towers_are_reached() -> None:
    numbered = Module(path="vision.merger.0", kind=Kind.LINEAR, shape=(8, 8), part=Part.VISION)
    model = architecture("gemma3", extra=(numbered,))
    assert said(EVERY, model, "towers") is None
    assert "targets_numbered" in findings(EVERY, model)


def test_numbers_are_no_layers_where_layers_are_chosen() -> None:
    """As PEFT 0.20.0 was run: the tower's chosen layers are reached, and the merger is not."""
    numbered = Module(path="vision.merger.0", kind=Kind.LINEAR, shape=(8, 8), part=Part.VISION)
    model = architecture("gemma3", extra=(*VISION.modules[-1:], numbered))
    finding = said({**EVERY, "peft_layers_to_transform": [1]}, model, "towers")
    assert finding is not None
    assert finding.message.params["count"] == (8 + 8) * 8
    assert "targets_numbered" not in findings({**EVERY, "peft_layers_to_transform": [1]}, model)


@pytest.mark.parametrize(
    ("targets", "told"),
    [
        (["q_proj", "v_proj"], ("q_proj",)),
        (["v_proj"], None),
        ("q_proj", None),
        (["layers.0.x.q_proj"], None),
    ],
)
def test_names_that_a_tower_has_too_are_told(targets: Any, told: tuple[str, ...] | None) -> None:
    finding = said({"lora_target_modules": targets}, VISION, "towers")
    assert (finding and finding.message.params["names"]) == told
    if finding:
        assert (finding.key, finding.message.params["count"]) == ("lora_target_modules", 2 * (8 + 8) * 8)


def test_what_a_tower_alone_has_was_meant() -> None:
    own = Module(path="vision.layers.{}.fc1", kind=Kind.LINEAR, shape=(8, 8), part=Part.VISION)
    assert said({"lora_target_modules": ["q_proj", "fc1"]}, architecture("gemma3", extra=(own,)), "towers") is None


def test_towers_that_are_frozen_are_not_reached() -> None:
    """``freeze_mm_modules`` freezes what an adapter has there, but not what TRL adds after it."""
    tower = Module(
        path="vision_tower.layers.{}.q_proj", kind=Kind.LINEAR, shape=(8, 8), layers=(0, 1), part=Part.VISION
    )
    model = architecture("gemma3", extra=(tower,))
    for changes in (EVERY, ALL, {"lora_target_modules": ["q_proj"]}):
        assert said(changes, model, "towers") is not None
        assert said({**changes, "freeze_mm_modules": True}, model, "towers") is None
        assert said({**changes, "freeze_mm_modules": True, "rl": "dpo"}, model, "towers") is not None


def test_a_tower_without_the_layers_that_are_chosen_is_not_reached() -> None:
    """No parameters are something else than an unknown number of them."""
    tower = Module(path="vision.layers.{}.q_proj", kind=Kind.LINEAR, shape=(8, 8), layers=(0,), part=Part.VISION)
    model = architecture("gemma3", extra=(tower,))
    for layers, told in (([0], True), ([1], False)):
        chosen = {"lora_target_modules": ["q_proj"], "peft_layers_to_transform": layers}
        assert (said(chosen, model, "towers") is not None) is told


def test_a_name_is_told_once_and_not_all_of_many() -> None:
    twice = said({"lora_target_modules": ["q_proj", "q_proj"]}, VISION, "towers")
    assert twice is not None and twice.message.params["names"] == ("q_proj",)
    rows = [Module(path=f"vision.fc{at}", kind=Kind.LINEAR, shape=(8, 8), part=Part.VISION) for at in range(30)]
    text = [replace(row, path=f"model.fc{at}", part=Part.TEXT) for at, row in enumerate(rows)]
    many = said(
        {"lora_target_modules": [f"fc{at}" for at in range(30)]},
        architecture("gemma3", extra=(*rows, *text)),
        "towers",
    )
    assert many is not None and len(many.message.params["names"]) == 20
