"""Counts of configurations drawn at random, recorded by ``tests/reference/parameters/record_drawn.py``: equal to PEFT's."""

import json
from pathlib import Path
from typing import Any

import pytest

from app.core.architectures import describe
from app.core.errors import InvalidInput
from tests.core.test_adapter import resolved

LINES = (Path(__file__).parents[1] / "data" / "parameters" / "drawn.jsonl").read_text(encoding="utf-8").splitlines()
MODELS: list[dict[str, Any]] = json.loads(LINES[1])
POINTS: list[dict[str, Any]] = [json.loads(line) for line in LINES[2:]]


@pytest.mark.parametrize("point", POINTS, ids=lambda point: MODELS[point["model"]]["model_type"])
def test_every_drawn_count_is_pefts(point: dict[str, Any]) -> None:
    """Trainable and all, to the last one; refused where PEFT raises. None was looked at before all were right."""
    architecture = describe(MODELS[point["model"]])
    if point.get("refused"):
        with pytest.raises(InvalidInput):
            resolved(architecture, point["config"])
        return
    adapter = resolved(architecture, point["config"])
    assert (adapter.trainable_parameters, adapter.total_parameters) == (point["trainable"], point["all"])


def test_enough_was_drawn() -> None:
    """Of nearly every model type, refusals among them."""
    assert len(POINTS) >= 100
    assert any(point.get("refused") for point in POINTS)
    assert len({model["model_type"] for model in MODELS}) >= 50
