"""Keys that move memory in ways that the memory model does not price: said aloud, and the band widened.

``less`` and ``more`` are how far off the figure could be, in per cent of it: judged from what the key's code does, not
measured. A key counts where its value switches something on. Source: Axolotl 0.19.0, where each is read.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from app.core.memory.breakdown import SHARDED
from app.core.memory.layer_offloading import offloads_layers
from app.core.run import (
    SKIP_MODULES,
    UNPRICED_IMAGES,
    Checkpointing,
    KeptAttention,
    Method,
    Offloading,
    Preference,
    Quantization,
    Run,
    many_patterns,
)
from app.core.values import says_no


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmodelled:
    """One key, or one of its values, and the room that it needs below and above the figure, in per cent."""

    key: str
    less: int = 0
    more: int = 0
    values: tuple[object, ...] = ()
    """Only these values; empty: all that switch it on."""
    but: tuple[object, ...] = ()
    """Values that are modelled."""
    nested: str = ""
    """The key below it that counts."""
    still: frozenset[str] = frozenset()
    """Keys below it that move nothing; where there are such, any other counts."""
    unless: tuple[str, str] = ("", "")
    """A key and one below it that, where true, undo it."""
    off: str = ""
    """A key beside which it counts only where that is switched off by name."""
    beside: str = ""
    """A key without which it does nothing."""
    priced: Callable[[Run], bool] | None = None
    """Where the memory model knows it, as the run is read."""
    why: str = ""
    """Why no figure can be held to anything: part of a message's code."""
    sharding: bool = False
    """Splits the run over GPUs: the figures stay those of one."""
    divides: str = ""
    """What it divides, where that is no whole term: part of a message's code."""

    def acts(self, config: Mapping[str, Any], run: Run | None = None) -> bool:
        """Whether the configuration, which reads as this run, switches it on."""
        value = config.get(self.key)
        if self.nested:
            value = value.get(self.nested) if isinstance(value, Mapping) else None
        if says_no(value) or (self.still and isinstance(value, Mapping) and value.keys() <= self.still):
            return False
        key, inner = self.unless
        beside = config.get(key)
        if isinstance(beside, Mapping) and beside.get(inner) is True:
            return False
        if self.off and not says_no(config.get(self.off, "auto")):
            return False
        if self.beside and not config.get(self.beside):
            return False
        if self.priced is not None and run is not None and self.priced(run):
            return False
        if self.values:
            return value in self.values
        return value not in self.but


def keeps_attention(run: Run) -> bool:
    """Whether attention's results alone are kept."""
    return run.kept_attention is not KeptAttention.NONE


def checkpoints_some_layers(run: Run) -> bool:
    """Whether every so manieth layer is checkpointed, or none whatever is said of it."""
    return run.checkpoint_every > 1 or run.checkpointing is Checkpointing.OFF


def runs_tiles_as_written(run: Run) -> bool:
    """Whether a tile of a feed-forward is the model's own code; what a compiler makes of it takes less."""
    return run.tiled and not run.tiles_compiled


def trains_by_turns(run: Run) -> bool:
    """Whether which layers take turns is known: not beside parameters that are unfrozen by name.

    Under an adapter Axolotl finds no layers, and the run fails; TRL's trainers are built without LISA.
    """
    supervised = run.preference in (None, Preference.REWARD)
    return not (run.method is Method.FULL and supervised and run.unfrozen_parameters)


def computes_in_weights_type(run: Run) -> bool:
    """Whether it is what a supervised run has been recorded with, or no run of 16-bit weights alone at all."""
    known = run.method in (Method.FULL, Method.LORA, Method.QLORA) and run.preference is None
    return run.autocast or (known and run.offloading is Offloading.NONE)


def leaves_whole_rows(run: Run) -> bool:
    """Whether all of what is kept from being packed is read and the same in all layers, of which one tells a step."""
    names = run.unquantized or ()
    return not many_patterns(names) and not any("\\d" in name or any(map(str.isdecimal, name)) for name in names)


def leaves_or_is_priced(run: Run) -> bool:
    """Whether layer offloading is priced, or the base is one of 8 bits, of which another row speaks."""
    return offloads_layers(run) or run.quantization is Quantization.INT8


def stays_or_is_priced(run: Run) -> bool:
    """Whether it is priced, or fetches nothing beside what stays.

    LLM.int8's weights do not leave, and copies of two layers come on top (``layer_offloading``): of the usual models'
    sixteen and more layers that is at most an eighth of the base. What is not packed still leaves.
    """
    return offloads_layers(run) or run.quantization is not Quantization.INT8


def loads_packed(run: Run) -> bool:
    """Whether a checkpoint's own quantisation, which such a key may speak of, is read."""
    return run.quantization is Quantization.GPTQ


