"""LISA by Axolotl's own callback (``utils/callbacks/lisa.py``): of the layers a few train, all others having had their turn before.

``lisa_active``, which is no key of Axolotl's, says whose turn it is in place of chance; states of all layers are there, as they are from some turns on.
``python -m tests.reference.memory.record --cases lisa`` records them to ``tests/data/memory/lisa.jsonl``.
"""

from __future__ import annotations

import types
from collections.abc import Iterator

import torch

from .cases import MODELS, few
from .keys import CCE, CHUNKED, FLASH, GC, GC_NON_REENTRANT, LIGER


def take_turns(model: torch.nn.Module, cfg: dict) -> None:
    """Freeze all layers but those that ``lisa_active`` names."""
    from axolotl.utils.callbacks import lisa

    chosen = cfg["lisa_active"]
    if len(chosen) != cfg["lisa_n_layers"]:
        raise ValueError("as many layers as train at a time")
    chance = types.SimpleNamespace(choice=lambda *args, **kwargs: chosen)
    lisa.np = types.SimpleNamespace(random=chance)
    arguments = types.SimpleNamespace(
        lisa_n_layers=cfg["lisa_n_layers"],
        lisa_step_interval=cfg["lisa_step_interval"],
        lisa_layers_attribute=cfg.get("lisa_layers_attribute", "model.layers"),
    )
    callback = lisa.lisa_callback_factory(types.SimpleNamespace(args=arguments, model=model))
    callback.on_step_begin(None, types.SimpleNamespace(global_step=0), None)


def turns(*layers: int) -> dict:
    """Whose turn it is."""
    return {"lisa_n_layers": len(layers), "lisa_step_interval": 20, "lisa_active": list(layers)}


def _chosen() -> Iterator[tuple]:
    small = "llama-3.2-1b"
    for name, layers in {"last": (7, 6), "first": (0, 1), "apart": (2, 5)}.items():
        yield f"{small}-{name}", small, FLASH | CCE | turns(*layers), (1, 4096)
        yield f"{small}-gc-{name}", small, FLASH | CCE | GC | turns(*layers), (1, 4096)
    yield f"{small}-plain-gc", small, FLASH | GC | turns(4, 5, 6, 7), (1, 2048)
    yield f"{small}-8bit", small, FLASH | CCE | GC | turns(7) | {"optimizer": "adamw_8bit"}, (1, 4096)
    yield f"{small}-paged", small, FLASH | CCE | GC | turns(7, 6) | {"optimizer": "paged_adamw_32bit"}, (1, 4096)
    yield (
        f"{small}-adamw-torch",
        small,
        FLASH | CCE | GC_NON_REENTRANT | turns(7, 6) | {"optimizer": "adamw_torch"},
        (1, 2048),
    )
    yield f"{small}-accumulated", small, FLASH | CCE | GC | turns(7, 6) | {"gradient_accumulation_steps": 4}, (1, 4096)
    yield "qwen2.5-0.5b", "qwen2.5-0.5b", FLASH | CHUNKED | turns(7, 6, 5, 4), (2, 1024)
    yield "mistral-7b-gc", "mistral-7b", FLASH | LIGER | GC | turns(7, 6), (1, 4096)
    yield "gemma-2b-gc", "gemma-2b", {"attn_implementation": "sdpa"} | CCE | GC | turns(7), (1, 2048)


def _held_back() -> Iterator[tuple]:
    """Not looked at until the formulas stood."""
    yield "held-qwen3-4b-gc", "qwen3-4b", FLASH | CCE | GC | turns(7, 6, 5, 4), (1, 4096)
    yield "held-smollm2-135m", "smollm2-135m", FLASH | LIGER | turns(7, 6, 5), (4, 1024)
    yield (
        "held-olmo2-7b-gc-adafactor",
        "olmo2-7b",
        FLASH | CCE | GC | turns(7, 6) | {"optimizer": "adafactor"},
        (1, 2048),
    )
    yield (
        "held-llama-3.1-8b-gc-apart",
        "llama-3.1-8b",
        FLASH | CCE | GC | turns(2, 5) | {"optimizer": "adamw_8bit"},
        (1, 8192),
    )
    yield "held-phi-2-gc", "phi-2", CHUNKED | GC | turns(7, 3), (1, 2048)


def cases() -> Iterator[tuple[str, dict, dict, tuple[int, int]]]:
    """Where in the stack of eight layers it trains, optimizers, and those held back."""
    for part in (_chosen, _held_back):
        for name, model, given, rows in part():
            yield name, few(MODELS[model], 8), given, rows
