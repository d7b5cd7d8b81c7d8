"""Optimizers that step within the backward: LOMO, AdaLomo and the layerwise ones, by their own code and hooks.

Real: lomo-optim 0.1.1's classes, whose hook on each parameter uses the gradient that came before it; Transformers 5.16.1's
``_setup_low_rank_optimizer``, which gives each parameter an optimizer and a hook after its gradient; GaLore's and APOLLO's
classes. Followed: ``Accelerator.lomo_backward``, which runs the backward of LOMO, and ``_get_galore_optimizer``'s arguments.
"""

from __future__ import annotations

from types import SimpleNamespace

import torch
from torch import nn

from .real_optimizers import APOLLO, TARGETS, galore_class, galore_settings, rank_of, tensors_of

LOMO = ("lomo", "adalomo")
LAYERWISE = ("galore_adamw_layerwise", "galore_adamw_8bit_layerwise", "galore_adafactor_layerwise", "apollo_adamw_layerwise")  # fmt: skip
IMMEDIATE = (*LOMO, *LAYERWISE)


class Immediate:
    """One of them over a model: ``backward`` runs the backward and with it the steps."""

    def __init__(self, name: str, model: nn.Module, cfg: dict) -> None:
        self.name, self.states = name, []
        self.lomo, self.each = None, {}
        if name in LOMO:
            self.lomo = _lomo(name, model, cfg)
        else:
            self.each = _layerwise(name, model, cfg)
        self.collect()

    def backward(self, loss: torch.Tensor) -> None:
        if self.lomo is not None:
            self.lomo.fused_backward(loss, 1e-4)
        else:
            loss.backward()

    def collect(self) -> None:
        """What lives between steps."""
        if self.lomo is not None:
            kept = [getattr(self.lomo, name, {}) for name in ("exp_avg_sq", "exp_avg_sq_row", "exp_avg_sq_col")]
        else:
            kept = [dict(enumerate(one.state.values())) for one in self.each.values()]
            kept += [one.name2qmap for one in self.each.values() if hasattr(one, "name2qmap")]
        self.states = tensors_of(dict(enumerate(kept)))


def _lomo(name: str, model: nn.Module, cfg: dict):
    import lomo_optim

    storage = (cfg.get("bnb_config_kwargs") or {}).get("bnb_4bit_quant_storage", "bfloat16")
    kept = torch.Tensor.cuda
    torch.Tensor.cuda = lambda self, *_, **__: self
    try:
        # the Trainer hands over the model and a learning rate, so that nothing is clipped and nothing decays
        made = getattr(lomo_optim, {"lomo": "Lomo", "adalomo": "AdaLomo"}[name])(model, lr=1e-4)
        for label, p in model.named_parameters() if name == "adalomo" else ():
            if getattr(p, "quant_state", None) is not None:  # rows of what packs it, which Axolotl calls bf16
                rows = -(-p.numel() // getattr(torch, storage).itemsize)
                made.exp_avg_sq_row[label] = torch.zeros(rows, dtype=torch.float32)
        return made
    finally:
        torch.Tensor.cuda = kept


def _layerwise(name: str, model: nn.Module, cfg: dict) -> dict:
    from transformers.trainer_optimizer import _setup_low_rank_optimizer

    args = SimpleNamespace(
        parallel_mode=None,
        optim_target_modules=cfg.get("optim_target_modules") or TARGETS,
        gradient_accumulation_steps=cfg.get("gradient_accumulation_steps") or 1,
    )
    settings = dict(APOLLO if name.startswith("apollo") else galore_settings(), rank=rank_of(cfg))
    _, given = _setup_low_rank_optimizer(args, model, name, {name: galore_class(name)}, settings, {"lr": 1e-4})
    return given["optimizer_dict"]
