"""Layer offloading: Axolotl's own manager (``core/trainers/mixins/layer_offloading.py``) and its hooks; copies to the host are not made.

Frozen parameters of the decoder's layers leave and come back where its hooks say so. What stands in is CUDA: one stream, and a host whose
tensors are not counted. Cases: ``python -m tests.reference.memory.record --cases layer_offloading``.
"""

from __future__ import annotations

import importlib.util
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import torch

from .cases import CCE, FLASH, GC, MODELS, OFF, lora
from .gptq_chosen import case as packed

NOT_REENTRANT = {"gradient_checkpointing_kwargs": {"use_reentrant": False}}

EVALUATED = {"val_set_size": 0.1, "eval_batch_size": 8}


def _module() -> types.ModuleType:
    """Axolotl's module by itself: its package imports every trainer."""
    name = "simulated_layer_offloading"
    if name not in sys.modules:
        root = Path(importlib.util.find_spec("axolotl").origin).parent
        path = root / "core" / "trainers" / "mixins" / "layer_offloading.py"
        spec = importlib.util.spec_from_file_location(name, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        sys.modules[name] = module
    return sys.modules[name]


class _Stream:
    def wait_stream(self, _: object) -> None:
        """Copies are done when they are asked for."""


def managed(model: torch.nn.Module, tracker) -> object:
    """The context of a training step, with the layers offloaded and the hooks in place."""
    module = _module()

    class Manager(module.LayerOffloadManager):
        def __init__(self) -> None:
            self.model, self.num_prefetch, self._hooks, self._device = model, 1, [], torch.device("cpu")
            self.layers, _ = module._find_decoder_layers(model)
            self.enabled = self.layers is not None
            self.n_layers = len(self.layers or ())
            self._transfer_stream = _Stream()
            self._on_gpu = set(range(self.n_layers))
            self._frozen_params = [module._get_frozen_params(layer) for layer in self.layers or ()]
            self.host: dict[torch.nn.Parameter, torch.Tensor] = {}
            for index in range(self.n_layers):
                self._offload_layer(index)

        def _offload_layer(self, idx: int) -> None:
            if idx not in self._on_gpu:
                return
            for _, p in self._frozen_params[idx]:
                if p not in self.host:
                    tracker.unseen = True
                    self.host[p] = torch.empty(p.shape, dtype=p.dtype)
                    tracker.unseen = False
                p.data = self.host[p]
            self._on_gpu.discard(idx)

        def _load_layer(self, idx: int, stream=None) -> None:
            if idx in self._on_gpu or not 0 <= idx < self.n_layers:
                return
            for _, p in self._frozen_params[idx]:
                p.data = torch.empty(p.shape, dtype=p.dtype)
            self._on_gpu.add(idx)

        def _prefetch_layer(self, idx: int) -> None:
            self._load_layer(idx)

        def _wait_transfer(self) -> None:
            pass

    manager = Manager()
    manager.setup_hooks()
    return module._LayerOffloadContext(manager)


def host_bytes(context: object) -> int:
    """What waits on the host, between steps and within."""
    return sum(t.nbytes for t in context.manager.host.values()) if context is not None else 0


def cases() -> Iterator[tuple[str, dict, dict, tuple[int, int]]]:
    """Bases, kernels and checkpoints by turns, with few layers and more, and a type whose layers are not found."""
    base = CCE | GC | {"layer_offloading": True, "optimizer": "adamw_torch_fused"}
    four, eight = {"adapter": "qlora", "load_in_4bit": True}, {"load_in_8bit": True}
    plain = {key: value for key, value in base.items() if key not in CCE} | {"gradient_accumulation_steps": 2}
    for name, layers in (("llama-3.2-1b", 1), ("llama-3.2-1b", 2), ("llama-3.2-1b", 4), ("llama-3.1-8b", 3)):
        model, rows = MODELS[name] | {"num_hidden_layers": layers}, (1, 512 * (1 + layers % 3))
        given = FLASH | base | lora(name)
        yield f"{name}-lora-{layers}", model, given, rows
        yield f"{name}-qlora-{layers}", model, given | four, rows
        yield f"{name}-lora-peft-not-reentrant-{layers}", model, given | NOT_REENTRANT | OFF, rows
        yield f"{name}-qlora-peft-plain-{layers}", model, FLASH | plain | lora(name) | four | OFF, rows
        yield f"{name}-int8-{layers}", model, given | eight | OFF, rows
        yield f"{name}-int8-not-reentrant-{layers}", model, given | eight | NOT_REENTRANT | OFF, rows
        yield f"{name}-int8-plain-{layers}", model, FLASH | plain | lora(name) | eight | OFF, rows
    some = {"adapter": "lora", "lora_r": 8, "lora_target_modules": ["q_proj", "v_proj"]}
    for label, keys in (("some", {}), ("some-not-reentrant", NOT_REENTRANT), ("evaluated", EVALUATED)):
        model = MODELS["llama-3.2-1b"] | {"num_hidden_layers": 3}
        yield f"llama-3.2-1b-int8-{label}", model, FLASH | base | some | eight | keys | OFF, (1, 700)
    yield packed("offloaded", "llama-3.2-1b", FLASH | base, (1, 700), layers=3)
    yield (
        "gpt2-lora",
        {"model_type": "gpt2", "vocab_size": 50257, "n_embd": 1024, "n_head": 16, "n_layer": 3},
        base
        | {"adapter": "lora", "lora_r": 8, "lora_target_modules": ["c_attn", "c_proj", "c_fc"]}
        | {"attn_implementation": "sdpa"}
        | OFF,
        (1, 700),
    )
