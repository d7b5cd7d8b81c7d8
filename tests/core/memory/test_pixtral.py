"""Batches that Pixtral's tower reads, against their simulation, and what must hold of any."""

import statistics
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.architecture import Architecture, Sight
from app.core.architectures import describe
from app.core.axolotl.run_reader import read_run
from app.core.memory.sighted import lengthened, sees
from tests.core.memory.image_runs import SEEING, TUNED, memory, peak
from tests.core.memory.recordings import errors_of, recorded

CASES = recorded("images_pixtral.jsonl")
HELD = [case for case in CASES if case["case"].startswith("held-")]
MODELS = {name: next(case["model"] for case in CASES if case["case"] == name) for name in (
    "pixtral-text-lora-cce", "pixtral-wrapped-text-lora-cce")}  # fmt: skip
MERGED, WRAPPED = MODELS.values()


def sight(architecture: Architecture) -> Sight:
    """How it reads images."""
    assert architecture.sight is not None
    return architecture.sight


def test_images_are_met() -> None:
    """The two worst: a mask in fp32 that is cast in each layer, a layer made again without its input asking."""
    errors = errors_of(CASES)
    assert len(errors) >= 72
    assert statistics.median(errors) <= 0.00001
    assert errors[-3] <= 0.00012
    assert errors[-1] <= 0.001


def test_those_held_back_are_met() -> None:
    """As they were when the formulas stood."""
    errors = errors_of(HELD)
    assert len(errors) == 11
    assert errors[-1] <= 0.0001


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
@given(
    st.sampled_from([{}, TUNED, TUNED | {"lora_target_modules": ["q_proj", "up_proj"]}, {"freeze_mm_modules": True}]),
    st.sampled_from(
        [
            {},
            {"gradient_checkpointing": True},
            {"gradient_checkpointing": True, "gradient_checkpointing_kwargs": {"use_reentrant": False}},
        ]
    ),
    st.sampled_from(["sdpa", "flash_attention_2", "eager", None]),
    st.integers(0, 4),
    st.sampled_from([{}, {"val_set_size": 0.1, "eval_batch_size": 2}]),
    st.integers(1, 3),
)
def test_more_images_never_take_less(
    model: dict[str, Any],
    method: dict[str, Any],
    checkpoints: dict[str, Any],
    attention: str | None,
    images: int,
    evaluation: dict[str, Any],
    rows: int,
) -> None:
    """Nor larger ones, of sides whose masks are aligned or not alike."""
    described = describe(model)
    config = SEEING | method | checkpoints | evaluation | {"attn_implementation": attention, "micro_batch_size": rows}
    aligned = images * 2
    one, more = (peak(described.reading(count, 448), config) for count in (aligned, aligned + 2))
    assert one <= more <= peak(described.reading(aligned + 2, 896), config)


@pytest.mark.parametrize(
    ("model", "side", "across", "tokens"),
    [(MERGED, 1024, 74, 1369), (MERGED, 28, 2, 1), (MERGED, 1, 2, 1), (MERGED, 29, 4, 4), (MERGED, 1540, 110, 3025),
     (MERGED, 9000, 110, 3025), (WRAPPED, 1024, 64, 4096), (WRAPPED, 700, 44, 1936), (WRAPPED, 5000, 64, 4096)]
)  # fmt: skip
def test_a_side_is_rounded_up_to_whole_squares(model: dict[str, Any], side: int, across: int, tokens: int) -> None:
    """As ``get_resize_output_image_size`` of Transformers 5.16.1 says of these sides; a token ends each line of them."""
    found = sight(describe(model).reading(1, side))
    assert (found.across, found.tokens) == (across, tokens)
    assert found.row_tokens == tokens + across // found.square
    assert found.resized is (side > found.most_side)


def test_a_row_holds_the_ends_of_lines_too() -> None:
    described = describe(MERGED).reading(2, 1024)
    short = read_run(SEEING | {"sequence_len": 16})
    assert lengthened(described, short).sequence_len_tokens == 2 * (1369 + 37)


def test_a_mask_of_all_patches_is_a_mask_of_the_batch() -> None:
    """SDPA's grows with the square of all patches, FlashAttention has none."""
    described = describe(MERGED)
    frozen = SEEING | TUNED | {"sequence_len": 8192, "gradient_checkpointing": True}
    held = {
        name: [peak(described.reading(count, 896), frozen | {"attn_implementation": name}) for count in (1, 2, 3)]
        for name in ("sdpa", "flash_attention_2")
    }
    patches = 64**2
    more = [a - b for a, b in zip(held["sdpa"], held["flash_attention_2"], strict=True)]
    assert more[1] - more[0] == pytest.approx((4 - 1) * patches**2 * 2, rel=0.02)
    assert more[2] - more[1] == pytest.approx((9 - 4) * patches**2 * 2, rel=0.02)


def test_a_mask_that_is_not_aligned_is_copied_in_each_layer() -> None:
    """Without checkpoints every layer keeps its copy: of a side of 50 patches, and of 48 none."""
    config = SEEING | TUNED | {"attn_implementation": "sdpa", "sequence_len": 2048, "cut_cross_entropy": True}
    model = MERGED | {"vision_config": MERGED["vision_config"] | {"num_hidden_layers": 12}}
    found = []
    for side, across in ((700, 50), (672, 48)):
        few, many = (peak(describe(one).reading(1, side), config) for one in (MERGED, model))
        weights = 2 * (describe(model).total_parameters - describe(MERGED).total_parameters)
        found.append((many - few - weights) / 8 / across**2)
    assert found[0] - found[1] == pytest.approx(50**2 * 2, rel=0.02)


def test_another_layer_s_result_is_not_described() -> None:
    """Nor several, nor LLaVA's wrapper where it leaves a patch out."""
    for facts in ({"vision_feature_layer": -2}, {"vision_feature_layer": [-1]}):
        assert describe(MERGED | facts).sight is None
        assert describe(WRAPPED | facts).sight is None
    assert describe({**WRAPPED, "vision_feature_select_strategy": "default"}).sight is None
    assert not sees(describe(MERGED | {"vision_feature_layer": -2}), read_run(SEEING))


def test_the_tower_s_tables_are_there_without_images() -> None:
    """Two of 110 by 110 places, 64 angles each."""
    described = describe(MERGED)
    assert described.place_values == 2 * 110**2 * 64
    weights = next(term.bytes for term in memory(described, {"sequence_len": 512} | TUNED).breakdown
                   if term.code == "weights")  # fmt: skip
    assert weights == 2 * described.total_parameters + 4 * described.place_values
