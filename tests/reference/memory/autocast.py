"""CUDA's autocast rules on fake CPU tensors.

A CPU build of PyTorch cannot run autograd on fake CUDA tensors, so the simulator's tensors say ``cpu`` and run under CPU autocast, whose cache of
weight copies is the same C++ code. Its lists of operations are not: this module gives the CPU key the float32 list of
``aten/src/ATen/autocast_mode.h`` that CUDA uses (layer_norm, softmax, sum, ...), makes ``torch.autocast("cuda")`` take effect
as a flag (PEFT asks ``torch.is_autocast_enabled()``), and replaces the few functions whose CPU kernels save other tensors than
CUDA's: dropout (CUDA saves a boolean mask) and softmax with ``dtype=float32`` (CUDA converts fp16 inside the kernel, and fp16 alone).
"""

from __future__ import annotations

import contextlib
import warnings

import torch
import torch.utils.checkpoint

FP32 = (
    "acos", "asin", "cosh", "erfinv", "exp", "expm1", "log", "log10", "log2", "log1p", "reciprocal", "rsqrt", "sinh", "tan",
    "pow.Tensor_Scalar", "pow.Tensor_Tensor", "pow.Scalar", "softplus", "layer_norm", "native_layer_norm", "group_norm",
    "cosine_similarity", "nll_loss", "nll_loss_nd", "kl_div", "l1_loss", "mse_loss", "binary_cross_entropy_with_logits", "logsumexp",
    "norm.Scalar",
)  # fmt: skip
FP32_OPT_DTYPE = (
    "prod", "softmax.int", "log_softmax.int", "cumprod", "cumsum", "sum", "sum.dim_IntList", "linalg_vector_norm",
)  # fmt: skip

_LIB = None


def _eligible(value) -> bool:
    return isinstance(value, torch.Tensor) and value.is_floating_point() and value.dtype != torch.float64


def _to_fp32(op):
    def kernel(*args, **kwargs):
        with torch._C._ExcludeDispatchKeyGuard(_KEYS):
            args = [a.float() if _eligible(a) else a for a in args]
            kwargs = {k: v.float() if _eligible(v) else v for k, v in kwargs.items()}
            return op(*args, **kwargs)

    return kernel


def _opt_dtype(op):
    def kernel(*args, **kwargs):
        with torch._C._ExcludeDispatchKeyGuard(_KEYS):
            named = [a.name for a in op._schema.arguments]
            bound = dict(zip(named, args)) | kwargs
            if _eligible(args[0]) and bound.get("dtype") is None:
                bound["dtype"] = torch.float32
            positional = [bound.pop(a.name, a.default_value) for a in op._schema.arguments if not a.kwarg_only]
            return op(*positional, **bound)

    return kernel


_KEYS = torch._C.DispatchKeySet(torch._C.DispatchKey.AutocastCPU)


def install() -> None:
    """Give the CPU key CUDA's rules. Once a process."""
    global _LIB
    if _LIB is not None:
        return
    _LIB = torch.library.Library("aten", "IMPL")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for names, wrap in ((FP32, _to_fp32), (FP32_OPT_DTYPE, _opt_dtype)):
            for name in names:
                packet, _, overload = name.partition(".")
                op = getattr(getattr(torch.ops.aten, packet), overload or "default")
                _LIB.impl(name, wrap(op), "AutocastCPU")
    torch.cuda.amp.common.amp_definitely_not_available = lambda: False
    torch.utils.checkpoint.DefaultDeviceType.set_device_type(
        "cuda"
    )  # or checkpointing would recompute without the flag
    torch.cuda.is_bf16_supported = lambda *a, **k: True
    torch.nn.functional.dropout = _dropout
    torch.nn.functional.softmax = _softmax


@contextlib.contextmanager
def cuda_autocast(dtype: torch.dtype | None = torch.bfloat16):
    """bf16 autocast as Accelerate wraps around ``model.forward``; None leaves it off."""
    if dtype is None:
        yield
        return
    with torch.autocast("cuda", dtype=dtype), torch.autocast("cpu", dtype=dtype):
        yield


def _dropout(input, p=0.5, training=True, inplace=False):
    if not training or p == 0.0:
        return input
    return torch.native_dropout(input, p, True)[0]


class _FusedSoftmax(torch.autograd.Function):
    """``_softmax`` on CUDA: no float32 copy of an fp16 input; the backward makes ``grad * output`` first, whatever the types.

    Source: ATen ``cuda/SoftMax.cu``, ``softmax_backward_cuda_out``; seen in 61 runs on a GPU (``fitcheck_runs.py``).
    """

    @staticmethod
    def forward(ctx, input, dtype):
        out = torch.empty(input.shape, dtype=dtype, device=input.device)
        ctx.save_for_backward(out)
        ctx.dtype = input.dtype
        return out

    @staticmethod
    def backward(ctx, grad):
        (out,) = ctx.saved_tensors
        result = torch.empty(grad.shape, dtype=ctx.dtype, device=grad.device)
        product = grad * out
        del product
        return result, None


def _softmax(input, dim=None, _stacklevel=3, dtype=None):
    if dtype is None:
        dtype = torch.float32 if torch.is_autocast_enabled("cpu") else input.dtype
    # ``native/SoftMax.cpp`` hands a half input to the kernel as it is; bf16 is converted first, and its gradient after
    within = dtype == torch.float32 and input.dtype == torch.float16
    return _FusedSoftmax.apply(input if within else input.to(dtype), dtype)
