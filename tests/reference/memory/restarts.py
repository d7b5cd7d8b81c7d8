"""ReLoRA's restarts: Axolotl's own merge where the base is not packed, what it makes and leaves where it is.

Followed: ``axolotl/monkeypatch/relora.py``, ``merge_and_save`` and ``update_weights``. A packed weight is added up in fp32 from the
checkpoint's and handed to ``Params4bit.to``, which does not pack it again: ``bnb_quantized`` stays true from before (bitsandbytes 0.50.2, run
on a CPU with PEFT 0.20.0). PEFT's forward then asserts; Axolotl's kernels take the weight as it is.
"""

from __future__ import annotations

import torch
from torch import nn

from .bnb import Linear4bit
from .settings import kernels


def _adapted(model: nn.Module) -> list[nn.Module]:
    from peft.tuners.lora import LoraLayer

    return [module for module in model.modules() if isinstance(module, LoraLayer)]


def goes_on(cfg: dict) -> bool:
    """Whether a packed base trains on after a restart: where Axolotl's kernels read its weights."""
    return all(on for key, on in kernels(cfg).items() if key != "lora_embedding_kernel")


def unpack(model: nn.Module) -> None:
    """As the first restart leaves the weights."""
    for layer in _adapted(model):
        base = layer.get_base_layer()
        if isinstance(base, Linear4bit):
            base.weight = nn.Parameter(torch.empty(base.weight.quant_state.shape, dtype=torch.float32), False)


@torch.no_grad()
def restart(model: nn.Module, cfg: dict) -> None:
    """Between two steps, where nothing has a gradient."""
    if cfg.get("peft_autocast_adapter_dtype") is False:
        for layer in _adapted(model):  # on a CPU PEFT would widen the factors first
            update = (layer.lora_B["default"].weight @ layer.lora_A["default"].weight) * 2.0
            layer.get_base_layer().weight.data += update.T if layer.fan_in_fan_out else update
        return
    if not cfg.get("load_in_4bit"):
        from axolotl.monkeypatch.relora import merge_and_save

        merge_and_save(model, "", "", reinit=False)
        return
    for layer in _adapted(model):
        base = layer.get_base_layer()
        delta = (layer.lora_B["default"].weight @ layer.lora_A["default"].weight) * 2.0
        merged = torch.empty(delta.shape, dtype=torch.bfloat16) + delta
        del delta
        if goes_on(cfg):
            base.weight.data = merged
        del merged
