"""Rules about number formats: bf16, fp8, quantised bases and training for quantisation. One function or row, one rule.

Sources: Axolotl 0.19.0 ``utils/schemas/validation.py``, ``config.py``, ``quantization.py``.
"""

from collections.abc import Iterator, Mapping

from app.core.adapter import resolve_adapter
from app.core.axolotl.reading import as_read
from app.core.axolotl.subject import Row, Rule, Subject, fails, misleads, rejected
from app.core.errors import InvalidInput
from app.core.findings import Effect, Finding, Fix
from app.core.memory.sighted import counted, sees
from app.core.memory.tape import FULL
from app.core.memory.trained import trained_tensors

QUANTIZED = ("load_in_4bit", "load_in_8bit")
TORCHAO_DTYPES = ("int4", "int8", "float8_e4m3fn", "fp8", "float8", "nvfp4", "mxfp4", "ternary")
HOPPER = (9, 0)
RESAMPLING = ("bilinear", "bicubic", "lanczos")


def bf16(subject: Subject) -> Iterator[Finding]:
    """bf16 needs Ampere or newer; full fine-tuning without it needs fp32, since fp16 gradients are not unscaled."""
    hardware = subject.hardware
    if hardware is None or hardware.bf16:
        yield from _fp16_weights(subject)
        return
    if subject.config.get("bf16") is True or subject.on("bfloat16"):
        fix = Fix(set={"bf16": False, "fp16": subject.on("adapter")}, unset=("bfloat16",))
        yield fails("bf16_card", "bf16", fix=fix, hardware=hardware.name)
    # ``auto``, the default, falls back to fp16 where fp16 itself is left open.
    automatic = subject.config.get("bf16", "auto") in ("auto", None) and subject.config.get("fp16") is None
    if not subject.on("adapter") and (subject.on("fp16") or automatic):
        fix = Fix(set={"bf16": False, "fp16": False})
        yield fails("fp16_full", "fp16", fix=fix, hardware=hardware.name)


def _fp16_weights(subject: Subject) -> Iterator[Finding]:
    """``fp16`` loads in fp16 where ``bf16`` is not set to yes, and its scaler takes no gradients of that type.

    Source: Axolotl 0.19.0 ``normalize_config``, PyTorch's ``GradScaler.unscale_``. Engines that shard bring their own.
    """
    written = subject.config.get("bf16", "auto") in ("auto", None, False) and not subject.on("bfloat16")
    sharded = any(subject.on(key) for key in ("deepspeed", "fsdp", "fsdp_config"))
    if subject.flag("fp16") and written and not subject.on("adapter") and not sharded and _trains_half(subject):
        yield fails("fp16_weights", "fp16", fix=Fix(set={"bf16": True}, unset=("fp16",)))


def _trains_half(subject: Subject) -> bool:
    """Whether any of what trains is of 16 bits: not so where a part alone trains that Axolotl keeps in fp32."""
    run, architecture = as_read(subject), subject.architecture
    if run is None or architecture is None or not run.unfrozen_parameters:
        return True
    try:
        adapter = resolve_adapter(architecture, run)
        tensors = trained_tensors(architecture, run, adapter, towers=sees(architecture, counted(architecture, run)))
    except InvalidInput:
        return True
    return not tensors or any(tensor.itemsize < FULL for tensor in tensors)


def fp8(subject: Subject) -> Iterator[Finding]:
    """fp8 training: the card, its settings, and what they go with."""
    config = subject.config.get("fp8_config")
    if config is not None and not subject.on("fp8"):
        yield rejected("fp8_config_alone", "fp8_config", fix=Fix(unset=("fp8_config",), safe=True))
    hardware = subject.hardware if subject.flag("fp8") else None
    if hardware is not None and (hardware.compute_capability or (0, 0)) < (8, 9):
        yield rejected("fp8_card", "fp8", fix=Fix(unset=("fp8", "fp8_config")), hardware=hardware.name)
    if subject.on("fp8_enable_fsdp_float8_all_gather"):
        key = "fp8_enable_fsdp_float8_all_gather"
        recipe = config.get("recipe", "tensorwise") if isinstance(config, Mapping) else "tensorwise"
        if recipe not in ("tensorwise", None):
            yield rejected("fp8_gather_rowwise", key, fix=Fix(unset=(key,)))
        elif subject.config.get("fsdp_version") != 2:
            yield rejected("fp8_gather_fsdp2", key, fix=Fix(unset=(key,)))


