"""What a configuration's keys come to in Axolotl 0.19.0: kernels, types, the arguments of checkpoints."""

from __future__ import annotations

import torch

KERNELS = ("lora_mlp_kernel", "lora_qkv_kernel", "lora_o_kernel", "lora_embedding_kernel")


def kernels(cfg: dict) -> dict[str, bool]:
    """Which fused LoRA kernels run: all when none of their keys is set (8-bit bases and ``rl`` apart), else those set to true."""
    if cfg.get("adapter") not in ("lora", "qlora"):
        return dict.fromkeys(KERNELS, False)
    if any(cfg.get(k) is not None for k in KERNELS):
        return {k: bool(cfg.get(k)) for k in KERNELS}
    return dict.fromkeys(KERNELS, not cfg.get("load_in_8bit") and not cfg.get("rl"))


def weights_dtype(cfg: dict) -> torch.dtype:
    """``axolotl/utils/config`` ``normalize_config``: what the base is loaded in."""
    if cfg.get("bf16", True) or cfg.get("bfloat16"):
        return torch.bfloat16
    return torch.float16 if cfg.get("fp16") or cfg.get("float16") or cfg.get("load_in_8bit") else torch.float32


def checkpointing(cfg: dict, model_type: str) -> tuple[dict, int]:
    """The arguments of checkpoints in layers, and that every so many layers have one."""
    default = (
        not cfg.get("rl") and not cfg.get("unfrozen_parameters") and cfg.get("activation_offloading") != "hidden_states"
    )
    given = dict(cfg.get("gradient_checkpointing_kwargs") or {"use_reentrant": default})
    if model_type in ("gemma4", "gemma4_unified"):  # ``normalize_config``
        given["use_reentrant"] = False
    every = given.pop("every_n_layers", 1)  # as the Trainer, whose call is the last one
    given = (given or {"use_reentrant": False}) | {"preserve_rng_state": False}
    given.setdefault("use_reentrant", True)  # PyTorch's own, which warns of it
    return given, every
