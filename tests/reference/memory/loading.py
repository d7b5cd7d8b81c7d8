"""What Axolotl and PEFT do to the dtypes of a model while it loads, and what fake tensors need to get there."""

from __future__ import annotations

import contextlib

import torch

from . import bnb, image_batches


def embedding_names(model_type: str) -> list[str]:
    """``axolotl/loaders/utils.py`` ``get_linear_embedding_layers``."""
    known = {
        "gpt_neox": ["embed_in", "embed_out"],
        "falcon": ["word_embeddings", "lm_head"],
        "nemotron_h": ["embeddings", "lm_head"],
    }
    return known.get(model_type, ["embed_tokens", "lm_head"])


def convert_dtypes(model, names: list[str], dtype: torch.dtype, before: bool) -> None:
    """``ModelLoader._convert_embedding_modules_dtype``.

    ``Module.to`` changes a real parameter where it is, for all modules that share it; a fake one is replaced, so its
    other holders are told.
    """
    model.tie_weights()  # ``from_pretrained`` has done it by then
    holders: dict[int, list[tuple[torch.nn.Module, str]]] = {}
    for module in model.modules():
        for key, p in module._parameters.items():
            holders.setdefault(id(p), []).append((module, key))
    shared = [places for places in holders.values() if len(places) > 1]
    for name, module in model.named_modules():
        norm, gate = "norm" in name, before and name.endswith(".gate")
        if norm or gate or (any(n in name for n in names) and hasattr(module, "weight")):
            module.to(dtype)
            for places in shared:
                for holder, key in places:
                    if holder is module:
                        for other, its in places:
                            other._parameters[its] = module._parameters[key]


def _apply(self, fn, recurse=True):
    """``Module._apply`` with new parameters; PyTorch's swaps the tensors of subclasses, which weak references forbid."""
    for module in self.modules() if recurse else [self]:
        for name, p in module._parameters.items():
            if p is not None:
                new = fn(p.detach())
                if new.dtype != p.dtype or new.device != p.device:
                    module._parameters[name] = torch.nn.Parameter(new, requires_grad=p.requires_grad)
        for name, b in module._buffers.items():
            if b is not None:
                module._buffers[name] = fn(b)
    return self


def prepare_kbit(model, checkpointing: bool) -> None:
    """PEFT's ``prepare_model_for_kbit_training``: everything not quantised to fp32 (Axolotl casts norms and embeddings back)."""
    for module in model.modules():
        for name, p in module._parameters.items():
            if p is None:
                continue
            p.requires_grad = False
            if p.dtype in (torch.float16, torch.bfloat16):
                module._parameters[name] = torch.nn.Parameter(p.detach().to(torch.float32), requires_grad=False)
    model.tie_weights()
    if checkpointing:
        model.enable_input_require_grads()


def dequantize_module_weight(module):
    """PEFT's, which knows 4-bit weights by their class name."""
    state = getattr(module.weight, "quant_state", None)
    return module.weight if state is None else bnb.dequantize_4bit(module.weight, state)


def _tokens_of(mask):
    """``_get_unpad_data``: where the tokens stand that are no padding, where rows begin, the longest row. One token is padding.

    That is the largest batch of which a part is padding.
    """
    rows, longest = mask.shape
    tokens = rows * image_batches.Filled.real if longest == image_batches.Filled.patches else mask.numel() - 1
    return (
        torch.empty((tokens,), dtype=torch.int64),
        torch.empty((rows + 1,), dtype=torch.int32),
        longest,
    )


@contextlib.contextmanager
def patched(padded: bool = False, packed: bool = False):
    """Data-dependent questions that fake tensors cannot answer: packing is known from the config, a mask is whole but for padding.

    Under ``packed`` Transformers' own mask builder finds documents in the positions.

    OPT makes a mask of ones itself.
    """
    from transformers import masking_utils, modeling_flash_attention_utils

    kept = {
        (masking_utils, "find_packed_sequence_indices"): lambda positions, **k: (
            torch.zeros_like(positions) if packed else None
        ),
        (masking_utils, "fast_all"): lambda mask: not padded and mask.shape[-1] != image_batches.Filled.patches,
        (masking_utils, "is_tracing"): lambda *a: False,
        (modeling_flash_attention_utils, "_get_unpad_data"): _tokens_of,
        (torch.nn.Module, "_apply"): _apply,
    }
    old = {}
    for (module, name), value in kept.items():
        old[module, name] = getattr(module, name)
        setattr(module, name, value)
    try:
        yield
    finally:
        for (module, name), value in old.items():
            setattr(module, name, value)
