"""The simulator's batches of images against what can be computed by hand; see ``test_simulator``."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
for package in ("transformers", "peft", "accelerate", "axolotl"):
    pytest.importorskip(package)

from tests.reference.memory import image_batches  # noqa: E402
from tests.reference.memory.images import FLASH, TEXT, _cut, _deep, _gemma, _windowed  # noqa: E402
from tests.reference.memory.simulator import Simulation  # noqa: E402
from tests.reference.memory.towers import MODELS  # noqa: E402

CCE = {"cut_cross_entropy": True}
SIGLIP = _cut(_gemma(512, 1024, 34, 4, 2, 128, image_size=224), 2, 2)
WINDOWED = _windowed(MODELS["qwen2.5-vl-7b"], 2, 4)
STACKED = _deep(MODELS["qwen3-vl-4b"], 2, 4)
NOT_REENTRANT = {"gradient_checkpointing": True, "gradient_checkpointing_kwargs": {"use_reentrant": False}}


def run(model: dict, images: int, tokens: int = 512, side: int = 224, **config) -> dict:
    """The record of a row that holds images."""
    given = {"images": images, "image_side": side} | FLASH | TEXT | CCE | config
    return Simulation(model, given, (1, tokens)).run()


@pytest.mark.parametrize(
    ("model", "values"), [(SIGLIP, 3 * 224**2), (WINDOWED, 2 * 3 * 224**2), (STACKED, 2 * 3 * 224**2)]
)
def test_pixels_are_in_full_precision(model, values):
    """Of each image, and of Qwen's twice; beside them four numbers of eight bytes a token."""
    for images in (1, 2):
        assert run(model, images)["live_at_peak"]["batch"] == images * values * 4 + 4 * 512 * 8


def test_a_frozen_tower_is_asked_for_a_gradient_where_its_first_output_is_found():
    """SigLIP's layers save for a backward that nothing trains in; those of Qwen 3 VL do not."""
    saved = {}
    for name, model in {"siglip": SIGLIP, "stacked": STACKED}.items():
        tower = model["vision_config"]
        few = model | {"vision_config": tower | {"num_hidden_layers": 1} if name == "siglip" else tower}
        more = run(model, 1, attn_implementation="flash_attention_2")["live_at_peak"]
        saved[name] = more.get("forward: gelu bfloat16", 0)
        assert few["vision_config"]
    assert saved["siglip"] >= 2 * 256 * 4304 * 2
    assert run(STACKED, 1)["parameters"]["trained"] == run(STACKED, 0)["parameters"]["trained"]


def test_numbers_of_the_grid_are_the_real_functions_own():
    """An image of 16 by 16 patches is 8 by 8 tokens: four windows of 16 tokens, four patches each."""
    import numpy as np
    from transformers import vision_utils

    index, starts = image_batches._real(
        vision_utils.get_vision_window_index,
        np.array([[1, 16, 16]]),
        spatial_merge_size=2,
        window_size=112,
        patch_size=14,
    )
    assert starts.tolist() == [0, 64, 128, 192, 256]
    assert sorted(index.tolist()) == list(range(64))


def test_a_mask_that_finds_its_places_makes_a_number_a_dimension():
    seen = []
    mask = torch.zeros((2, 5), dtype=torch.bool)
    image_batches.Picked.tokens = 0
    out = image_batches.answer(torch.ops.aten.index.Tensor, (torch.zeros(2, 5, 3), [mask]), lambda x, _: seen.append(x))
    assert (out.shape, seen[0].shape) == ((10, 3), (10, 2))
    image_batches.Picked.tokens = 4
    out = image_batches.answer(torch.ops.aten.index.Tensor, (torch.zeros(2, 5, 3), [mask]), lambda x, _: seen.append(x))
    assert (out.shape, seen[1].shape) == ((4, 3), (4, 2))
    assert image_batches.answer(torch.ops.aten.add.Tensor, (mask, mask), None) is NotImplemented


def test_putting_features_in_their_places_makes_a_mask_and_a_running_sum():
    seen = []
    given = (torch.zeros(1, 4, 6), torch.zeros(1, 4, 1, dtype=torch.bool), torch.zeros(12))
    image_batches.answer(torch.ops.aten.masked_scatter.default, given, lambda x, _: seen.append(x.nbytes))
    assert seen == [4 * 6, 4 * 6 * 8]
    seen.clear()
    back = image_batches.answer(
        torch.ops.aten.masked_scatter_backward.default,
        (torch.zeros(1, 4, 6), given[1], [2, 6]),
        lambda x, _: seen.append(x.nbytes),
    )
    assert back.shape == (2, 6)
    assert seen == [4 * 6, 2 * 6 * 3 * 8]


def test_reentrant_checkpoints_cut_off_what_nothing_asks():
    """Factors within Qwen 3 VL's tower have no states there."""
    targets = {"lora_target_modules": ["q_proj", "qkv"]}
    cut, asked = (run(STACKED, 1, **targets, **gc) for gc in ({"gradient_checkpointing": True}, NOT_REENTRANT))
    width, rank, layers = STACKED["vision_config"]["hidden_size"], 16, 4
    factors = layers * rank * (width + 3 * width)
    assert asked["live_at_peak"]["optimizer"] - cut["live_at_peak"]["optimizer"] == 2 * 4 * factors
