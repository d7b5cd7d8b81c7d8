"""The recorded cases: (name, config.json, Axolotl keys, [rows, tokens in each row])."""

from __future__ import annotations

from collections.abc import Iterator

from .keys import CCE, CHUNKED, FLASH, GC, GC_NON_REENTRANT, LIGER, OFF, PACK, SEVEN


def _model(model_type: str, hidden: int, inter: int, layers: int, heads: int, kv: int, vocab: int, **extra) -> dict:
    return {
        "model_type": model_type, "hidden_size": hidden, "intermediate_size": inter, "num_hidden_layers": layers, "num_attention_heads": heads,
        "num_key_value_heads": kv, "vocab_size": vocab, "max_position_embeddings": 131072, "tie_word_embeddings": False,
    } | extra  # fmt: skip


MODELS = {
    "llama-3.2-1b": _model("llama", 2048, 8192, 16, 32, 8, 128256, head_dim=64, tie_word_embeddings=True),
    "llama-3.1-8b": _model("llama", 4096, 14336, 32, 32, 8, 128256, head_dim=128),
    "llama-2-7b": _model("llama", 4096, 11008, 32, 32, 32, 32000, head_dim=128),
    "smollm2-135m": _model("llama", 576, 1536, 30, 9, 3, 49152, head_dim=64, tie_word_embeddings=True),
    "mistral-7b": _model("mistral", 4096, 14336, 32, 32, 8, 32768, head_dim=128, sliding_window=None),
    "mistral-7b-v0.1": _model("mistral", 4096, 14336, 32, 32, 8, 32000, head_dim=128, sliding_window=4096),
    "ministral-8b": _model("mistral", 4096, 12288, 36, 32, 8, 131072, head_dim=128, sliding_window=None),
    "magistral-24b": _model("mistral", 5120, 32768, 40, 32, 8, 131072, head_dim=128, sliding_window=None),
    "seed-oss-36b": _model("seed_oss", 5120, 27648, 64, 80, 8, 155136, head_dim=128, attention_bias=True, attention_out_bias=False),
    "qwen2.5-0.5b": _model("qwen2", 896, 4864, 24, 14, 2, 151936, tie_word_embeddings=True),
    "qwen2.5-7b": _model("qwen2", 3584, 18944, 28, 28, 4, 152064),
    "qwen3-4b": _model("qwen3", 2560, 9728, 36, 32, 8, 151936, head_dim=128, tie_word_embeddings=True),
    "qwen3-32b": _model("qwen3", 5120, 25600, 64, 64, 8, 151936, head_dim=128),
    "gemma-2b": _model("gemma", 2048, 16384, 18, 8, 1, 256000, head_dim=256, tie_word_embeddings=True, hidden_activation="gelu_pytorch_tanh"),
    "gemma-2-9b": _model("gemma2", 3584, 14336, 42, 16, 8, 256000, head_dim=256, sliding_window=4096, tie_word_embeddings=True,
                         final_logit_softcapping=30.0, attn_logit_softcapping=50.0, query_pre_attn_scalar=256),
    "gemma-3-1b": _model("gemma3_text", 1152, 6912, 26, 4, 1, 262144, head_dim=256, sliding_window=512, tie_word_embeddings=True,
                         query_pre_attn_scalar=256),
    "phi-2": _model("phi", 2560, 10240, 32, 32, 32, 51200, partial_rotary_factor=0.4),
    "phi-4": _model("phi3", 5120, 17920, 40, 40, 10, 100352, pad_token_id=0),
    "falcon-7b": {"model_type": "falcon", "hidden_size": 4544, "num_hidden_layers": 32, "num_attention_heads": 71, "vocab_size": 65024,
                  "multi_query": True, "parallel_attn": True, "bias": False, "alibi": False, "new_decoder_architecture": False},
    "pythia-1.4b": _model("gpt_neox", 2048, 8192, 24, 16, 16, 50304),
    "olmo2-7b": _model("olmo2", 4096, 11008, 32, 32, 32, 100352),
    "granite-8b": _model("granite", 4096, 12800, 40, 32, 8, 49155, tie_word_embeddings=True),
    "cohere2-7b": _model("cohere2", 4096, 14336, 32, 32, 8, 256000, head_dim=128, sliding_window=4096, tie_word_embeddings=True),
    "starcoder2-3b": _model("starcoder2", 3072, 12288, 30, 24, 2, 49152, sliding_window=4096, tie_word_embeddings=True),
    "stablelm-1.6b": _model("stablelm", 2048, 5632, 24, 32, 32, 100352, use_qkv_bias=True),
    "glm4-9b": _model("glm4", 4096, 13696, 40, 32, 2, 151552, head_dim=128, pad_token_id=0),
    "nemotron-4b": _model("nemotron", 3072, 9216, 32, 24, 8, 256000, head_dim=128, hidden_act="relu2"),
    "mixtral-8x7b": _model("mixtral", 4096, 14336, 32, 32, 8, 32000, num_local_experts=8, num_experts_per_tok=2, sliding_window=None),
    "qwen3-30b-a3b": _model("qwen3_moe", 2048, 6144, 48, 32, 4, 151936, head_dim=128, moe_intermediate_size=768, num_experts=128,
                            num_experts_per_tok=8, norm_topk_prob=True),
    "gpt-oss-20b": _model("gpt_oss", 2880, 2880, 24, 64, 8, 201088, head_dim=64, num_local_experts=32, num_experts_per_tok=4, sliding_window=128),
}  # fmt: skip


