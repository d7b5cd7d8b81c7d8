"""Images as Qwen 2 VL reads them, against their simulation, and what must hold of any."""

import statistics
from typing import Any

import pytest

from app.core.architectures import describe
from tests.core.memory.recordings import errors_of, estimated, recorded
from tests.core.memory.test_images import SEEING, TUNED, peak

CASES = recorded("images_qwen.jsonl")
MERGING = next(case["model"] for case in CASES if case["case"] == "qwen2-text-lora-cce")


def test_images_are_met() -> None:
    """All within 0.02 %."""
    errors = errors_of(CASES)
    assert len(errors) >= 25
    assert statistics.median(errors) <= 0.00002
    assert errors[-1] <= 0.0002


def test_terms_sum_to_the_peak_and_formulas_to_their_terms() -> None:
    for case in CASES:
        found = estimated(case)
        assert sum(term.bytes for term in found.breakdown) == found.allocated_peak_bytes
        for term in found.breakdown:
            assert sum(part.bytes for part in found.formulas[term.code]) == term.bytes, (case["case"], term.code)


@pytest.mark.parametrize(
    ("side", "tokens"), [(28, 4), (56, 4), (280, 100), (1024, 37**2), (3584, 16384), (9000, 16384)]
)
def test_an_image_is_squares_of_patches(side: int, tokens: int) -> None:
    """As Qwen 2.5 VL's, whose processor it shares; all of an image is seen in every layer."""
    sight = describe(MERGING).reading(1, side).sight
    assert sight is not None
    assert (sight.tokens, sight.patches, sight.windows) == (tokens, 4 * tokens, 1)


@pytest.mark.parametrize("attention", ["sdpa", "flash_attention_2", "eager"])
@pytest.mark.parametrize("method", [{}, TUNED, TUNED | {"lora_target_modules": ["q_proj", "qkv", "fc1"]}])
@pytest.mark.parametrize("checkpoints", [{}, {"gradient_checkpointing": True}])
def test_more_and_larger_images_never_take_less(
    method: dict[str, Any], checkpoints: dict[str, Any], attention: str
) -> None:
    described = describe(MERGING)
    config = SEEING | method | checkpoints | {"attn_implementation": attention}
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
