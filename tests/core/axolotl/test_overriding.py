"""A person's own keys always stand; what contradicts them goes."""

from typing import Any

import pytest

from app.core.axolotl.composing import compose
from app.core.axolotl.keys import ORDER
from app.core.axolotl.overriding import apply_overrides
from app.core.plan import Goal, Install
from app.core.run import CCE_PLUGIN, LIGER_PLUGIN
from tests.core.axolotl.examples import choice

DOCKER = compose(choice())
PIP = compose(choice(install=Install.PIP))
QLORA = compose(choice(method="qlora"))


def test_nothing_asked_nothing_changed() -> None:
    assert apply_overrides(DOCKER, {}) == DOCKER


def test_values_are_replaced_where_they_stand_and_the_rest_comes_last() -> None:
    config = apply_overrides(DOCKER, {"lora_r": 64, "wandb_project": "x", "my_key": 1})
    assert config["lora_r"] == 64
    assert list(config)[-1] == "my_key"
    assert list(config)[:-1] == [key for key in ORDER if key in config]


def test_none_takes_a_key_out() -> None:
    assert "warmup_ratio" not in apply_overrides(DOCKER, {"warmup_ratio": None, "never_there": None})


@pytest.mark.parametrize(
    ("config", "overrides", "gone"),
    [
        (QLORA, {"adapter": "lora"}, {"load_in_4bit"}),
        (DOCKER, {"adapter": None}, {"adapter", "lora_r", "lora_alpha", "lora_target_modules", "lora_dropout"}),
        (DOCKER, {"adapter": "ia3"}, {"lora_r", "lora_target_modules"}),
        (compose(choice(method="relora")), {"relora": False}, {"jagged_restart_steps", "relora_prune_ratio"}),
        (DOCKER, {"lora_target_linear": True}, {"lora_target_modules"}),
        (DOCKER, {"attn_implementation": "eager"}, {"sample_packing", "eval_sample_packing"}),
        (DOCKER, {"sample_packing": False}, {"eval_sample_packing"}),
        (DOCKER, {"rl": "dpo"}, {"sample_packing", "neftune_noise_alpha"}),
        (DOCKER, {"processor_type": "AutoProcessor"}, {"sample_packing"}),
        (DOCKER, {"fp16": True}, {"bf16"}),
        (DOCKER, {"warmup_steps": 10}, {"warmup_ratio"}),
        (DOCKER, {"save_steps": 10, "eval_steps": 10}, {"saves_per_epoch", "evals_per_epoch"}),
        (DOCKER, {"test_datasets": [{"path": "a"}]}, {"val_set_size"}),
        (compose(choice(targets=None)), {"lora_target_modules": ["q_proj"]}, {"lora_target_linear"}),
    ],
)
def test_a_composed_key_that_contradicts_goes(
    config: dict[str, Any], overrides: dict[str, Any], gone: set[str]
) -> None:
    assert not gone - set(config)
    merged = apply_overrides(config, overrides)
    assert not gone & set(merged)
    assert {key: merged.get(key) for key in overrides} == overrides


def test_what_the_person_set_too_stays_even_if_it_contradicts() -> None:
    merged = apply_overrides(QLORA, {"adapter": "lora", "load_in_4bit": True})
    assert (merged["adapter"], merged["load_in_4bit"]) == ("lora", True)


def test_a_switch_that_is_off_contradicts_nothing() -> None:
    assert apply_overrides(DOCKER, {"chunked_cross_entropy": False}) == {**DOCKER, "chunked_cross_entropy": False}
    assert apply_overrides(DOCKER, {"adapter": "qlora"})["lora_r"] == 16
    assert apply_overrides(DOCKER, {"attn_implementation": "flex_attention"})["sample_packing"] is True


@pytest.mark.parametrize(
    ("config", "overrides", "losses", "plugins"),
    [
        (DOCKER, {"chunked_cross_entropy": True}, {"chunked_cross_entropy"}, None),
        (DOCKER, {"cut_cross_entropy": None}, set(), None),
        (DOCKER, {"cut_cross_entropy": False}, {"cut_cross_entropy"}, [CCE_PLUGIN]),
        (
            DOCKER,
            {"liger_fused_linear_cross_entropy": True},
            {"liger_fused_linear_cross_entropy"},
            [LIGER_PLUGIN],
        ),
        (DOCKER, {"liger_rope": True}, {"cut_cross_entropy"}, [CCE_PLUGIN, LIGER_PLUGIN]),
        (PIP, {"cut_cross_entropy": True}, {"cut_cross_entropy"}, [CCE_PLUGIN]),
        (PIP, {"liger_cross_entropy": True}, {"liger_cross_entropy"}, [LIGER_PLUGIN]),
        (DOCKER, {"plugins": ["a.B"]}, {"cut_cross_entropy"}, ["a.B"]),
        (DOCKER, {"plugins": None, "cut_cross_entropy": None}, set(), None),
    ],
)
def test_plugins_are_listed_exactly_where_their_keys_stand(
    config: dict[str, Any], overrides: dict[str, Any], losses: set[str], plugins: list[str] | None
) -> None:
    merged = apply_overrides(config, overrides)
    assert {key for key in merged if key.endswith("cross_entropy")} == losses
    assert merged.get("plugins") == plugins


def test_plugins_that_are_no_list_are_left_alone() -> None:
    assert apply_overrides({"plugins": "a.B"}, {"lora_r": 8}) == {"plugins": "a.B", "lora_r": 8}
    assert apply_overrides({"plugins": "a.B"}, {"cut_cross_entropy": True})["plugins"] == "a.B"


def test_the_composed_configuration_is_not_touched() -> None:
    before = compose(choice(goal=Goal.CHAT))
    apply_overrides(DOCKER, {"adapter": None, "chunked_cross_entropy": True})
    assert before == DOCKER


def test_a_file_s_plugins_stay_where_no_key_of_theirs_is_touched() -> None:
    """A plugin without a key of its own is a choice too: cut cross entropy is on wherever its plugin is listed."""
    config = {"plugins": [CCE_PLUGIN, "a.B"], "micro_batch_size": 2}
    assert apply_overrides(config, {"micro_batch_size": 1}) == {**config, "micro_batch_size": 1}
    assert apply_overrides(config, {"lora_r": 8})["plugins"] == [CCE_PLUGIN, "a.B"]
