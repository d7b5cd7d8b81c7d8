"""Images as Qwen 2 VL and Qwen 3.5 read them, against their simulation, and what must hold of any."""

import statistics
from typing import Any

import pytest

from app.core.adapter import resolve_adapter
from app.core.architectures import describe
from app.core.axolotl.run_reader import read_run
from app.core.memory.sighted import cut_off
from tests.core.memory.image_runs import SEEING, TUNED, peak
from tests.core.memory.recordings import errors_of, recorded

CASES = recorded("images_qwen.jsonl")
MODELS = {kind: next(case["model"] for case in CASES if case["case"].startswith(kind))
          for kind in ("qwen2-text", "qwen3.5-text", "qwen3.5-moe")}  # fmt: skip
MERGING, SCANNING, _ = MODELS.values()


def test_images_are_met() -> None:
    """All within 0.06 %."""
    errors = errors_of(CASES)
    assert len(errors) >= 45
    assert statistics.median(errors) <= 0.00003
    assert errors[-2] <= 0.0002
    assert errors[-1] <= 0.0006


@pytest.mark.parametrize(
    ("model", "side", "tokens"),
    [(MERGING, 28, 4), (MERGING, 56, 4), (MERGING, 280, 100), (MERGING, 1024, 37**2), (MERGING, 3584, 16384),
     (MERGING, 9000, 16384), (SCANNING, 32, 64), (SCANNING, 1024, 1024), (SCANNING, 9000, 16384)]
)  # fmt: skip
def test_an_image_is_squares_of_patches(model: dict[str, Any], side: int, tokens: int) -> None:
    """As those of Qwen 2.5 and 3 VL, whose processors they share; all of an image is seen in every layer."""
    sight = describe(model).reading(1, side).sight
    assert sight is not None
    assert (sight.tokens, sight.patches, sight.windows) == (tokens, 4 * tokens, 1)


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize("attention", ["sdpa", "flash_attention_2", "eager"])
@pytest.mark.parametrize("targets", [(), ("q_proj",), ("q_proj", "qkv")], ids=["full", "text", "tower"])
@pytest.mark.parametrize(
    "checkpoints",
    [{}, {"gradient_checkpointing": True}, {"gradient_checkpointing": True, "gradient_checkpointing_kwargs": {"use_reentrant": False}}],
    ids=["off", "reentrant", "not reentrant"],
)  # fmt: skip
def test_more_and_larger_images_never_take_less(
    model: dict[str, Any], targets: tuple[str, ...], checkpoints: dict[str, Any], attention: str
) -> None:
    described = describe(model)
    tuned = TUNED | {"lora_target_modules": list(targets)} if targets else {}
    config = SEEING | tuned | checkpoints | {"attn_implementation": attention}
    sizes = [peak(described.reading(*image), config) for image in ((0, 500), (1, 500), (2, 500), (2, 900))]
    assert sizes == sorted(sizes)


def test_scores_of_one_image_alone_are_there_at_once() -> None:
    """Eager attention takes images one by one: with checkpoints, what is made and not kept is made of one."""
    described = describe(MERGING)
    config = SEEING | TUNED | {"attn_implementation": "eager", "gradient_checkpointing": True}
    one, two, three = (peak(described.reading(images, 1024), config) for images in (1, 2, 3))
    scores = 16 * 5476**2
    assert scores * (4 + 2) < two - one < scores * 8  # what the backward reads, in fp32, and its cast
    assert three - two == pytest.approx(two - one, rel=0.02)


@pytest.mark.parametrize(("model", "cut"), [(MERGING, False), (SCANNING, True)])
def test_reentrant_checkpoints_cut_off_a_tower_whose_first_output_nobody_finds(
    model: dict[str, Any], cut: bool
) -> None:
    """Qwen 2 VL's tower names its first layer, Qwen 3.5's does not."""
    described = describe(model)
    run = read_run(SEEING | TUNED | {"lora_target_modules": ["q_proj", "qkv"], "gradient_checkpointing": True})
    assert cut_off(described, run, resolve_adapter(described, run)) is cut
