"""``quantize_moe_experts``: Axolotl 0.19's ``monkeypatch/moe_quant.py`` over bitsandbytes 0.50.2's ``nn/parametrize.py``.

Every parameter of three dimensions whose path has "expert" in it becomes a parametrization that unpacks the whole of it whenever it is
read: NF4 with double quantisation whatever ``bnb_config_kwargs`` says, in the type that it was loaded in; int8 with a scale a row, in fp32
twice over. Hooks around the module's forward keep what was unpacked until it ends. Where any was quantised, ``ModelLoader._prepare_model_for_quantization`` leaves PEFT's k-bit preparation out, so that nothing
becomes fp32.
"""

from __future__ import annotations

import math
import sys
import types
from importlib.machinery import ModuleSpec

import torch
import torch.nn.utils.parametrize as P
from torch import nn

from . import bnb


class Bnb4bitParametrization(nn.Module):
    """Unpacks on access; never differentiates."""

    def __init__(self, state: bnb.QuantState) -> None:
        super().__init__()
        self.quant_state = state

    @torch.no_grad()
    def forward(self, packed: torch.Tensor) -> torch.Tensor:
        return bnb.dequantize_4bit(packed, self.quant_state)


def _forget(module, inputs, output) -> None:
    P._cache_enabled = max(0, P._cache_enabled - 1)
    if not P._cache_enabled:
        P._cache = {}


def _remember(module, inputs) -> None:
    P._cache_enabled += 1


def replace_parameter_4bit(module: nn.Module, name: str, compress_statistics: bool = False, quant_type: str = "nf4"):
    """bitsandbytes'; the state keeps the shape and type of the original."""
    original = getattr(module, name)
    code2 = None
    if compress_statistics:
        bnb.Linear4bit.code2 = code2 = (
            torch.empty(256, dtype=torch.float32) if bnb.Linear4bit.code2 is None else bnb.Linear4bit.code2
        )
    state = bnb.QuantState(tuple(original.shape), original.dtype, compress_statistics, code2=code2)
    packed = torch.empty(((math.prod(original.shape) + 1) // 2, 1), dtype=torch.uint8)
    del original
    setattr(module, name, nn.Parameter(packed, requires_grad=False))
    P.register_parametrization(module, name, Bnb4bitParametrization(state), unsafe=True)
    module.register_forward_pre_hook(_remember)
    module.register_forward_hook(_forget, always_call=True)


def int8_vectorwise_quant(data: torch.Tensor):
    """A scale for each row of the last dimension."""
    rows = math.prod(data.shape[:-1])
    return torch.empty(data.shape, dtype=torch.int8), torch.empty(rows, dtype=torch.float32), None


def int8_vectorwise_dequant(data: torch.Tensor, stats: torch.Tensor) -> torch.Tensor:
    """bitsandbytes' default kernel, which CUDA has no other of (``_ops.py``): two products in fp32."""
    return data * stats.view(-1, 1) * 7.874015718698502e-3


def install() -> None:
    """Put what Axolotl imports into the stand-in of bitsandbytes."""
    root = sys.modules["bitsandbytes"]
    root.functional.int8_vectorwise_quant = int8_vectorwise_quant
    root.functional.int8_vectorwise_dequant = int8_vectorwise_dequant
    module = types.ModuleType("bitsandbytes.nn.parametrize")
    module.__spec__ = ModuleSpec(module.__name__, None)
    module.replace_parameter_4bit = replace_parameter_4bit
    root.nn.parametrize = sys.modules[module.__name__] = module
    P._cache, P._cache_enabled = {}, 0


def quantize(model: nn.Module, cfg: dict) -> int:
    """What ``_patched_set_param_for_module`` does to each tensor as it is loaded; how many it did it to."""
    from axolotl.monkeypatch.moe_quant import _moe_load_state, replace_parameter_8bit

    install()
    _moe_load_state["expert_param_order"] = {}
    count = 0
    for path, module in list(model.named_modules()):
        names = [name for name, p in module._parameters.items() if p is not None and p.ndim >= 3]
        for name in names:
            if "expert" not in f"{path}.{name}".lower() or isinstance(module, (bnb.Linear4bit, bnb.Linear8bitLt)):
                continue
            _moe_load_state["expert_param_order"].setdefault(path, list(module._parameters))
            if cfg.get("load_in_8bit"):
                replace_parameter_8bit(module, name)
            else:
                replace_parameter_4bit(module, name, compress_statistics=True)
            count += 1
    return count
