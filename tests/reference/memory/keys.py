"""Axolotl's keys by short names, as cases put them together: a case's config is the union of a few of these."""

from __future__ import annotations

from typing import Any

SEVEN = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
FOUR = SEVEN[:4]
PAIR = ["q_proj", "v_proj"]
PHI = ["qkv_proj", "o_proj", "gate_up_proj", "down_proj"]
NEOX = ["query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"]
CODER = ["q_proj", "k_proj", "v_proj", "o_proj", "c_fc", "c_proj"]
LATENT = ["q_a_proj", "q_b_proj", "kv_a_proj_with_mqa", "kv_b_proj", "o_proj"]
LANGUAGE = r"model.language_model.layers.[\d]+.(mlp|cross_attn|self_attn).(up|down|gate|q|k|v|o)_proj"
"""As Axolotl's examples of models with towers write it."""

OFF = {"lora_mlp_kernel": False, "lora_qkv_kernel": False, "lora_o_kernel": False, "lora_embedding_kernel": False}
ATTENDING = {"lora_qkv_kernel": True, "lora_o_kernel": True}
DORA, RS, RELORA = {"peft_use_dora": True}, {"peft_use_rslora": True}, {"relora": True}
SAVED = {"lora_modules_to_save": ["embed_tokens", "lm_head"]}
HEAD, ROWS = ({"lora_modules_to_save": [name]} for name in ("lm_head", "embed_tokens"))
EXPERTS = {"lora_target_parameters": ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]}
QUANTIZED = {"quantize_moe_experts": True}
INT8 = {"load_in_8bit": True}

FLASH = {"attn_implementation": "flash_attention_2"}
FLASH3 = {"attn_implementation": "flash_attention_3"}
SDPA, EAGER, FLEX = ({"attn_implementation": name} for name in ("sdpa", "eager", "flex_attention"))
PACK = {"sample_packing": True}
PADDED = {"padded": True}

GC = {"gradient_checkpointing": True}
GC_NON_REENTRANT = GC | {"gradient_checkpointing_kwargs": {"use_reentrant": False}}

CCE = {"cut_cross_entropy": True}
LIGER = {"liger_fused_linear_cross_entropy": True}
LIGER_LOGITS = {"liger_cross_entropy": True}
CHUNKED = {"chunked_cross_entropy": True}
DPO, IPO, ORPO, SIMPO, KTO = ({"rl": name} for name in ("dpo", "ipo", "orpo", "simpo", "kto"))
REWARD = {"reward_model": True}

FP16, FP32 = {"bf16": False, "fp16": True}, {"bf16": False, "fp16": False}
HALF = {"bf16": False, "float16": True}
NEFT = {"neftune_noise_alpha": 5.0}
ADAM8, PAGED, FUSED = ({"optimizer": name} for name in ("adamw_8bit", "paged_adamw_8bit", "adamw_torch_fused"))


def lora(rank: int, targets: Any = SEVEN, **more: Any) -> dict[str, Any]:
    """An adapter over 16 bits."""
    return {"adapter": "lora", "lora_r": rank, "lora_alpha": 2 * rank, "lora_target_modules": targets} | more


def qlora(rank: int, targets: Any = SEVEN, **more: Any) -> dict[str, Any]:
    """An adapter over 4 bits."""
    return lora(rank, targets, **more) | {"adapter": "qlora", "load_in_4bit": True}


def linear(rank: int, **more: Any) -> dict[str, Any]:
    """``lora_target_linear``, without a list."""
    given = lora(rank, **more) | {"lora_target_linear": True}
    del given["lora_target_modules"]
    return given


def other(method: str, **settings: Any) -> dict[str, Any]:
    """Another of PEFT's methods."""
    return {"adapter": method} | ({"peft_config": settings} if settings else {})


def optimizer(name: str, **more: Any) -> dict[str, Any]:
    """By its name."""
    return {"optimizer": name} | more


def evaluated(rows: int) -> dict[str, Any]:
    """A validation split."""
    return {"val_set_size": 0.05, "eval_batch_size": rows}


def accumulated(steps: int) -> dict[str, Any]:
    """So many micro batches a step."""
    return {"gradient_accumulation_steps": steps}


def offloaded(mode: str | bool) -> dict[str, Any]:
    """Checkpoints on the host."""
    return GC | {"activation_offloading": mode}
