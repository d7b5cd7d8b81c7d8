"""The simulator's batches for Pixtral's and CLIP's towers against what can be computed by hand; see ``test_images``."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
for package in ("transformers", "peft", "accelerate", "axolotl"):
    pytest.importorskip(package)

from tests.reference.memory import flash, other_images  # noqa: E402
from tests.reference.memory.images import FLASH, TEXT, _cut  # noqa: E402
from tests.reference.memory.images_pixtral import TINY  # noqa: E402
from tests.reference.memory.simulator import Simulation  # noqa: E402

CCE = {"cut_cross_entropy": True}
SMALL = _cut(TINY, 2, 2)


def run(model: dict, images: int, side: int, **config) -> dict:
    """The record of a row that holds images."""
    given = {"images": images, "image_side": side} | FLASH | TEXT | CCE | config
    return Simulation(model, given, (1, 1024)).run()


def test_pixels_are_in_full_precision():
    """Of a side rounded up; three numbers a token beside them: ids, labels, a mask of padding."""
    for images in (1, 2):
        assert run(SMALL, images, 200)["live_at_peak"]["batch"] == images * 3 * 224**2 * 4 + 3 * 1024 * 8


@pytest.mark.parametrize(("side", "made"), [(1, 28), (28, 28), (29, 56), (1540, 1540), (1541, 1540), (5000, 1540)])
def test_sides_are_the_processor_s_own(side, made):
    assert other_images.pixels(SMALL, {"image_side": side}) == (made, 3)


def test_places_run_on_for_one_image_at_its_largest_alone():
    for count, side, parts in ((1, 1540, None), (1, 1512, 1), (2, 1540, 2)):
        other_images.batch(SMALL, {"image_side": side}, count)
        assert flash.flash_attention.images == parts


def test_the_mask_keeps_images_apart():
    mask = other_images._blocks([2, 3], torch.zeros(1, 5, 4))
    assert mask.shape == (1, 1, 5, 5)
    assert (mask[0, 0] == 0).int().tolist() == [[1, 1, 0, 0, 0]] * 2 + [[0, 0, 1, 1, 1]] * 3
    from transformers.models.pixtral.modeling_pixtral import generate_block_attention_mask

    if generate_block_attention_mask is not other_images._blocks:
        assert torch.equal(mask, generate_block_attention_mask([2, 3], torch.zeros(1, 5, 4)))
