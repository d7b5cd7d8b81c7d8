"""A stand-in for gptqmodel 7's quantised linear as it trains, and for how optimum 2 puts it into a model.

Followed: ``nn_modules/qlinear/__init__.py`` ``_register_gptq_buffers`` (the shapes and dtypes of a checkpoint, whatever
the model loads in) and ``_init_wf_unsqueeze_buffers`` (one table of shifts under two names), ``tritonv2.py`` (training
takes ``torch.py``'s forward, evaluation the Triton kernel in the input's dtype), ``torch.py`` ``_forward_eager``: the
whole weight is made by a compiled kernel in the dtype of the scales, cast to the input's, and given to ``torch.matmul``,
which saves it. optimum's ``GPTQQuantizer.convert_model`` replaces what is exactly ``nn.Linear``, and ``Conv1D``, below
one of its ``BLOCK_PATTERNS``; PEFT's ``dispatch_gptq`` wraps it in its own ``GPTQLoraLinear``, which is real here.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from .bnb import sizes

WORD = 32
BLOCKS = (
    "transformer.h.",
    "model.decoder.layers.",
    "gpt_neox.layers.",
    "model.layers.",
    "model.language_model.layers.",
)


class GptqLinear(nn.Module):
    """Packed words and their statistics; no parameter of its own."""

    def __init__(self, linear: nn.Module, bits: int, group_size: int) -> None:
        super().__init__()
        self.in_features, self.out_features = sizes(linear)
        groups = -(-self.in_features // (self.in_features if group_size == -1 else group_size))
        for name, shape, dtype in (
            ("qweight", (-(-self.in_features * bits // WORD), self.out_features), torch.int32),
            ("qzeros", (groups, -(-self.out_features * bits // WORD)), torch.int32),
            ("scales", (groups, self.out_features), torch.float16),
            ("g_idx", (self.in_features,), torch.int32),
        ):
            self.register_buffer(name, torch.empty(shape, dtype=dtype))
        self.register_buffer("bias", None if linear.bias is None else torch.empty(self.out_features, dtype=torch.half))
        shifts = torch.empty((1, 3, 12) if bits == 3 else (1, WORD // bits), dtype=torch.int32)
        self.register_buffer("wf_unsqueeze_zero", shifts.unsqueeze(0), persistent=False)
        self.register_buffer("wf_unsqueeze_neg_one", shifts.unsqueeze(-1), persistent=False)

    @property
    def weight(self) -> torch.Tensor:
        """What PEFT reads device and dtype from; gptqmodel's own answer there has the scales' too."""
        return self.scales

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shape = (*x.shape[:-1], self.out_features)
        x = x.reshape(-1, x.shape[-1])
        whole = (self.in_features, self.out_features)
        if self.training:
            weights = torch.empty(whole, dtype=self.scales.dtype)
            weights = weights.to(x.dtype)
        else:
            weights = torch.empty(whole, dtype=x.dtype)
        out = torch.matmul(x, weights).reshape(shape)
        del weights
        return out if self.bias is None else out.add_(self.bias.to(out.dtype))


def dispatch(target: nn.Module, adapter_name: str, config: Any, **kwargs: Any) -> nn.Module | None:
    """PEFT's ``dispatch_gptq`` without the package that it asks for."""
    from peft.tuners.lora.gptq import GPTQLoraLinear

    return GPTQLoraLinear(target, adapter_name, config=config, **kwargs) if isinstance(target, GptqLinear) else None


def quantize(model: nn.Module, settings: dict[str, Any]) -> None:
    """Replace the linears of the layers, as optimum does when a GPTQ checkpoint is loaded."""
    from peft.tuners.lora import model as lora

    lora.dispatch_gptq = dispatch
    for path, module in list(model.named_modules()):
        if path.startswith(BLOCKS) and (type(module) is nn.Linear or type(module).__name__ == "Conv1D"):
            parent, _, name = path.rpartition(".")
            setattr(model.get_submodule(parent), name, GptqLinear(module, settings["bits"], settings["group_size"]))
    model.is_quantized = True
