"""Keys that were renamed, removed, or never were Axolotl's: what took their place.

Source: Axolotl 0.19.0, ``utils/schemas`` (``deprecated.py``, ``validation.py``, ``config.py``); each was tried on the
validator. Adding one is adding a row here.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from app.core.axolotl.subject import Subject, misleads, rejected, warning
from app.core.findings import Finding, Fix

Mend = Callable[[Any], Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Renamed:
    """``successor`` is the key to look for; ``mend`` says the old value's meaning in today's keys.

    ``mapped`` is true where Axolotl still reads the old key as that, false where it ignores it: writing the
    successor then changes what a working file trains.
    """

    successor: str
    mend: Mend
    mapped: bool = True


def _same(key: str) -> Mend:
    return lambda value: {key: value}


def _attention(implementation: str) -> Mend:
    return lambda value: {"attn_implementation": implementation} if value else {}


def _strategy(value: object) -> Mapping[str, Any]:
    """YAML reads the word ``no`` as a switch that is off."""
    return {"eval_strategy": "no" if value is False else value}


RENAMED: Mapping[str, Renamed] = {
    "relora_steps": Renamed(
        successor="jagged_restart_steps",
        mend=lambda value: {"relora": True, "jagged_restart_steps": value},
        mapped=False,
    ),
    "relora_warmup_steps": Renamed(
        successor="jagged_restart_warmup_steps", mend=_same("jagged_restart_warmup_steps"), mapped=False
    ),
    "relora_anneal_steps": Renamed(
        successor="jagged_restart_anneal_steps", mend=_same("jagged_restart_anneal_steps"), mapped=False
    ),
    "peft_use_loftq": Renamed(
        successor="peft.loftq_config",
        mend=lambda value: {"peft": {"loftq_config": {"loftq_bits": 4}}} if value else {},
        mapped=False,
    ),
    "flash_attention": Renamed(successor="attn_implementation", mend=_attention("flash_attention_2")),
    "sdp_attention": Renamed(successor="attn_implementation", mend=_attention("sdpa")),
    "eager_attention": Renamed(successor="attn_implementation", mend=_attention("eager")),
    "flex_attention": Renamed(successor="attn_implementation", mend=_attention("flex_attention")),
    "xformers_attention": Renamed(successor="attn_implementation", mend=_attention("xformers")),
    "sage_attention": Renamed(successor="attn_implementation", mend=_attention("sage")),
    "noisy_embedding_alpha": Renamed(successor="neftune_noise_alpha", mend=_same("neftune_noise_alpha")),
    "evaluation_strategy": Renamed(successor="eval_strategy", mend=_strategy),
    "dpo_beta": Renamed(successor="rl_beta", mend=_same("rl_beta")),
    "dataset_processes": Renamed(successor="dataset_num_proc", mend=_same("dataset_num_proc")),
    "sequence_parallel_degree": Renamed(successor="context_parallel_size", mend=_same("context_parallel_size")),
    "pretrain_multipack_buffer_size": Renamed(
        successor="streaming_multipack_buffer_size", mend=_same("streaming_multipack_buffer_size")
    ),
    "gc_steps": Renamed(
        successor="torch_empty_cache_steps",
        mend=lambda value: (
            {"torch_empty_cache_steps": value, "gc_collect_steps": value}
            if isinstance(value, int) and value > 0
            else {"gc_collect_steps": value}
        ),
    ),
    "liger_swiglu": Renamed(successor="liger_glu_activation", mend=_same("liger_glu_activation")),
}

REMOVED: Mapping[str, tuple[str, ...]] = {
    "s2_attention": (),
    "flash_attn_rms_norm": ("liger_rms_norm",),
    "max_packed_sequence_len": ("sample_packing",),
    "rope_scaling": ("overrides_of_model_config",),
    "rpo_alpha": (),
    "dpo_norm_loss": (),
    "dpo_use_logits_to_keep": (),
    "dpo_generate_during_eval": (),
    "unsloth_cross_entropy_loss": ("cut_cross_entropy",),
    "unsloth_lora_mlp": ("lora_mlp_kernel",),
    "unsloth_lora_qkv": ("lora_qkv_kernel",),
    "unsloth_lora_o": ("lora_o_kernel",),
    "unsloth_rms_norm": ("liger_rms_norm",),
    "unsloth_rope": ("liger_rope",),
}
"""Keys that Axolotl refuses to read, with what does the same today."""

STILL_MEANT = ("rope_scaling",)
"""Removed keys without which the file trains something else than was meant."""

REFUSED_AT_ALL = ("rpo_alpha", "dpo_norm_loss", "dpo_use_logits_to_keep", "dpo_generate_during_eval")
"""Removed keys that are refused whatever they are set to, but for null; the others only where they are on."""

TOGETHER_REFUSED: Mapping[str, str] = {
    "noisy_embedding_alpha": "neftune_noise_alpha",
    "pretrain_multipack_buffer_size": "streaming_multipack_buffer_size",
    "liger_swiglu": "liger_glu_activation",
}
"""Old names that Axolotl refuses beside the new one."""

SUPERSEDED: Mapping[str, tuple[str, ...]] = {
    "eval_table_size": ("generate_samples", "num_generation_samples"),
    "eval_max_new_tokens": ("generation_max_new_tokens",),
    "fsdp": ("fsdp_config",),
    "fsdp_final_state_dict_type": ("fsdp_config.final_state_dict_type",),
}
"""Keys that are being given up for something that is not the same under another name."""

NEVER_READ: Mapping[str, tuple[str, ...]] = {
    "do_eval": (),
    "do_train": (),
    "gptq_disable_exllama": (),
    "gptq_groupsize": (),
    "gptq_model_v1": (),
    "adam_eps": ("adam_epsilon",),
    "eta_min": ("cosine_min_lr_ratio",),
    "debug": (),
    "strict_load": (),
}
"""Keys of long ago or of other tools that are seen in people's files and mean nothing to this Axolotl."""


