"""Batches that LLaVA-NeXT cuts into tiles, against their simulation, and what must hold of any."""

import statistics
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.architectures import describe
from tests.core.memory.image_runs import LINEAR, SEEING, TUNED, memory, peak
from tests.core.memory.recordings import errors_of, recorded

CASES = recorded("images_llava_next.jsonl")
HELD = [case for case in CASES if case["case"].startswith("held-")]
MODEL = next(case["model"] for case in CASES if case["case"] == "next-text-lora-cce")


def test_images_are_met() -> None:
    errors = errors_of(CASES)
    assert len(errors) >= 21
    assert statistics.median(errors) <= 0.00005
    assert errors[-1] <= 0.0002


def test_those_held_back_are_met() -> None:
    """As they were when the formulas stood."""
    errors = errors_of(HELD)
    assert len(errors) == 6
    assert errors[-1] <= 0.0002


@given(
    st.sampled_from([{}, TUNED, LINEAR, {"freeze_mm_modules": True}]),
    st.sampled_from([{}, {"gradient_checkpointing": True}]),
    st.sampled_from(["sdpa", "flash_attention_2", "eager", None]),
    st.integers(0, 3),
    st.sampled_from([{}, {"val_set_size": 0.1, "eval_batch_size": 2}]),
    st.integers(1, 2),
)
def test_more_images_never_take_less(
    method: dict[str, Any],
    checkpoints: dict[str, Any],
    attention: str | None,
    images: int,
    evaluation: dict[str, Any],
    rows: int,
) -> None:
    """Nor larger ones, which are cut into more tiles."""
    described = describe(MODEL)
    config = SEEING | method | checkpoints | evaluation | {"attn_implementation": attention, "micro_batch_size": rows}
    one, more = (peak(described.reading(count, 300), config) for count in (images, images + 1))
    assert one <= more <= peak(described.reading(images + 1, 1000), config)


def test_a_larger_image_is_more_tiles() -> None:
    """Three of them, the whole image's included, up to the tower's side and five above."""
    small, large = (describe(MODEL).reading(1, side).sight for side in (336, 337))
    assert small is not None
    assert large is not None
    assert (small.tiles, small.patches, small.places, small.tokens) == (3, 3 * 576, 3 * 577, 1176)
    assert (large.tiles, large.patches, large.places, large.tokens) == (5, 5 * 576, 5 * 577, 2928)
    assert not small.resized


@pytest.mark.parametrize(
    "facts",
    [{"image_grid_pinpoints": grids} for grids in ([], [[336]], [[336, 500]], [[0, 336]], [[336, 336.0]], "all", 3)]
    + [{"vision_feature_select_strategy": "full"}, {"vision_feature_layer": [-2, -3]}],
)
def test_what_tiles_do_not_make_is_not_described(facts: dict[str, Any]) -> None:
    assert describe(MODEL | facts).sight is None


def test_grids_of_the_file_are_taken() -> None:
    sight = describe(MODEL | {"image_grid_pinpoints": [[336, 1008], [672, 1344]]}).reading(1, 800).sight
    assert sight is not None
    assert sight.tiles == 9


def test_the_token_at_the_end_of_a_line_trains_with_the_rest() -> None:
    """Without images it gets no gradient."""
    config = {"sequence_len": 4096, "optimizer": "adamw_torch_fused", "unfrozen_parameters": ["model.image_newline"]}
    terms = {
        name: {term.code: term.bytes for term in memory(describe(MODEL), config | more).breakdown}
        for name, more in {"seen": SEEING, "text": {}}.items()
    }
    assert terms["seen"]["optimizer"] > terms["text"]["optimizer"] == 0
