"""Switches rarely met together, over models of odd sizes: every model type and every adapter that is priced, in turn.

``python -m tests.reference.memory.record --rare 5 --count 180`` draws from seed 5 and records to
``tests/data/memory/rare.jsonl``.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from .catalogue import ALL_TARGETS, EAGER_ONLY, LAYERS, NOT_QUANTIZED, SDPA, TOWERS, kernels_off, pool, shrunk, targets
from .keys import CCE, CHUNKED, LIGER, OFF, SEVEN
from .switches import NEW_OPTIMIZERS

ADAPTERS = {
    "full": 16, "lora": 14, "qlora": 12, "dora": 6, "qdora": 5, "int8": 4, "upcast": 3, "ia3": 4, "prompt_tuning": 3,
    "prefix_tuning": 3, "p_tuning": 3, "bottleneck": 4, "adalora": 4, "loha": 4, "lokr": 4, "vera": 4, "oft": 4,
    "ln_tuning": 3, "trainable_tokens": 3,
}  # fmt: skip
LORA = ("lora", "qlora", "dora", "qdora", "int8", "upcast")
ALIKE = frozenset(
    """arcee ernie4_5 gemma gemma2 gemma3_text glm glm4 granite helium hunyuan_v1_dense llama ministral ministral3 mistral
    olmo olmo2 olmo3 phi phi3 qwen2 qwen3 seed_oss smollm3 stablelm starcoder2""".split()
)
"""Whose other methods than LoRA are drawn: dense decoders of Transformers' usual names."""
OWN_WIDTH = frozenset(
    """arcee cohere2 ernie4_5 exaone4 gemma gemma2 gemma3_text glm glm4 glm4_moe gpt_oss helium hunyuan_v1_dense ministral
    ministral3 mistral mixtral nemotron qwen2_moe qwen3 qwen3_moe seed_oss smollm3""".split()
)
"""Whose heads may be wider or narrower than the hidden size says."""
SQUARE = frozenset("apertus cohere granite granitemoe llama olmo olmo2 olmo3 olmoe phi phimoe qwen2 stablelm starcoder2 phi3".split())  # fmt: skip
"""Whose heads divide the hidden size."""
DIVIDED = frozenset(("arcee", "gemma2", "gemma3_text"))
"""Whose heads divide the hidden size though they have a width of their own."""
PADDED = frozenset(("glm", "glm4", "glm4_moe", "smollm3"))
"""Whose own padding token is beyond a small vocabulary."""
FLAGS = {
    "attention_bias": "llama granite qwen3 qwen3_moe smollm3 olmo olmo2 olmo3 cohere cohere2 gemma gemma2 gemma3_text glm glm4 helium "
    "arcee apertus seed_oss nemotron gpt_neox hunyuan_v1_dense".split(),
    "mlp_bias": "llama granite smollm3 arcee nemotron seed_oss".split(),
    "use_bias": "starcoder2 ernie4_5".split(),
    "use_qkv_bias": ["stablelm"],
    "use_parallel_residual": ["stablelm", "gpt_neox"],
    "qk_layernorm": ["stablelm", "phi"],
    "use_qk_norm": ["cohere"],
    "multi_query": ["falcon"],
    "bias": ["falcon"],
}  # fmt: skip
VOCABULARIES = (257, 1003, 8192, 32001, 50258, 65537, 100352, 151937, 262147)
OPTIMIZERS = (
    "adamw_torch", "adamw_torch_fused", "adamw_8bit", "adamw_bnb_8bit", "paged_adamw_8bit", "paged_adamw_32bit",
    "adafactor", "lion_8bit", "lion_32bit", "sgd", "rmsprop", "adagrad",
    *(name for name in NEW_OPTIMIZERS if not name.startswith(("galore", "apollo", "flash"))),
)  # fmt: skip
KERNELS = ({"liger_rms_norm": True}, {"liger_glu_activation": True}, {"liger_rope": True},
           {"liger_rms_norm": True, "liger_glu_activation": True, "liger_rope": True})  # fmt: skip