OTHER_TOOLS: Mapping[str, str] = {
    "adapter_name_or_path": "lora_model_dir",
    "adapter_path": "lora_model_dir",
    "alpha": "lora_alpha",
    "cutoff_len": "sequence_len",
    "finetuning_type": "adapter",
    "bnb_4bit": "load_in_4bit",
    "dropout": "lora_dropout",
    "epochs": "num_epochs",
    "gradient_accumulation": "gradient_accumulation_steps",
    "lora_rank": "lora_r",
    "lora_target": "lora_target_modules",
    "lr": "learning_rate",
    "lr_scheduler_type": "lr_scheduler",
    "max_length": "sequence_len",
    "max_seq_len": "sequence_len",
    "max_seq_length": "sequence_len",
    "model": "base_model",
    "model_name": "base_model",
    "model_name_or_path": "base_model",
    "neftune_alpha": "neftune_noise_alpha",
    "num_train_epochs": "num_epochs",
    "peft_model": "lora_model_dir",
    "optim": "optimizer",
    "packing": "sample_packing",
    "per_device_eval_batch_size": "eval_batch_size",
    "per_device_train_batch_size": "micro_batch_size",
    "quantization_bit": "load_in_4bit",
    "r": "lora_r",
    "rank": "lora_r",
    "seq_len": "sequence_len",
    "target_modules": "lora_target_modules",
    "use_dora": "peft_use_dora",
    "use_rslora": "peft_use_rslora",
}
"""What Transformers, TRL, PEFT and other trainers call a key of Axolotl's."""


def modern(config: Mapping[str, Any]) -> dict[str, Any]:
    """``config`` with today's names for the old ones that Axolotl still reads as those; what is there already stays."""
    mended = dict(config)
    for key, row in RENAMED.items():
        if row.mapped and key in mended:
            for name, value in row.mend(mended.pop(key)).items():
                mended.setdefault(name, value)
    return mended


def renamed_keys(subject: Subject) -> Iterator[Finding]:
    """A key that has another name today; the fix leaves a successor that is already there as it is."""
    for key, row in RENAMED.items():
        if key not in subject.config:
            continue
        value = subject.config[key]
        mended = row.mend(value)
        if key == "gc_steps" and mended.keys() & subject.config.keys():
            mended = {}  # either of the new keys rules the old one out
        mended = {name: value for name, value in mended.items() if name not in subject.config}
        if key == "peft_use_loftq" and subject.on("load_in_4bit"):
            mended = {}  # LoftQ fails on a base that is in 4 bits already; training goes on as it is
        other = TOGETHER_REFUSED.get(key)
        fix = Fix(set=mended, unset=(key,), safe=row.mapped)
        if other is not None and value and subject.config.get(other):
            yield rejected("renamed_twice", key, fix=fix, key=key, successor=other)
        elif row.mapped:
            yield warning("renamed_key", key, fix=fix, key=key, successor=row.successor)
        else:
            yield misleads("ignored_key", key, fix=fix, key=key, successor=row.successor)


def superseded_keys(subject: Subject) -> Iterator[Finding]:
    """A key that works today and is being given up."""
    for key, successors in SUPERSEDED.items():
        if subject.given(key):
            yield warning("superseded_key", key, key=key, successors=successors)


def never_read(subject: Subject) -> Iterator[Finding]:
    """A key that means nothing here."""
    for key, successors in NEVER_READ.items():
        if key in subject.config and not subject.own_plugins:
            code = "never_read_successor" if successors else "never_read"
            yield misleads(code, key, fix=Fix(unset=(key,), safe=True), key=key, successors=successors)


def removed_keys(subject: Subject) -> Iterator[Finding]:
    """A key whose mere presence makes Axolotl stop."""
    for key, successors in REMOVED.items():
        if subject.on(key) or (key in REFUSED_AT_ALL and subject.given(key)):
            code = "removed_key_successor" if successors else "removed_key"
            safe = key not in STILL_MEANT
            yield rejected(code, key, fix=Fix(unset=(key,), safe=safe), key=key, successors=successors)


def renamed_values(subject: Subject) -> Iterator[Finding]:
    """A value that is said otherwise today."""
    checkpointing = subject.text("gradient_checkpointing")
    if checkpointing in ("offload", "offload_disk"):
        offloading: bool | str = "disk" if checkpointing == "offload_disk" else True
        fix = Fix(set={"gradient_checkpointing": True, "activation_offloading": offloading}, safe=True)
        yield warning(
            "renamed_value",
            "gradient_checkpointing",
            fix=fix,
            key="gradient_checkpointing",
            given=checkpointing,
            successor="activation_offloading",
        )
    if subject.text("rl") == "ipo":
        fix = Fix(set={"rl": "dpo", "dpo_loss_type": ["ipo"]}, safe=True)
        yield warning("renamed_value", "rl", fix=fix, key="rl", given="ipo", successor="dpo_loss_type")
