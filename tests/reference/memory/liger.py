"""Liger's kernels beside its losses, as autograd Functions: liger-kernel 0.8.1 ``ops/{rms_norm,swiglu,geglu,rope}.py``.

The norm saves its input and a statistic a row, and writes the input's gradient over the output's; the feed-forward saves gate and
up and writes their gradients over them; positions turn queries and keys in place. Patched where Axolotl's plugin does: in the
modelling module of a Llama-like model.
"""

from __future__ import annotations

import importlib
import json
from functools import cache
from pathlib import Path
from types import MethodType

import torch

ANSWERS = Path(__file__).parents[2] / "data" / "axolotl" / "liger-0.19.0.json"

_PARTS = 132
"""Streaming multiprocessors of an H100: the weight's gradient is gathered in as many rows."""


@cache
def _answers() -> dict:
    return json.loads(ANSWERS.read_text("utf-8"))


def reaches(model_type: str, cfg: dict, key: str) -> bool:
    """Whether one of its losses is on and changes anything, as Axolotl and Liger themselves said (``record_liger.py``).

    What they stop at is simulated as if it went on.
    """
    return bool(cfg.get(key)) and _answers()[key].get(model_type) != ""


class RmsNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight):
        out = torch.empty(x.shape, dtype=x.dtype)
        ctx.save_for_backward(x, weight, torch.empty(x.numel() // x.shape[-1], dtype=torch.float32))
        return out

    @staticmethod
    def backward(ctx, grad):
        x, weight, _ = ctx.saved_tensors
        gathered = torch.empty((_PARTS, weight.numel()), dtype=torch.float32)
        dw = gathered.sum(dim=0).to(weight.dtype)
        return grad, dw if ctx.needs_input_grad[1] else None


class SiluMul(torch.autograd.Function):
    @staticmethod
    def forward(ctx, gate, up):
        ctx.save_for_backward(gate, up)
        return torch.empty(gate.shape, dtype=gate.dtype)

    @staticmethod
    def backward(ctx, grad):
        return ctx.saved_tensors


class Rope(torch.autograd.Function):
    """In place, in the kernel's own layout: a copy only of what is not laid out so."""

    @staticmethod
    def forward(ctx, q, k, cos, sin):
        ctx.save_for_backward(cos, sin)
        return _turned(q), _turned(k)

    @staticmethod
    def backward(ctx, dq, dk):
        return _turned(dq), _turned(dk), None, None


def _turned(x):
    return x.transpose(1, 2).contiguous().transpose(1, 2)


def _rope(q, k, cos, sin, position_ids=None, unsqueeze_dim=1):
    return Rope.apply(q, k, cos, sin)


_KEPT: dict = {}


def patch_module(model_type: str, cfg: dict) -> None:
    """Positions, before the model runs."""
    restore()
    if cfg.get("liger_rope"):
        module = importlib.import_module(f"transformers.models.{model_type}.modeling_{model_type}")
        _KEPT[module] = module.apply_rotary_pos_emb
        module.apply_rotary_pos_emb = _rope


def restore() -> None:
    for module, function in _KEPT.items():
        module.apply_rotary_pos_emb = function
    _KEPT.clear()


def patch_model(model, cfg: dict) -> None:
    """Norms and feed-forwards of the base model, before adapters and kernels."""
    for _, module in model.named_modules():
        name = type(module).__name__
        if cfg.get("liger_rms_norm") and name.endswith("RMSNorm"):
            module.forward = MethodType(lambda self, x: RmsNorm.apply(x, self.weight), module)
        if cfg.get("liger_glu_activation") and name.endswith("MLP"):
            module.forward = MethodType(_together if hasattr(module, "gate_up_proj") else _apart, module)


def _apart(self, x):
    return self.down_proj(SiluMul.apply(self.gate_proj(x), self.up_proj(x)))


def _together(self, x):
    """``LigerPhi3SwiGLUMLP``: halves of one result, which ``ensure_contiguous`` copies inside of the function."""
    up = self.gate_up_proj(x)
    gate, up = up.chunk(2, dim=-1)
    return self.down_proj(SiluMul.apply(gate.contiguous(), up.contiguous()))