LIGER_TYPES = frozenset("llama mistral qwen2 qwen3 gemma gemma2".split())


def rare(seed: int, count: int, only: str = "") -> Iterator[tuple[str, dict, dict, tuple[int, int]]]:
    """``count`` cases from ``seed``, the model types in turn, half of them of odd sizes."""
    random_ = random.Random(seed)
    models = pool()
    kinds = [kind for kind in models if only in kind]
    random_.shuffle(kinds)
    for index in range(count):
        kind = kinds[index % len(kinds)]
        model = shrunk(random_.choice(models[kind]), LAYERS.get(kind, random_.choice([1, 2, 3])))
        if random_.random() < 0.6:
            model = odd(random_, kind, model)
        config, rows = _switches(random_, kind, model)
        yield f"rare-{seed}-{index}-{kind}", model, config, rows


def odd(random_: random.Random, kind: str, model: dict[str, Any]) -> dict[str, Any]:
    """The model with sizes, ties and biases that nobody publishes."""
    pick = random_.choice
    out = dict(model)
    for flag, kinds in FLAGS.items():
        if kind in kinds:
            out[flag] = pick([True, False])
    if kind in OWN_WIDTH | SQUARE and kind not in TOWERS:
        heads = pick([1, 2, 3, 6, 8, 14, 20])
        dim = pick([16, 32, 40, 64, 72, 80, 96, 112, 128, 160, 256])
        out["num_attention_heads"] = heads
        groups = [n for n in range(1, heads + 1) if heads % n == 0]
        out["num_key_value_heads"] = pick(groups)
        if kind in OWN_WIDTH:
            out["head_dim"], out["hidden_size"] = dim, 16 * random_.randint(8, 160)
        else:
            out["hidden_size"] = heads * dim
            out.pop("head_dim", None)
        if kind in DIVIDED:
            out["hidden_size"] = out["hidden_size"] // heads * heads
        out["intermediate_size"] = 16 * random_.randint(8, 500)
        for key in ("moe_intermediate_size", "shared_expert_intermediate_size"):
            if key in out:
                out[key] = 16 * random_.randint(8, 80)
        if out.get("query_pre_attn_scalar"):
            out["query_pre_attn_scalar"] = dim
    if "vocab_size" in out:
        out["vocab_size"] = pick(VOCABULARIES)
    if kind in OWN_WIDTH | SQUARE and kind not in ("gpt_oss", "phimoe"):
        out["tie_word_embeddings"] = pick([True, False])
    if kind in PADDED:
        out["pad_token_id"] = 0
    for key in ("pad_token_id", "eos_token_id", "bos_token_id"):
        if out.get(key) is not None:
            out[key] = 0
    return out


