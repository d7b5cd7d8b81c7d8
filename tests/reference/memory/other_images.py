"""Batches of images for towers that hand their hidden states to a projector: Mistral 3's and LLaVA's.

What their processors hand on (Transformers 5.16.1 ``PixtralProcessor``, ``LlavaProcessor``): pixels, and for Pixtral's tower the size of each
image; no types of tokens. All images of a batch are one sequence in Pixtral's tower. Its positions and the sizes are numbers of the host.
"""

from __future__ import annotations

import re
from importlib import import_module

import numpy as np
import torch

from . import flash

FAMILIES = ("mistral3", "llava", "llava_next")


def pixels(model: dict, cfg: dict) -> tuple[int, int]:
    """Of a square image's side, as the processor makes it, and the channels.

    The published processors bring images to what the tower has places for (``preprocessor_config.json``, ``longest_edge``).
    """
    sight = model["vision_config"]
    channels = sight.get("num_channels", 3)
    if sight.get("model_type") != "pixtral":
        return sight["image_size"], channels
    from transformers.models.pixtral.image_processing_pil_pixtral import get_resize_output_image_size

    image, each = np.zeros((cfg["image_side"], cfg["image_side"], 3)), sight["patch_size"] * _merged(model)
    return get_resize_output_image_size(image, sight["image_size"], each)[0], channels


def _merged(model: dict) -> int:
    return model.get("spatial_merge_size", 2) if model["model_type"] == "mistral3" else 1


def batch(model: dict, cfg: dict, count: int) -> dict[str, object]:
    """Pixels of so many images, and their sizes."""
    if model["model_type"] == "llava_next":
        return _tiles(model, cfg, count)
    side, channels = pixels(model, cfg)
    added: dict[str, object] = {"pixel_values": torch.zeros((count, channels, side, side), dtype=torch.float32)}
    if model["vision_config"].get("model_type") == "pixtral":
        sight = model["vision_config"]
        runs_on = count == 1 and side // sight["patch_size"] == sight["image_size"] // sight["patch_size"]
        flash.flash_attention.images = None if runs_on else count
        added["image_sizes"] = np.array([[side, side]] * count)
    return added


def behind(model: dict) -> re.Pattern[str]:
    """Names of what stands behind the layer of CLIP's tower whose result is taken, which no gradient reaches."""
    layers, taken = model["vision_config"].get("num_hidden_layers", 12), model.get("vision_feature_layer", -2)
    passed = range(taken if taken >= 0 else layers + 1 + taken, layers)
    names = ["post_layernorm", *(rf"encoder\.layers\.{layer}\." for layer in passed)]
    return re.compile(rf"vision_tower\.({'|'.join(names)})")


def _tiles(model: dict, cfg: dict, count: int) -> dict[str, object]:
    """LLaVA-NeXT's: tiles of each image and the whole of it."""
    from transformers.models.llava_next.modeling_llava_next import image_size_to_num_patches

    sight, side = model["vision_config"], cfg["image_side"]
    grids = model.get("image_grid_pinpoints", [[336, 672], [672, 336], [672, 672], [1008, 336], [336, 1008]])
    tiles = image_size_to_num_patches([side, side], grids, sight["image_size"])
    shape = (count, tiles, sight.get("num_channels", 3), sight["image_size"], sight["image_size"])
    sizes = np.array([[side, side]] * count)
    return {"pixel_values": torch.zeros(shape, dtype=torch.float32), "image_sizes": sizes}


class Sizes(np.ndarray):
    """Images' sizes as the models ask a tensor of them."""

    def prod(self, dim: int) -> np.ndarray:
        return super().prod(axis=dim)


class _Torch:
    """``torch``, but that sizes stay numbers of the host."""

    def __getattr__(self, name: str) -> object:
        return getattr(torch, name)

    @staticmethod
    def as_tensor(sizes: np.ndarray, device: object) -> Sizes:
        return np.asarray(sizes).view(Sizes)


def patch(model: dict) -> None:
    """Numbers that Pixtral's tower and its projector read from sizes are known from the case."""
    if model["vision_config"].get("model_type") != "pixtral":
        return
    import_module("transformers.models.pixtral.modeling_pixtral").generate_block_attention_mask = _blocks
    kind = model["model_type"]
    import_module(f"transformers.models.{kind}.modeling_{kind}").torch = _Torch()


def _blocks(sizes, tensor):
    """``generate_block_attention_mask``, whose slices start at values of tensors."""
    length = tensor.shape[1]
    mask = torch.full((length, length), fill_value=torch.finfo(tensor.dtype).min, dtype=tensor.dtype)
    start = 0
    for size in sizes:
        mask[start : start + size, start : start + size] = 0
        start += size
    return mask[None, None, :, :].expand(tensor.shape[0], 1, -1, -1)
