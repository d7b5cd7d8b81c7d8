"""Small models in which one trait decides the highest moment of a phase: changed code that no other case would show.

``python -m tests.reference.memory.record --cases shown`` records them to ``tests/data/memory/shown.jsonl``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .cases import MODELS, TARGETS, _model
from .catalogue import BARE, pool
from .keys import CCE, FLASH, GC, OFF, SEVEN

SHORT = {"vocab_size": 1024, "pad_token_id": 0}
PARTIAL = ("partial_rotary_factor", "rope_parameters", "rope_scaling")
"""Keys that say a share, where the type's own default is meant."""


def _tuned(names: list[str], **more: Any) -> dict[str, Any]:
    return {"adapter": "lora", "lora_r": 8, "lora_alpha": 16, "lora_target_modules": names} | OFF | more


def cases() -> Iterator[tuple[str, dict, dict, tuple[int, int]]]:
    """All cases of this module."""
    mixing = BARE["falcon_h1"] | SHORT | {"num_hidden_layers": 2, "intermediate_size": 64, "num_attention_heads": 1}
    mixing |= {
        "num_key_value_heads": 1,
        "mamba_d_ssm": 4096,
        "mamba_n_heads": 64,
        "mamba_d_state": 16,
        "hidden_size": 512,
    }
    yield "mixer-full-falcon_h1", mixing, FLASH | CCE | GC, (2, 2048)
    yield "mixer-lora-falcon_h1", mixing, FLASH | CCE | _tuned(SEVEN), (2, 2048)

    whole = pool()["qwen3_5_moe"][0]["text_config"]
    turned = {key: value for key, value in whole.items() if key not in PARTIAL} | SHORT
    turned |= {"model_type": "qwen3_5_moe_text", "num_hidden_layers": 1, "layer_types": ["full_attention"]}
    turned |= {
        "num_experts": 2,
        "num_experts_per_tok": 1,
        "moe_intermediate_size": 64,
        "shared_expert_intermediate_size": 64,
    }
    yield "positions-lora-qwen3_5_moe_text", turned, FLASH | CCE | _tuned(SEVEN[:4]), (1, 4096)
    stable = MODELS["stablelm-1.6b"] | SHORT | {"num_hidden_layers": 1, "intermediate_size": 64}
    yield "positions-lora-stablelm", stable, FLASH | CCE | _tuned(SEVEN), (1, 4096)

    attending = _model("llama", 512, 64, 6, 16, 16, 1024, head_dim=128)
    prefix = {"adapter": "prefix_tuning", "peft_config": {"num_virtual_tokens": 64}}
    yield "prefix-llama", attending, FLASH | CCE | prefix, (2, 1024)

    offloaded = MODELS["cohere2-7b"] | SHORT | {"num_hidden_layers": 3}
    twice = _tuned(SEVEN, adapter="qlora", load_in_4bit=True, activation_offloading=True)
    yield "offload-qlora-cohere2", offloaded, FLASH | CCE | GC | twice, (1, 4096)

    gated = MODELS["phi-4"] | {"num_hidden_layers": 2}
    for name, more in {"nogc": {}, "gc": GC}.items():
        glu = FLASH | CCE | more | {"liger_glu_activation": True}
        yield f"liger-glu-full-phi3-{name}", gated, glu, (1, 1024)
        yield f"liger-glu-lora-phi3-{name}", gated, glu | _tuned(TARGETS["phi3"]), (1, 1024)

    narrow = _model("llama", 1024, 32, 1, 2, 1, 256, head_dim=64)
    fused = {"adapter": "lora", "lora_r": 8, "lora_alpha": 16, "lora_target_modules": SEVEN[:4], "liger_rms_norm": True}
    yield "meeting-lora-llama", narrow, FLASH | CCE | fused, (1, 4096)
