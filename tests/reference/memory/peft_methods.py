"""Steps under PEFT's methods beside LoRA, and under bottleneck adapters.

``config`` names the method as the product does: ``adapter`` with ``peft_config``. Bottleneck adapters, which PEFT has
not, are modules of two linears hooked behind attention and feed-forward. AdaLoRA's ranks are allocated after the
optimizer's step, while the gradients are there, as the callback of Axoplan's plugin and of its script does it.
"""

from __future__ import annotations

import torch

from .adapters import renew_copies
from .simulator import Simulation

ATTENDING = ("self_attn", "attention")


class Bottleneck(torch.nn.Module):
    """``x + up(f(down(x)))``."""

    def __init__(self, width: int, size: int, *, bias: bool, gelu: bool) -> None:
        super().__init__()
        self.down = torch.nn.Linear(width, size, bias=bias)
        self.up = torch.nn.Linear(size, width, bias=bias)
        self.gelu = gelu

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inner = self.down(x)
        return x + self.up(torch.nn.functional.gelu(inner) if self.gelu else torch.nn.functional.relu(inner))


def behind(adapter: Bottleneck):
    """A hook that passes a module's result through an adapter."""

    def hook(_module, _inputs, output):
        return (adapter(output[0]), *output[1:]) if isinstance(output, tuple) else adapter(output)

    return hook


class MethodSimulation(Simulation):
    """A step under one of PEFT's other methods."""

    def step(self, optimizer) -> None:
        """One step, with AdaLoRA's callback in it; its first makes what it keeps of importances."""
        allocator = getattr(getattr(self.model, "base_model", None), "rankallocator", None)
        if allocator is None:
            super().step(optimizer)
            return
        if not allocator.ipt:
            self._allocating(optimizer)
            for held in (allocator.ipt, allocator.exp_avg_ipt, allocator.exp_avg_unc):
                for tensor in held.values():
                    self.tracker.relabel(tensor, "optimizer", "importance")
            self.tracker.reset_peak()
        self._allocating(optimizer)

    def _allocating(self, optimizer) -> None:
        made, allocator = optimizer.step, self.model.base_model

        def step() -> None:
            made()
            allocator.update_and_allocate(1)

        optimizer.step = step
        try:
            super().step(optimizer)
        finally:
            optimizer.step = made

    def _adapter(self, base):
        from peft import get_peft_model
        from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING

        given = self.cfg.get("peft_config") or {}
        if self.cfg["adapter"] == "bottleneck":
            return self._bottleneck(base, given)
        base.enable_input_require_grads()  # Axolotl's ``load_adapter`` does it before a plugin's too
        kinds = {str(getattr(kind, "value", kind)): made for kind, made in PEFT_TYPE_TO_CONFIG_MAPPING.items()}
        model = get_peft_model(base, kinds[self.cfg["adapter"].upper()](task_type="CAUSAL_LM", **given))
        renew_copies(model)
        return model

    def _bottleneck(self, base, given):
        base.requires_grad_(requires_grad=False)
        if self.cfg.get("gradient_checkpointing"):
            base.enable_input_require_grads()
        width, size = base.config.hidden_size, given.get("bottleneck_size", 64)
        facts = {"bias": given.get("bias", True), "gelu": given.get("non_linearity") == "gelu"}
        names = (*ATTENDING, "mlp") if given.get("placement", "houlsby") == "houlsby" else ("mlp",)
        for module in list(base.modules()):
            for name, child in list(module.named_children()):
                if name in names and hasattr(module, "mlp"):
                    adapter = Bottleneck(width, size, **facts)
                    module.add_module(f"adapter_{name}", adapter)
                    child.register_forward_hook(behind(adapter))
        return base
