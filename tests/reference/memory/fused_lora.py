"""Runs Axolotl's own fused LoRA Functions (``axolotl/kernels/lora.py``, 0.19.0) with their Triton and ctypes leaves stubbed.

Stubbed: ``kernels/swiglu.py`` and ``kernels/geglu.py`` (the forward allocates one output; the backward writes over its three inputs and
returns them), ``kernels/quantize.py`` (``_ctypes_nf4_dequant``: the output and, of double-quantised statistics, an fp32 absmax), ``kernels/dora.py``
(``triton_dora_scale``: the dequantised weight and one scale a row) and ``kernels/utils.py`` (``custom_fwd``/``custom_bwd`` for the simulator's device). The
Functions themselves, their saved tensors and temporaries, and the patching of the attention classes are Axolotl's code.
"""

from __future__ import annotations

import importlib.util
import sys
import types
from pathlib import Path

import torch


def _glu_forward(gate, up):
    return torch.empty(gate.shape, dtype=gate.dtype)


def _glu_backward(grad_output, gate, up):
    return grad_output, gate, up


def dequantize(weight, state=None):
    if state is None:
        return weight
    out = torch.empty(state.shape, dtype=state.dtype)
    if not state.nested:  # bitsandbytes' own, which reads the statistics as they are
        return out.t() if weight.shape[0] == 1 else out
    absmax = torch.empty(state.absmax.numel(), dtype=torch.float32)
    del absmax
    return out.t() if weight.shape[0] == 1 else out


def triton_dora_scale(weight, state, a, b, scaling, magnitude, dtype):
    full = dequantize(weight.t(), state).t().contiguous().to(dtype)
    out = torch.empty(full.shape[0], dtype=dtype)
    held = b.contiguous().to(dtype), a.contiguous().to(dtype), magnitude.contiguous()
    del held
    return out.detach()


def _dora_scale(weight, state, a, b, scaling, magnitude, dtype):
    """``_compute_dora_scale`` on the Triton path, with its cache on the magnitude vector."""
    cache = getattr(magnitude, "_dora_cache", None)
    if cache is not None and cache[:2] == (a._version, b._version):
        return magnitude.to(dtype) / cache[2]
    result = triton_dora_scale(weight, state, a, b, scaling, magnitude, dtype)
    magnitude._dora_cache = (a._version, b._version, (magnitude.to(dtype) / result).detach())
    return result


class _NormRope(torch.autograd.Function):
    """``kernels/gemma4_fused_rope.py``: norm and positions at once; saves the input and a statistic a row."""

    @staticmethod
    def forward(ctx, x, weight):
        rstd = torch.empty(x.shape[0], dtype=torch.float32)
        ctx.save_for_backward(x, weight, rstd)
        return torch.empty_like(x)

    @staticmethod
    def backward(ctx, grad):
        x, weight, rstd = ctx.saved_tensors
        grad = grad.contiguous()
        return torch.empty_like(x), None if weight is None else torch.empty_like(weight)


def _fused_rms_norm_rope(x, weight, cos, sin, eps=1e-6, unit_offset=False):
    return _NormRope.apply(x.reshape(-1, x.shape[-1]).contiguous(), weight).view(x.shape)


def _fused_rms_norm_noscale(x, eps=1e-6):
    return _NormRope.apply(x.reshape(-1, x.shape[-1]).contiguous(), None).view(x.shape)


def patch_gemma4(family: str, checkpointing: bool) -> None:
    """``patch_gemma4_fused_attn``, which Axolotl applies to every Gemma 4 (``loaders/patch_manager.py``); 12B has its own."""
    fused_attn = importlib.import_module(f"axolotl.monkeypatch.models.{family}.fused_attn")
    modeling = importlib.import_module(f"transformers.models.{family}.modeling_{family}")
    attention = modeling.Gemma4TextAttention if family == "gemma4" else modeling.Gemma4UnifiedTextAttention
    if attention.forward.__name__ != "fused_forward":
        getattr(fused_attn, f"patch_{family}_fused_attn")()
    layer = getattr(modeling, attention.__name__.replace("Attention", "DecoderLayer"))
    fused_attn._set_shared_kv_states(None)
    if checkpointing:
        fused_attn._patch_decoder_layer_call()
    elif "_axolotl_shared_kv_patched" in vars(layer):  # for an earlier case of this process
        del layer.__call__, layer._axolotl_shared_kv_patched


def install() -> None:
    """Put the stubs where ``axolotl.kernels.lora`` imports them. Once a process, after ``bnb.install``."""
    if "axolotl.kernels.lora" in sys.modules:
        return
    for name, members in {
        "swiglu": {"swiglu_forward": _glu_forward, "swiglu_backward": _glu_backward},
        "geglu": {"geglu_forward": _glu_forward, "geglu_backward": _glu_backward},
        "quantize": {"dequantize": dequantize},
        "dora": {"triton_dora_scale": triton_dora_scale},
        "gemma4_fused_rope": {
            "fused_rms_norm_rope": _fused_rms_norm_rope,
            "fused_rms_norm_noscale": _fused_rms_norm_noscale,
        },
        "utils": {
            "torch_amp_custom_fwd": torch.amp.custom_fwd(device_type="cpu"),
            "torch_amp_custom_bwd": torch.amp.custom_bwd(device_type="cpu"),
        },
    }.items():
        module = types.ModuleType(f"axolotl.kernels.{name}")
        vars(module).update(members)
        sys.modules[module.__name__] = module
    package = types.ModuleType(
        "axolotl.utils.callbacks"
    )  # its __init__ imports trl and wandb; only its module `models` is needed
    package.__path__ = [str(Path(importlib.util.find_spec("axolotl").origin).parent / "utils" / "callbacks")]
    sys.modules[package.__name__] = package
    import axolotl.kernels.lora as lora

    lora._compute_dora_scale = _dora_scale


_ORIGINAL: dict[type, object] = {}


def restore() -> None:
    """Undo ``patch_attention``, which patches a class for the whole process."""
    for cls, forward in _ORIGINAL.items():
        cls.forward = forward
        if "_original_forward" in vars(cls):
            del cls._original_forward
    _ORIGINAL.clear()


def patch_attention(config) -> None:
    """``patch_self_attn_lora``: rewrite the attention class's forward. Raises AssertionError where Axolotl itself does."""
    from axolotl.monkeypatch import lora_kernels

    lora_kernels.AutoConfig = types.SimpleNamespace(from_pretrained=lambda name: config)
    cls = lora_kernels.get_attention_cls_from_config({"base_model": "simulated"})
    _ORIGINAL[cls] = cls.forward
    lora_kernels.patch_self_attn_lora({"base_model": "simulated"})


def patch_model(model, cfg) -> None:
    """``apply_lora_kernel_patches`` on the PEFT model."""
    from axolotl.monkeypatch import lora_kernels
    from axolotl.utils.dict import DictDefault

    lora_kernels.apply_lora_kernel_patches(model, DictDefault(cfg))
