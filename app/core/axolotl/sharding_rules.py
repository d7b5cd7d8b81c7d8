"""Rules about several GPUs: FSDP, DeepSpeed, tensor and context parallelism. One function or row, one rule.

Sources: Axolotl 0.19.0 ``OptimizationValidationMixin`` and ``ComplexValidationMixin`` of
``utils/schemas/validation.py``, ``utils/schemas/fsdp.py``.
"""

from collections.abc import Iterator, Mapping

from app.core.axolotl.subject import Row, Rule, Subject, fails, misleads, rejected, warning
from app.core.findings import Effect, Finding, Fix
from app.core.run import LORA_KERNEL_KEYS

BNB_8BIT = ("adamw_8bit", "adamw_bnb_8bit")
TENSOR_PARALLEL_REFUSES = ("paged_adamw_8bit", *BNB_8BIT)
DROPPED = frozenset(
    ("sharding_strategy", "limit_all_gathers", "forward_prefetch", "backward_prefetch", "backward_prefetch_policy")
)
"""Fields of FSDP's first version in accelerate's and Transformers' configurations."""
QUANTIZED_PREFERENCE = ("dpo", "kto", "orpo", "ipo")


def prefixes(subject: Subject) -> Iterator[Finding]:
    """Keys below ``fsdp_config`` lost their prefix (``check_fsdp_config_kwargs_prefix``)."""
    given, known = subject.mapping("fsdp_config"), _known(subject)
    old = {name: _bare(name) for name in given if _bare(name) != name and _bare(name) in known}
    if old:
        renamed = {f"fsdp_config.{bare}": given[name] for name, bare in old.items() if bare not in given}
        unset = tuple(f"fsdp_config.{name}" for name, bare in old.items() if bare not in given)
        fix = Fix(set=renamed, unset=unset, safe=True) if renamed else None
        yield warning("fsdp_prefix", f"fsdp_config.{next(iter(old))}", fix=fix, names=tuple(old))


def no_longer_read(subject: Subject) -> Iterator[Finding]:
    """What people know of accelerate's FSDP, and Axolotl drops: ``FSDPConfig`` has no such field."""
    for name in subject.mapping("fsdp_config"):
        if _bare(name) in DROPPED and _bare(name) not in _known(subject):
            key = f"fsdp_config.{name}"
            yield misleads("fsdp_dropped", key, fix=Fix(unset=(key,), safe=True), key=key)


def one_process(subject: Subject) -> Iterator[Finding]:
    """FSDP of a single process: Transformers 5.16.1 ``Trainer.__init__`` wants ``ParallelMode.DISTRIBUTED``.

    ``axolotl train`` starts one process on one card, and ``accelerate launch`` makes that no distributed run.
    """
    key = next((key for key in ("fsdp_config", "fsdp") if subject.on(key)), None)
    if key is not None and subject.hardware is not None and subject.gpus == 1:
        gone = tuple(key for key in ("fsdp", "fsdp_config", "fsdp_version") if subject.given(key))
        yield fails("fsdp_one_gpu", key, fix=Fix(unset=gone), hardware=subject.hardware.name)


def _known(subject: Subject) -> Mapping[str, object]:
    """The fields of ``FSDPConfig``."""
    return subject.schema.models["FSDPConfig"] if subject.schema is not None else {}


def _bare(name: object) -> str:
    """A key below ``fsdp_config`` without its old prefix, as Axolotl takes it off; the version has none."""
    text = str(name)
    return text.replace("fsdp_", "") if text.startswith("fsdp_") and text != "fsdp_version" else text


def first_version(subject: Subject) -> Iterator[Finding]:
    """FSDP's first version is on its way out."""
    if subject.on("fsdp_config") and not subject.fsdp2:
        yield warning("fsdp_first", "fsdp_version")


def eight_bit(subject: Subject) -> Iterator[Finding]:
    """Bitsandbytes' 8-bit states under FSDP."""
    optimizer = subject.text("optimizer")
    if not subject.on("fsdp_config"):
        return
    if subject.fsdp2 and optimizer in BNB_8BIT:
        fix = Fix(set={"optimizer": "adamw_torch_8bit"}, safe=True)
        yield rejected("fsdp2_8bit", "optimizer", fix=fix, given=optimizer)
    elif not subject.fsdp2 and "8bit" in optimizer and _inner(subject, "offload_params"):
        yield rejected("fsdp_offload_8bit", "optimizer", given=optimizer)


def _inner(subject: Subject, key: str) -> object:
    config = subject.mapping("fsdp_config")
    return config.get(key, config.get(f"fsdp_{key}"))


def pinned(subject: Subject) -> Iterator[Finding]:
    """Pinning is switched off only where parameters are offloaded, in the second version."""
    if _inner(subject, "cpu_offload_pin_memory") is not False:
        return
    if str(subject.config.get("fsdp_version")) != "2" and "cpu_offload_pin_memory" in subject.mapping("fsdp_config"):
        yield rejected("pin_first", "fsdp_config.cpu_offload_pin_memory", fix=Fix(set={"fsdp_version": 2}))
    elif not _inner(subject, "offload_params"):
        fix = Fix(unset=("fsdp_config.cpu_offload_pin_memory",), safe=True)
        yield rejected("pin_without_offload", "fsdp_config.cpu_offload_pin_memory", fix=fix)


