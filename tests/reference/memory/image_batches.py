"""Batches that hold images: what a processor hands to the model beside the tokens, and operations whose sizes depend on values.

A case says how many images a row holds (``images``). The model's own forward runs, tower and projector included, with fake pixels. Three
operations ask for values that fake tensors do not have; their leaves are stood in for, with the buffers that CUDA's kernels make:

* ``masked_scatter`` (ATen ``cuda/IndexKernel.cu``, ``launch_masked_scatter_kernel``): the mask at full width, and a running sum of it in int64.
* its backward (``masked_scatter_backward``): ``masked_select`` of the gradient, which looks for the places of the mask at full width: one index
  of int64 a dimension for each value of the images' tokens (``cuda/Nonzero.cu``).
* rows picked by a mask of truth values: the same, where all rows but padding count (Gemma 3's loss) or those of images (Qwen 3 VL, whose first
  layers are added to there).

That as many tokens as features are there (``torch_compilable_check``) is known from the case.
"""

from __future__ import annotations

import os
from importlib import import_module

import numpy as np
import torch
from torch.utils._python_dispatch import _disable_current_modes
from transformers import vision_utils
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

from . import other_images

aten = torch.ops.aten
GRIDDED = {"qwen2_5_vl": "Qwen2_5_VLModel", "qwen3_vl": "Qwen3VLModel", "qwen3_vl_moe": "Qwen3VLMoeModel"}
"""Model types whose images keep their size, and the class that works out positions of their tokens."""
PIXELS = {"qwen2_5_vl": (3136, 12845056), "qwen3_vl": (65536, 16777216), "qwen3_vl_moe": (65536, 16777216)}
"""The least and the most that their published processors (``preprocessor_config.json``) make of an image."""


class Picked:
    """How many tokens a mask picks: those of images, or all where that is 0 (Gemma 3's loss)."""

    tokens = 0


def batch(model: dict, cfg: dict, rows: tuple[int, int]) -> dict[str, object]:
    """What the processor adds to a batch: pixels, their grid, and which tokens are an image's; a mask of padding always."""
    sight, count = model["vision_config"], cfg["images"] * rows[0]
    added: dict[str, object] = {"attention_mask": torch.zeros(rows, dtype=torch.int64)}
    if model["model_type"] == "gemma3":
        side, channels = sight["image_size"], sight.get("num_channels", 3)
        added["token_type_ids"] = torch.zeros(rows, dtype=torch.int64)
        added["pixel_values"] = torch.zeros((count, channels, side, side), dtype=torch.float32)
        Picked.tokens = 0
        return added
    if model["model_type"] in other_images.FAMILIES:
        return added | other_images.batch(model, cfg, count)
    patch = sight.get("patch_size", 14 if model["model_type"] == "qwen2_5_vl" else 16)
    merge = sight.get("spatial_merge_size", 2)
    side = cfg["image_side"]
    across = smart_resize(side, side, patch * merge, *PIXELS[model["model_type"]])[0] // patch
    channels, frames = sight.get("in_channels", 3), sight.get("temporal_patch_size", 2)
    added["mm_token_type_ids"] = torch.zeros(rows, dtype=torch.int64)
    added["pixel_values"] = torch.zeros((count * across**2, channels * frames * patch**2), dtype=torch.float32)
    Picked.tokens = count * (across // merge) ** 2
    added["image_grid_thw"] = np.array([[1, across, across]] * count)
    return added


def gridded(model_type: str) -> None:
    """Numbers that follow from the grid are the real functions' own, of a real tensor; three places ask for its values.

    ``image_grid_thw`` is an array of numbers, which splits as a tensor does. Positions of the language model have the shape that
    ``get_rope_index`` gives them.
    """
    if model_type not in GRIDDED:
        return
    module, name = import_module(f"transformers.models.{model_type}.modeling_{model_type}"), GRIDDED[model_type]
    module.get_vision_position_ids = lambda grid, *args, **_: _fake(
        _real(vision_utils.get_vision_position_ids, grid, *args)
    )
    module.get_vision_attention_seqlens = lambda grid, config, **_: (
        _real(vision_utils.get_vision_cu_seqlens, grid), None)  # fmt: skip
    module.get_max_seqlen = lambda *args, **_: None
    module.get_vision_window_index = _windows
    module.get_vision_interpolation_indices_and_weights = _resampled
    getattr(module, name).get_rope_index = lambda self, ids, **_: (
        torch.zeros((3, *ids.shape), dtype=torch.int64), torch.zeros((ids.shape[0], 1), dtype=torch.int64))  # fmt: skip


def _windows(grid, kwargs=None, **sizes):
    index, starts = _real(vision_utils.get_vision_window_index, grid, **sizes)
    return _fake(index), starts


def _resampled(grid, kwargs=None, **sizes):
    index, shares = _real(vision_utils.get_vision_interpolation_indices_and_weights, grid, **sizes)
    return _fake(index), torch.zeros(shares.shape)


def _real(function, grid, *args, **kwargs):
    """A function's results on real numbers, while fake tensors are the mode."""
    with _disable_current_modes():
        found = function(torch.tensor(grid), *args, **kwargs)
        return tuple(one.numpy() for one in found) if isinstance(found, tuple) else found.numpy()


def _fake(numbers) -> torch.Tensor:
    return torch.zeros(numbers.shape, dtype=torch.int64)


def unchecked() -> None:
    """Leave out what Transformers asks of a batch's values, as it offers itself."""
    os.environ["TRANSFORMERS_DISABLE_TORCH_CHECK"] = "1"


def answer(func, args, see):
    """What the operations above make; ``see`` counts a tensor."""
    if func is aten.masked_scatter.default:
        out = args[0].clone()
        for buffer in (torch.empty(out.shape, dtype=torch.bool), torch.empty(out.shape, dtype=torch.int64)):
            see(buffer, "masked_scatter")
        return out
    if func is aten.masked_scatter_backward.default:
        grad, _, sizes = args
        whole = torch.empty(grad.shape, dtype=torch.bool)
        see(whole, "masked_select")
        places = _places(sizes, grad.dim(), see)
        del whole
        out = torch.empty(sizes, dtype=grad.dtype)
        del places
        return out
    if func in (aten.index.Tensor, aten.index_put.default, aten.index_put_.default) and _by_truth(args[1]):
        mask = args[1][0]
        places = _places((Picked.tokens,) if Picked.tokens else mask.shape, mask.dim(), see)
        return func(args[0], list(places.unbind(1)), *args[2:])
    return NotImplemented


def _by_truth(indices) -> bool:
    return len(indices) == 1 and indices[0] is not None and indices[0].dtype == torch.bool


def _places(shape, dimensions: int, see) -> torch.Tensor:
    """``nonzero`` of what is true everywhere in ``shape``: a place of so many numbers each."""
    places = torch.empty((torch.Size(shape).numel(), dimensions), dtype=torch.int64)
    see(places, "nonzero")
    return places