def few(model: dict, layers: int = 6) -> dict:
    """The model with so many layers at most: enough where none of them is special, and soon recorded."""
    return model | {"num_hidden_layers": min(layers, model["num_hidden_layers"])}


TARGETS = {
    "phi": ["q_proj", "k_proj", "v_proj", "dense", "fc1", "fc2"],
    "phi3": ["qkv_proj", "o_proj", "gate_up_proj", "down_proj"],
    "falcon": ["query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"],
    "gpt_neox": ["query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"],
    "starcoder2": ["q_proj", "k_proj", "v_proj", "o_proj", "c_fc", "c_proj"],
    "glm4": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_up_proj", "down_proj"],
    "nemotron": ["q_proj", "k_proj", "v_proj", "o_proj", "up_proj", "down_proj"],
    "mixtral": SEVEN[:4], "qwen3_moe": SEVEN[:4], "gpt_oss": SEVEN[:4],
}  # fmt: skip
UNFUSED = {"phi", "phi3", "falcon", "gpt_neox", "olmo2", "stablelm"}  # Axolotl cannot patch these and raises


def lora(model: str, r: int = 16, **extra) -> dict:
    kind = MODELS[model]["model_type"]
    cfg = {"adapter": "lora", "lora_r": r, "lora_alpha": 2 * r, "lora_target_modules": TARGETS.get(kind, SEVEN)}
    return cfg | (OFF if kind in UNFUSED else {}) | ({"lora_mlp_kernel": False} if kind == "nemotron" else {}) | extra


def qlora(model: str, r: int = 16, **extra) -> dict:
    return lora(model, r) | {"adapter": "qlora", "load_in_4bit": True} | extra


def _first() -> Iterator[tuple]:
    """The dense core: method x loss x checkpointing x kernels x optimizer."""
    small, large = "llama-3.2-1b", "llama-3.1-8b"
    for loss_name, loss in {"plain": {}, "chunked": CHUNKED, "cce": CCE, "liger": LIGER}.items():
        for gc_name, gc in {"nogc": {}, "gc": GC}.items():
            yield f"{small}-full-{loss_name}-{gc_name}", small, FLASH | loss | gc, (1, 2048)
            yield f"{small}-lora-{loss_name}-{gc_name}", small, lora(small) | FLASH | loss | gc, (1, 2048)
            yield f"{large}-qlora-{loss_name}-{gc_name}", large, qlora(large) | FLASH | loss | gc, (1, 2048)
    for gc_name, gc in {"nogc": {}, "gc": GC, "gcnr": GC_NON_REENTRANT}.items():
        for kernels, off in {"fused": {}, "peft": OFF}.items():
            for cce, loss in {"cce": CCE}.items():
                yield f"{large}-lora-{kernels}-{gc_name}-{cce}", large, lora(large) | FLASH | loss | gc | off, (1, 4096)
                yield (
                    f"{large}-qlora-{kernels}-{gc_name}-{cce}",
                    large,
                    qlora(large) | FLASH | loss | gc | off,
                    (1, 4096),
                )
                yield (
                    f"{large}-dora-{kernels}-{gc_name}-{cce}",
                    large,
                    lora(large, peft_use_dora=True) | FLASH | loss | gc | off,
                    (1, 4096),
                )
                yield (
                    f"{large}-qdora-{kernels}-{gc_name}",
                    large,
                    qlora(large, peft_use_dora=True) | FLASH | loss | gc | off,
                    (1, 4096),
                )
    for kernels, off in {"fused": {}, "peft": OFF}.items():
        yield (
            f"{large}-lora-dropout-{kernels}",
            large,
            lora(large, lora_dropout=0.05) | FLASH | CCE | GC | off,
            (1, 4096),
        )
        yield (
            f"{large}-qlora-dropout-{kernels}-nogc",
            large,
            qlora(large, lora_dropout=0.05) | FLASH | CCE | off,
            (1, 4096),
        )
    for optimizer in ("adamw_torch", "adamw_torch_fused", "adamw_8bit", "paged_adamw_8bit", "paged_adamw_32bit", "adafactor", "lion_8bit", "lion_32bit",
                      "sgd", "rmsprop", "adagrad"):  # fmt: skip
        yield f"{small}-full-{optimizer}", small, FLASH | CCE | GC | {"optimizer": optimizer}, (1, 1024)
        yield (
            f"{large}-lora-r64-{optimizer}",
            large,
            lora(large, 64) | FLASH | CCE | GC | {"optimizer": optimizer},
            (1, 256),
        )