STILL_IN_CONFIG = frozenset(
    """rope_scaling rope_theta rope_parameters max_position_embeddings original_max_position_embeddings use_cache
    attention_dropout hidden_dropout embd_pdrop resid_pdrop attn_pdrop initializer_range rms_norm_eps layer_norm_eps
    layer_norm_epsilon bos_token_id eos_token_id pad_token_id router_aux_loss_coef router_z_loss_coef torch_dtype dtype
    architectures model_type pretraining_tp""".split()
)
"""Fields of a config.json that shape nothing: positions, dropout, beginnings, tokens, shares of a loss."""
STILL_IN_LOADING = frozenset(
    """torch_dtype dtype use_cache low_cpu_mem_usage use_safetensors revision trust_remote_code token cache_dir
    local_files_only force_download variant""".split()
)
"""Arguments of ``from_pretrained`` that move nothing; the types are Axolotl's own whatever is said of them."""


def _all(text: str, **room: Any) -> tuple[Unmodelled, ...]:
    return tuple(Unmodelled(key=key, **room) for key in text.split())


UNMODELLED: tuple[Unmodelled, ...] = (
    Unmodelled(key="torch_compile", less=20, more=20, why="compiled"),
    Unmodelled(key="deepcompile", less=20, more=20, why="compiled"),
    Unmodelled(key="attn_implementation", values=("xformers", "sage", "fp8"), less=5, more=10),
    Unmodelled(key="layer_offloading", less=90, priced=leaves_or_is_priced),
    Unmodelled(key="layer_offloading", less=90, more=15, beside="load_in_8bit", priced=stays_or_is_priced),
    Unmodelled(key="tiled_mlp", less=15, priced=runs_tiles_as_written),
    Unmodelled(key="selective_checkpointing", more=40, priced=keeps_attention),
    Unmodelled(key="fp8", less=25, more=15, why="torchao"),
    Unmodelled(key="qat", more=50, why="torchao"),
    Unmodelled(key="model_quantization_config", less=75, unless=("model_quantization_config_kwargs", "dequantize")),
    Unmodelled(key="nonexpert_quantization", less=60),
    *_all("overrides_of_model_config model_config", still=STILL_IN_CONFIG, less=90, more=50, priced=loads_packed),
    *_all("overrides_of_model_kwargs model_kwargs", still=STILL_IN_LOADING, less=75, more=40),
    Unmodelled(
        key="gradient_checkpointing_kwargs", nested="every_n_layers", but=(1,), more=80, priced=checkpoints_some_layers
    ),
    Unmodelled(key="bnb_config_kwargs", nested=SKIP_MODULES, less=10, more=20, priced=leaves_whole_rows),
    Unmodelled(key="unfrozen_parameters", less=30, more=300, beside="adapter"),
    Unmodelled(key="float16", less=15, more=10, off="bf16", priced=computes_in_weights_type),
    Unmodelled(key="lisa_n_layers", less=50, beside="lisa_step_interval", priced=trains_by_turns),
    Unmodelled(key="rl", values=("grpo", "gdpo", "ebft"), less=20, more=150, why="generating"),
    Unmodelled(key="process_reward_model", less=60, more=10),
    Unmodelled(key="dpo_use_liger_kernel", less=60),
    Unmodelled(key="dpo_use_weighting", more=30),
    Unmodelled(key="use_eaft", more=40),
    Unmodelled(key="kd_trainer", more=60),
    Unmodelled(key="diffusion", less=10, more=40),
    Unmodelled(key="generate_samples", more=20),
    Unmodelled(key="dpo_generate_during_eval", more=20),
    Unmodelled(key="do_causal_lm_eval", more=20),
    Unmodelled(key="do_bench_eval", more=20),
    Unmodelled(key="eval_sequence_len", more=40),
    Unmodelled(key="auto_find_batch_size", less=60),
    Unmodelled(key="processor_type", more=UNPRICED_IMAGES),
    Unmodelled(key="peft_layer_replication", more=100),
    Unmodelled(key="mora", less=10, more=10),
    Unmodelled(key="dense_mixer", more=60),
    Unmodelled(key="llmcompressor", less=10, more=30),
    Unmodelled(key="grokfast_alpha", more=50),
    Unmodelled(key="spectrum_top_fraction", less=60),
    Unmodelled(key="lora_on_cpu", less=10),
    Unmodelled(key="ple_cpu_offload", less=40),
    Unmodelled(key="device_map", less=60, but=("auto",)),
    *_all("max_memory gpu_memory_limit", less=60),
    *_all("shrink_embeddings resize_token_embeddings_to_32x tokens added_tokens_overrides", less=2, more=3),
    *_all(
        "use_scattermoe use_sonicmoe moe_bnb_fast experts_implementation llama4_linearized_experts", less=20, more=20
    ),
    *_all(
        "expert_backend moe_grouped_backend moe_dequant_chunk_size use_dsv4_kernels use_glm_dsa_kernels",
        less=20,
        more=20,
    ),
    *_all("dsv4_bf16_all dsv4_fp4_grouped_mode dsv4_fp8_lora_kernel dsv4_fp8_nonexpert_mode", less=40, more=40),
    *_all("dsv4_shared_mlp_lora_kernel gemma4_fp8_nonexpert gemma4_nf4_nonexpert nvfp4_merge_aware", less=40, more=20),
    *_all("gemma4_hybrid_attn_impl large_head_attention flash_attn_d512 fused_attn_kernel", less=15, more=15),
    *_all(
        "scaling_softmax s2_attention use_kernels use_onebitllms liger_layer_norm liger_rms_norm_gated",
        less=10,
        more=10,
    ),
    *_all("flash_attn_fuse_mlp flash_attn_cross_entropy flash_attn_rms_norm flash_optimum", less=30, more=5),
    *_all("fsdp fsdp_config deepspeed dp_shard_size qlora_sharded_model_loading", less=90, more=10, sharding=True),
    *_all("tensor_parallel_size", less=90, sharding=True, but=(1,), divides="matrices"),
    *_all("context_parallel_size sequence_parallel_degree", less=90, sharding=True, but=(1,), divides="tokens"),
    *_all("expert_parallel_size", less=80, sharding=True, but=(1,), divides="experts"),
)


