"""Cases of ``quantize_moe_experts``: mixtures whose experts are quantised while they load, alone and adapted.

``python -m tests.reference.memory.record --cases quantized_experts`` records them to
``tests/data/memory/quantized_experts.jsonl``.
"""

from __future__ import annotations

from collections.abc import Iterator

from .catalogue import kernels_off, pool, shrunk, targets
from .keys import CCE, CHUNKED, FLASH, GC, GC_NON_REENTRANT, OFF, QUANTIZED

DEPTH = {"nemotron_h": 12, "llama4_text": 4, "qwen3_5_moe": 4, "qwen3_next": 4, "deepseek_v3": 4, "gemma4": 6}
KINDS = (
    "deepseek_v2", "deepseek_v3", "gemma4", "glm4_moe", "glm4_moe_lite", "gpt_oss", "granitemoe", "llama4_text", "mixtral", "olmoe",
    "phimoe", "qwen2_moe", "qwen3_5_moe", "qwen3_moe", "qwen3_next",
)  # fmt: skip
WHOLE = ("glm4_moe_lite", "gpt_oss", "mixtral", "qwen3_moe")
"""Recorded at their real depth too."""
ADAPTED = ("glm4_moe_lite", "mixtral", "qwen3_moe", "olmoe")
NAMES = ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]


def _base(kind: str, bits: int, rank: int = 16) -> dict:
    quantized = {"adapter": "qlora", "load_in_4bit": True} if bits == 4 else {"adapter": "lora", "load_in_8bit": True}
    own = {"lora_r": rank, "lora_alpha": 2 * rank, "lora_target_modules": targets(kind)}
    attention = {"attn_implementation": "eager"} if kind == "gpt_oss" else {"attn_implementation": "sdpa"}
    attention = attention if kind in ("gpt_oss", "llama4_text") else FLASH
    return quantized | own | attention | QUANTIZED | (OFF if kernels_off(kind, {}) else {})


def cases() -> Iterator[tuple[str, dict, dict, tuple[int, int]]]:
    models = pool()
    for kind in KINDS:
        model = shrunk(models[kind][0], DEPTH.get(kind, 3))
        # the simulated cut cross entropy does not know Llama 4's class, a checkpoint not Phi's router
        loss = CHUNKED if kind == "llama4_text" else CCE
        checkpoints = {} if kind == "phimoe" else GC
        yield f"experts-nf4-{kind}", model, _base(kind, 4) | checkpoints | loss, (1, 2048)
        yield f"experts-nf4-{kind}-nogc", model, _base(kind, 4) | CHUNKED | OFF, (1, 512)
        yield f"experts-int8-{kind}", model, _base(kind, 8) | checkpoints | loss | OFF, (2, 1024)
    for kind in WHOLE:
        yield f"experts-nf4-{kind}-whole", models[kind][0], _base(kind, 4, 32) | GC | CCE, (1, 4096)
    for kind in ADAPTED:
        model = shrunk(models[kind][0], 2)
        given = _base(kind, 4) | OFF | {"lora_target_parameters": NAMES}
        yield f"experts-nf4-{kind}-adapted", model, given | GC | CCE, (1, 2048)
        yield (
            f"experts-nf4-{kind}-down-adapted",
            model,
            given | GC | CCE | {"lora_target_parameters": NAMES[1:]},
            (1, 1024),
        )
        yield f"experts-nf4-{kind}-adapted-nogc", model, given | CCE, (1, 512)
        given = _base(kind, 8) | OFF | {"lora_target_parameters": NAMES}
        yield f"experts-int8-{kind}-adapted", model, given | GC | CCE, (1, 1024)
        given = _base(kind, 4) | OFF | {"lora_target_parameters": NAMES, "adapter": "lora"}
        plain = {k: v for k, v in given.items() if k not in ("load_in_4bit", "quantize_moe_experts")}
        yield f"experts-16bit-{kind}-adapted", model, plain | GC | CCE, (1, 1024)
    one = shrunk(models["qwen3_moe"][0], 3)
    base = _base("qwen3_moe", 4)
    single = {"bnb_config_kwargs": {"bnb_4bit_use_double_quant": False}}
    yield "experts-nf4-qwen3_moe-single-quant", one, base | GC | CCE | single, (1, 2048)
    yield "experts-nf4-qwen3_moe-not-reentrant", one, base | GC_NON_REENTRANT | CCE, (1, 2048)
    yield "experts-nf4-qwen3_moe-long", one, base | GC | CCE, (1, 16384)
    yield "experts-nf4-qwen3_moe-short", one, base | GC | CCE, (1, 128)
    yield "experts-nf4-qwen3_moe-trap", one, base | GC | CCE | OFF | {"adapter": "lora"}, (1, 1024)
    yield (
        "experts-nf4-qwen3_moe-evaluated",
        one,
        base | GC | CCE | {"val_set_size": 0.1, "eval_batch_size": 4},
        (1, 512),
    )
    yield "experts-16bit-qwen3_moe", one, {k: v for k, v in base.items() if k not in QUANTIZED} | GC | CCE, (1, 1024)
