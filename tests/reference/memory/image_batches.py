"""Batches that hold images: what a processor hands to the model beside the tokens, and operations whose sizes depend on values.

A case says how many images a row holds (``images``). The model's own forward runs, tower and projector included, with fake pixels. Three
operations ask for values that fake tensors do not have; their leaves are stood in for, with the buffers that CUDA's kernels make:

* ``masked_scatter`` (ATen ``cuda/IndexKernel.cu``, ``launch_masked_scatter_kernel``): the mask at full width, and a running sum of it in int64.
* its backward (``masked_scatter_backward``): ``masked_select`` of the gradient, which looks for the places of the mask at full width: one index
  of int64 a dimension for each value of the images' tokens (``cuda/Nonzero.cu``).
* rows picked by a mask of truth values (Gemma 3's loss): the same, where all rows but padding count.

That as many tokens as features are there (``torch_compilable_check``) is known from the case.
"""

from __future__ import annotations

import os

import torch

aten = torch.ops.aten


def batch(model: dict, images: int, rows: int) -> dict[str, torch.Tensor]:
    """What the processor adds to a batch of so many rows."""
    sight = model["vision_config"]
    side, channels = sight["image_size"], sight.get("num_channels", 3)
    return {"pixel_values": torch.zeros((images * rows, channels, side, side), dtype=torch.float32)}


def sorts(rows: tuple[int, int]) -> dict[str, torch.Tensor]:
    """Gemma 3's processor tells tokens of images from others, and always hands a mask of padding on."""
    return {name: torch.zeros(rows, dtype=torch.int64) for name in ("token_type_ids", "attention_mask")}


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
    if func in (aten.index.Tensor, aten.index_put.default) and _by_truth(args[1]):
        mask = args[1][0]
        places = _places(mask.shape, mask.dim(), see)
        return func(args[0], list(places.unbind(1)), *args[2:])
    return NotImplemented


def _by_truth(indices) -> bool:
    return len(indices) == 1 and indices[0] is not None and indices[0].dtype == torch.bool


def _places(shape, dimensions: int, see) -> torch.Tensor:
    """``nonzero`` of what is true everywhere in ``shape``: a place of so many numbers each."""
    places = torch.empty((torch.Size(shape).numel(), dimensions), dtype=torch.int64)
    see(places, "nonzero")
    return places