STAGES: Mapping[str, frozenset[str]] = {
    "0": frozenset(),
    "1": frozenset(("optimizer",)),
    "2": frozenset(("gradients", "optimizer")),
    "3": SHARDED,
}
"""Which terms each stage of ZeRO divides."""

_PLACES: dict[str, tuple[int, ...]] = {}
for _place, _row in enumerate(UNMODELLED):
    _PLACES[_row.key] = (*_PLACES.get(_row.key, ()), _place)
"""Where the rows of each key stand: a configuration has few of them."""


def acting(config: Mapping[str, Any], run: Run | None = None) -> Iterator[Unmodelled]:
    """Those that this configuration, which reads as this run, switches on, in the order of the rows."""
    places = sorted([place for key in config if key in _PLACES for place in _PLACES[key]])
    return (UNMODELLED[place] for place in places if UNMODELLED[place].acts(config, run))


def room(config: Mapping[str, Any], run: Run | None = None) -> tuple[int, int]:
    """How many per cent the figure could lie above and below the truth, all of them together.

    Sharding is left out: the figures say what one GPU would take.
    """
    less = more = 0
    for row in acting(config, run):
        if not row.sharding:
            less, more = max(less, row.less), more + row.more
    return less, more


def divided(config: Mapping[str, Any]) -> frozenset[str]:
    """Codes of the terms that the configuration divides among GPUs; none where what it asks for is not known."""
    return division(config) or frozenset()


def shards_otherwise(config: Mapping[str, Any]) -> bool:
    """Whether it divides anything else than full sharding does, so that a term's own ``sharded`` is not this run's."""
    return spreads(config) and divided(config) != SHARDED


def division(config: Mapping[str, Any]) -> frozenset[str] | None:
    """Codes of the terms that FSDP or DeepSpeed divides; None where that is not known.

    Tensor, expert and context parallelism divide parts of terms. Sources: Axolotl 0.19.0 ``utils/trainer.py``
    (``prepare_optim_env``: FSDP goes before DeepSpeed); Transformers 5.16.1 ``TrainingArguments._process_fsdp_args``;
    arXiv:1910.02054 (ZeRO); PyTorch ``ShardingStrategy``.
    """
    fsdp, inner = config.get("fsdp"), config.get("fsdp_config")
    if not says_no(fsdp) or not says_no(inner):
        return _by_fsdp(str(fsdp).lower(), inner if isinstance(inner, Mapping) else {})
    return STAGES.get(_stage(config.get("deepspeed")))


def _by_fsdp(strategy: str, inner: Mapping[str, Any]) -> frozenset[str]:
    """Of parameters that stay whole after the forward, gradients and states alone."""
    if "no_shard" in strategy:
        return frozenset()
    again = inner.get("reshard_after_forward", inner.get("fsdp_reshard_after_forward"))
    held = (again is not None and says_no(again)) or "shard_grad_op" in strategy or "zero2" in strategy
    return STAGES["2"] if held else STAGES["3"]


def _stage(deepspeed: object) -> str:
    """Of ZeRO: what the configuration says, or its file is called."""
    if isinstance(deepspeed, Mapping):
        zero = deepspeed.get("zero_optimization")
        stage = zero.get("stage") if isinstance(zero, Mapping) else None
        return str(stage).removesuffix(".0")
    found = re.search(r"(?<![a-z0-9])zero[-_]?(?:stage)?[-_]?([0-3])(?![a-z0-9])", str(deepspeed).lower())
    return found[1] if found else ""


def spreads(config: Mapping[str, Any]) -> bool:
    """Whether the run is split over GPUs or partly held by the host, so that one GPU need not hold everything."""
    return any(row.sharding for row in acting(config))