def _lora(random_: random.Random, kind: str, model: dict[str, Any], method: str) -> dict[str, Any]:
    pick = random_.choice
    names = targets(kind)
    if isinstance(names, list) and random_.random() < 0.35:
        names = random_.sample(names, random_.randint(1, len(names)))
    rank = pick([1, 2, 8, 16, 33, 64, 256])
    config: dict[str, Any] = {"adapter": "qlora" if method in ("qlora", "qdora") else "lora", "lora_r": rank}
    config |= {"lora_alpha": 2 * rank, "lora_target_modules": names}
    if method in ("qlora", "qdora", "upcast"):
        config["load_in_4bit"] = True
    if method == "int8":
        config["load_in_8bit"] = True
    if method in ("dora", "qdora"):
        config["peft_use_dora"] = True
    if random_.random() < 0.45:
        config["lora_dropout"] = 0.1
    if method == "qlora" and random_.random() < 0.25:
        config["bnb_config_kwargs"] = pick(
            [{"bnb_4bit_use_double_quant": False}, {"bnb_4bit_compute_dtype": "float32"}]
        )
    if random_.random() < 0.2 and kind in ALIKE:
        config["lora_modules_to_save"] = pick([["embed_tokens"], ["lm_head"], ["embed_tokens", "lm_head"]])
    if random_.random() < 0.1:
        config["peft_autocast_adapter_dtype"] = False
    if random_.random() < 0.2:
        config["relora"] = True
    gated = set(SEVEN) <= set(names) if isinstance(names, list) else False
    if kernels_off(kind, model) or kind in TOWERS or random_.random() < 0.4:
        config |= OFF
    elif not gated or kind in ("apertus", "arcee", "nemotron", "starcoder2", "glm", "glm4", "jamba", "nemotron_h"):
        whole = isinstance(names, list) and set(SEVEN[:4]) <= set(names)
        config |= {"lora_qkv_kernel": True, "lora_o_kernel": True} if whole and kind != "nemotron_h" else OFF
    elif random_.random() < 0.3:
        config |= pick([{"lora_mlp_kernel": True}, {"lora_qkv_kernel": True}, {"lora_o_kernel": True}])
    return config


