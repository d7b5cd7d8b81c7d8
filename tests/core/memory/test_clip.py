"""Batches that CLIP's tower reads within LLaVA, against their simulation, and what must hold of any."""

import statistics
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.adapter import resolve_adapter
from app.core.architectures import describe
from app.core.axolotl.run_reader import read_run
from tests.core.memory.image_runs import LINEAR, SEEING, TUNED, memory, peak
from tests.core.memory.recordings import errors_of, recorded

CASES = recorded("images_llava.jsonl")
HELD = [case for case in CASES if case["case"].startswith("held-")]
CLIP = next(case["model"] for case in CASES if case["case"] == "llava-text-lora-cce")


def test_images_are_met() -> None:
    """The worst is a layer that is made again without its input asking."""
    errors = errors_of(CASES)
    assert len(errors) >= 54
    assert statistics.median(errors) <= 0.00005
    assert errors[-2] <= 0.0002
    assert errors[-1] <= 0.0019


def test_those_held_back_are_met() -> None:
    """As they were when the formulas stood."""
    errors = errors_of(HELD)
    assert len(errors) == 10
    assert statistics.median(errors) <= 0.00005
    assert errors[-1] <= 0.0019


@given(
    st.sampled_from([{}, TUNED, LINEAR, {"freeze_mm_modules": True}]),
    st.sampled_from(
        [
            {},
            {"gradient_checkpointing": True},
            {"gradient_checkpointing": True, "gradient_checkpointing_kwargs": {"use_reentrant": False}},
        ]
    ),
    st.sampled_from(["sdpa", "flash_attention_2", "eager", None]),
    st.integers(0, 6),
    st.sampled_from([-1, -2, -4, 1]),
    st.sampled_from([{}, {"val_set_size": 0.1, "eval_batch_size": 2}]),
    st.integers(1, 3),
)
def test_more_images_never_take_less(
    method: dict[str, Any],
    checkpoints: dict[str, Any],
    attention: str | None,
    images: int,
    taken: int,
    evaluation: dict[str, Any],
    rows: int,
) -> None:
    described = describe(CLIP | {"vision_feature_layer": taken})
    config = SEEING | method | checkpoints | evaluation | {"attn_implementation": attention, "micro_batch_size": rows}
    one, more = (peak(described.reading(count), config) for count in (images, images + 1))
    assert one <= more


def test_an_image_is_a_place_more_in_the_tower() -> None:
    """336 pixels are 24 by 24 patches; the whole image's place is a token where none is left out."""
    found = describe(CLIP).sight
    assert found is not None
    assert (found.patches, found.places, found.tokens, found.row_tokens) == (576, 577, 576, 576)
    whole = describe(CLIP | {"vision_feature_select_strategy": "full"}).sight
    assert whole is not None
    assert (whole.places, whole.tokens) == (577, 577)
    assert describe(CLIP).reading(None, 900) is describe(CLIP) or describe(CLIP).reading(None, 900).sight == found


@pytest.mark.parametrize("taken", [0, -6, 5, [-2], [-2, -5], True, None])
def test_another_choice_of_layers_is_not_described(taken: object) -> None:
    """Nor what no layer has made, nor what there is none of, nor several together."""
    assert len(CLIP["vision_config"]) and CLIP["vision_config"]["num_hidden_layers"] == 4
    assert describe(CLIP | {"vision_feature_layer": taken}).sight is None


@pytest.mark.parametrize("facts", [{"hidden_act": "gelu"}, {"model_type": "siglip_vision_model"}])
def test_another_tower_is_not_described(facts: dict[str, Any]) -> None:
    assert describe(CLIP | {"vision_config": CLIP["vision_config"] | facts}).sight is None


@pytest.mark.parametrize(("taken", "read"), [(-1, 4), (-2, 3), (-4, 1), (2, 2)])
def test_layers_behind_the_one_that_is_read_learn_nothing(taken: int, read: int) -> None:
    """Neither have they states nor gradients, whole or by factors, which are there all the same."""
    described = describe(CLIP | {"vision_feature_layer": taken})

    def terms(config: dict[str, Any]) -> dict[str, int]:
        found = memory(described, SEEING | config | {"optimizer": "adamw_torch_fused"})
        return {term.code: term.bytes for term in found.breakdown}

    run = read_run(SEEING | LINEAR)
    factors = [row for row in resolve_adapter(described, run).modules if row.module.path.startswith("model.vision_tower")]  # fmt: skip
    within = sum(row.trainable_parameters for row in factors)
    reached, untouched = terms(LINEAR), terms(LINEAR | {"freeze_mm_modules": True})
    projector = sum(
        row.trainable_parameters for row in resolve_adapter(described, run).modules if "projector" in row.module.path
    )
    assert reached["optimizer"] - untouched["optimizer"] == 8 * (within * read // 4 + projector)
    assert reached["adapter"] == untouched["adapter"]
    rows = [row for row in described.modules if row.path.startswith("model.vision_tower")]
    layered = sum(row.parameters for row in rows if row.layers is not None)
    single = sum(row.parameters for row in rows if row.layers is None and row.name != "post_layernorm")
    projector = sum(row.parameters for row in described.modules if "projector" in row.path)
    whole, frozen = terms({}), terms({"freeze_mm_modules": True})
    trained = layered * read // 4 + single + projector
    assert whole["optimizer"] - frozen["optimizer"] == pytest.approx(
        4 * trained, rel=1e-3
    )  # in the weights' own 16 bits, but for norms


def test_a_tower_of_which_nothing_is_read_but_the_first_layer_s_keeps_one_layer() -> None:
    """Without checkpoints a layer more that is read is a layer more that is kept; one that is not is gone by then."""
    config = SEEING | TUNED | {"attn_implementation": "flash_attention_2", "sequence_len": 4096}
    found = [peak(describe(CLIP | {"vision_feature_layer": taken}).reading(4), config) for taken in (1, 2, 3, 4)]
    steps = [b - a for a, b in pairwise(found)]
    assert steps[0] == steps[1] == steps[2] > 4 * 577 * 4096 * 2 * 4