def _wide() -> Iterator[tuple]:
    small, large = "llama-3.2-1b", "llama-3.1-8b"
    # Axolotl's own examples, whose READMEs print the memory of a run: micro_batch_size 2 x 2048 packed, dropout 0.05.
    published = (
        PACK
        | GC
        | FLASH
        | {"gradient_accumulation_steps": 4, "micro_batch_size": 2, "optimizer": "adamw_bnb_8bit", "documents": 8}
    )
    for name in ("ministral-8b", "magistral-24b", "seed-oss-36b"):
        example = (
            qlora(name, 32, lora_alpha=16, lora_dropout=0.05, lora_target_linear=True, lora_target_modules=None)
            | published
        )
        for kernels, off in {"fused": {}, "peft": OFF}.items():
            for loss_name, loss in {"cce": CCE, "plain": {}}.items():
                if (name, loss_name) != ("seed-oss-36b", "plain"):
                    yield f"published-{name}-qlora-{kernels}-{loss_name}", name, example | loss | off, (1, 4096)
    for attention in (None, "sdpa", "eager"):
        name = attention or "unset"
        given = {"attn_implementation": attention} if attention else {}
        yield f"{small}-full-{name}", small, given | GC, (1, 2048)
        yield f"{small}-full-{name}-nogc-cce", small, given | CCE, (2, 1024)
        yield f"{small}-lora-{name}-nogc", small, lora(small) | given | CCE, (2, 1024)
        yield f"{small}-qlora-{name}-padded", small, qlora(small, padded=True) | given | GC, (4, 1024)
        yield (
            f"mistral-7b-v0.1-qlora-{name}-window",
            "mistral-7b-v0.1",
            qlora("mistral-7b-v0.1") | given | GC | CCE,
            (1, 8192),
        )
    yield f"{small}-lora-sdpa-packed", small, lora(small) | {"attn_implementation": "sdpa"} | PACK | CCE, (4, 1024)
    yield f"{small}-lora-flash-packed", small, lora(small) | FLASH | PACK | CCE | {"documents": 8}, (1, 4096)
    yield (
        f"{large}-qlora-packed-ga4",
        large,
        qlora(large) | FLASH | PACK | GC | {"gradient_accumulation_steps": 4},
        (1, 4096),
    )
    yield f"{small}-full-ga4", small, FLASH | GC | {"gradient_accumulation_steps": 4}, (1, 1024)
    yield f"{small}-full-neftune", small, FLASH | CCE | {"neftune_noise_alpha": 5.0}, (2, 2048)
    yield f"{small}-lora-neftune-gc", small, lora(small) | FLASH | CCE | GC | {"neftune_noise_alpha": 5.0}, (2, 2048)
    yield (
        f"{large}-lora-modules-to-save",
        large,
        lora(large, lora_modules_to_save=["embed_tokens", "lm_head"]) | FLASH | GC,
        (1, 1024),
    )
    yield (
        f"{large}-lora-modules-to-save-cce",
        large,
        lora(large, lora_modules_to_save=["embed_tokens", "lm_head"]) | FLASH | GC | CCE | {"optimizer": "adamw_8bit"},
        (1, 1024),
    )
    yield f"{large}-lora-8bit", large, lora(large, load_in_8bit=True) | FLASH | GC | CCE, (1, 4096)
    yield f"{large}-lora-8bit-nogc", large, lora(large, load_in_8bit=True) | FLASH | CCE, (1, 2048)
    yield f"{large}-lora-4bit-trap", large, lora(large, load_in_4bit=True) | FLASH | GC | CCE, (1, 1024)
    yield (
        f"{large}-qlora-single-quant",
        large,
        qlora(large, bnb_config_kwargs={"bnb_4bit_use_double_quant": False}) | FLASH | GC | CCE,
        (1, 1024),
    )
    yield (
        f"{large}-lora-bf16-adapter",
        large,
        lora(large, peft_autocast_adapter_dtype=False) | FLASH | GC | CCE,
        (1, 2048),
    )
    yield (
        f"{large}-lora-attention-only",
        large,
        lora(large, lora_target_modules=SEVEN[:4]) | FLASH | GC | CCE,
        (1, 4096),
    )
    yield f"{large}-lora-qv-nogc", large, lora(large, lora_target_modules=["q_proj", "v_proj"]) | FLASH | CCE, (1, 2048)
    yield f"{large}-lora-r256", large, lora(large, 256) | FLASH | GC | CCE | {"optimizer": "adamw_8bit"}, (1, 512)
    yield f"{small}-lora-batch8", small, lora(small) | FLASH | GC, (8, 512)
    yield f"{small}-full-long", small, FLASH | GC | CCE, (1, 32768)
    yield f"{large}-qlora-long", large, qlora(large) | FLASH | GC | CCE, (1, 32768)
    yield f"{small}-full-no-clip", small, FLASH | GC | CCE | {"max_grad_norm": 0.0}, (1, 1024)
    yield (
        f"{small}-qlora-eval-4",
        small,
        qlora(small) | FLASH | GC | CCE | {"val_set_size": 0.1, "eval_batch_size": 4},
        (1, 2048),
    )
    yield (
        f"{small}-qlora-eval-plain",
        small,
        qlora(small) | FLASH | GC | {"val_set_size": 0.1, "eval_batch_size": 4},
        (1, 1024),
    )
    yield (
        "qwen3-32b-qlora",
        "qwen3-32b",
        qlora("qwen3-32b", 32) | FLASH | GC | CCE | {"optimizer": "paged_adamw_8bit"},
        (1, 4096),
    )
    done = {
        small,
        large,
        "ministral-8b",
        "magistral-24b",
        "seed-oss-36b",
        "mistral-7b-v0.1",
        "qwen3-32b",
        "mixtral-8x7b",
        "qwen3-30b-a3b",
        "gpt-oss-20b",
    }
    for name in MODELS:
        if name not in done:
            # Falcon chooses its attention class by the name of the backend, so its flash class cannot be replaced: SDPA there
            flash = {"attn_implementation": "sdpa"} if name == "falcon-7b" else FLASH
            yield f"{name}-full-gc", name, flash | GC, (1, 1024)
            yield f"{name}-full-nogc-unset", name, dict(CHUNKED), (1, 1024)
            yield f"{name}-lora-nogc", name, lora(name) | flash, (1, 2048)
            yield f"{name}-lora-gc-cce", name, lora(name) | flash | GC | CCE, (2, 4096)
            yield f"{name}-qlora-gc", name, qlora(name) | flash | GC, (2, 1024)
            yield f"{name}-qlora-nogc-peft-dropout", name, qlora(name, lora_dropout=0.05) | flash | CCE | OFF, (1, 2048)


def _experts() -> Iterator[tuple]:
    for name in ("mixtral-8x7b", "qwen3-30b-a3b", "gpt-oss-20b"):
        yield f"{name}-lora-gc-cce", name, lora(name) | FLASH | GC | CCE, (1, 2048)
        yield f"{name}-lora-nogc-cce", name, lora(name) | FLASH | CCE, (1, 512)
        yield f"{name}-full-2-layers", name, FLASH | GC | CCE, (1, 2048)


def cases() -> Iterator[tuple[str, dict, dict, tuple[int, int]]]:
    """All cases, the dense core first."""
    for part in (_first, _wide, _experts):
        for name, model, cfg, rows in part():
            config = MODELS[model] | ({"num_hidden_layers": 2} if name.endswith("-2-layers") else {})
            yield name, config, {k: v for k, v in cfg.items() if v is not None}, rows