def _other(random_: random.Random, kind: str, method: str) -> dict[str, Any]:
    """One of PEFT's other methods, or bottlenecks."""
    pick = random_.choice
    names = list(ALL_TARGETS.get(kind, SEVEN))
    reached = names if random_.random() < 0.6 else random_.sample(names, min(len(names), random_.randint(1, 4)))
    settings: dict[str, Any] = {}
    match method:
        case "prompt_tuning" | "p_tuning":
            settings = {"num_virtual_tokens": pick([1, 20, 100])}
        case "prefix_tuning":
            settings = {"num_virtual_tokens": pick([5, 30, 100])}
            if random_.random() < 0.5:
                settings |= {"prefix_projection": True, "encoder_hidden_size": pick([64, 512])}
        case "ia3":
            downs = [name for name in reached if name in ("down_proj", "fc2", "c_proj")]
            settings = {"target_modules": reached, "feedforward_modules": downs}
        case "bottleneck":
            settings = {"placement": pick(["houlsby", "pfeiffer"]), "non_linearity": pick(["relu", "gelu"])}
            settings |= {"bottleneck_size": pick([8, 64, 200]), "bias": pick([True, False])}
        case "adalora":
            rank = pick([12, 24, 64])
            settings = {"total_step": 100, "init_r": rank, "target_r": rank // 2, "target_modules": reached}
            if random_.random() < 0.4:
                settings["lora_dropout"] = 0.1
        case "loha":
            settings = {"r": pick([2, 8, 32]), "target_modules": reached}
        case "lokr":
            settings = {"r": pick([2, 8, 32]), "target_modules": reached, "decompose_both": pick([True, False])}
        case "vera":
            settings = {"r": pick([32, 128, 256]), "target_modules": reached}
        case "oft":
            settings = {"oft_block_size": pick([8, 16]), "target_modules": reached}
        case "trainable_tokens":
            settings = {"token_indices": list(range(pick([1, 17, 64])))}
    return {"adapter": method} | ({"peft_config": settings} if settings else {})


def _switches(random_: random.Random, kind: str, model: dict[str, Any]) -> tuple[dict, tuple[int, int]]:
    pick, chance = random_.choice, random_.random
    method = random_.choices(list(ADAPTERS), list(ADAPTERS.values()))[0]
    if method not in ("full", *LORA) and kind not in ALIKE:
        method = pick(["full", "lora", "dora"])
    if kind in NOT_QUANTIZED and method in ("qlora", "qdora", "int8", "upcast"):
        method = "lora"
    config: dict[str, Any] = {}
    if method in LORA:
        config = _lora(random_, kind, model, method)
    elif method != "full":
        config = _other(random_, kind, method)
    precision = chance()
    if precision < 0.08 and method in ("full", "lora", "dora"):
        config |= {"bf16": False, "fp16": False} | (OFF if method != "full" else {})
    elif precision < 0.16 and method in ("lora", "qlora", "dora"):
        config |= {"bf16": False, "fp16": True}
    attention = _attention(random_, kind, model)
    if precision < 0.08 and attention == "flash_attention_2":
        attention = "sdpa"
    if attention:
        config["attn_implementation"] = attention
    capped = any(part.get("final_logit_softcapping") for part in (model, model.get("text_config", {})))
    rl = None
    if method in ("full", *LORA) and kind not in TOWERS and chance() < 0.15:
        rl = pick(["dpo", "ipo", "kto", "orpo", "simpo", "reward"])
        config |= ({"reward_model": True} | (OFF if method != "full" else {})) if rl == "reward" else {"rl": rl}
        config.pop("lora_modules_to_save", None)
        config.pop("relora", None)
        if method != "full" and kernels_off(kind, model):
            config |= OFF
    elif precision < 0.08:
        config |= pick([{}, CHUNKED, {"liger_cross_entropy": True}])
    else:
        loss = random_.choices([{}, CHUNKED, CCE, LIGER, {"liger_cross_entropy": True}], [25, 25, 25, 15, 10])[0]
        config |= CCE if loss is LIGER and capped else loss
    if kind in LIGER_TYPES and method in ("full", "lora", "qlora") and not rl and chance() < 0.35:
        config |= pick(KERNELS)
    _checkpointing(random_, config, method, rl)
    config["optimizer"] = pick(OPTIMIZERS)
    if chance() < 0.3:
        config["gradient_accumulation_steps"] = pick([2, 3, 16])
    if chance() < 0.2 and not rl and method not in ("prompt_tuning", "p_tuning", "prefix_tuning"):
        config["neftune_noise_alpha"] = 5.0
    rows, tokens = pick([1, 1, 1, 2, 3, 4, 5, 7]), random_.randint(33, 1700)
    if attention == "eager":
        rows, tokens = min(rows, 2), min(tokens, 900)
    if rl:
        rows, tokens = min(rows, 3), min(tokens, 700)
        rows += rows % 2 if rl == "kto" else 0  # half of them good
    elif attention in ("flash_attention_2", "sdpa") and chance() < 0.25 and method not in ("prompt_tuning", "p_tuning"):
        config["sample_packing"] = True
        if attention == "flash_attention_2":
            rows, tokens = 1, rows * tokens
    if chance() < 0.25 and not rl:
        config |= {"val_set_size": 0.1, "eval_batch_size": pick([1, 3, 8])}
    return config, (rows, tokens)


def _attention(random_: random.Random, kind: str, model: dict[str, Any]) -> str | None:
    if kind in EAGER_ONLY or kind == "gpt_oss":
        return "eager"
    if kind in SDPA:
        return random_.choice(["sdpa", "sdpa", "eager"]) if kind in ("gpt_neox", "gpt2") else "sdpa"
    flexible = kind in ("llama", "mistral", "qwen2", "qwen3", "gemma", "phi3", "olmo2", "granite", "smollm3")
    return random_.choices(
        ["flash_attention_2", "sdpa", "eager", None, "flex_attention"], [40, 20, 15, 15, 10 if flexible else 0]
    )[0]


def _checkpointing(random_: random.Random, config: dict[str, Any], method: str, rl: str | None) -> None:
    pick, chance = random_.choice, random_.random
    if method == "prefix_tuning" or chance() < 0.35:
        return
    config["gradient_checkpointing"] = True
    if rl:
        return
    if chance() < 0.4:
        config["gradient_checkpointing_kwargs"] = {"use_reentrant": False}
    if method in ("full", "lora", "qlora") and chance() < 0.2:
        config["activation_offloading"] = pick([True, "legacy", "hidden_states"])
