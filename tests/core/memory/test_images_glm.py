"""Images as GLM 4.1V, 4.5V and 4.6V read them, against their simulation, and what must hold of any."""

import statistics
from typing import Any

import pytest

from app.core.adapter import resolve_adapter
from app.core.architectures import describe
from app.core.axolotl.run_reader import read_run
from app.core.memory.sighted import cut_off
from tests.core.memory.image_runs import SEEING, TUNED, peak
from tests.core.memory.recordings import errors_of, recorded

CASES = recorded("images_glm.jsonl")
MODELS = {kind: next(case["model"] for case in CASES if case["case"].startswith(kind))
          for kind in ("glm-text", "glm-moe", "glm46v")}  # fmt: skip
DENSE = MODELS["glm-text"]


def test_images_are_met() -> None:
    """Held back or not, within 0.02 %."""
    errors = errors_of(CASES)
    assert len(errors) >= 20
    assert statistics.median(errors) <= 0.00001
    assert errors[-1] <= 0.0002


@pytest.mark.parametrize(
    ("side", "tokens"), [(3, 9), (28, 9), (56, 9), (79, 9), (84, 9), (500, 324), (1024, 37**2), (2184, 78**2), (2200, 78**2), (9000, 78**2)]
)  # fmt: skip
def test_an_image_is_squares_of_patches(side: int, tokens: int) -> None:
    """As Transformers' ``smart_resize`` for GLM says of these sides, with the bounds of the published processors."""
    sight = describe(DENSE).reading(1, side).sight
    assert sight is not None
    assert (sight.tokens, sight.patches, sight.windows) == (tokens, 4 * tokens, 1)


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize("attention", ["sdpa", "flash_attention_2", "eager"])
@pytest.mark.parametrize("targets", [(), ("q_proj",), ("q_proj", "qkv")], ids=["full", "text", "tower"])
@pytest.mark.parametrize("checkpoints", [{}, {"gradient_checkpointing": True}], ids=["off", "reentrant"])
def test_more_and_larger_images_never_take_less(
    model: dict[str, Any], targets: tuple[str, ...], checkpoints: dict[str, Any], attention: str
) -> None:
    described = describe(model)
    tuned = TUNED | {"lora_target_modules": list(targets)} if targets else {}
    config = SEEING | tuned | checkpoints | {"attn_implementation": attention}
    sizes = [peak(described.reading(*image), config) for image in ((0, 500), (1, 500), (2, 500), (2, 900))]
    assert sizes == sorted(sizes)


def test_reentrant_checkpoints_cut_off_the_tower() -> None:
    """It names no first layer."""
    described = describe(DENSE)
    run = read_run(SEEING | TUNED | {"lora_target_modules": ["q_proj", "qkv"], "gradient_checkpointing": True})
    assert cut_off(described, run, resolve_adapter(described, run))
