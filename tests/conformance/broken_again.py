"""More ways to break each rule that few others break: by the finding's code, the base, and changes that all break it."""

import datetime as dt
from collections.abc import Mapping
from typing import Any

from app.core.hardware import Vendor
from tests.conformance.broken_rules import CCE, FSDP1, FSDP2, KERNELS, LIGER, PRETRAIN

DIFFUSION = "axolotl.integrations.diffusion.DiffusionPlugin"
EXPERTS = "axolotl.integrations.expert_parallel.ExpertParallelPlugin"
SPECTRUM = "axolotl.integrations.spectrum.SpectrumPlugin"
SWANLAB = "axolotl.integrations.swanlab.SwanLabPlugin"
STREAM = {"streaming": True, "max_steps": 5}
TWO = [{"path": "a"}, {"path": "b"}]
GROUP = {"name": "a", "modules": ["b"], "lr": 1e-4}
RESTARTS = {"relora": True, "jagged_restart_steps": 5}
RING = {"attn_implementation": "flash_attention_2", "sample_packing": True}
EBFT = {"rl": "ebft", "ebft": {"mode": "strided"}}
EBFT_FLEX = {**EBFT, "gradient_checkpointing": True, "activation_offloading": True}
POLORA = {"optimizer": "polora"}
QUANTIZED_EXPERTS = {"quantize_moe_experts": True, "lora_target_linear": "@gone"}
SELECTIVE = {"selective_checkpointing": True, "gradient_checkpointing": True}

