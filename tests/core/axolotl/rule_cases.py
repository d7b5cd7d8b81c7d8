"""The rules by example: what to change in a good configuration, and what is then said of it."""

from collections.abc import Mapping
from typing import Any

from app.core.architecture import Architecture, Kind
from app.core.axolotl.rules import check
from app.core.findings import Finding, Severity
from app.core.hardware import Hardware
from app.core.run import CCE_PLUGIN, LIGER_PLUGIN
from tests.core.axolotl.examples import AMPERE, INSTINCT, SEVEN, TURING, architecture, experts, schema, tower

GOOD: Mapping[str, Any] = {
    "base_model": "someone/Model-8B",
    "datasets": [{"path": "a/b", "type": "alpaca"}],
    "adapter": "lora",
    "lora_r": 16,
    "lora_alpha": 32,
    "lora_target_modules": ["q_proj", "v_proj"],
    "sequence_len": 2048,
    "optimizer": "adamw_torch_fused",
    "learning_rate": 0.0002,
}
LLAMA = architecture()
PHI3 = architecture("phi3")
GPT2 = architecture("gpt2", kind=Kind.CONV1D, names=("c_attn",))
NEOX = architecture("gpt_neox", names=("query_key_value",))
VISION = architecture("gemma3", extra=(tower(),))
MOE = architecture("qwen3_moe", extra=(experts(),), expert_names={"gate_proj": "gate_up_proj"}, experts=4)
FULL = {"adapter": None, "lora_r": None, "lora_alpha": None, "lora_target_modules": None}
QLORA = {"adapter": "qlora", "load_in_4bit": True}


def findings(
    changes: Mapping[str, Any], model: Architecture | None = LLAMA, card: Hardware | None = None
) -> dict[str, Finding]:
    """What is said of a good configuration with ``changes``, by code."""
    return {finding.code: finding for finding in check({**GOOD, **changes}, model, card, schema())}


