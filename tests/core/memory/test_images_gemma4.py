"""Images as Gemma 4 reads them, against their simulation, and what must hold of any."""

import statistics
from typing import Any

import pytest

from app.core.adapter import resolve_adapter
from app.core.architectures import describe
from app.core.axolotl.run_reader import read_run
from app.core.memory.attending import overlaid
from app.core.memory.sighted import cut_off
from tests.core.memory.image_runs import SEEING, TUNED, memory, peak
from tests.core.memory.recordings import errors_of, recorded

CASES = recorded("images_gemma4.jsonl")
MODELS = {kind: next(case["model"] for case in CASES if case["case"].startswith(f"gemma4-{kind}"))
          for kind in ("text", "wide", "moe", "12b")}  # fmt: skip
SMALL, WIDE, _, UNIFIED = MODELS.values()


def test_images_are_met() -> None:
    """The worst is eager attention."""
    errors = errors_of(CASES)
    assert len(errors) >= 33
    assert statistics.median(errors) <= 0.0005
    assert errors[-3] <= 0.0015
    assert errors[-1] <= 0.003


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_every_image_is_as_many_patches(model: dict[str, Any]) -> None:
    """A square is made 768 pixels wide, 48 patches, and filled up to what 280 tokens would take; no size changes it.

    12B takes nine of them as one.
    """
    described = describe(model)
    assert described.reading(1, 300) == described
    sight = described.sight
    assert sight is not None
    patches = (16, 280) if model is UNIFIED else (48, 2520)
    assert (sight.side, sight.across, sight.patches, sight.tokens) == (768, *patches, 256)


@pytest.mark.parametrize("facts", [{"head_dim": 32}, {"num_key_value_heads": 1}], ids=["narrow heads", "grouped heads"])
def test_other_towers_are_priced_as_text(facts: dict[str, Any]) -> None:
    model = SMALL | {"vision_config": SMALL["vision_config"] | facts}
    assert describe(model).sight is None
    assert describe({key: value for key, value in SMALL.items() if key != "vision_config"}).sight is None


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize("attention", ["sdpa", "flash_attention_2", "eager"])
@pytest.mark.parametrize(
    "method", [{}, TUNED, {"freeze_mm_modules": True}, TUNED | {"lora_target_modules": ["q_proj"]}]
)
@pytest.mark.parametrize("checkpoints", [{}, {"gradient_checkpointing": True}])
def test_more_images_never_take_less(
    model: dict[str, Any], method: dict[str, Any], checkpoints: dict[str, Any], attention: str
) -> None:
    described = describe(model)
    config = SEEING | method | checkpoints | {"attn_implementation": attention, "val_set_size": 0.1}
    sizes = [peak(described.reading(images), config) for images in (0, 1, 2, 5)]
    assert sizes == sorted(sizes)


def test_layers_with_a_window_alone_get_a_mask_of_images() -> None:
    """Of larger models under SDPA; small ones look at images as at text. 12B's layers without a window get one too."""
    for model, windows in ((WIDE, True), (SMALL, False), (UNIFIED, True)):
        described = describe(model)
        for attention, asked in (("sdpa", windows), ("flash_attention_2", False)):
            run = read_run(SEEING | {"attn_implementation": attention})
            assert overlaid(described, run, 1024) is asked
            assert overlaid(described, run, None) is (asked and model is UNIFIED)


def test_a_tower_that_trains_keeps_what_is_clipped() -> None:
    """Clipping saves what it reads, before and behind every linear."""
    config = SEEING | {"attn_implementation": "sdpa", "bf16": True}
    held = []
    for clipped in (False, True):
        described = describe(SMALL | {"vision_config": SMALL["vision_config"] | {"use_clipped_linears": clipped}})
        held.append(memory(described.reading(2), config).allocated_peak_bytes)
    inputs, layers = 2 * 2520 * 2, SMALL["vision_config"]["num_hidden_layers"]
    assert held[1] - held[0] >= inputs * layers * (4 * 768 + 2 * 3072)


def test_sound_trains_nothing_where_rows_hold_images() -> None:
    """Its tower and what stands behind it get no gradients, and so no states."""
    described = describe(UNIFIED)
    deaf = describe({key: value for key, value in UNIFIED.items() if key != "audio_config"})
    heard, unheard = (
        next(term.bytes for term in memory(one, SEEING).breakdown if term.code == "optimizer")
        for one in (described, deaf)
    )
    assert described.total_parameters > deaf.total_parameters
    assert heard == unheard


def test_checkpoints_are_never_reentrant_and_cut_nothing_off() -> None:
    described = describe(SMALL)
    run = read_run(SEEING | TUNED | {"lora_target_modules": ["q_proj"], "gradient_checkpointing": True})
    assert run.reentrant
    assert not cut_off(described, run, resolve_adapter(described, run))