BROKEN_AGAIN: tuple[tuple[str, str, tuple[Mapping[Any, Any], ...]], ...] = (
    (
        "attention_torch",
        "full",
        (
            {"attn_implementation": "flash_attention_torch", "sample_packing": True},
            {"attn_implementation": "flash_attention_torch", "@card": "sm_80"},
        ),
    ),
    (
        "batch_alone",
        "full",
        ({"batch_size": 16, "gradient_accumulation_steps": "@gone", "micro_batch_size": None},),
    ),
    (
        "bf16_full",
        "full",
        ({"bf16": "Full"}, {"bf16": "full", "tf32": True}, {"bf16": "FULL", "fp16": False}),
    ),
    (
        "checkpointing_unsloth",
        "full",
        (
            {"gradient_checkpointing": "Unsloth"},
            {"gradient_checkpointing": "unsloth", "flash_attention": True},
            {"gradient_checkpointing": "unsloth", "sample_packing": True},
        ),
    ),
    (
        "beta_twice",
        "lora",
        (
            {"rl": "grpo", "beta": 0.1, "trl": {"beta": 0.2, "num_generations": 4}},
            {"beta": 1, "trl": {"beta": 0.5}},
        ),
    ),
    (
        "columns_twice",
        "full",
        (
            {
                "datasets": [
                    {"path": "b", "type": "alpaca"},
                    {
                        "path": "a",
                        "message_field_role": "speaker",
                        "message_property_mappings": {"role": "who", "content": "said"},
                    },
                ]
            },
        ),
    ),
    (
        "compile_option",
        "lora",
        (
            {"torch_compile": "auto", "torch_compile_options": {"max_autotune_all": True}},
            {"torch_compile": True, "torch_compile_options": {"shape_padding": True, "odd": 1}},
        ),
    ),
    (
        "context_packing",
        "lora",
        (
            {"context_parallel_size": 4, **RING},
            {"sequence_parallel_degree": 2, **RING},
            {"context_parallel_size": 2, "flash_attention": True, "sample_packing": True, "micro_batch_size": 8},
        ),
    ),
    (
        "cut_needs_half",
        "lora",
        (
            {"plugins": [CCE], "cut_cross_entropy": True, "bf16": None},
            {"plugins": [CCE, LIGER], "cut_cross_entropy": True, "bf16": "@gone", "fp16": False},
        ),
    ),
    (
        "deduplication_skipped",
        "full",
        ({"dataset_exact_deduplication": True, "skip_prepare_dataset": True, "val_set_size": 0.1},),
    ),
    ("deepcompile", "full", ({"deepcompile": True, **FSDP2}, {"deepcompile": 1})),
    (
        "deepspeed_fsdp",
        "full",
        (
            {"fsdp": ["full_shard", "auto_wrap"], "deepspeed": "x.json", "fsdp_config": {"offload_params": False}},
            {"fsdp": ["shard_grad_op"], "deepspeed": "deepspeed_configs/zero3.json"},
        ),
    ),
    (
        "dpo_liger_ipo",
        "dpo",
        ({"dpo_use_liger_kernel": True, "dpo_loss_type": ["ipo"]}, {"rl": "ipo", "dpo_use_liger_kernel": True}),
    ),
    (
        "dpo_weights_alone",
        "dpo",
        ({"dpo_loss_weights": [1.0, 0.5]}, {"dpo_loss_weights": [0.5], "rl_beta": 0.1}),
    ),
    (
        "dpo_weights_count",
        "dpo",
        (
            {"dpo_loss_type": ["sigmoid", "sft"], "dpo_loss_weights": [1.0]},
            {"dpo_loss_type": ["sigmoid"], "dpo_loss_weights": [0.5, 0.5]},
            {"dpo_loss_type": ["sigmoid", "sft", "hinge"], "dpo_loss_weights": [1.0, 1.0]},
        ),
    ),
    (
        "dsv4_attention",
        "lora",
        (
            {"plugins": [KERNELS], "use_dsv4_kernels": True, "lora_target_modules": ["q_proj"]},
            {"plugins": [KERNELS], "use_dsv4_kernels": True, "lora_target_modules": ["o_proj", "gate_proj"]},
            {"plugins": [KERNELS, LIGER], "use_dsv4_kernels": True, "lora_target_linear": True},
        ),
    ),
    (
        "early_stopping_apart",
        "full",
        (
            {"early_stopping_patience": 1, "save_steps": 10, "eval_steps": 4, "val_set_size": 0.1},
            {"early_stopping_patience": 5, "save_steps": 5, "eval_steps": 10, "val_set_size": 0.05},
        ),
    ),
    (
        "ebft_compile",
        "lora",
        (
            {**EBFT, "torch_compile": True, "gradient_checkpointing": True, "attn_implementation": "sdpa"},
            {**EBFT, "torch_compile": "auto", "gradient_checkpointing": True},
            {
                "rl": "ebft",
                "ebft": {"mode": "strided", "stride": 4},
                "torch_compile": True,
                "gradient_checkpointing": True,
            },
        ),
    ),
    ("ebft_missing", "lora", ({"rl": "ebft", "ebft": None},)),
    (
        "ebft_offloading",
        "lora",
        (
            {**EBFT_FLEX, "flex_attention": True},
            {**EBFT_FLEX, "attn_implementation": "flex_attention", "micro_batch_size": 1},
        ),
    ),
    (
        "evals_strategy",
        "lora",
        (
            {"val_set_size": 0.1, "evals_per_epoch": 2, "eval_strategy": "no"},
            {"val_set_size": 0.2, "evals_per_epoch": 4, "evaluation_strategy": "epoch"},
            {"evals_per_epoch": 1, "eval_strategy": "epoch", "test_datasets": [{"path": "a"}]},
        ),
    ),
    (
        "evals_twice",
        "full",
        (
            {"val_set_size": 0.05, "evals_per_epoch": 4, "eval_steps": 100},
            {"evals_per_epoch": 2, "eval_steps": 0.2, "test_datasets": [{"path": "a"}]},
        ),
    ),
    (
        "experts_target_linear",
        "qlora",
        (
            {"quantize_moe_experts": True, "lora_target_linear": True, "lora_target_modules": "@gone"},
            {"quantize_moe_experts": "yes", "lora_target_linear": True},
            {
                "adapter": "lora",
                "load_in_4bit": False,
                "load_in_8bit": True,
                "quantize_moe_experts": True,
                "lora_target_linear": True,
            },
        ),
    ),
    (
        "experts_twice",
        "full",
        ({"plugins": [KERNELS], "expert_backend": "grouped_mm", "use_sonicmoe": True},),
    ),
    (
        "expert_parallel_size",
        "full",
        (
            {"plugins": [EXPERTS], "expert_parallel_size": 0},
            {"plugins": [EXPERTS], "expert_parallel_size": -1},
            {"plugins": [EXPERTS, LIGER], "expert_parallel_size": -8},
        ),
    ),
    (
        "falcon_fsdp",
        "lora",
        ({"base_model": "tiiuae/falcon-40b-instruct", "fsdp": ["full_shard", "auto_wrap"]},),
    ),
    (
        "flattening_packed",
        "lora",
        (
            {"batch_flattening": True, "sample_packing": True, "attn_implementation": "flash_attention_3"},
            {"batch_flattening": True, "sample_packing": True, "flash_attention": True},
        ),
    ),
    (
        "fp8_attention_card",
        "full",
        (
            {"attn_implementation": "fp8", "@card": "sm_75"},
            {"attn_implementation": "fp8", "@card": "sm_89"},
            {"attn_implementation": "fp8", "sample_packing": True, "@card": "sm_86"},
        ),
    ),
    (
        "experts_cuda",
        "qlora",
        (
            {**QUANTIZED_EXPERTS, "@card": "sm_94", "@vendor": Vendor.AMD},
            {**QUANTIZED_EXPERTS, "@card": "sm_90", "@vendor": Vendor.AMD},
            {
                **QUANTIZED_EXPERTS,
                "adapter": "lora",
                "load_in_4bit": False,
                "load_in_8bit": True,
                "@card": "sm_94",
                "@vendor": Vendor.AMD,
            },
        ),
    ),
    ("fp8_card", "full", ({"fp8": True, "@card": "sm_75"}, {"fp8": True, **FSDP2, "@card": "sm_86"})),
    (
        "fp8_gather_rowwise",
        "full",
        (
            {"fp8": True, "fp8_config": {"recipe": "rowwise"}, "fp8_enable_fsdp_float8_all_gather": True, **FSDP2},
            {
                "fp8": True,
                "fp8_config": {"recipe": "rowwise_with_gw_hp"},
                "fp8_enable_fsdp_float8_all_gather": True,
                **FSDP2,
            },
            {"fp8": True, "fp8_config": {"recipe": "rowwise"}, "fp8_enable_fsdp_float8_all_gather": True},
        ),
    ),
    (
        "frozen_reentrant",
        "full",
        ({"unfrozen_parameters": ["a", "b"], "gradient_checkpointing_kwargs": {"use_reentrant": True}},),
    ),
    (
        "fsdp2_quantized_rl",
        "dpo",
        ({**FSDP2, "rl": "kto", "remove_unused_columns": False, "load_in_8bit": True},),
    ),
    (
        "fsdp_offload_8bit",
        "lora",
        (
            {"fsdp_config": {"offload_params": True}, "optimizer": "adamw_bnb_8bit"},
            {"fsdp_version": 1, "fsdp_config": {"offload_params": True}, "optimizer": "paged_adamw_8bit"},
        ),
    ),
    ("fsdp_wrap_size", "lora", ({"fsdp_config": {"auto_wrap_policy": "SIZE_BASED_WRAP"}},)),
    (
        "galore_params",
        "full",
        (
            {"optimizer": "q_galore_adamw8bit", "fsdp_version": 2, "fsdp_config": {"use_orig_params": False}},
            {"optimizer": "q_galore_adamw8bit", "fsdp_version": 2, "fsdp_config": {"reshard_after_forward": True}},
        ),
    ),
    (
        "gdpo_aggregation",
        "lora",
        (
            {"rl": "gdpo", "trl": {"multi_objective_aggregation": "sum_then_normalize", "num_generations": 4}},
            {"rl": "gdpo", "trl": {"multi_objective_aggregation": "sum_then_normalize", "beta": 0.1}},
        ),
    ),
    (
        "gemma_hybrid",
        "lora",
        (
            {"gemma4_hybrid_attn_impl": True, "attn_implementation": "eager"},
            {"gemma4_hybrid_attn_impl": True, "attn_implementation": "flex_attention"},
        ),
    ),
    (
        "gptq_revision",
        "lora",
        ({"gptq": True, "revision_of_model": "v1"}, {"gptq": "yes", "revision_of_model": "main"}),
    ),
    (
        "groups_plus",
        "lora",
        (
            {"lr_groups": [GROUP, GROUP], "loraplus_lr_ratio": 4},
            {"lr_groups": [GROUP], "loraplus_lr_ratio": 16.0, "loraplus_lr_embedding": 1e-6},
        ),
    ),
    ("grpo_batch", "lora", ({"rl": "grpo", "trl": {"num_generations": 5}},)),
    (
        "grpo_group",
        "lora",
        ({"rl": "grpo", "trl": {"num_generations": 0}}, {"rl": "grpo", "trl": {"num_generations": -2}}),
    ),
    (
        "grpo_liger_context",
        "lora",
        (
            {"rl": "grpo", "trl": {"use_liger_loss": True}, "context_parallel_size": 4},
            {
                "rl": "grpo",
                "trl": {"use_liger_loss": True, "beta": 0.1},
                "context_parallel_size": 2,
                "attn_implementation": "flash_attention_2",
            },
        ),
    ),
    (
        "grpo_ranks",
        "lora",
        (
            {"rl": "grpo", "trl": {"num_generations": 4}, "@gpus": 8},
            {"rl": "grpo", "trl": {"num_generations": 2}, "gradient_accumulation_steps": 1, "@gpus": 4},
        ),
    ),
    (
        "hidden_states_frozen",
        "lora",
        (
            {
                "activation_offloading": "hidden_states",
                "gradient_checkpointing": True,
                "gradient_checkpointing_kwargs": {"use_reentrant": 1},
                "unfrozen_parameters": ["a"],
            },
            {
                "activation_offloading": "hidden_states",
                "gradient_checkpointing": True,
                "gradient_checkpointing_kwargs": {"use_reentrant": True},
                "unfrozen_parameters": ["model.norm", "lm_head"],
            },
        ),
    ),
    (
        "kernels_8bit",
        "lora",
        (
            {"lora_qkv_kernel": True, "load_in_8bit": True},
            {"lora_o_kernel": True, "load_in_8bit": True},
        ),
    ),
    (
        "kernels_fsdp1",
        "lora",
        (
            {"lora_mlp_kernel": True, **FSDP1, "@gpus": 4},
            {"lora_qkv_kernel": True, "fsdp_version": 1, "fsdp_config": {"offload_params": False}, "@gpus": 8},
        ),
    ),
    ("kernels_remote_code", "qlora", ({"lora_o_kernel": True, "trust_remote_code": True},)),
    ("key_refused", "lora", ({"fp8": True, "fp8_config": {"recipe": "rowwise", "mode": "fast"}},)),
    (
        "layers_frozen",
        "lora",
        (
            {"peft_layers_to_transform": 3, "unfrozen_parameters": ["a"]},
            {"peft_layers_to_transform": [0, 1, 2], "unfrozen_parameters": ["model.norm"]},
        ),
    ),
    (
        "liger_scaling",
        "lora",
        (
            {"plugins": [LIGER], "liger_use_token_scaling": True, "liger_rms_norm": True},
            {"plugins": [LIGER], "liger_use_token_scaling": True, "liger_fused_linear_cross_entropy": False},
        ),
    ),
    (
        "liger_tiled",
        "full",
        (
            {"plugins": [LIGER], "liger_glu_activation": True, "tiled_mlp": True, "tiled_mlp_use_original_mlp": False},
            {"plugins": [LIGER], "liger_glu_activation": True, "tiled_mlp": True, "tiled_mlp_num_shards": 4},
        ),
    ),
    (
        "mask_ratios",
        "full",
        (
            {"plugins": [DIFFUSION], "diffusion": {"min_mask_ratio": 0.8, "max_mask_ratio": 0.2}},
            {"plugins": [DIFFUSION], "diffusion": {"min_mask_ratio": 0.95}},
            {"plugins": [DIFFUSION], "diffusion": {"max_mask_ratio": 0.05}},
            {"plugins": [DIFFUSION], "diffusion": {"min_mask_ratio": 0.2, "max_mask_ratio": 0.8}},
        ),
    ),
    (
        "key_not_text",
        "full",
        (
            {5: 1},
            {True: "yes"},
            {None: 1},
            {1.5: 1},
            {dt.date(2026, 1, 1): 1},
            {"datasets": [{"path": "a", "type": "alpaca", 5: 1}]},
            {"datasets": [{"path": "a", "type": "alpaca"}, {"path": "b", "type": "alpaca", False: 1}]},
        ),
    ),
    ("memory_limits_twice", "full", ({"max_memory": {"cpu": "40GiB"}, "gpu_memory_limit": 20},)),
    (
        "merge_quantized",
        "qlora",
        ({"merge_lora": True, "lora_model_dir": "out"}, {"merge_lora": True, "load_in_8bit": True}),
    ),
    (
        "mxfp4_loading",
        "full",
        (
            {
                "model_quantization_config": "Mxfp4Config",
                "fsdp_version": 2,
                "fsdp_config": {"cpu_ram_efficient_loading": True, "offload_params": True},
            },
            {
                "model_quantization_config": "Mxfp4Config",
                "model_quantization_config_kwargs": {"dequantize": True},
                "fsdp_version": 2,
                "fsdp_config": {"cpu_ram_efficient_loading": True},
            },
        ),
    ),
    (
        "not_positive",
        "full",
        (
            {"plugins": [KERNELS], "moe_dequant_chunk_size": -4},
            {"plugins": [KERNELS, LIGER], "moe_dequant_chunk_size": 0},
        ),
    ),
    ("parameters_dropout", "qlora", ({"lora_target_parameters": ["mlp.experts.gate_up_proj"], "lora_dropout": 0.05},)),
    (
        "pin_first",
        "lora",
        (
            {"fsdp_version": 1, "fsdp_config": {"cpu_offload_pin_memory": False}},
            {"fsdp_config": {"cpu_offload_pin_memory": False, "offload_params": True}},
        ),
    ),
    (
        "pin_without_offload",
        "lora",
        (
            {"fsdp_version": 2, "fsdp_config": {"cpu_offload_pin_memory": False, "offload_params": False}},
            {"fsdp_version": 2, "fsdp_config": {"cpu_offload_pin_memory": False, "reshard_after_forward": True}},
        ),
    ),
    ("ple_sharded", "qlora", ({"ple_cpu_offload": True, **FSDP1},)),
    (
        "ple_unquantized",
        "full",
        ({"ple_cpu_offload": True, "sequence_len": 4096}, {"ple_cpu_offload": True, "adapter": "lora", "lora_r": 8}),
    ),
    ("plugin_class", "full", ({"plugins": ["axolotl.integrations.cut_cross_entropy.CutCrossEntropy"]},)),
    (
        "plugin_needs",
        "full",
        (
            {"plugins": [SWANLAB], "use_swanlab": True},
            {"plugins": [LIGER, SWANLAB], "use_swanlab": True, "swanlab_mode": "local"},
        ),
    ),
    ("polora_ignored", "lora", ({**POLORA, "loraplus_lr_ratio": 4.0, "weight_decay": 0.1},)),
    (
        "polora_relora",
        "lora",
        ({**POLORA, "relora_steps": 200, "relora_warmup_steps": 10}, {**POLORA, "relora_steps": 1}),
    ),
    (
        "polora_tensor",
        "lora",
        ({**POLORA, "tensor_parallel_size": 4}, {**POLORA, "tensor_parallel_size": 2, "weight_decay": 0.1}),
    ),
    ("polora_untrained", "lora", ({**POLORA, "lora_modules_to_save": ["embed_tokens", "lm_head"]},)),
    (
        "pretraining_speed",
        "lora",
        (
            {**PRETRAIN, "streaming": True, "include_tokens_per_second": True},
            {**PRETRAIN, "include_tokens_per_second": "yes"},
        ),
    ),
    ("processor_reserved", "lora", ({"processor_kwargs": {"revision": "main", "size": 4}},)),
    (
        "qat_ternary",
        "full",
        (
            {"qat": {"weight_dtype": "ternary", "activation_dtype": "float8_e4m3fn"}},
            {"qat": {"weight_dtype": "ternary", "activation_dtype": "int4", "group_size": 64}},
        ),
    ),
    ("read_through_null", "full", ({"rl": "gdpo", "trl": None, "beta": 0.1},)),
    (
        "relora_one_cycle",
        "qlora",
        (
            {**RESTARTS, "lr_scheduler": "one_cycle", "relora_prune_ratio": 0.9},
            {**RESTARTS, "lr_scheduler": "one_cycle", "jagged_restart_warmup_steps": 2},
        ),
    ),
    ("relora_sharded", "lora", ({**RESTARTS, "fsdp": ["full_shard"], "fsdp_config": {"offload_params": False}},)),
    (
        "rl_reentrant",
        "qlora",
        (
            {
                "rl": "orpo",
                "sample_packing": False,
                "gradient_checkpointing_kwargs": {"use_reentrant": True},
                "@gpus": 4,
            },
            {
                "rl": "kto",
                "remove_unused_columns": False,
                "sample_packing": False,
                "gradient_checkpointing_kwargs": {"use_reentrant": True},
                "@gpus": 2,
            },
        ),
    ),
    (
        "save_best_metric",
        "lora",
        (
            {"save_strategy": "best", "load_best_model_at_end": True},
            {"save_strategy": "best", "val_set_size": 0.1, "eval_strategy": "epoch"},
        ),
    ),
    ("save_strategy_steps", "lora", ({"save_strategy": "best", "metric_for_best_model": "loss", "save_steps": 5},)),
    ("saves_twice", "full", ({"saves_per_epoch": 2, "save_steps": 0.5}, {"saves_per_epoch": 4, "save_steps": 500})),
    (
        "selective_matmul",
        "lora",
        (
            {"selective_checkpointing": {"save": ["aten::addmm"]}, "gradient_checkpointing": True},
            {"selective_checkpointing": {"save": ["attention", "aten::bmm"]}, "gradient_checkpointing": True},
            {"selective_checkpointing": {"save": ["mm"]}, "gradient_checkpointing": True},
        ),
    ),
    (
        "selective_offloading",
        "full",
        ({**SELECTIVE, "activation_offloading": "disk"}, {**SELECTIVE, "activation_offloading": "legacy"}),
    ),
    (
        "selective_reentrant",
        "full",
        (
            {
                "selective_checkpointing": {"save": ["attention"]},
                "gradient_checkpointing": True,
                "gradient_checkpointing_kwargs": {"use_reentrant": True},
            },
            {
                **SELECTIVE,
                "activation_offloading": "hidden_states",
                "gradient_checkpointing_kwargs": {"use_reentrant": True},
            },
        ),
    ),
    ("simpo_warmup", "dpo", ({"rl": "simpo", "warmup_ratio": 0.03, "rl_beta": 2.0},)),
    ("streaming_deduplicated", "full", ({**PRETRAIN, "streaming": True, "dataset_exact_deduplication": True},)),
    (
        "spectrum_fsdp",
        "full",
        (
            {"plugins": [SPECTRUM], "fsdp": ["full_shard"], "fsdp_config": {"offload_params": False}},
            {"plugins": [SPECTRUM], "fsdp": ["full_shard"], "fsdp_config": {"use_orig_params": False}},
            {
                "plugins": [SPECTRUM],
                "spectrum_top_fraction": 0.5,
                "fsdp": ["full_shard", "auto_wrap"],
                "fsdp_config": {"state_dict_type": "FULL_STATE_DICT"},
            },
        ),
    ),
    (
        "streaming_packed_several",
        "lora",
        (
            {**STREAM, "sample_packing": True, "datasets": [*TWO, {"path": "c"}]},
            {**STREAM, "sample_packing": True, "datasets": TWO, "attn_implementation": "flash_attention_2"},
        ),
    ),
    (
        "table_packed",
        "full",
        ({"sample_packing": True, "eval_table_size": 20, "val_set_size": 0.1},),
    ),
    ("targets_regex", "lora", ({"lora_target_modules": ["q_proj", "*_proj"]},)),
    (
        "tensor_liger",
        "lora",
        ({"plugins": [LIGER], "liger_rms_norm": True, "liger_rope": True, "tensor_parallel_size": 4},),
    ),
    (
        "warmup_twice",
        "lora",
        ({"warmup_steps": 100, "warmup_ratio": 0.03}, {"warmup_steps": 10, "warmup_ratio": "0.1"}),
    ),
)
