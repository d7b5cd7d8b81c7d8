"""A base wrapped by PEFT's LoRA as Axolotl's ``load_adapter`` does it."""

from __future__ import annotations

import torch
from torch._subclasses.fake_tensor import FakeTensor

from . import experts
from .loading import dequantize_module_weight, embedding_names


def lora(base, cfg: dict):
    """``axolotl/loaders/adapter.py`` ``load_lora``, and its ``load_adapter`` before it."""
    from peft import LoraConfig, TaskType, get_peft_model
    from peft.tuners.lora import dora

    dora.dequantize_module_weight = dequantize_module_weight
    dora.deepcopy = lambda layer: (
        layer
    )  # DoRA copies a 4-bit layer for the time of its initialisation; fake storages do not survive it
    targets = cfg.get("lora_target_modules") or []
    if cfg.get("lora_target_linear"):
        linear = {n.rsplit(".", 1)[-1] for n, m in base.named_modules() if "Linear" in type(m).__name__}
        targets = sorted({*targets, *linear} - {embedding_names(base.config.model_type)[1]})
    lora = LoraConfig(
        r=cfg["lora_r"], lora_alpha=cfg.get("lora_alpha", cfg["lora_r"]), target_modules=targets, lora_dropout=cfg.get("lora_dropout", 0.0),
        target_parameters=cfg.get("lora_target_parameters") or [], modules_to_save=cfg.get("lora_modules_to_save") or None, bias="none",
        trainable_token_indices=cfg.get("peft_trainable_token_indices"), rank_pattern=cfg.get("lora_rank_pattern") or {}, layers_to_transform=cfg.get("peft_layers_to_transform"),
        task_type=TaskType.SEQ_CLS if cfg.get("reward_model") else TaskType.CAUSAL_LM, use_dora=bool(cfg.get("peft_use_dora")), use_rslora=bool(cfg.get("peft_use_rslora")),
    )  # fmt: skip
    extra = {}
    if cfg.get("peft_autocast_adapter_dtype") is not None:
        extra["autocast_adapter_dtype"] = cfg["peft_autocast_adapter_dtype"]
    if cfg.get("quantize_moe_experts") or cfg.get("lora_target_parameters"):
        from axolotl.monkeypatch.moe_quant import patch_peft_target_parameters_matching

        experts.install()
        patch_peft_target_parameters_matching()
    base.enable_input_require_grads()  # Axolotl's ``load_adapter``, with and without checkpointing
    model = get_peft_model(base, lora, **extra)
    renew_copies(model)
    return model


def renew_copies(model) -> None:
    """PEFT's copies of modules come out of ``deepcopy`` as tensors whose views have storages of their own."""
    for module in model.modules():
        for name, p in module._parameters.items():
            if p is None or getattr(p, "quant_state", None) is not None:
                continue
            whole = isinstance(p, FakeTensor) and p.untyped_storage()._cdata == p.detach().untyped_storage()._cdata
            if not whole:
                module._parameters[name] = torch.nn.Parameter(torch.empty(p.shape, dtype=p.dtype), p.requires_grad)
