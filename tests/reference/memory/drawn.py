"""Cases drawn at random from a seed: models x methods x switches, to test the formulas on what they were not made from.

``python -m tests.reference.memory.record --seed 7 --count 120`` records them to ``tests/data/memory/drawn.jsonl``.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from .cases import MODELS, TARGETS, UNFUSED, _model
from .keys import CCE, CHUNKED, LIGER, OFF, SEVEN

MORE = {
    "arcee-4.5b": _model("arcee", 2560, 18432, 36, 20, 4, 128003, head_dim=128, hidden_act="relu2"),
    "smollm3-3b": _model("smollm3", 2048, 11008, 36, 16, 4, 128256, tie_word_embeddings=True, pad_token_id=0),
    "exaone4-1.2b": _model("exaone4", 2048, 4096, 30, 32, 8, 102400, head_dim=64, tie_word_embeddings=True,
                           sliding_window=None, pad_token_id=0),
    "helium-2b": _model("helium", 2560, 7040, 24, 20, 20, 48000, head_dim=128),
    "hunyuan-1.8b": _model("hunyuan_v1_dense", 2048, 6144, 32, 16, 4, 120818, head_dim=128, tie_word_embeddings=True),
    "ernie-0.3b": _model("ernie4_5", 1024, 3072, 18, 16, 2, 103424, head_dim=128, tie_word_embeddings=True),
    "apertus-8b": _model("apertus", 4096, 21504, 32, 32, 8, 131072, hidden_act="xielu"),
    "ministral3-3b": _model("ministral3", 3072, 9216, 26, 32, 8, 131072, head_dim=128, tie_word_embeddings=True),
    "qwen2.5-1.5b": _model("qwen2", 1536, 8960, 28, 12, 2, 151936, tie_word_embeddings=True),
    "qwen3-1.7b": _model("qwen3", 2048, 6144, 28, 16, 8, 151936, head_dim=128, tie_word_embeddings=True),
    "qwen3-14b": _model("qwen3", 5120, 17408, 40, 40, 8, 151936, head_dim=128),
    "llama-3.2-3b": _model("llama", 3072, 8192, 28, 24, 8, 128256, head_dim=128, tie_word_embeddings=True),
    "llama-3.1-70b": _model("llama", 8192, 28672, 80, 64, 8, 128256, head_dim=128),
    "gemma-2-2b": _model("gemma2", 2304, 9216, 26, 8, 4, 256000, head_dim=256, sliding_window=4096, tie_word_embeddings=True,
                         final_logit_softcapping=30.0, attn_logit_softcapping=50.0, query_pre_attn_scalar=256),
    "gemma-3-4b": _model("gemma3_text", 2560, 10240, 34, 8, 4, 262208, head_dim=256, sliding_window=1024, tie_word_embeddings=True,
                         query_pre_attn_scalar=256),
    "phi-3.5-mini": _model("phi3", 3072, 8192, 32, 32, 32, 32064, pad_token_id=0, sliding_window=262144),
    "pythia-410m": _model("gpt_neox", 1024, 4096, 24, 16, 16, 50304),
    "olmo-1b": _model("olmo", 2048, 8192, 16, 16, 16, 50304, tie_word_embeddings=True),
    "olmo3-7b": _model("olmo3", 4096, 11008, 32, 32, 32, 100278, sliding_window=4096),
    "olmoe-7b": _model("olmoe", 2048, 1024, 16, 16, 16, 50304, num_experts=64, num_experts_per_tok=8),
    "granite-3-2b": _model("granite", 2048, 8192, 40, 32, 8, 49155, tie_word_embeddings=True),
    "granitemoe-3b": _model("granitemoe", 1536, 512, 32, 24, 8, 49155, num_local_experts=40, num_experts_per_tok=8,
                            tie_word_embeddings=True),
    "qwen1.5-moe": _model("qwen2_moe", 2048, 5632, 24, 16, 16, 151936, moe_intermediate_size=1408,
                          shared_expert_intermediate_size=5632, num_experts=60, num_experts_per_tok=4),
    "deepseek-v2-lite": _model("deepseek_v2", 2048, 10944, 27, 16, 16, 102400, moe_intermediate_size=1408, n_routed_experts=64,
                               n_shared_experts=2, num_experts_per_tok=6, first_k_dense_replace=1, kv_lora_rank=512, q_lora_rank=None,
                               qk_nope_head_dim=128, qk_rope_head_dim=64, v_head_dim=128),
    "moonlight-16b": _model("deepseek_v3", 2048, 11264, 27, 16, 16, 163840, moe_intermediate_size=1408, n_routed_experts=64,
                            n_shared_experts=2, num_experts_per_tok=6, first_k_dense_replace=1, kv_lora_rank=512, q_lora_rank=None,
                            qk_nope_head_dim=128, qk_rope_head_dim=64, v_head_dim=128, n_group=1, topk_group=1),
    "phimoe-small": _model("phimoe", 2048, 3200, 16, 16, 4, 32064, num_local_experts=16, num_experts_per_tok=2),
    "glm4-moe-small": _model("glm4_moe", 2048, 8192, 16, 32, 4, 151552, head_dim=128, moe_intermediate_size=1024,
                             n_routed_experts=32, n_shared_experts=1, num_experts_per_tok=8, first_k_dense_replace=1, pad_token_id=0),
    "opt-1.3b": {"model_type": "opt", "hidden_size": 2048, "ffn_dim": 8192, "num_hidden_layers": 24, "num_attention_heads": 32,
                 "vocab_size": 50272, "max_position_embeddings": 2048, "word_embed_proj_dim": 2048, "dropout": 0.0},
    "gpt2-large": {"model_type": "gpt2", "n_embd": 1280, "n_layer": 36, "n_head": 20, "vocab_size": 50257, "n_positions": 4096,
                   "resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0},
    "lfm2-1.2b": _model("lfm2", 2048, 12288, 16, 32, 8, 65536, block_auto_adjust_ff_dim=True, block_multiple_of=256,
                        block_ffn_dim_multiplier=1.0, layer_types=["conv", "conv", "full_attention"] * 5 + ["conv"], tie_word_embeddings=True),
    "qwen3-next-small": _model("qwen3_next", 2048, 5120, 12, 16, 2, 151936, head_dim=256, moe_intermediate_size=512, num_experts=64,
                               num_experts_per_tok=10, shared_expert_intermediate_size=512, linear_num_value_heads=32,
                               linear_num_key_heads=16, linear_key_head_dim=128, linear_value_head_dim=128),
    "qwen3.5-4b": _model("qwen3_5_text", 2560, 9216, 32, 16, 4, 248320, head_dim=256, linear_num_value_heads=32, linear_num_key_heads=16,
                         linear_key_head_dim=128, linear_value_head_dim=128, tie_word_embeddings=True),
}  # fmt: skip
POOL = MODELS | MORE
MORE_TARGETS = {
    "arcee": ["q_proj", "k_proj", "v_proj", "o_proj", "up_proj", "down_proj"],
    "apertus": ["q_proj", "k_proj", "v_proj", "o_proj", "up_proj", "down_proj"],
    "opt": ["q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"],
    "gpt2": ["c_attn", "c_proj", "c_fc"],
    "olmoe": SEVEN[:4],
    "granitemoe": SEVEN[:4],
    "qwen2_moe": SEVEN[:4],
    "phimoe": SEVEN[:4],
    "glm4_moe": SEVEN[:4],
    "deepseek_v2": ["q_proj", "kv_a_proj_with_mqa", "kv_b_proj", "o_proj"],
    "deepseek_v3": ["q_proj", "kv_a_proj_with_mqa", "kv_b_proj", "o_proj"],
    "lfm2": ["q_proj", "k_proj", "v_proj", "out_proj", "in_proj", "w1", "w2", "w3"],
    "qwen3_next": SEVEN[:4],
    "qwen3_5_text": SEVEN,
} | TARGETS
NOT_FUSED = UNFUSED | {
    "olmo",
    "olmo3",
    "olmoe",
    "opt",
    "gpt2",
    "deepseek_v2",
    "deepseek_v3",
    "glm4_moe",
    "lfm2",
    "gemma4_text",
}
NO_MLP_KERNEL = {"nemotron", "arcee", "apertus"}
OPTIMIZERS = ("adamw_torch", "adamw_torch_fused", "adamw_8bit", "adamw_bnb_8bit", "paged_adamw_8bit", "paged_adamw_32bit", "adafactor",
              "lion_8bit", "lion_32bit", "sgd", "rmsprop", "adagrad")  # fmt: skip


def draw(seed: int, count: int, only: str = "") -> Iterator[tuple[str, dict, dict, tuple[int, int]]]:
    """``count`` cases from ``seed``, each model in turn."""
    random_ = random.Random(seed)
    names = [name for name in POOL if only in name]
    random_.shuffle(names)
    for index in range(count):
        name = names[index % len(names)]
        yield f"drawn-{seed}-{index}-{name}", *_case(random_, POOL[name])


def _case(random_: random.Random, model: dict) -> tuple[dict, dict, tuple[int, int]]:
    kind = model["model_type"]
    pick = random_.choice
    method = random_.choices(["full", "lora", "qlora", "dora", "qdora", "int8"], [25, 25, 25, 7, 7, 6])[0]
    config: dict = {}
    if method != "full":
        targets = list(MORE_TARGETS.get(kind, SEVEN))
        if random_.random() < 0.25:
            targets = random_.sample(targets, random_.randint(1, len(targets)))
        rank = pick([1, 4, 8, 16, 32, 64, 128, 256])
        config |= {"adapter": "qlora" if method.startswith("q") else "lora", "lora_r": rank, "lora_alpha": 2 * rank}
        config["lora_target_modules"] = targets
        if method.startswith("q"):
            config["load_in_4bit"] = True
            if random_.random() < 0.15:
                config["bnb_config_kwargs"] = {"bnb_4bit_use_double_quant": False}
        if method == "int8":
            config["load_in_8bit"] = True
        if "dora" in method:
            config["peft_use_dora"] = True
        if random_.random() < 0.4:
            config["lora_dropout"] = 0.05
        if kind in NOT_FUSED or random_.random() < 0.35:
            config |= OFF
        elif kind in NO_MLP_KERNEL:
            config |= {"lora_qkv_kernel": True, "lora_o_kernel": True}
        elif random_.random() < 0.1:
            config |= pick(
                [{"lora_mlp_kernel": True}, {"lora_qkv_kernel": True, "lora_o_kernel": True}, {"lora_o_kernel": True}]
            )
    attention = (
        "sdpa"
        if kind == "falcon"
        else random_.choices(["flash_attention_2", "sdpa", "eager", None], [60, 15, 10, 15])[0]
    )
    if kind in ("gpt2", "opt") and attention == "flash_attention_2":
        attention = "sdpa"
    if attention:
        config["attn_implementation"] = attention
    loss = random_.choices([{}, CHUNKED, CCE, LIGER], [30, 20, 35, 15])[0]
    if loss in (CCE, LIGER) and model.get("final_logit_softcapping"):
        loss = CCE
    config |= loss
    checkpointing = random_.random()
    if checkpointing < 0.65:
        config["gradient_checkpointing"] = True
        if checkpointing < 0.2:
            config["gradient_checkpointing_kwargs"] = {"use_reentrant": False}
    config["optimizer"] = pick(OPTIMIZERS)
    if random_.random() < 0.3:
        config["gradient_accumulation_steps"] = pick([2, 4, 8])
    if random_.random() < 0.1:
        config["neftune_noise_alpha"] = 5.0
    rows = random_.choices([1, 2, 4, 8], [50, 25, 15, 10])[0]
    tokens = pick([256, 512, 1024, 2048, 4096, 8192])
    while rows * tokens > 16384 or (attention == "eager" and tokens > 2048):
        tokens //= 2
    if attention == "flash_attention_2" and random_.random() < 0.3:
        config["sample_packing"] = True
        rows, tokens = 1, rows * tokens
    if random_.random() < 0.1:
        config |= {"val_set_size": 0.1, "eval_batch_size": pick([1, 2, 4, 8])}
    return model, config, (rows, tokens)
