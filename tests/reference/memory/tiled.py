"""Feed-forwards in tiles by Axolotl's own patch (``monkeypatch/tiled_mlp``): ``tiled_mlp`` with the model's own forward.

``python -m tests.reference.memory.record --cases tiled`` records them to ``tests/data/memory/tiled.jsonl``. DeepSpeed, which the patch imports and
one process does not use, is an empty module here; the compiled forward (without ``tiled_mlp_use_original_mlp``) is not simulated.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from unittest import mock

from .cases import MODELS, few, lora, qlora
from .keys import CCE, CHUNKED, FLASH, GC, GC_NON_REENTRANT, OFF

_PATCHED: dict[type, object] = {}


def patch(model_type: str, cfg: dict) -> None:
    """``PatchManager._apply_tiled_mlp``."""
    from axolotl.monkeypatch.tiled_mlp import patch as module

    prepare = module._prepare_target_class

    def noted(cls: type) -> None:
        _PATCHED[cls] = cls.forward
        prepare(cls)

    module._prepare_target_class = noted
    prefix, _ = module.get_causal_lm_model_cls_prefix(model_type)
    models = __import__(f"transformers.models.{model_type}.modeling_{model_type}", fromlist=[prefix])
    before = {cls: cls.forward for cls in vars(models).values() if isinstance(cls, type) and hasattr(cls, "forward")}
    with mock.patch.dict(sys.modules, _deepspeed()):  # others ask whether it is installed
        module.patch_tiled_mlp(model_type, use_original_mlp=True, cfg_num_shards=cfg.get("tiled_mlp_num_shards"))
    module._prepare_target_class = prepare
    for cls in _PATCHED:
        _PATCHED[cls] = before[cls]


def _deepspeed() -> dict[str, types.ModuleType]:
    """Empty modules, down to the one that the patch takes a class from."""
    name = "deepspeed.runtime.sequence_parallel.ulysses_sp"
    parts = name.split(".")
    found = {".".join(parts[:end]): types.ModuleType(".".join(parts[:end])) for end in range(1, len(parts) + 1)}
    found[name].TiledMLP = object
    return found


def restore() -> None:
    """Undo ``patch``, which patches a class for the whole process."""
    for cls, forward in _PATCHED.items():
        cls.forward = forward
    _PATCHED.clear()


def tiled(shards: int | None = None) -> dict:
    """Its keys."""
    return {"tiled_mlp": True, "tiled_mlp_use_original_mlp": True} | (
        {"tiled_mlp_num_shards": shards} if shards else {}
    )


def _chosen() -> Iterator[tuple]:
    small, large = "llama-3.2-1b", "llama-3.1-8b"
    for shards in (1, 4, 8):
        yield f"{small}-full-{shards}", small, FLASH | CCE | tiled(shards), (1, 8192)
        yield f"{small}-full-gc-{shards}", small, FLASH | CCE | GC | tiled(shards), (1, 8192)
        yield f"{large}-qlora-gc-peft-{shards}", large, qlora(large) | FLASH | CCE | GC | OFF | tiled(shards), (1, 8192)
    yield f"{small}-full-gcnr-4", small, FLASH | CCE | GC_NON_REENTRANT | tiled(4), (1, 8192)
    yield f"{small}-full-default", small, FLASH | CCE | GC | tiled(), (1, 65536)
    yield (
        f"{small}-full-accumulated-tiled",
        small,
        FLASH | CCE | GC | tiled(4) | {"gradient_accumulation_steps": 2},
        (1, 8192),
    )
    yield f"{small}-full-sdpa", small, {"attn_implementation": "sdpa"} | CHUNKED | GC | tiled(4), (1, 4096)
    yield f"{small}-lora-fused", small, lora(small) | FLASH | CCE | GC | tiled(4), (1, 8192)
    yield f"{small}-lora-peft", small, lora(small, lora_dropout=0.1) | FLASH | CCE | OFF | tiled(4), (1, 4096)
    yield (
        "mistral-7b-lora-8bit-gc",
        "mistral-7b",
        lora("mistral-7b", load_in_8bit=True) | FLASH | CCE | GC | tiled(4),
        (1, 8192),
    )
    yield "phi-2-full-gc", "phi-2", FLASH | CCE | GC | tiled(4), (1, 8192)
    yield "qwen3-4b-full-gc-tiled", "qwen3-4b", FLASH | CCE | GC | tiled(8) | {"optimizer": "adamw_8bit"}, (1, 32768)


def _held_back() -> Iterator[tuple]:
    """Not looked at until the formulas stood."""
    yield "held-gemma-2b-full-gc", "gemma-2b", FLASH | CCE | GC | tiled(4), (1, 16384)
    yield "held-qwen2.5-0.5b-full", "qwen2.5-0.5b", FLASH | CCE | tiled(4), (1, 16384)
    yield "held-smollm2-135m-full-3", "smollm2-135m", FLASH | CCE | GC | tiled(3), (1, 30001)
    yield "held-olmo2-7b-lora-gc", "olmo2-7b", lora("olmo2-7b") | FLASH | CCE | GC | tiled(8), (1, 16384)
    yield "held-pythia-1.4b-full-gc", "pythia-1.4b", FLASH | CCE | GC | tiled(2), (1, 16384)
    yield (
        "held-qwen2.5-7b-qlora-gc-peft",
        "qwen2.5-7b",
        qlora("qwen2.5-7b", 64) | FLASH | CCE | GC | OFF | tiled(6),
        (1, 16384),
    )


def cases() -> Iterator[tuple[str, dict, dict, tuple[int, int]]]:
    """How many tiles, methods, and those held back."""
    for part in (_chosen, _held_back):
        for name, model, given, rows in part():
            yield name, few(MODELS[model]), given, rows
