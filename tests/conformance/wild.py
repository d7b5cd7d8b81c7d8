"""Files as people write them: old ones, broken ones, ones for other tools, ones that run and do something else.

    AXOLOTL_PYTHON=.cache/axolotl-0.19.0/bin/python python -m tests.conformance.wild            # what both say of each
    AXOLOTL_PYTHON=.cache/axolotl-0.19.0/bin/python python -m tests.conformance.wild --record   # and writes Axolotl's answers down

Each is written here after what people report in Axolotl's issues, with what has to be said of it. The answers are kept in
``tests/data/axolotl/wild-0.19.0.json``, each of the file as given and of the file with every safe fix.
"""

import argparse
import json
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.catalog.library import Catalog, load_catalog
from app.services.checking import Checked, check_text
from app.services.inputs import resolve_hardware
from tests.conformance.agree import ask

ROOT = Path(__file__).parents[2]
RECORDING = ROOT / "tests" / "data" / "axolotl" / "wild-0.19.0.json"
GPU = "rtx-4090"
CAPABILITY = "sm_89"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wild:
    """A file, the codes that must be among what is said of it, and a config.json where the catalogue lacks the model."""

    text: str
    says: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()
    """Codes that must not be there."""
    model: dict[str, Any] | None = field(default=None)


QWEN_VL: dict[str, Any] = {
    "model_type": "qwen2_5_vl",
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "vocab_size": 152064,
    "vision_config": {"hidden_size": 1280, "out_hidden_size": 3584},
}

