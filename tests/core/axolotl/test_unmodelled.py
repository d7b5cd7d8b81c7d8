"""Keys that move memory: each is priced or said aloud, none is passed over."""

import pytest

from app.core.axolotl.run_reader import read_run
from app.core.axolotl.unmodelled import UNMODELLED, Unmodelled, acting, room, shards_otherwise
from tests.core.axolotl.examples import schema

PRICED = frozenset(
    """gptq quantize_moe_experts activation_offloading adapter attn_implementation bf16 bfloat16 fp16 bnb_config_kwargs load_in_4bit load_in_8bit
    chunked_cross_entropy cpo_alpha cut_cross_entropy dion_rank_fraction eager_attention embedding_lr embedding_lr_scale
    embeddings_skip_upcast eval_batch_size flash_attention flex_attention freeze_mm_modules gradient_accumulation_steps
    gradient_checkpointing gradient_checkpointing_kwargs liger_cross_entropy liger_fused_linear_cross_entropy
    liger_glu_activation liger_rms_norm liger_rope liger_swiglu lora_dropout lora_embedding_kernel lora_mlp_kernel
    lora_modules_to_save lora_o_kernel lora_qkv_kernel lora_r lora_rank_pattern lora_target_linear lora_target_modules
    lora_target_parameters loraplus_lr_ratio lr_groups micro_batch_size neftune_noise_alpha noisy_embedding_alpha
    optim_args optim_target_modules optimizer peft_autocast_adapter_dtype peft_layers_to_transform peft_trainable_token_indices peft_use_dora plugins
    precompute_ref_log_probs relora reward_model rl sage_attention sample_packing sdp_attention sequence_len test_datasets
    trust_remote_code unfrozen_parameters val_set_size xformers_attention""".split()
)
"""Keys that ``Run`` reads and the memory model prices."""

ELSEWHERE = frozenset(
    """base_model base_model_config chunked_cross_entropy_num_chunks eval_sample_packing pad_to_sequence_len
    pad_to_multiple_of batch_flattening max_packed_sequence_len rope_scaling
    ddp dp_replicate_size max_prompt_len""".split()
)
"""Keys whose memory is in what is priced already: full rows, one copy a GPU."""

