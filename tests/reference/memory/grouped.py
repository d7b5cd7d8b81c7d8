"""Grouped matrix products of types that FakeTensorMode refuses.

``torch._grouped_mm`` takes fp32 on CUDA too (``aten/src/ATen/native/cuda/GroupedBlas.cpp``: without a fast path it multiplies group by group
into one output), but its meta function (``torch/_meta_registrations.py``) asks for bf16. The k-bit preparation leaves experts in fp32.
"""

from __future__ import annotations

import torch


class GroupedProduct(torch.autograd.Function):
    """[rows, in] by [experts, in, out]: saves what the other needs a gradient for, as ``derivatives.yaml`` has it."""

    @staticmethod
    def forward(ctx, a, b, offs):
        ctx.save_for_backward(a if ctx.needs_input_grad[1] else None, b if ctx.needs_input_grad[0] else None)
        ctx.shapes = a.shape, b.shape, b.stride()
        return torch.empty((a.shape[0], b.shape[-1]), dtype=a.dtype)

    @staticmethod
    def backward(ctx, grad):
        a_shape, b_shape, strides = ctx.shapes
        _ = ctx.saved_tensors  # read, so that hooks bring them back
        # ``_grouped_mm_mat2_backward`` makes the gradient in its layout
        return (
            torch.empty(a_shape, dtype=grad.dtype) if ctx.needs_input_grad[0] else None,
            torch.empty_strided(b_shape, strides, dtype=grad.dtype) if ctx.needs_input_grad[1] else None,
            None,
        )


def install() -> None:
    """Once a process."""
    original = torch.nn.functional.grouped_mm
    if getattr(original, "stand_in", False):
        return

    def grouped_mm(a, b, *, offs=None, **kwargs):
        return original(a, b, offs=offs, **kwargs) if a.dtype == torch.bfloat16 else GroupedProduct.apply(a, b, offs)

    grouped_mm.stand_in = True
    torch.nn.functional.grouped_mm = grouped_mm
