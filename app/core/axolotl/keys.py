"""The keys that are written: their groups, their order, and which group each belongs to.

A group's title is ``yaml.group.<id>`` in the catalogs, a key's one-line reason ``yaml.key.<key>`` or, where it
depends on the value, ``yaml.key.<key>.<value>``. Adding a key is adding its name here and, if it does not speak for
itself, a reason in both catalogs.
"""

from collections.abc import Mapping
from typing import Any

GROUPS: Mapping[str, tuple[str, ...]] = {
    "model": tuple(
        """base_model type_of_model num_labels tokenizer_type tokenizer_config revision_of_model
        overrides_of_model_config trust_remote_code model_quantization_config model_quantization_config_kwargs
        special_tokens tokens""".split()
    ),
    "loss": tuple(
        """plugins cut_cross_entropy liger_fused_linear_cross_entropy liger_cross_entropy chunked_cross_entropy
        liger_rope liger_rms_norm liger_glu_activation""".split()
    ),
    "data": tuple(
        """rl rl_beta orpo_alpha kto_desirable_weight kto_undesirable_weight simpo_gamma cpo_alpha dpo_loss_type
        reward_model datasets test_datasets pretraining_dataset chat_template chat_template_jinja
        train_on_inputs remove_unused_columns dataset_prepared_path val_set_size output_dir""".split()
    ),
    "adapter": tuple(
        """adapter load_in_4bit load_in_8bit quantize_moe_experts embeddings_skip_upcast peft_use_dora peft_use_rslora
        peft_init_lora_weights peft relora relora_prune_method relora_prune_ratio relora_cpu_offload
        jagged_restart_steps jagged_restart_warmup_steps jagged_restart_anneal_steps lora_r lora_alpha
        lora_dropout lora_target_modules lora_target_linear lora_target_parameters lora_modules_to_save
        lora_fan_in_fan_out loraplus_lr_ratio lora_mlp_kernel lora_qkv_kernel lora_o_kernel
        lora_embedding_kernel unfrozen_parameters""".split()
    ),
    "sequence": tuple(
        """sequence_len excess_length_strategy sample_packing eval_sample_packing pad_to_sequence_len
        attn_implementation""".split()
    ),
    "training": tuple(
        """micro_batch_size gradient_accumulation_steps eval_batch_size num_epochs max_steps optimizer optim_args
        lr_scheduler learning_rate warmup_ratio warmup_steps weight_decay max_grad_norm neftune_noise_alpha
        seed""".split()
    ),
    "memory": tuple(
        """bf16 fp16 tf32 gradient_checkpointing gradient_checkpointing_kwargs activation_offloading
        layer_offloading torch_compile""".split()
    ),
    "devices": tuple(
        """deepspeed fsdp_version fsdp_config dp_shard_size tensor_parallel_size context_parallel_size ddp_timeout
        use_ray ray_num_workers resources_per_worker""".split()
    ),
    "logging": tuple(
        """logging_steps evals_per_epoch eval_strategy eval_steps saves_per_epoch save_strategy save_steps
        save_total_limit use_wandb wandb_project wandb_entity wandb_name hub_model_id""".split()
    ),
}
"""Group id to its keys, both in writing order."""

ORDER: tuple[str, ...] = tuple(key for keys in GROUPS.values() for key in keys)

GROUP_OF: Mapping[str, str] = {key: group for group, keys in GROUPS.items() for key in keys}

OTHER = "other"
"""The group of what a person added and no group names; it stands last."""


def in_order(config: Mapping[str, Any]) -> dict[str, Any]:
    """The same configuration with known keys in writing order, others after them as they came."""
    known = {key: config[key] for key in ORDER if key in config}
    if len(known) == len(config):
        return known
    return known | {key: value for key, value in config.items() if key not in known}