FILES: dict[str, Wild] = {
    "sharegpt with a conversation of FastChat": Wild(
        text="""\
base_model: teknium/OpenHermes-2.5-Mistral-7B
model_type: MistralForCausalLM
tokenizer_type: LlamaTokenizer
is_mistral_derived_model: true

load_in_8bit: false
load_in_4bit: true
strict: false

datasets:
  - path: teknium/OpenHermes-2.5
    type: sharegpt
    conversation: chatml
dataset_prepared_path: last_run_prepared
val_set_size: 0.05
output_dir: ./out

adapter: qlora
lora_model_dir:
sequence_len: 4096
sample_packing: true
pad_to_sequence_len: true
lora_r: 32
lora_alpha: 16
lora_dropout: 0.05
lora_target_linear: true
lora_fan_in_fan_out:

gradient_accumulation_steps: 4
micro_batch_size: 2
num_epochs: 4
optimizer: adamw_bnb_8bit
lr_scheduler: cosine
learning_rate: 0.0002
train_on_inputs: false
group_by_length: false
bf16: auto
fp16:
tf32: false
gradient_checkpointing: true
early_stopping_patience:
resume_from_checkpoint:
local_rank:
logging_steps: 1
xformers_attention:
flash_attention: true
warmup_steps: 10
evals_per_epoch: 4
eval_table_size:
eval_max_new_tokens: 128
saves_per_epoch: 1
debug:
deepspeed:
weight_decay: 0.0
fsdp:
fsdp_config:
special_tokens:
  bos_token: "<s>"
  eos_token: "<|im_end|>"
  unk_token: "<unk>"
tokens:
  - "<|im_start|>"
""",
        says=("sharegpt", "renamed_key", "tokens_untrained", "superseded_key"),
    ),
    "sharegpt.load_role of 2023": Wild(
        text="""\
base_model: NousResearch/Llama-2-7b-hf
base_model_config: NousResearch/Llama-2-7b-hf
model_type: LlamaForCausalLM
tokenizer_type: LlamaTokenizer
load_in_8bit: true
datasets:
  - path: ehartford/samantha-data
    data_files: samantha-1.1.json
    type: sharegpt.load_role
dataset_prepared_path: last_run_prepared
val_set_size: 0.01
adapter: lora
sequence_len: 2048
max_packed_sequence_len: 2048
lora_r: 8
lora_alpha: 16
lora_dropout: 0.0
lora_target_modules:
  - gate_proj
  - down_proj
  - up_proj
  - q_proj
  - v_proj
  - k_proj
  - o_proj
lora_fan_in_fan_out: false
wandb_project: llama-7b-lora
wandb_run_id:
output_dir: ./lora-out
batch_size: 128
micro_batch_size: 16
num_epochs: 3
learning_rate: 0.00003
""",
        says=("sharegpt", "removed_key_successor"),
    ),
    "GPTQ with the keys of AutoGPTQ": Wild(
        text="""\
base_model: TheBloke/Llama-2-7B-GPTQ
gptq: true
gptq_disable_exllama: true
gptq_groupsize: 128
gptq_model_v1: false
model_type: AutoModelForCausalLM
tokenizer_type: LlamaTokenizer
tokenizer_use_fast: true
tokenizer_legacy: true
load_in_8bit: false
load_in_4bit: false
strict: false
hf_use_auth_token: true
datasets:
  - path: mhenrichsen/alpaca_2k_test
    type: alpaca
val_set_size: 0.05
adapter: lora
sequence_len: 4096
sample_packing:
lora_r: 8
lora_alpha: 32
lora_dropout: 0.05
lora_target_modules:
  - k_proj
  - o_proj
  - q_proj
  - v_proj
lora_target_linear:
output_dir: ./model-out
gradient_accumulation_steps: 1
micro_batch_size: 1
num_epochs: 4
optimizer: adamw_torch
adam_beta2: 0.95
adam_eps: 0.00001
max_grad_norm: 1.0
torchdistx_path:
lr_scheduler: cosine
lr_quadratic_warmup: true
learning_rate: 0.000017
train_on_inputs: false
group_by_length: false
bf16: false
fp16: false
float16: true
tf32: true
gradient_checkpointing: true
logging_steps: 1
flash_attention:
sdp_attention:
flash_optimum:
warmup_steps: 100
""",
        says=("gptq_packages", "gptq_kernels", "gptq_backend", "never_read", "never_read_successor"),
    ),
    "GPTQ under QLoRA": Wild(
        text="""\
base_model: TheBloke/Mistral-7B-v0.1-GPTQ
gptq: true
adapter: qlora
load_in_4bit: true
lora_r: 16
lora_alpha: 32
lora_target_linear: true
datasets:
  - path: mhenrichsen/alpaca_2k_test
    type: alpaca
sequence_len: 2048
micro_batch_size: 1
num_epochs: 1
learning_rate: 0.0002
""",
        says=("qlora_gptq", "gptq_kernels"),
    ),
    "FSDP with a list and prefixes": Wild(
        text="""\
base_model: NousResearch/Meta-Llama-3-70B
load_in_4bit: true
strict: false
datasets:
  - path: tatsu-lab/alpaca
    type: alpaca
val_set_size: 0.05
adapter: qlora
sequence_len: 512
sample_packing: false
pad_to_sequence_len: true
lora_r: 8
lora_alpha: 16
lora_dropout: 0.05
lora_target_linear: true
gradient_accumulation_steps: 4
micro_batch_size: 1
num_epochs: 4
optimizer: adamw_torch
lr_scheduler: cosine
learning_rate: 0.00001
bf16: auto
gradient_checkpointing: true
gradient_checkpointing_kwargs:
  use_reentrant: true
logging_steps: 1
flash_attention: true
warmup_steps: 10
evals_per_epoch: 4
saves_per_epoch: 1
fsdp:
  - full_shard
  - auto_wrap
fsdp_config:
  fsdp_limit_all_gathers: true
  fsdp_sync_module_states: true
  fsdp_offload_params: true
  fsdp_use_orig_params: false
  fsdp_cpu_ram_efficient_loading: true
  fsdp_auto_wrap_policy: TRANSFORMER_BASED_WRAP
  fsdp_transformer_layer_cls_to_wrap: LlamaDecoderLayer
  fsdp_state_dict_type: FULL_STATE_DICT
  fsdp_sharding_strategy: FULL_SHARD
special_tokens:
  pad_token: <|end_of_text|>
""",
        says=("fsdp_prefix", "fsdp_first", "fsdp_dropped", "fsdp_one_gpu"),
        silent=("unknown_key",),
    ),
    "FSDP 2 with 8-bit AdamW": Wild(
        text="""\
base_model: meta-llama/Llama-3.1-8B
datasets:
  - path: tatsu-lab/alpaca
    type: alpaca
sequence_len: 2048
micro_batch_size: 1
gradient_accumulation_steps: 2
num_epochs: 1
optimizer: adamw_8bit
learning_rate: 2e-5
bf16: true
fsdp_version: 2
fsdp_config:
  offload_params: false
  auto_wrap_policy: TRANSFORMER_BASED_WRAP
  transformer_layer_cls_to_wrap: LlamaDecoderLayer
  state_dict_type: FULL_STATE_DICT
  reshard_after_forward: true
""",
        says=("fsdp2_8bit", "exponent_text"),
    ),
    "DeepSpeed and FSDP at once": Wild(
        text="""\
base_model: mistralai/Mistral-7B-v0.1
datasets:
  - path: tatsu-lab/alpaca
    type: alpaca
sequence_len: 2048
micro_batch_size: 1
num_epochs: 1
optimizer: adamw_torch
learning_rate: 0.000005
bf16: true
deepspeed: deepspeed_configs/zero3_bf16.json
fsdp:
  - full_shard
  - auto_wrap
fsdp_config:
  fsdp_transformer_layer_cls_to_wrap: MistralDecoderLayer
""",
        says=("deepspeed_fsdp",),
    ),
    "DeepSpeed with 4 bits and targets missing": Wild(
        text="""\
base_model: Qwen/Qwen2.5-7B-Instruct
load_in_4bit: true
adapter: lora
datasets:
  - path: data/train.jsonl
    ds_type: json
    type: chat_template
    field_messages: messages
deepspeed: deepspeed_configs/zero2.json
sequence_len: 4096
micro_batch_size: 1
gradient_accumulation_steps: 8
num_epochs: 3
lora_r: 64
lora_alpha: 128
optimizer: adamw_torch
learning_rate: 0.0002
bf16: auto
""",
        says=("lora_load_in_4bit", "targets_missing"),
    ),
    "indentation of a dataset lost": Wild(
        text="""\
base_model: meta-llama/Llama-3.2-1B
datasets:
  - path: mhenrichsen/alpaca_2k_test
  type: alpaca
learning_rate: 0.0002
""",
        says=("yaml_indent",),
    ),
    "indentation too deep": Wild(
        text="""\
base_model: meta-llama/Llama-3.2-1B
adapter: lora
  lora_r: 16
datasets:
  - path: mhenrichsen/alpaca_2k_test
    type: alpaca
learning_rate: 0.0002
""",
        says=("yaml_colon",),
    ),
    "a dataset that is no list": Wild(
        text="""\
base_model: meta-llama/Llama-3.2-1B
adapter: lora
lora_r: 16
lora_alpha: 32
lora_target_linear: true
datasets:
  path: mhenrichsen/alpaca_2k_test
  type: alpaca
micro_batch_size: 2
gradient_accumulation_steps: 4
num_epochs: 1
learning_rate: 0.0002
""",
        says=("value_type",),
    ),
    "tabs": Wild(
        text="""\
base_model: meta-llama/Llama-3.2-1B
datasets:
\t- path: a
\t  type: alpaca
learning_rate: 0.0002
""",
        says=("yaml_tab",),
    ),
    "a colon in a path": Wild(
        text="""\
base_model: meta-llama/Llama-3.2-1B
output_dir: C: \\\\models\\\\out
datasets:
  - path: mhenrichsen/alpaca_2k_test
    type: alpaca
learning_rate: 0.0002
""",
        says=("yaml_colon",),
    ),
    "a percent sign and a split": Wild(
        text="""\
base_model: meta-llama/Llama-3.2-1B
adapter: lora
lora_r: 16
lora_alpha: 32
lora_target_linear: true
datasets:
  - path: HuggingFaceH4/ultrachat_200k
    split: train_sft[:10%]
    type: chat_template
    field_messages: messages
    message_field_role: role
    message_field_content: content
    roles:
      user: ["human", "user"]
      assistant: ["gpt", "assistant"]
micro_batch_size: 2
num_epochs: 1
learning_rate: 0.0002
attn_implementation: flash_attention_2
""",
        says=("renamed_key",),
    ),
    "a chat template by a name of its own": Wild(
        text="""\
base_model: mistralai/Mistral-7B-Instruct-v0.3
chat_template: inst
adapter: lora
lora_r: 16
lora_alpha: 32
lora_target_linear: true
datasets:
  - path: data.jsonl
    type: chat_template
micro_batch_size: 2
num_epochs: 1
learning_rate: 0.0002
""",
        says=("value_choice",),
    ),
    "a strategy in chat_template's place": Wild(
        text="""\
base_model: meta-llama/Llama-3.1-8B-Instruct
chat_template: chat_template.default
rl: dpo
adapter: lora
lora_r: 16
lora_alpha: 32
lora_target_linear: true
datasets:
  - path: argilla/ultrafeedback-binarized-preferences
    type: chat_template
micro_batch_size: 2
num_epochs: 1
learning_rate: 0.00001
""",
        says=("template_is_type",),
    ),
    "DPO of the first days": Wild(
        text="""\
base_model: openaccess-ai-collective/DPOpenHermes-7B
rl: dpo
dpo_beta: 0.1
datasets:
  - path: Intel/orca_dpo_pairs
    split: train
    type: chatml.intel
  - path: allenai/ultrafeedback_binarized_cleaned
    split: train_prefs
    type: chatml.ultra
adapter: qlora
load_in_4bit: true
sequence_len: 2048
sample_packing: true
lora_r: 64
lora_alpha: 32
lora_dropout: 0.05
lora_target_linear: true
micro_batch_size: 1
gradient_accumulation_steps: 4
num_epochs: 1
optimizer: paged_adamw_8bit
learning_rate: 0.0002
bf16: true
flash_attention: true
save_strategy: epoch
evaluation_strategy: "no"
""",
        says=("packing_rl", "renamed_key"),
    ),
    "ORPO with packing and a role": Wild(
        text="""\
base_model: mistralai/Mistral-7B-v0.1
rl: orpo
orpo_alpha: 0.1
remove_unused_columns: false
chat_template: chatml
datasets:
  - path: argilla/ultrafeedback-binarized-preferences-cleaned
    type: chat_template.argilla
adapter: qlora
load_in_4bit: true
sequence_len: 4096
sample_packing: false
lora_r: 32
lora_alpha: 16
lora_target_linear: true
micro_batch_size: 2
gradient_accumulation_steps: 4
num_epochs: 1
optimizer: paged_adamw_8bit
learning_rate: 8e-6
bf16: auto
""",
        says=("exponent_text",),
        silent=("packing_rl",),
    ),
    "KTO as SFT is written": Wild(
        text="""\
base_model: meta-llama/Llama-3.2-1B
rl: kto
rl_beta: 0.5
kto_desirable_weight: 0.2
datasets:
  - path: argilla/ultrafeedback-binarized-preferences-cleaned-kto
    type: llama3.ultra
    split: train
adapter: lora
lora_r: 32
lora_alpha: 64
lora_target_linear: true
micro_batch_size: 1
num_epochs: 1
learning_rate: 0.0002
sequence_len: 2048
""",
        says=("kto_columns", "kto_batch"),
    ),
    "PPO, which there is not": Wild(
        text="""\
base_model: meta-llama/Llama-3.2-1B
rl: ppo
datasets:
  - path: data.jsonl
    type: alpaca
adapter: lora
lora_r: 16
lora_alpha: 32
lora_target_linear: true
micro_batch_size: 1
num_epochs: 1
learning_rate: 0.00001
""",
        says=("rl_online",),
    ),
    "GRPO with a group that the batch does not hold": Wild(
        text="""\
base_model: Qwen/Qwen2.5-1.5B-Instruct
rl: grpo
trl:
  beta: 0.001
  use_vllm: true
  num_generations: 6
  max_completion_length: 256
  reward_funcs: ["rewards.accuracy"]
datasets:
  - path: openai/gsm8k
    name: main
    type: rewards.transform
micro_batch_size: 1
gradient_accumulation_steps: 4
num_epochs: 1
learning_rate: 5e-6
""",
        says=("grpo_batch",),
    ),
    "a reward model as a value of rl": Wild(
        text="""\
base_model: meta-llama/Llama-3.2-1B
rl: reward_trainer
datasets:
  - path: data.jsonl
    type: bradley_terry.chat_template
micro_batch_size: 1
num_epochs: 1
learning_rate: 0.00001
""",
        says=("rl_reward",),
    ),
    "LLaVA's text example, targets of before Transformers 5": Wild(
        text="""\
base_model: Qwen/Qwen2.5-VL-7B-Instruct
processor_type: AutoProcessor
skip_prepare_dataset: true
remove_unused_columns: false
sample_packing: false
chat_template: qwen2_vl
datasets:
  - path: HuggingFaceH4/llava-instruct-mix-vsft
    type: chat_template
    split: train[:1%]
adapter: lora
sequence_len: 8192
pad_to_sequence_len: false
lora_r: 32
lora_alpha: 16
lora_dropout: 0.05
lora_target_modules: 'model.layers.[\\d]+.(mlp|cross_attn|self_attn).(up|down|gate|q|k|v|o)_proj'
gradient_accumulation_steps: 1
micro_batch_size: 1
num_epochs: 1
optimizer: adamw_bnb_8bit
lr_scheduler: cosine
learning_rate: 0.0002
bf16: true
gradient_checkpointing: true
flash_attention: true
""",
        says=("kernels_unpatchable", "targets_pattern"),
        model=QWEN_VL,
    ),
    "Qwen VL with every linear": Wild(
        text="""\
base_model: Qwen/Qwen2.5-VL-7B-Instruct
processor_type: AutoProcessor
skip_prepare_dataset: true
remove_unused_columns: false
datasets:
  - path: HuggingFaceH4/llava-instruct-mix-vsft
    type: chat_template
adapter: qlora
load_in_4bit: true
lora_r: 32
lora_alpha: 16
lora_target_linear: true
micro_batch_size: 1
num_epochs: 1
learning_rate: 0.0002
bf16: true
""",
        says=("targets_numbered", "kernels_unpatchable"),
        model=QWEN_VL,
    ),
    "images packed": Wild(
        text="""\
base_model: Qwen/Qwen2.5-VL-7B-Instruct
processor_type: AutoProcessor
sample_packing: true
datasets:
  - path: HuggingFaceH4/llava-instruct-mix-vsft
    type: chat_template
adapter: lora
lora_r: 16
lora_alpha: 32
lora_target_modules: [q_proj, v_proj]
lora_mlp_kernel: false
micro_batch_size: 1
num_epochs: 1
learning_rate: 0.0002
attn_implementation: flash_attention_2
""",
        says=("images_packed",),
        model=QWEN_VL,
    ),
    "special tokens as a list": Wild(
        text="""\
base_model: mistralai/Mistral-7B-v0.1
adapter: lora
lora_r: 16
lora_alpha: 32
lora_target_linear: true
special_tokens:
  - pad_token: "</s>"
  - eos_token: "<|im_end|>"
datasets:
  - path: data.jsonl
    type: alpaca
micro_batch_size: 2
num_epochs: 1
learning_rate: 0.0002
""",
        says=("value_type",),
    ),
    "new tokens without their embeddings": Wild(
        text="""\
base_model: meta-llama/Llama-3.1-8B
adapter: lora
lora_r: 16
lora_alpha: 32
lora_target_linear: true
chat_template: chatml
special_tokens:
  eos_token: "<|im_end|>"
  pad_token: "<|end_of_text|>"
tokens:
  - "<|im_start|>"
  - "<|im_end|>"
datasets:
  - path: data.jsonl
    type: chat_template
micro_batch_size: 2
num_epochs: 1
learning_rate: 0.0002
attn_implementation: flash_attention_2
sample_packing: true
""",
        says=("tokens_untrained",),
    ),
    "tokens as one text": Wild(
        text="""\
base_model: mistralai/Mistral-7B-v0.1
adapter: lora
lora_r: 16
lora_alpha: 32
lora_target_linear: true
lora_modules_to_save: [embed_tokens, lm_head]
tokens: "<|im_start|>"
datasets:
  - path: data.jsonl
    type: alpaca
micro_batch_size: 2
num_epochs: 1
learning_rate: 0.0002
""",
        says=("value_type",),
    ),
    "LLaMA-Factory's keys": Wild(
        text="""\
model_name_or_path: meta-llama/Llama-3.1-8B-Instruct
stage: sft
do_train: true
finetuning_type: lora
lora_rank: 8
lora_target: all
dataset: alpaca_en_demo
template: llama3
cutoff_len: 2048
per_device_train_batch_size: 1
gradient_accumulation_steps: 8
learning_rate: 1.0e-4
num_train_epochs: 3.0
lr_scheduler_type: cosine
warmup_ratio: 0.1
bf16: true
""",
        says=("key_missing", "datasets_missing", "unknown_key_nearest", "never_read"),
    ),
    "TRL's and PEFT's names": Wild(
        text="""\
base_model: meta-llama/Llama-3.1-8B
adapter: lora
r: 16
lora_alpha: 32
target_modules: [q_proj, v_proj]
max_seq_length: 2048
per_device_train_batch_size: 2
num_train_epochs: 1
optim: adamw_torch
datasets:
  - path: data.jsonl
    type: alpaca
learning_rate: 0.0002
""",
        says=("unknown_key_nearest", "lora_r_missing", "targets_missing"),
    ),
    "Unsloth's keys": Wild(
        text="""\
base_model: unsloth/Meta-Llama-3.1-8B
load_in_4bit: true
adapter: qlora
unsloth_lora_mlp: true
unsloth_lora_qkv: true
unsloth_lora_o: true
unsloth_rms_norm: true
unsloth_cross_entropy_loss: true
lora_r: 16
lora_alpha: 16
lora_target_linear: true
datasets:
  - path: data.jsonl
    type: alpaca
micro_batch_size: 2
num_epochs: 1
learning_rate: 0.0002
""",
        says=("removed_key_successor",),
    ),
    "ReLoRA of the guide": Wild(
        text="""\
base_model: NousResearch/Llama-2-7b-hf
adapter: lora
lora_r: 8
lora_alpha: 16
lora_target_linear: true
relora_steps: 200
relora_warmup_steps: 50
relora_cpu_offload: false
datasets:
  - path: teknium/GPT4-LLM-Cleaned
    type: alpaca
sequence_len: 4096
micro_batch_size: 4
num_epochs: 4
learning_rate: 2e-4
""",
        says=("ignored_key",),
    ),
    "numbers in quotes, words for switches": Wild(
        text="""\
base_model: meta-llama/Llama-3.2-1B
adapter: lora
lora_r: "16"
lora_alpha: "32"
lora_target_linear: "True"
sequence_len: "2048"
datasets:
  - path: data.jsonl
    type: alpaca
micro_batch_size: "2"
num_epochs: "1"
learning_rate: "2e-4"
sample_packing: "no"
""",
        says=("exponent_text",),
    ),
    "None as in Python": Wild(
        text="""\
base_model: meta-llama/Llama-3.2-1B
adapter: None
datasets:
  - path: data.jsonl
    type: alpaca
lora_model_dir: None
deepspeed: None
early_stopping_patience: None
micro_batch_size: 2
num_epochs: 1
learning_rate: 0.00002
""",
        says=("adapter_not_axolotl", "none_text"),
    ),
    "comma for a point": Wild(
        text="""\
base_model: meta-llama/Llama-3.2-1B
adapter: lora
lora_r: 16
lora_alpha: 32
lora_dropout: 0,05
lora_target_linear: true
datasets:
  - path: data.jsonl
    type: alpaca
micro_batch_size: 2
num_epochs: 1
learning_rate: 0,0002
""",
        says=("value_type", "learning_rate_text"),
    ),
    "lora_alpha with a fraction, dropout as a per cent": Wild(
        text="""\
base_model: meta-llama/Llama-3.2-1B
adapter: lora
lora_r: 16
lora_alpha: 22.6
lora_dropout: 5
lora_target_linear: true
datasets:
  - path: data.jsonl
    type: alpaca
micro_batch_size: 2
num_epochs: 1
learning_rate: 0.0002
""",
        says=("value_type", "dropout_share"),
    ),
    "evaluation without data": Wild(
        text="""\
base_model: meta-llama/Llama-3.2-1B
adapter: lora
lora_r: 16
lora_alpha: 32
lora_target_linear: true
val_set_size: 0
eval_steps: 50
eval_strategy: steps
early_stopping_patience: 3
datasets:
  - path: data.jsonl
    type: alpaca
micro_batch_size: 2
num_epochs: 1
learning_rate: 0.0002
""",
        says=("eval_without_data",),
    ),
    "save_steps beside saves_per_epoch": Wild(
        text="""\
base_model: meta-llama/Llama-3.2-1B
adapter: lora
lora_r: 16
lora_alpha: 32
lora_target_linear: true
val_set_size: 0.05
save_steps: 100
saves_per_epoch: 2
eval_steps: 100
evals_per_epoch: 2
warmup_steps: 10
warmup_ratio: 0.03
datasets:
  - path: data.jsonl
    type: alpaca
micro_batch_size: 2
num_epochs: 1
learning_rate: 0.0002
""",
        says=("saves_twice", "evals_twice", "warmup_twice"),
    ),
    "rope scaling at the top": Wild(
        text="""\
base_model: NousResearch/Llama-2-7b-hf
rope_scaling:
  type: linear
  factor: 4.0
sequence_len: 16384
adapter: lora
lora_r: 16
lora_alpha: 32
lora_target_linear: true
datasets:
  - path: data.jsonl
    type: alpaca
micro_batch_size: 1
num_epochs: 1
learning_rate: 0.0002
flash_attention: true
sample_packing: true
""",
        says=("removed_key_successor", "beyond_context"),
    ),
    "pretraining_dataset as a text": Wild(
        text="""\
base_model: TinyLlama/TinyLlama-1.1B-intermediate-step-1431k-3T
pretraining_dataset: allenai/c4
max_steps: 1000
sequence_len: 2048
sample_packing: true
micro_batch_size: 4
learning_rate: 0.0003
flash_attention: true
""",
        says=("value_type", "pretraining_streaming"),
    ),
    "streaming without steps": Wild(
        text="""\
base_model: TinyLlama/TinyLlama-1.1B-intermediate-step-1431k-3T
pretraining_dataset:
  - path: allenai/c4
    name: en
    type: pretrain
num_epochs: 1
val_set_size: 0.01
sequence_len: 2048
micro_batch_size: 4
learning_rate: 0.0003
flash_attention: true
""",
        says=("streaming_steps", "streaming_validation"),
    ),
    "the flash switch beside the key": Wild(
        text="""\
base_model: meta-llama/Llama-3.1-8B
adapter: qlora
load_in_4bit: true
lora_r: 16
lora_alpha: 32
lora_target_linear: true
flash_attention: true
attn_implementation: sdpa
datasets:
  - path: data.jsonl
    type: completion
    field: text
micro_batch_size: 2
num_epochs: 1
learning_rate: 0.0002
""",
        says=("attention_twice",),
    ),
    "a plugin's name cut short": Wild(
        text="""\
base_model: meta-llama/Llama-3.1-8B
plugins:
  - axolotl.integrations.liger
  - axolotl.integrations.cut_cross_entropy.CutCrossEntropy
liger_rope: true
liger_rms_norm: true
liger_fused_linear_cross_entropy: true
cut_cross_entropy: true
adapter: lora
lora_r: 16
lora_alpha: 32
lora_target_linear: true
datasets:
  - path: data.jsonl
    type: alpaca
micro_batch_size: 2
num_epochs: 1
learning_rate: 0.0002
bf16: auto
""",
        says=("two_losses", "plugin_class"),
    ),
    "Liger's keys without its plugin": Wild(
        text="""\
base_model: meta-llama/Llama-3.1-8B
liger_rope: true
liger_swiglu: true
liger_fused_linear_cross_entropy: true
adapter: lora
lora_r: 16
lora_alpha: 32
lora_target_linear: true
datasets:
  - path: data.jsonl
    type: alpaca
micro_batch_size: 2
num_epochs: 1
learning_rate: 0.0002
""",
        says=("plugin_missing",),
    ),
    "a model from a folder, data with a misspelt type": Wild(
        text="""\
base_model: ./models/my-llama
adapter: lora
lora_r: 16
lora_alpha: 32
lora_target_linear: true
datasets:
  - path: ./data/train.jsonl
    ds_type: jsonl
    type: aplaca
micro_batch_size: 2
num_epochs: 1
learning_rate: 0.0002
""",
        says=("model_unknown_nearest", "dataset_type_unknown", "dataset_files"),
    ),
    "a dataset's type in the wrong case": Wild(
        text="""\
base_model: meta-llama/Llama-3.2-1B
adapter: LoRA
lora_r: 16
lora_alpha: 32
lora_target_linear: true
datasets:
  - path: data.jsonl
    type: Alpaca
micro_batch_size: 2
num_epochs: 1
learning_rate: 0.0002
""",
        says=("adapter_not_axolotl", "dataset_type_unknown"),
    ),
    "YAML twice in one file": Wild(
        text="""\
base_model: meta-llama/Llama-3.2-1B
adapter: lora
---
base_model: meta-llama/Llama-3.2-1B
learning_rate: 0.0002
""",
        says=("yaml_documents",),
    ),
    "pasted from a page with quotes that curl": Wild(
        text="""\
base_model: “meta-llama/Llama-3.2-1B”
adapter: lora
lora_r: 16
lora_alpha: 32
lora_target_linear: true
datasets:
  - path: “mhenrichsen/alpaca_2k_test”
    type: alpaca
micro_batch_size: 2
num_epochs: 1
learning_rate: 0.0002
""",
        says=("curly_quotes",),
    ),
    "a fence of Markdown around it": Wild(
        text="""\
```yaml
base_model: meta-llama/Llama-3.2-1B
datasets:
  - path: mhenrichsen/alpaca_2k_test
    type: alpaca
learning_rate: 0.0002
```
""",
        says=("yaml_fence",),
    ),
    "a word processor's dashes in a list": Wild(
        text="""\
base_model: meta-llama/Llama-3.2-1B
datasets:
  \u2013 path: mhenrichsen/alpaca_2k_test
    type: alpaca
learning_rate: 0.0002
""",
        says=("yaml_odd_bullet",),
    ),
    "indented with no-break spaces from a page": Wild(
        text="""\
base_model: meta-llama/Llama-3.2-1B
datasets:
  - path: mhenrichsen/alpaca_2k_test
\u00a0\u00a0\u00a0\u00a0type: alpaca
micro_batch_size: 1
learning_rate: 0.0002
""",
        says=("key_space",),
        silent=("unknown_key",),
    ),
    "a minus sign of typography": Wild(
        text="""\
base_model: meta-llama/Llama-3.2-1B
datasets:
  - path: mhenrichsen/alpaca_2k_test
    type: alpaca
micro_batch_size: 1
learning_rate: 2e\u22124
weight_decay: \u22120.1
""",
        says=("value_minus",),
    ),
    "a zero-width space that came along": Wild(
        text="""\
base_model: meta-llama/Llama-3.2-1B
adapter: lora\u200b
lora_r: 16
lora_alpha: 32
lora_target_linear: true
datasets:
  - path: mhenrichsen/alpaca_2k_test
    type: alpaca
micro_batch_size: 1
learning_rate: 0.0002
""",
        says=("value_unseen",),
    ),
    "habits of a year ago": Wild(
        text="""\
base_model: Qwen/Qwen2.5-0.5B-Instruct
adapter: lora
lora_r: 16
lora_alpha: 32
lora_target_linear: true
adapter_path: ./earlier/checkpoint-500
report_to: none
datasets:
  - path: mhenrichsen/alpaca_2k_test
    type: alpaca
micro_batch_size: 1
learning_rate: 0.0002
warmup_steps: 0.1
bf16: full
gradient_checkpointing: unsloth
""",
        says=("bf16_full", "checkpointing_unsloth", "value_type", "unknown_key_nearest", "unknown_key"),
    ),
    "a packed base by its name alone": Wild(
        text="""\
base_model: TheBloke/Mistral-7B-Instruct-v0.2-GPTQ
adapter: lora
lora_r: 8
lora_alpha: 16
lora_target_modules: [q_proj, v_proj]
datasets:
  - path: mhenrichsen/alpaca_2k_test
    type: alpaca
micro_batch_size: 1
learning_rate: 0.00002
gradient_checkpointing: true
""",
        says=("gptq_by_name",),
    ),
}