STILL = frozenset(
    """accelerator_config adam_beta1 adam_beta2 adam_beta3 adam_epsilon adam_epsilon2 auto_resume_from_checkpoints
    axolotl_config_path batch_size bench_dataset bench_split center_rewards_coefficient chat_template
    chat_template_jinja chat_template_kwargs cls_model_config comet_api_key comet_experiment_config
    comet_experiment_key comet_mode comet_online comet_project_name comet_workspace cosine_constant_lr_ratio
    cosine_min_lr_ratio curriculum_sampling dataloader_drop_last dataloader_num_workers dataloader_pin_memory
    dataloader_prefetch_factor dataset_exact_deduplication dataset_keep_in_memory dataset_num_proc
    dataset_prepared_path dataset_processes dataset_shard_idx dataset_shard_num datasets ddp_broadcast_buffers
    ddp_bucket_cap_mb ddp_find_unused_parameters ddp_timeout default_system_message device dion_lr dion_momentum
    dion_rank_multiple_of dpo_beta dpo_label_smoothing dpo_loss_type dpo_loss_weights dpo_norm_loss dpo_padding_free
    dpo_use_logits_to_keep dynamic_checkpoint eaft_alpha eaft_k early_stopping_patience ebft eot_tokens
    eval_causal_lm_metrics eval_max_new_tokens eval_steps eval_strategy eval_table_size evals_per_epoch
    evaluation_strategy excess_length_strategy experimental_skip_move_to_device expert_parallel_backend
    expert_parallel_fallback_on_unsupported expert_parallel_num_nvl_bytes expert_parallel_num_rdma_bytes
    expert_parallel_token_capacity fix_untrained_tokens flex_attn_compile_kwargs float32 fp32_norm_classes fp32_norms fp8_config
    fp8_enable_fsdp_float8_all_gather fsdp_final_state_dict_type fsdp_version gc_collect_steps gc_steps
    generation_do_sample generation_max_new_tokens generation_prompt_ratio generation_temperature generation_top_k
    generation_top_p gradio_max_new_tokens gradio_server_name gradio_server_port gradio_share gradio_temperature
    gradio_title greater_is_better grokfast_lamb group_by_length hatchery heads_k_stride hf_mlflow_log_artifacts
    hf_use_auth_token hub_model_id hub_revision hub_strategy image_resize_algorithm image_size include_tkps
    include_tokens_per_second is_falcon_derived_model is_llama_derived_model is_mistral_derived_model is_preprocess
    is_qwen_derived_model jagged_restart_anneal_steps jagged_restart_steps jagged_restart_warmup_steps kd_alpha kd_beta
    kd_ce_alpha kd_normalize_topk kd_online_server kd_online_server_base_url kd_online_timeout kd_online_topk
    kd_temperature kd_temperature_min kto_desirable_weight kto_undesirable_weight learning_rate liger_kernel_impl
    liger_use_token_scaling lisa_layers_attribute lisa_step_interval lm_eval_batch_size lm_eval_model
    lm_eval_post_train lm_eval_tasks load_best_model_at_end local_rank logging_steps lora_alpha lora_alpha_pattern
    lora_fan_in_fan_out lora_model_dir loraplus_lr_embedding loss_watchdog_patience loss_watchdog_threshold
    low_cpu_mem_usage lr_div_factor lr_quadratic_warmup lr_scheduler lr_scheduler_kwargs max_grad_norm max_steps
    mean_resizing_embeddings merge_lora merge_method metric_for_best_model min_sample_len mlflow_experiment_name
    mlflow_run_name mlflow_tracking_uri model_revision model_type model_quantization_config_kwargs multipack_real_batches nemo_gym_auto_clone
    nemo_gym_auto_start nemo_gym_config_paths nemo_gym_datasets nemo_gym_dir nemo_gym_enabled nemo_gym_head_port
    nemo_gym_max_turns nemo_gym_model_name nemo_gym_multi_turn nemo_gym_run_timeout nemo_gym_server_timeout
    nemo_gym_verify_timeout num_dataset_shards_to_save num_epochs num_generation_samples num_labels
    nvfp4_merge_aware_start_step orpo_alpha otel_metrics_host otel_metrics_port output_dir
    peft peft_ensure_weight_tying peft_init_lora_weights peft_layers_pattern peft_use_rslora pose_max_context_len
    pose_num_chunks pose_split_on_token_ids preprocess_iterable pretrain_multipack_attn pretrain_multipack_buffer_size
    pretraining_dataset pretraining_sample_concatenation processor_kwargs profiler_steps profiler_steps_start
    push_dataset_to_hub qgalore_cos_threshold qgalore_gamma_proj qgalore_proj_bits qgalore_proj_group_size
    qgalore_proj_quant qgalore_proj_type qgalore_queue_size qgalore_rank qgalore_scale qgalore_update_proj_gap
    quantization ray_num_workers ray_run_name reinit_weights relora_cpu_offload relora_prune_method
    relora_prune_ratio remove_unused_columns resources_per_worker resume_from_checkpoint revision_of_model
    ring_attn_func rl_beta role_boundaries rpo_alpha sample_packing_bin_size sample_packing_eff_est
    sample_packing_group_size sample_packing_mp_start_method sample_packing_sequentially save_first_step
    save_only_model save_safetensors save_steps save_strategy save_total_limit saves_per_epoch scaling_softmax_bias
    scaling_softmax_factor sdpa_varlen seed shuffle_before_merging_datasets shuffle_merged_datasets simpo_gamma
    skip_prepare_dataset special_tokens spectrum_model_name streaming streaming_multipack_buffer_size strict
    swanlab_api_host swanlab_api_key swanlab_completion_log_interval swanlab_completion_max_buffer swanlab_description
    swanlab_experiment_name swanlab_lark_secret swanlab_lark_webhook_url swanlab_log_completions swanlab_log_model
    swanlab_mode swanlab_project swanlab_web_host swanlab_workspace tf32 tiled_mlp_num_shards
    tiled_mlp_use_original_mlp tokenizer_config tokenizer_legacy tokenizer_save_jinja_files tokenizer_type
    tokenizer_use_fast tokenizer_use_mistral_common torch_compile_backend torch_compile_mode torch_compile_options
    torch_empty_cache_steps torchdistx_path total_num_tokens total_supervised_tokens trackio_project_name
    trackio_run_name trackio_space_id train_on_inputs trainer_cls trl type_of_model use_comet use_mlflow
    use_otel_metrics use_pose use_ray use_swanlab use_tensorboard use_trackio use_wandb vllm wandb_entity
    wandb_log_model wandb_mode wandb_name wandb_project wandb_run_id wandb_watch warmup_ratio warmup_steps
    weight_decay world_size""".split()
)
"""Keys that move nothing on the card, or only say more about a key that is priced or declared.

``fp32_norms`` acts where FSDP2 shards a model, and Axolotl refuses it elsewhere: figures are those of one GPU.
"""


