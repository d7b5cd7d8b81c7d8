"""Corners of counting, equal to Transformers' and PEFT's: what the sweeps of the other recordings do not reach.

Recorded by ``tests/reference/parameters/record_corners.py``.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from app.core.adapted import Adapter
from app.core.adapter import resolve_adapter, resolve_lora
from app.core.architectures import describe
from app.core.axolotl.run_reader import read_run
from app.core.errors import InvalidInput
from app.core.methods.reading import read_method
from app.core.methods.resolving import resolve_peft
from app.core.methods.settings import PeftType

LINES = (Path(__file__).parents[1] / "data" / "parameters" / "corners.jsonl").read_text(encoding="utf-8").splitlines()
POINTS: list[dict[str, Any]] = [json.loads(line) for line in LINES[1:]]
COMMON = {"adapter": "lora", "lora_alpha": 8, "lora_dropout": 0.0}
TOKENS = "peft_trainable_token_indices"


def trained(point: dict[str, Any]) -> Adapter:
    """What trains at a point that says so."""
    architecture, config = describe(point["model"]), point["config"]
    if "adapter" in point:
        return resolve_peft(architecture, read_method(PeftType(point["adapter"]), config))
    run = read_run(COMMON | config if "lora_r" in config else config)
    if run.lora is None:
        return resolve_adapter(architecture, run)
    return resolve_lora(architecture, run.lora)


def named(point: dict[str, Any]) -> str:
    """Short."""
    return f"{point['model']['model_type']} {point.get('adapter', '')} {json.dumps(point.get('config', ''))}"


def test_the_recording_is_of_these_releases() -> None:
    versions = json.loads(LINES[0])["versions"]
    assert (versions["transformers"], versions["peft"], versions["axolotl"]) == ("5.16.1", "0.20.0", "0.19.0")
    assert len(POINTS) >= 50


@pytest.mark.parametrize("point", [point for point in POINTS if "config" not in point], ids=named)
def test_a_config_json_means_what_it_means_to_transformers(point: dict[str, Any]) -> None:
    if "refused" in point:
        with pytest.raises(InvalidInput):
            describe(point["model"])
    else:
        assert describe(point["model"]).total_parameters == point["all"]


@pytest.mark.parametrize("point", [point for point in POINTS if "config" in point], ids=named)
def test_what_trains_is_what_peft_trains(point: dict[str, Any]) -> None:
    if "refused" in point:
        with pytest.raises(InvalidInput):
            trained(point)
    else:
        adapter = trained(point)
        assert (adapter.trainable_parameters, adapter.total_parameters) == (point["trainable"], point["all"])