CASES: tuple[tuple[str, Mapping[str, Any], Architecture | None, Hardware | None, str | None, Severity], ...] = (
    ("unknown_key_nearest", {"lora_rr": 1}, LLAMA, None, "lora_rr", Severity.WARNING),
    ("unknown_key", {"zzzzqqqq": 1}, LLAMA, None, "zzzzqqqq", Severity.WARNING),
    ("unknown_key_nearest", {"trl": {"num_generation": 4}}, LLAMA, None, "trl.num_generation", Severity.WARNING),
    (
        "unknown_key_nearest",
        {"datasets": [{"path": "a", "typ": "alpaca"}]},
        LLAMA,
        None,
        "datasets[0].typ",
        Severity.WARNING,
    ),
    (
        "dropped_by_preference",
        {"rl": "dpo", "datasets": [{"path": "a", "chat_template": "llama3"}]},
        LLAMA,
        None,
        "datasets[0].chat_template",
        Severity.WARNING,
    ),
    ("ignored_key", {"relora_steps": 200}, LLAMA, None, "relora_steps", Severity.WARNING),
    ("renamed_key", {"flash_attention": True}, LLAMA, None, "flash_attention", Severity.WARNING),
    ("removed_key", {"s2_attention": True}, LLAMA, None, "s2_attention", Severity.ERROR),
    ("removed_key_successor", {"unsloth_rope": True}, LLAMA, None, "unsloth_rope", Severity.ERROR),
    (
        "renamed_value",
        {"gradient_checkpointing": "offload"},
        LLAMA,
        None,
        "gradient_checkpointing",
        Severity.WARNING,
    ),
    ("renamed_value", {"rl": "ipo"}, LLAMA, None, "rl", Severity.WARNING),
    ("adapter_not_axolotl", {"adapter": "ia3"}, LLAMA, None, "adapter", Severity.ERROR),
    ("adapter_not_axolotl", {"adapter": ["lora"]}, LLAMA, None, "adapter", Severity.ERROR),
    ("lora_load_in_4bit", {"load_in_4bit": True}, LLAMA, None, "load_in_4bit", Severity.WARNING),
    ("qlora_8bit", {"adapter": "qlora", "load_in_8bit": True}, LLAMA, None, "load_in_8bit", Severity.ERROR),
    ("qlora_needs_4bit", {"adapter": "qlora"}, LLAMA, None, "load_in_4bit", Severity.ERROR),
    ("quantized_full", {**FULL, "load_in_8bit": True}, LLAMA, None, "load_in_8bit", Severity.ERROR),
    ("lora_r_missing", {"lora_r": None}, LLAMA, None, "lora_r", Severity.ERROR),
    ("lora_alpha_missing", {"lora_alpha": None}, LLAMA, None, "lora_alpha", Severity.ERROR),
    ("targets_missing", {"lora_target_modules": None}, LLAMA, None, "lora_target_modules", Severity.ERROR),
    ("targets_twice", {"lora_target_linear": True}, LLAMA, None, "lora_target_linear", Severity.INFO),
    ("chunked_loss_towers", {"chunked_cross_entropy": True}, VISION, None, "chunked_cross_entropy", Severity.WARNING),
    ("targets_towers", {"lora_target_linear": True}, VISION, None, "lora_target_linear", Severity.WARNING),
    ("targets_head", {"lora_target_linear": True}, NEOX, None, "lora_target_linear", Severity.WARNING),
    (
        "targets_conv1d",
        {"lora_target_linear": True, "lora_target_modules": None},
        GPT2,
        None,
        "lora_target_linear",
        Severity.ERROR,
    ),
    ("targets_experts", {"lora_target_modules": list(SEVEN)}, MOE, None, "lora_target_modules", Severity.WARNING),
    (
        "liger_rope_missing",
        {"plugins": [LIGER_PLUGIN], "liger_rope": True, "liger_rms_norm": True},
        architecture("glm4"),
        None,
        "liger_rope",
        Severity.ERROR,
    ),
    (
        "parameters_dropout",
        {"lora_target_parameters": ["mlp.experts.down_proj"], "lora_dropout": 0.1},
        MOE,
        None,
        "lora_dropout",
        Severity.ERROR,
    ),
    (
        "parameters_dora",
        {"lora_target_parameters": ["mlp.experts.down_proj"], "peft_use_dora": True},
        MOE,
        None,
        "peft_use_dora",
        Severity.ERROR,
    ),
    (
        "quantized_head",
        {**QLORA, "plugins": [LIGER_PLUGIN], "liger_fused_linear_cross_entropy": True},
        architecture("falcon_h1"),
        None,
        "liger_fused_linear_cross_entropy",
        Severity.ERROR,
    ),
    (
        "quantized_head",
        {"load_in_8bit": True, "plugins": [CCE_PLUGIN], "cut_cross_entropy": True},
        architecture("jamba"),
        None,
        "cut_cross_entropy",
        Severity.ERROR,
    ),
    (
        "experts_target_linear",
        {**QLORA, "quantize_moe_experts": True, "lora_target_linear": True},
        MOE,
        None,
        "quantize_moe_experts",
        Severity.ERROR,
    ),
    (
        "experts_unquantized_base",
        {"quantize_moe_experts": True},
        MOE,
        None,
        "quantize_moe_experts",
        Severity.ERROR,
    ),
    ("experts_cuda", {**QLORA, "quantize_moe_experts": True}, MOE, INSTINCT, "quantize_moe_experts", Severity.WARNING),
    ("experts_16bit", QLORA, MOE, None, "quantize_moe_experts", Severity.WARNING),
    ("mxfp4_checkpoint", {**QLORA, "base_model": "openai/gpt-oss-20b"}, MOE, None, "base_model", Severity.WARNING),
    ("kernels_unpatchable", {}, PHI3, None, "lora_qkv_kernel", Severity.ERROR),
    ("kernels_unpatchable", {"rl": "dpo", "lora_o_kernel": True}, PHI3, None, "lora_qkv_kernel", Severity.ERROR),
    (
        "kernels_remote_code",
        {"lora_mlp_kernel": True, "trust_remote_code": True},
        LLAMA,
        None,
        "trust_remote_code",
        Severity.ERROR,
    ),
    ("kernels_8bit", {"lora_mlp_kernel": True, "load_in_8bit": True}, LLAMA, None, "load_in_8bit", Severity.ERROR),
    (
        "loftq_in_4bit",
        {**QLORA, "peft": {"loftq_config": {"loftq_bits": 4}}},
        LLAMA,
        None,
        "peft.loftq_config",
        Severity.ERROR,
    ),
    (
        "loftq_stays_16bit",
        {"peft": {"loftq_config": {"loftq_bits": 4}}},
        LLAMA,
        None,
        "peft.loftq_config",
        Severity.INFO,
    ),
    ("relora_restart", {"relora": True}, LLAMA, None, "jagged_restart_steps", Severity.ERROR),
    (
        "relora_adapter",
        {**FULL, "relora": True, "jagged_restart_steps": 9},
        LLAMA,
        None,
        "adapter",
        Severity.ERROR,
    ),
    (
        "relora_sharded",
        {"relora": True, "jagged_restart_steps": 9, "deepspeed": "zero2.json"},
        LLAMA,
        None,
        "deepspeed",
        Severity.ERROR,
    ),
    (
        "relora_optimizer",
        {"relora": True, "jagged_restart_steps": 9, "optimizer": "sgd"},
        LLAMA,
        None,
        "optimizer",
        Severity.ERROR,
    ),
    (
        "relora_dora",
        {"relora": True, "jagged_restart_steps": 9, "peft_use_dora": True},
        LLAMA,
        None,
        "peft_use_dora",
        Severity.WARNING,
    ),
    ("datasets_missing", {"datasets": None}, LLAMA, None, "datasets", Severity.ERROR),
    ("beyond_context", {"sequence_len": 8192}, LLAMA, None, "sequence_len", Severity.WARNING),
    ("beyond_context", {"sequence_len": "1e30"}, LLAMA, None, "sequence_len", Severity.WARNING),
    ("packing_rl", {"sample_packing": True, "rl": "dpo"}, LLAMA, None, "sample_packing", Severity.ERROR),
    ("packing_without_attention", {"sample_packing": True}, LLAMA, None, "sample_packing", Severity.WARNING),
    ("attention_name", {"attn_implementation": "flash"}, LLAMA, None, "attn_implementation", Severity.ERROR),
    (
        "attention_twice",
        {"attn_implementation": "sdpa", "flash_attention": True},
        LLAMA,
        None,
        "flash_attention",
        Severity.ERROR,
    ),
    (
        "flash_attention_card",
        {"attn_implementation": "flash_attention_2"},
        LLAMA,
        TURING,
        "attn_implementation",
        Severity.ERROR,
    ),
    ("flash_attention_card", {"flash_attention": True}, LLAMA, TURING, "attn_implementation", Severity.ERROR),
    (
        "flash_attention_model",
        {"attn_implementation": "flash_attention_2"},
        architecture("bloom"),
        AMPERE,
        "attn_implementation",
        Severity.ERROR,
    ),
    ("sdpa_model", {"attn_implementation": "sdpa"}, architecture("gptj"), None, "attn_implementation", Severity.ERROR),
    (
        "two_losses",
        {
            "plugins": [CCE_PLUGIN, LIGER_PLUGIN],
            "bf16": "auto",
            "cut_cross_entropy": True,
            "liger_fused_linear_cross_entropy": True,
        },
        LLAMA,
        None,
        "liger_fused_linear_cross_entropy",
        Severity.ERROR,
    ),
    (
        "two_losses",
        {"plugins": [CCE_PLUGIN, LIGER_PLUGIN], "liger_cross_entropy": True},
        LLAMA,
        None,
        "liger_cross_entropy",
        Severity.WARNING,
    ),
    (
        "cut_needs_half",
        {"plugins": [CCE_PLUGIN], "cut_cross_entropy": True},
        LLAMA,
        None,
        "bf16",
        Severity.ERROR,
    ),
    ("plugin_missing", {"liger_rope": True}, LLAMA, None, "liger_rope", Severity.WARNING),
    ("optimizer_nearest", {"optimizer": "adamw_hf"}, LLAMA, None, "optimizer", Severity.ERROR),
    ("optimizer", {"optimizer": "zzzz"}, LLAMA, None, "optimizer", Severity.ERROR),
    ("scheduler", {"lr_scheduler": "cosin"}, LLAMA, None, "lr_scheduler", Severity.ERROR),
    ("warmup_twice", {"warmup_steps": 1, "warmup_ratio": 0.1}, LLAMA, None, "warmup_ratio", Severity.ERROR),
    ("simpo_warmup", {"rl": "simpo", "warmup_ratio": 0.1}, LLAMA, None, "warmup_ratio", Severity.ERROR),
    ("kto_columns", {"rl": "kto"}, LLAMA, None, "remove_unused_columns", Severity.ERROR),
    ("neftune_rl", {"rl": "orpo", "neftune_noise_alpha": 5}, LLAMA, None, "neftune_noise_alpha", Severity.INFO),
    ("bf16_card", {"bf16": True}, LLAMA, TURING, "bf16", Severity.ERROR),
    ("fp16_full", {**FULL, "fp16": True}, LLAMA, TURING, "fp16", Severity.ERROR),
    ("fp16_full", FULL, LLAMA, TURING, "fp16", Severity.ERROR),
    (
        "mpt_checkpointing",
        {"base_model": "mosaicml/mpt-7b", "gradient_checkpointing": True},
        LLAMA,
        None,
        "gradient_checkpointing",
        Severity.ERROR,
    ),
    ("card_memory", {}, LLAMA, AMPERE, None, Severity.INFO),
)