def context_parallel(subject: Subject) -> Iterator[Finding]:
    """Ring attention: FlashAttention 2 and one row of packed samples."""
    size = subject.number("context_parallel_size") or subject.number("sequence_parallel_degree") or 1
    if size <= 1 or subject.on("use_glm_dsa_kernels"):
        return
    attention = subject.text("attn_implementation").split(":")[0].split("@")[0].strip()
    if not attention and subject.on("flash_attention"):
        attention = "flash_attention_2"
    if attention != "flash_attention_2":
        fix = Fix(set={"attn_implementation": "flash_attention_2"})
        yield rejected("context_attention", "context_parallel_size", fix=fix)
    elif subject.flag("sample_packing") and (subject.number("micro_batch_size") or 1) > 1:
        yield rejected("context_packing", "micro_batch_size", fix=Fix(set={"micro_batch_size": 1}))


def both(subject: Subject) -> Iterator[Finding]:
    """Two ways to shard at once."""
    if subject.on("deepspeed") and subject.on("fsdp"):
        yield rejected("deepspeed_fsdp", "deepspeed")
    elif subject.on("deepspeed") and subject.on("fsdp_config"):
        yield misleads("deepspeed_fsdp_config", "deepspeed", fix=Fix(unset=("deepspeed",)))


def tensor_parallel(subject: Subject) -> Iterator[Finding]:
    """What does not work on shards of a matrix."""
    if (subject.number("tensor_parallel_size") or 1) <= 1:
        return
    if subject.text("optimizer") in TENSOR_PARALLEL_REFUSES:
        yield fails("tensor_8bit", "optimizer", given=subject.text("optimizer"))
    if "liger" in subject.listed_plugins:
        for key in ("liger_rms_norm", "liger_fused_linear_cross_entropy"):
            if subject.on(key):
                yield rejected("tensor_liger", key, fix=Fix(set={key: False}), key=key)


def _kernels(subject: Subject) -> bool:
    return any(map(subject.on, LORA_KERNEL_KEYS))


SHARDING_RULES: tuple[Rule, ...] = (
    prefixes,
    no_longer_read,
    one_process,
    first_version,
    eight_bit,
    pinned,
    context_parallel,
    both,
    tensor_parallel,
    Row(
        code="fsdp2_quantized_rl",
        key="rl",
        when=lambda s: (
            s.config.get("fsdp_version") == 2
            and s.text("rl") in QUANTIZED_PREFERENCE
            and (s.on("load_in_4bit") or s.on("load_in_8bit"))
        ),
    ),
    Row(
        code="fsdp2_4bit_loading",
        key="fsdp_config.cpu_ram_efficient_loading",
        when=lambda s: (
            s.on("fsdp_config") and s.fsdp2 and bool(_inner(s, "cpu_ram_efficient_loading")) and s.flag("load_in_4bit")
        ),
        fix=Fix(set={"fsdp_config.cpu_ram_efficient_loading": False}, safe=True),
    ),
    Row(
        code="fsdp_wrap_size",
        key="fsdp_config.min_num_params",
        when=lambda s: _inner(s, "auto_wrap_policy") == "SIZE_BASED_WRAP" and _inner(s, "min_num_params") is None,
    ),
    Row(
        code="fp32_norms_fsdp",
        key="fp32_norms",
        when=lambda s: s.flag("fp32_norms") and (not s.given("fsdp_config") or not s.fsdp2),
        fix=Fix(unset=("fp32_norms",), safe=True),
    ),
    Row(
        code="falcon_fsdp",
        key="fsdp",
        when=lambda s: "falcon" in s.text("base_model").lower() and s.on("fsdp"),
    ),
    Row(
        code="deepcompile",
        key="deepcompile",
        when=lambda s: s.on("deepcompile") and not s.on("deepspeed"),
        fix=Fix(unset=("deepcompile",), safe=True),
    ),
    Row(
        code="kernels_fsdp1",
        key="lora_qkv_kernel",
        when=lambda s: (
            _kernels(s) and s.gpus > 1 and s.given("fsdp_config") and str(s.config.get("fsdp_version")) != "2"
        ),
        fix=Fix(set=dict.fromkeys(LORA_KERNEL_KEYS, False), safe=True),
    ),
    Row(
        code="mxfp4_loading",
        key="fsdp_config.cpu_ram_efficient_loading",
        when=lambda s: (
            s.text("model_quantization_config") == "Mxfp4Config"
            and s.mapping("fsdp_config").get("cpu_ram_efficient_loading") is True
        ),
        fix=Fix(set={"fsdp_config.cpu_ram_efficient_loading": False}, safe=True),
    ),
    Row(
        code="memory_limits_twice",
        key="max_memory",
        when=lambda s: s.given("max_memory") and s.given("gpu_memory_limit"),
    ),
    Row(
        code="spectrum_fsdp",
        key="fsdp_config.use_orig_params",
        when=lambda s: (
            "spectrum" in s.listed_plugins
            and s.on("fsdp")
            and s.on("fsdp_config")
            and not s.mapping("fsdp_config").get("use_orig_params")
        ),
        fix=Fix(set={"fsdp_config.use_orig_params": True}, safe=True),
    ),
    Row(
        code="deepspeed_zero3_reentrant",
        key="gradient_checkpointing_kwargs",
        when=lambda s: (
            s.text("adapter") == "qlora"
            and "zero3" in s.text("deepspeed")
            and s.mapping("gradient_checkpointing_kwargs").get("use_reentrant") is False
        ),
        effect=Effect.FAILS_AT_RUN,
        fix=Fix(set={"gradient_checkpointing_kwargs.use_reentrant": True}),
    ),
)
