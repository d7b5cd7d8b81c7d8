"""The simulator's batches of images against what can be computed by hand; see ``small_llama``."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
for package in ("transformers", "peft", "accelerate", "axolotl"):
    pytest.importorskip(package)

from torch._subclasses.fake_tensor import FakeTensorMode  # noqa: E402

from tests.reference.memory import image_batches  # noqa: E402
from tests.reference.memory.images import FLASH, TEXT, _cut, _deep, _gemma, _windowed  # noqa: E402
from tests.reference.memory.simulator import Simulation  # noqa: E402
from tests.reference.memory.towers import MODELS  # noqa: E402

CCE = {"cut_cross_entropy": True}
SIGLIP_WHOLE = _gemma(512, 1024, 34, 4, 2, 128, image_size=224)
SIGLIP = _cut(SIGLIP_WHOLE, 2, 2)
WINDOWED = _windowed(MODELS["qwen2.5-vl-7b"], 2, 4)
STACKED = _deep(MODELS["qwen3-vl-4b"], 2, 4)
NOT_REENTRANT = {"gradient_checkpointing": True, "gradient_checkpointing_kwargs": {"use_reentrant": False}}


def run(model: dict, images: int, tokens: int = 512, side: int = 224, **config) -> dict:
    """The record of a row that holds images."""
    given = {"images": images, "image_side": side} | FLASH | TEXT | CCE | config
    return Simulation(model, given, (1, tokens)).run()


@pytest.mark.parametrize(
    ("model", "values"), [(SIGLIP, 3 * 224**2), (WINDOWED, 2 * 3 * 224**2), (STACKED, 2 * 3 * 256**2)]
)
def test_pixels_are_in_full_precision(model, values):
    """Of each image, and of Qwen's twice, the least of Qwen 3 VL's being 256 broad; four numbers a token beside them."""
    for images in (1, 2):
        assert run(model, images)["live_at_peak"]["batch"] == images * values * 4 + 4 * 512 * 8


def test_a_frozen_tower_is_asked_for_a_gradient_where_its_first_output_is_found():
    """Two layers more of SigLIP save for a backward that nothing trains in; of Qwen 3 VL they do not."""
    saved = []
    for few, more in ((SIGLIP, _cut(SIGLIP_WHOLE, 2, 4)), (STACKED, _deep(MODELS["qwen3-vl-4b"], 2, 6))):
        held = [run(model, 1, side=448)["phase_peaks"]["backward"] for model in (few, more)]
        weights = [run(model, 1, side=448)["live_at_peak"]["weights"] for model in (few, more)]
        saved.append(held[1] - weights[1] - (held[0] - weights[0]))
    assert saved[0] >= 2 * 256 * 4304 * 2 * 2  # what goes into the activation, and what comes out of it
    assert saved[1] < 256 * 1024  # nothing but numbers of its mergers


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


@pytest.mark.parametrize(("tokens", "picked"), [(0, 10), (4, 4)])
def test_a_mask_that_finds_its_places_makes_a_number_a_dimension(tokens, picked, monkeypatch):
    """Of all tokens, or of the images'."""
    monkeypatch.setattr(image_batches.Picked, "tokens", tokens)
    seen = []
    with FakeTensorMode():
        mask = torch.zeros((2, 5), dtype=torch.bool)
        given = torch.zeros(2, 5, 3), [mask]
        out = image_batches.answer(torch.ops.aten.index.Tensor, given, lambda x, _: seen.append(x.shape))
        assert image_batches.answer(torch.ops.aten.add.Tensor, (mask, mask), None) is NotImplemented
    assert (out.shape, seen) == ((picked, 3), [(picked, 2)])


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


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")
def test_reentrant_checkpoints_cut_off_what_nothing_asks():
    """Factors within Qwen 3 VL's tower have no states there."""
    targets = {"lora_target_modules": ["q_proj", "qkv"]}
    cut, asked = (run(STACKED, 1, **targets, **gc) for gc in ({"gradient_checkpointing": True}, NOT_REENTRANT))
    width, rank, layers = STACKED["vision_config"]["hidden_size"], 16, 4
    factors = layers * rank * (width + 3 * width)
    assert (
        asked["live_at_peak"]["optimizer"] - cut["live_at_peak"]["optimizer"] == 2 * 4 * factors + 2 * layers * 512
    )  # counters