def checked(catalog: Catalog, name: str, text: str = "") -> Checked:
    """What we say of one file, or of ``text`` in its place."""
    hardware = resolve_hardware(catalog=catalog, gpu=GPU)
    return check_text(catalog=catalog, text=text or FILES[name].text, hardware=hardware, model=FILES[name].model)


def lines(catalog: Catalog) -> list[dict[str, Any]]:
    """What Axolotl is asked: each file, and each with every safe fix."""
    made = []
    for name, wild in FILES.items():
        mended = checked(catalog, name).mended.text or wild.text
        for kind, text in (("given", wild.text), ("mended", mended)):
            made.append({"name": f"{kind}: {name}", "yaml": text, "capability": CAPABILITY, "gpus": 1})
    return made


def main() -> int:
    """Ask, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--record", action="store_true")
    given = parser.parse_args()
    catalog = load_catalog()
    answers = ask(lines(catalog), os.environ["AXOLOTL_PYTHON"])
    apart = 0
    for name in FILES:
        found, theirs, after = checked(catalog, name), answers[f"given: {name}"], answers[f"mended: {name}"]
        agree = found.valid == theirs["valid"]
        apart += not agree
        mark, verdict = ("   " if agree else "!! "), ("takes" if theirs["valid"] else "refuses")
        print(f"{mark}{name}: {found.verdict}, Axolotl {verdict} it", end="")
        print(f", {'takes' if after['valid'] else 'refuses'} it mended")
        for finding in found.findings:
            print(f"        {finding.effect} {finding.code} {finding.key} line {finding.line} fix {finding.fix}")
        if not theirs["valid"]:
            print("        Axolotl:", " ".join(theirs["error"].split())[:240])
        if not after["valid"] and after["error"] != theirs["error"]:
            print("        Axolotl, mended:", " ".join(after["error"].split())[:240])
    print(f"{len(FILES)} files, {apart} disagreements")
    if given.record:
        kept = {name: {"valid": answer["valid"], "error": answer["error"]} for name, answer in answers.items()}
        RECORDING.write_text(json.dumps(kept, indent=0, ensure_ascii=False) + "\n", encoding="utf-8")
    return 1 if apart else 0


if __name__ == "__main__":
    sys.exit(main())
