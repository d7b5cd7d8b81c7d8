"""Rules about PEFT's methods by example."""

from typing import Any

import pytest

from tests.core.axolotl.good import findings

ADALORA = {"adapter": "adalora", "lora_r": None, "lora_alpha": None, "lora_target_modules": None}


@pytest.mark.parametrize(
    ("settings", "fix"),
    [
        ({"init_r": 8}, {"peft_config.target_r": 4}),
        ({"init_r": 4, "target_r": 8}, {"peft_config.target_r": 2}),
        ({"init_r": 8, "target_r": None}, {"peft_config.target_r": 4}),
        ({"target_r": 16}, {"peft_config.target_r": 6}),
        ({"init_r": 1, "target_r": 1}, {"peft_config.init_r": 2}),
    ],
)
def test_adalora_needs_ranks_to_take_away(settings: dict[str, Any], fix: dict[str, Any]) -> None:
    """PEFT stops at the first step that takes some; half of the start, or twice the end, leaves it as many."""
    found = findings(ADALORA | {"peft_config": {"total_step": 100} | settings})["adalora_ranks"]
    assert found.fix is not None
    assert found.fix.set == fix
    assert not found.fix.safe
    mended = settings | {key.removeprefix("peft_config."): value for key, value in fix.items()}
    assert "adalora_ranks" not in findings(ADALORA | {"peft_config": {"total_step": 100} | mended})


@pytest.mark.parametrize(
    "changes",
    [
        ADALORA | {"peft_config": {"total_step": 100}},
        ADALORA | {"peft_config": {"init_r": "eight"}},
        ADALORA | {"peft_config": {"init_r": 9}},
        {"peft_config": {"init_r": 4, "target_r": 8}},
    ],
)
def test_nothing_is_said_of_ranks_that_can_go(changes: dict[str, Any]) -> None:
    """Nor of another method, nor of what is no number, which is refused elsewhere."""
    assert "adalora_ranks" not in findings(changes)