def ao_dtypes(subject: Subject) -> Iterator[Finding]:
    """Number formats that torchao knows by these names."""
    for block in ("qat", "quantization"):
        for key in ("weight_dtype", "activation_dtype"):
            given = subject.mapping(block).get(key)
            if given is not None and given not in TORCHAO_DTYPES:
                yield rejected("ao_dtype", f"{block}.{key}", given=str(given)[:40], allowed=TORCHAO_DTYPES)


def qat(subject: Subject) -> Iterator[Finding]:
    """Training for quantisation is full training."""
    if not subject.on("qat"):
        return
    for key in ("peft", "load_in_8bit", "load_in_4bit"):
        if subject.on(key):
            yield rejected("qat_with", key, fix=Fix(unset=(key,)), key=key)
            return
    inner = subject.mapping("qat")
    if inner.get("weight_dtype") == "ternary" and inner.get("activation_dtype") not in (None, "int8"):
        fix = Fix(set={"qat.activation_dtype": "int8"})
        yield rejected("qat_ternary", "qat.activation_dtype", fix=fix)
    if subject.on("adapter"):
        yield misleads("qat_adapter", "qat")


def resampling(subject: Subject) -> Iterator[Finding]:
    """How images are resized."""
    given = subject.config.get("image_resize_algorithm")
    if isinstance(given, str) and given.lower() not in RESAMPLING:
        yield rejected("resampling", "image_resize_algorithm", given=given[:40], allowed=RESAMPLING)


PRECISION_RULES: tuple[Rule, ...] = (
    bf16,
    fp8,
    ao_dtypes,
    qat,
    resampling,
    Row(
        code="quantized_twice",
        key="model_quantization_config",
        when=lambda s: s.on("model_quantization_config") and any(map(s.on, QUANTIZED)),
    ),
    Row(
        code="both_bits",
        key="load_in_8bit",
        when=lambda s: s.text("adapter") == "lora" and s.on("load_in_4bit") and s.on("load_in_8bit"),
        effect=Effect.FAILS_AT_RUN,
        fix=Fix(unset=("load_in_4bit",)),
    ),
    Row(
        code="gptq_revision",
        key="revision_of_model",
        when=lambda s: s.on("gptq") and s.on("revision_of_model"),
    ),
    Row(
        code="better_transformers",
        key="flash_optimum",
        when=lambda s: (
            s.flag("flash_optimum") and (s.flag("fp16") or s.config.get("bf16", "auto") == "auto" or s.flag("bf16"))
        ),
        fix=Fix(unset=("flash_optimum",)),
    ),
    Row(
        code="ple_sharded",
        key="ple_cpu_offload",
        when=lambda s: s.on("ple_cpu_offload") and (s.given("fsdp_config") or s.given("fsdp") or s.on("deepspeed")),
        fix=Fix(unset=("ple_cpu_offload",), safe=True),
    ),
    Row(
        code="ple_unquantized",
        key="ple_cpu_offload",
        when=lambda s: (
            s.on("ple_cpu_offload")
            and not (s.given("fsdp_config") or s.given("fsdp") or s.on("deepspeed"))
            and not (
                (s.text("adapter") == "qlora" and s.on("load_in_4bit"))
                or (s.text("adapter") == "lora" and s.on("load_in_8bit"))
            )
        ),
        fix=Fix(unset=("ple_cpu_offload",), safe=True),
    ),
    Row(
        code="tf32_card",
        key="tf32",
        when=lambda s: (
            s.config.get("tf32") is True
            and s.hardware is not None
            and s.hardware.compute_capability is not None
            and s.hardware.compute_capability < (8, 0)
        ),
        effect=Effect.FAILS_AT_RUN,
        fix=Fix(set={"tf32": "auto"}),
    ),
)
