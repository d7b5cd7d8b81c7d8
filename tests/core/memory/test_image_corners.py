"""Images whose peak a tower alone decides, each case against its simulation; what adds up within a tower, to the byte."""

from typing import Any

import pytest

from app.core.adapter import resolve_adapter
from app.core.architectures import describe
from app.core.axolotl.run_reader import read_run
from app.core.memory.seeing import Seeing
from app.core.memory.step import Step
from tests.core.memory.recordings import estimated, recorded

CASES = {case["case"].removeprefix("corner-"): case for case in recorded("image_corners.jsonl")}
WITHIN = {"windowed-thin-sdpa": 0.0013, "windowed-older-card": 0.0011, "stacked-tower-gc": 0.001}
"""The farthest; all others lie nearer than ``NEAR``."""
NEAR = 0.0002


@pytest.mark.parametrize("name", CASES)
def test_a_corner_is_met(name: str) -> None:
    case = CASES[name]
    assert estimated(case).allocated_peak_bytes == pytest.approx(
        case["allocated_peak_bytes"], rel=WITHIN.get(name, NEAR)
    )


def seeing(name: str, config: dict[str, Any]) -> Seeing:
    """What reads the images of a case's model in a run of another kind."""
    case = CASES[name]
    described = describe(case["model"]).reading(1, case["config"].get("image_side"))
    run = read_run({"processor_type": "AutoProcessor", "sequence_len": 1024, "micro_batch_size": 1} | config)
    found = Step(described, run, resolve_adapter(described, run), kernels=frozenset()).seeing
    assert found is not None
    return found


def test_a_backward_gives_back_what_a_forward_kept() -> None:
    """At either end of the tower: behind its last layer, and before its first."""
    tower = seeing("stacked-tower", {"attn_implementation": "flash_attention_2"})
    forward, backward = list(tower.forward()), list(tower.backward())
    beside = tower.beside(tower.images)
    stays = tower.held - tower.first - sum(tower.kept) - tower.end.kept - sum(end.kept for end in tower.handed.values())
    copies = sum(end.copies for end in tower.handed.values())
    assert forward[1][1] - beside == backward[-1][1] - stays == tower.first
    assert forward[-2][1] - beside - copies == backward[0][1] - stays


def test_a_merger_behind_layers_that_do_not_train_keeps_nothing() -> None:
    """The first of those that hand on stands behind the fourth layer."""
    tuned = {"adapter": "lora", "lora_r": 8, "lora_target_modules": ["qkv"]}
    for layer, keeps in ((3, True), (4, False)):
        tower = seeing("stacked-tower", tuned | {"peft_layers_to_transform": [layer]})
        assert tower.handed[3].differentiable is keeps
        assert bool(tower.handed[3].kept) is keeps
