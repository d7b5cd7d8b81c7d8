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
from transformers import masking_utils, vision_utils
from transformers.models.gemma4.image_processing_pil_gemma4 import get_aspect_ratio_preserving_size
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

from . import other_images

aten = torch.ops.aten
GRIDDED = {
    "qwen2_vl": "Qwen2VLModel",
    "qwen2_5_vl": "Qwen2_5_VLModel",
    "qwen3_vl": "Qwen3VLModel",
    "qwen3_vl_moe": "Qwen3VLMoeModel",
    "qwen3_5": "Qwen3_5Model",
    "qwen3_5_moe": "Qwen3_5MoeModel",
    "glm4v": "Glm4vModel",
    "glm4v_moe": "Glm4vMoeModel",
    "glm46v": "Glm46VModel",
}
"""Model types whose images keep their size, and the class that works out positions of their tokens."""
SOFT_TOKENS = 280
"""Of an image at the most, as Gemma 4's published processors have it (``max_soft_tokens``)."""
SCANNING = ("qwen3_5", "qwen3_5_moe")
"""Those whose language model has layers that scan."""
TOWERS = {"glm46v": "glm4v"}
"""Whose tower another type's is."""
PIXELS = (
    dict.fromkeys(("qwen2_vl", "qwen2_5_vl"), (3136, 12845056))
    | dict.fromkeys(("qwen3_vl", "qwen3_vl_moe", "qwen3_5", "qwen3_5_moe"), (65536, 16777216))
    | dict.fromkeys(("glm4v", "glm4v_moe", "glm46v"), (12544 // 2, 9633792 // 2))
)
"""The least and the most that their published processors (``preprocessor_config.json``) make of an image; GLM counts both of its frames."""


class Picked:
    """How many tokens a mask picks: those of images, or all where that is 0 (Gemma 3's loss)."""

    tokens = 0
    each = 0
    """Those of one image, where the model reads them off the batch (Gemma 4)."""


class Filled:
    """Rows of patches that a processor fills up: to so many, of which so many are an image's. 0 where it does not."""

    patches = 0
    real = 0


def batch(model: dict, cfg: dict, rows: tuple[int, int]) -> dict[str, object]:
    """What the processor adds to a batch: pixels, their grid, and which tokens are an image's; a mask of padding always."""
    sight, count = model["vision_config"], cfg["images"] * rows[0]
    added: dict[str, object] = {"attention_mask": torch.zeros(rows, dtype=torch.int64)}
    if model["model_type"] == "gemma3":
        side, channels = sight["image_size"], sight.get("num_channels", 3)
        added["token_type_ids"] = torch.zeros(rows, dtype=torch.int64)
        added["pixel_values"] = torch.zeros((count, channels, side, side), dtype=torch.float32)
        Picked.tokens = Picked.each = Filled.patches = 0
        return added
    if model["model_type"] in other_images.FAMILIES:
        Picked.each = Filled.patches = 0
        return added | other_images.batch(model, cfg, count)
    if model["model_type"] in ("gemma4", "gemma4_unified"):
        return added | _filled(sight, count, rows, merged=model["model_type"] == "gemma4_unified")
    Picked.each = Filled.patches = 0
    patch = sight.get("patch_size", 14 if model["model_type"].startswith(("qwen2", "glm")) else 16)
    merge = sight.get("spatial_merge_size", 2)
    side = cfg["image_side"]
    across = smart_resize(side, side, patch * merge, *PIXELS[model["model_type"]])[0] // patch
    channels, frames = sight.get("in_channels", 3), sight.get("temporal_patch_size", 2)
    added["mm_token_type_ids"] = torch.zeros(rows, dtype=torch.int64)
    added["pixel_values"] = torch.zeros((count * across**2, channels * frames * patch**2), dtype=torch.float32)
    Picked.tokens = count * (across // merge) ** 2
    added["image_grid_thw"] = np.array([[1, across, across]] * count)
    return added


def _filled(sight: dict, count: int, rows: tuple[int, int], *, merged: bool) -> dict[str, object]:
    """Gemma 4's: an image as large as 280 tokens let it be, its patches filled up to what these would be.

    12B takes squares of patches as one.
    """
    patch, square = sight.get("patch_size", 16), sight.get("pooling_kernel_size", 3)
    Filled.patches = SOFT_TOKENS * square**2
    side = get_aspect_ratio_preserving_size(1000, 1000, patch, Filled.patches, square)[0]
    Filled.real = (side // patch) ** 2
    Picked.each = Filled.real // square**2
    Picked.tokens = count * Picked.each
    if merged:
        patch, Filled.patches, Filled.real = patch * square, SOFT_TOKENS, Picked.each
    return {
        "mm_token_type_ids": torch.zeros(rows, dtype=torch.int64),
        "pixel_values": torch.zeros((count, Filled.patches, 3 * patch**2), dtype=torch.float32),
        "image_position_ids": torch.zeros((count, Filled.patches, 2), dtype=torch.int64),
    }


def gridded(model_type: str) -> None:
    """Numbers that follow from the grid are the real functions' own, of a real tensor; three places ask for its values.

    ``image_grid_thw`` is an array of numbers, which splits as a tensor does. Positions of the language model have the shape that
    ``get_rope_index`` gives them.
    """
    if model_type not in GRIDDED:
        return
    own, name = import_module(f"transformers.models.{model_type}.modeling_{model_type}"), GRIDDED[model_type]
    tower = TOWERS.get(model_type, model_type)
    module = import_module(f"transformers.models.{tower}.modeling_{tower}")
    module.get_vision_position_ids = lambda grid, *args, **_: _fake(
        _real(vision_utils.get_vision_position_ids, grid, *args)
    )
    module.get_vision_attention_seqlens = lambda grid, config, **_: (
        _real(vision_utils.get_vision_cu_seqlens, grid), None)  # fmt: skip
    module.get_max_seqlen = lambda *args, **_: None
    module.get_vision_window_index = _windows
    module.get_vision_interpolation_indices_and_weights = _resampled
    embeddings = next((kind for key, kind in vars(module).items() if key.endswith("VisionEmbeddings")), None)
    if embeddings is not None and not hasattr(embeddings, "real"):
        embeddings.real, embeddings.forward = embeddings.forward, _placed
    getattr(own, name).get_rope_index = lambda self, ids, **_: (
        torch.zeros((3, *ids.shape), dtype=torch.int64), torch.zeros((ids.shape[0], 1), dtype=torch.int64))  # fmt: skip


def _placed(self, embeddings, lengths, shapes, rows, columns):
    """GLM's positions, whose sizes are known, of images that are not looked at."""
    fake = (torch.zeros(numbers.shape, dtype=torch.int64) for numbers in (lengths, shapes))
    return self.real(embeddings, *fake, rows, columns)


def whole_rows(model_type: str, *, alone: bool) -> None:
    """Where a batch of images has no padding, layers that scan get no mask: its values say so, which fake tensors have none of."""
    Filled.patches = Picked.each = 0
    if model_type in SCANNING:
        module = import_module(f"transformers.models.{model_type}.modeling_{model_type}")
        real = masking_utils.create_recurrent_attention_mask
        module.create_recurrent_attention_mask = (lambda **_: None) if alone else real


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
        wide = mask.shape[2:]  # Gemma 4 asks for all values of images' tokens
        places = _places((Picked.tokens, *wide) if Picked.tokens else mask.shape, mask.dim(), see)
        return func(args[0], list(places.unbind(1)), *args[2:])
    if func is aten._local_scalar_dense.default and Picked.each and args[0].dtype == torch.int64:
        return Picked.each
    return NotImplemented


def _by_truth(indices) -> bool:
    return len(indices) == 1 and indices[0] is not None and indices[0].dtype == torch.bool


def _places(shape, dimensions: int, see) -> torch.Tensor:
    """``nonzero`` of what is true everywhere in ``shape``: a place of so many numbers each."""
    places = torch.empty((torch.Size(shape).numel(), dimensions), dtype=torch.int64)
    see(places, "nonzero")
    return places
