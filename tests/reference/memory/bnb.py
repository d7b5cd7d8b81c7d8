"""A stand-in for bitsandbytes 0.50.2: the module PEFT, Axolotl and Transformers import, without its CUDA library.

Followed: ``functional.quantize_4bit`` (packed bytes, double-quantised absmax), ``autograd/_functions.py`` ``MatMul4Bit`` (saves the
packed weight, never the input), ``backends/cuda/ops.py`` ``_dequant_linear_fallback`` (what ``gemm_4bit`` does past a few
hundred rows: fp32 absmax twice, the whole weight in the compute dtype, then ``F.linear``), ``functional.dequantize_4bit`` in the backward, and for
LLM.int8 ``MatMul8bitLt`` with threshold 6 (int8 activations and row statistics; the input is kept on the node itself, as long
as that lives; the backward rebuilds the whole weight).
"""

from __future__ import annotations

import math
import sys
import types
from importlib.machinery import ModuleSpec

import torch
from torch import nn
from transformers.quantizers.quantizers_utils import should_convert_module

BLOCK, BLOCK2 = 64, 256


class QuantState:
    """Statistics of one 4-bit weight: uint8 absmax per 64 weights, fp32 absmax per 256 of those, two code books, an offset."""

    def __init__(self, shape, dtype, nested=True, device="cpu", code2=None):
        numel = math.prod(shape)
        self.shape, self.dtype, self.blocksize, self.quant_type, self.nested = shape, dtype, BLOCK, "nf4", nested
        blocks = -(-numel // BLOCK)
        self.code = torch.empty(16, dtype=torch.float32, device=device)
        self.state2, self.offset = None, None
        if nested:
            self.absmax = torch.empty(blocks, dtype=torch.uint8, device=device)
            self.offset = torch.empty((), dtype=torch.float32, device=device)
            self.state2 = types.SimpleNamespace(
                absmax=torch.empty(-(-blocks // BLOCK2), dtype=torch.float32, device=device),
                code=code2,
                blocksize=BLOCK2,
            )
        else:
            self.absmax = torch.empty(blocks, dtype=torch.float32, device=device)

    def tensors(self):
        found = [self.code, self.absmax]
        return found + [self.offset, self.state2.absmax, self.state2.code] if self.nested else found


def dequantize_absmax(state: QuantState, in_place: bool) -> torch.Tensor:
    """fp32 absmax; the forward adds the offset out of place, the backward in place."""
    if not state.nested:
        return state.absmax
    absmax = torch.empty(state.absmax.shape, dtype=torch.float32)
    return absmax.add_(state.offset) if in_place else absmax + state.offset


def dequantize_4bit(packed: torch.Tensor, state: QuantState) -> torch.Tensor:
    absmax = dequantize_absmax(state, in_place=True)
    out = torch.empty(state.shape, dtype=state.dtype)
    del absmax
    return out


def sizes(linear) -> tuple[int, int]:
    """In and out of a linear; Transformers' ``Conv1D`` holds its weight the other way round."""
    return (
        tuple(linear.weight.shape) if type(linear).__name__ == "Conv1D" else (linear.in_features, linear.out_features)
    )


class MatMul4Bit(torch.autograd.Function):
    @staticmethod
    def forward(ctx, a, packed, bias, state):
        ctx.state, ctx.packed = state, packed
        absmax = dequantize_absmax(state, in_place=False)
        weight = torch.empty(state.shape, dtype=a.dtype)
        del absmax
        return nn.functional.linear(a, weight, bias)

    @staticmethod
    def backward(ctx, grad):
        da = (
            torch.matmul(grad, dequantize_4bit(ctx.packed, ctx.state).to(grad.dtype))
            if ctx.needs_input_grad[0]
            else None
        )
        return da, None, None, None


class Linear4bit(nn.Linear):
    """Frozen NF4 linear. ``bnb_4bit_quant_storage: bfloat16`` only renames the bytes."""

    code2 = None

    def __init__(self, linear: nn.Linear, compute_dtype=torch.bfloat16, nested=True):
        nn.Module.__init__(self)
        self.in_features, self.out_features = sizes(linear)
        shape = (self.out_features, self.in_features)
        self.compute_dtype = compute_dtype
        self.bias = linear.bias
        self.weight = nn.Parameter(
            torch.empty(((shape[0] * shape[1] + 1) // 2, 1), dtype=torch.uint8), requires_grad=False
        )
        if nested and Linear4bit.code2 is None:
            Linear4bit.code2 = torch.empty(256, dtype=torch.float32)
        # what a weight is unpacked to is the type that it was quantised from (``quantize_4bit``), not what it computes in
        self.weight.quant_state = QuantState(shape, linear.weight.dtype, nested, code2=Linear4bit.code2)
        self.weight.compress_statistics, self.weight.quant_type = nested, "nf4"
        self.weight.bnb_quantized = True

    def forward(self, x):
        dtype = x.dtype
        bias = None if self.bias is None else self.bias.to(self.compute_dtype)
        packed, state = self.weight.t(), self.weight.quant_state  # a view, which its graph keeps
        return MatMul4Bit.apply(x.to(self.compute_dtype), packed, bias, state).to(dtype)


def _quantized_rows(half: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """``int8_vectorwise_quant`` of ``backends/cuda/ops.py``: where the outliers are is asked of absolute values."""
    stats = torch.empty(half.shape[0], dtype=torch.float32)
    rows = torch.empty(half.shape, dtype=torch.int8)
    outliers = half.abs() >= 6.0
    del outliers
    return rows, stats


class MatMul8bitLt(torch.autograd.Function):
    @staticmethod
    def forward(ctx, a, weight, state, bias):
        ctx.state, ctx.dtype, ctx.shape = state, a.dtype, a.shape
        flat = a.reshape(-1, a.shape[-1])
        rows, stats = _quantized_rows(flat.to(torch.float16))
        out32 = torch.empty((flat.shape[0], weight.shape[0]), dtype=torch.int32)
        out = torch.empty((flat.shape[0], weight.shape[0]), dtype=torch.float16)
        result = out.to(a.dtype)
        del out, out32, rows, stats
        # no ``save_for_backward``: what is here goes with the node, not with its backward
        ctx.tensors = flat if any(ctx.needs_input_grad[:2]) else None
        return result.reshape(*a.shape[:-1], weight.shape[0])

    @staticmethod
    def backward(ctx, grad):
        flat = grad.reshape(-1, grad.shape[-1]).contiguous()
        weight = ctx.state.CB.to(ctx.dtype, copy=True).mul_(ctx.state.SCB.unsqueeze(1).mul(1.0 / 127.0))
        return torch.matmul(flat.to(ctx.dtype), weight).view(ctx.shape), None, None, None


class Linear8bitLt(nn.Linear):
    """``state.CB`` is what the weight was when it was loaded: computed with, whatever becomes of the parameter.

    Each forward puts it back into the parameter.
    """

    def __init__(self, linear: nn.Linear):
        nn.Module.__init__(self)
        self.in_features, self.out_features = sizes(linear)
        self.bias = linear.bias
        shape = (self.out_features, self.in_features)
        self.weight = nn.Parameter(torch.empty(shape, dtype=torch.int8), requires_grad=False)
        self.weight.SCB = torch.empty(self.out_features, dtype=torch.float32)
        self.weight.CB = None
        self.index = None
        self.state = types.SimpleNamespace(
            threshold=6.0, has_fp16_weights=False, SCB=self.weight.SCB, CB=self.weight.data, reset_grads=lambda: None
        )

    def forward(self, x):
        out = MatMul8bitLt.apply(x, self.weight, self.state, self.bias)
        self.weight.data = self.state.CB
        return out


def install() -> None:
    """Put the stand-in where ``import bitsandbytes`` finds it."""
    Linear4bit.code2 = None
    if getattr(sys.modules.get("bitsandbytes"), "stand_in", False):
        return
    root = types.ModuleType("bitsandbytes")
    root.__spec__, root.__version__, root.stand_in, root.__path__ = ModuleSpec("bitsandbytes", None), "0.50.2", True, []
    for name, members in {
        "nn": {
            "Linear4bit": Linear4bit,
            "Linear8bitLt": Linear8bitLt,
            "Params4bit": nn.Parameter,
            "Int8Params": nn.Parameter,
        },
        "functional": {"QuantState": QuantState, "dequantize_4bit": dequantize_4bit},
        "optim": {},
    }.items():
        module = types.ModuleType(f"bitsandbytes.{name}")
        module.__spec__ = ModuleSpec(module.__name__, None)
        vars(module).update(members)
        setattr(root, name, module)
        sys.modules[module.__name__] = module
    sys.modules["bitsandbytes"] = root


def quantize(
    model: nn.Module,
    keep: set[str],
    bits: int,
    nested: bool = True,
    compute_dtype: torch.dtype = torch.bfloat16,
    skip: list[str] | None = None,
) -> None:
    """Replace every nn.Linear (its subclasses not: FalconLinear stays) and Conv1D whose path does not end in one of `keep`, as Transformers' bnb integration does.

    `skip` is a list of the configuration's own, which takes the place of `keep` and is read by Transformers' own function.
    """
    for path, module in list(model.named_modules()):
        left = path.rsplit(".", 1)[-1] in keep if skip is None else not should_convert_module(path, skip)
        if (type(module) is nn.Linear or type(module).__name__ == "Conv1D") and not left:
            parent = model.get_submodule(path.rpartition(".")[0])
            new = Linear4bit(module, compute_dtype, nested) if bits == 4 else Linear8bitLt(module)
            setattr(parent, path.rpartition(".")[2], new)
    setattr(model, f"is_loaded_in_{bits}bit", True)
    model.is_quantized = True
