"""Cases of PEFT's methods beside LoRA that stand on prompts, vectors and bottlenecks.

``python -m tests.reference.memory.record --cases methods`` records them to ``tests/data/memory/methods.jsonl``.
"""

from __future__ import annotations

from collections.abc import Iterator

from .cases import MODELS
from .keys import CCE, FLASH, GC


def cases() -> Iterator[tuple[str, dict, dict, tuple[int, int]]]:
    """(name, config.json, keys, [rows, tokens])."""
    tokens = {"num_virtual_tokens": 20}
    for name in ("qwen2.5-0.5b",):
        model = MODELS[name]
        for keys, label in ((FLASH, "flash"), ({}, "sdpa"), (FLASH | GC, "flash-gc")):
            for size in (20, 100):
                config = keys | {"adapter": "prompt_tuning", "peft_config": {"num_virtual_tokens": size}}
                yield f"{name}-prompt-{size}-{label}", model, config, (2, 512)
            if "gradient_checkpointing" not in keys:
                for projection in (False, True):
                    given = tokens | {"prefix_projection": projection, "encoder_hidden_size": 512}
                    config = keys | {"adapter": "prefix_tuning", "peft_config": given}
                    yield f"{name}-prefix-{'projected-' if projection else ''}{label}", model, config, (2, 512)
            config = keys | {"adapter": "p_tuning", "peft_config": tokens}
            yield f"{name}-p-tuning-{label}", model, config, (1, 1024)
            for loss, said in (({}, ""), (CCE, "-cce")):
                config = keys | loss | {"adapter": "ia3"}
                yield f"{name}-ia3-{label}{said}", model, config, (1, 1024)
                for placement, form in (("houlsby", "relu"), ("pfeiffer", "gelu")):
                    given = {"placement": placement, "non_linearity": form}
                    config = keys | loss | {"adapter": "bottleneck", "peft_config": given}
                    yield f"{name}-{placement}-{label}{said}", model, config, (1, 1024)
    for name, extra in (
        ("llama-3.1-8b", {"num_hidden_layers": 8}),
        ("gemma-2b", {"num_hidden_layers": 8}),
        ("phi-2", {"num_hidden_layers": 8}),
        ("pythia-1.4b", {"num_hidden_layers": 8}),
    ):
        model = MODELS[name] | extra
        for keys, label in ((FLASH | GC | CCE, "gc-cce"), (FLASH | CCE, "cce")):
            targets = {"target_modules": ["k_proj", "v_proj", "down_proj"], "feedforward_modules": ["down_proj"]}
            given = targets if name not in ("phi-2", "pythia-1.4b") else {}
            yield f"{name}-ia3-{label}", model, keys | {"adapter": "ia3", "peft_config": given}, (1, 2048)
            yield f"{name}-houlsby-{label}", model, keys | {"adapter": "bottleneck"}, (1, 2048)
        config = FLASH | {"adapter": "prefix_tuning", "peft_config": {"num_virtual_tokens": 128}}
        yield f"{name}-prefix-128", model, config, (1, 512)