def test_every_key_of_the_schema_is_priced_declared_or_still() -> None:
    """A release that adds a key fails here until someone has read what it does."""
    known = schema().known
    declared = {row.key for row in UNMODELLED}
    assert known <= PRICED | ELSEWHERE | STILL | declared, sorted(known - PRICED - ELSEWHERE - STILL - declared)
    assert declared <= known
    assert not STILL & (PRICED | declared | ELSEWHERE)


@pytest.mark.parametrize("row", UNMODELLED, ids=lambda row: row.key)
def test_what_is_declared_acts_and_leaves_room(row: Unmodelled) -> None:
    """Each row is switched on by some value and off by none at all, and widens the band unless it shards."""

    def config(value: object) -> dict[str, object]:
        below = row.nested or ("another" if row.still else "")
        return {row.off: False, row.beside: 1} | {row.key: {below: value} if below else value}

    value = row.values[0] if row.values else 2
    assert row in acting(config(value))
    offs = (*({name: 2} for name in row.still), {}) if row.still else (None, False, 0, "", "false", *row.but)
    for off in offs:
        assert row not in acting({row.key: off} if row.still else config(off))
    assert row not in acting({row.key: []})
    less, more = room(config(value))
    assert (less, more) == ((0, 0) if row.sharding else (row.less, row.more))
    assert row.less or row.more


def test_an_old_name_of_bf16_is_bf16() -> None:
    """It moves what ``bf16`` moves; the old name of fp16 is not read at all unless ``bf16`` is off."""
    assert room({"bfloat16": True}) == room({"bf16": False, "bfloat16": True}) == (0, 0)
    assert room({"float16": True}) == room({"bf16": True, "float16": True}) == (0, 0)
    for off in (False, "false", "no", "Off", None):
        assert room({"bf16": off, "float16": True}) == (15, 10)


def test_room_of_several_keys() -> None:
    """What could be added adds up; of what could be saved the largest counts."""
    given = {"torch_compile": True, "qat": {"weight_dtype": "int8"}, "nonexpert_quantization": "nf4"}
    assert room(given) == (60, 70)


def test_a_model_of_another_shape_widens_the_band() -> None:
    """Nothing prices what ``overrides_of_model_config`` makes of a model; positions leave it as it is."""
    assert room({"overrides_of_model_config": {"num_hidden_layers": 8}}) == (90, 50)
    assert room({"overrides_of_model_config": {"rope_theta": 1e6, "max_position_embeddings": 9}}) == (0, 0)
    assert room({"overrides_of_model_kwargs": {"quantization_config": {"load_in_8bit": True}}}) == (75, 40)
    assert room({"overrides_of_model_kwargs": {"torch_dtype": "float32"}}) == (0, 0)


def test_what_a_packed_checkpoint_says_of_itself_is_read() -> None:
    """GPTQ's backend is told in its config.json alone."""
    backend = {"overrides_of_model_config": {"quantization_config": {"backend": "torch"}}}
    packed = {"adapter": "lora", "lora_r": 8, "lora_target_modules": ["q_proj"], "gptq": True}
    assert read_run(backend | packed).room_percent == (0, 0)
    assert read_run(backend).room_percent == (90, 50)


def test_what_shards_otherwise_than_fully_is_told_apart() -> None:
    """So that nobody takes a term's own mark for what this run divides."""
    assert not shards_otherwise({})
    for full in ({"deepspeed": "deepspeed_configs/zero3.json"}, {"fsdp_version": 2, "fsdp_config": {"x": 1}}):
        assert not shards_otherwise(full)
    for other in (
        {"deepspeed": "deepspeed_configs/zero1.json"},
        {"deepspeed": "deepspeed_configs/zero2.json"},
        {"deepspeed": "my.json"},
        {"context_parallel_size": 2},
    ):
        assert shards_otherwise(other)
