"""Rules about what moves memory: what is not priced, what does nothing where it stands, what cannot be built.

Sources: Axolotl 0.19.0 ``core/builders``, ``loaders``, ``core/trainers/mixins``; TRL 1.9.0 ``trainer/kto_trainer.py``;
Transformers 5.16.1 ``trainer_optimizer.py``; flashoptim 0.1.4; axolotl-contribs-mit 0.0.6.
"""

from collections.abc import Iterator

from app.core.adapter import WRAPPING
from app.core.architecture import Architecture, Part
from app.core.axolotl.lora_kernels import unnamed
from app.core.axolotl.reading import as_read
from app.core.axolotl.subject import Rule, Subject, fails, info, misleads
from app.core.axolotl.unmodelled import Unmodelled, acting, division
from app.core.findings import Finding, Fix
from app.core.memory.optimizer_forms import FUSED_FROM_FULL
from app.core.memory.sighted import images_percent
from app.core.run import LORA_KERNEL_KEYS

LOW_RANK = ("galore", "apollo")
LOMO = ("lomo", "adalomo")
FUSED_LOSSES = (
    "cut_cross_entropy",
    "chunked_cross_entropy",
    "liger_cross_entropy",
    "liger_fused_linear_cross_entropy",
)


def not_priced(subject: Subject) -> Iterator[Finding]:
    """Keys that move memory in ways the model does not know: never passed over in silence."""
    found = tuple(acting(subject.config))
    if any(row.priced is not None for row in found):
        found = tuple(acting(subject.config, as_read(subject)))
    for row in found:
        more = _images_percent(subject, row.more) if row.key == "processor_type" else row.more
        if row.more and not more:
            continue
        if row.sharding:
            yield info(f"memory_not_sharded{_sharding(subject, row)}", row.key, key=row.key)
        elif row.less and row.more:
            yield info("memory_not_priced", row.key, key=row.key, less=row.less, more=row.more)
        elif row.more:
            yield info("memory_not_priced_more", row.key, key=row.key, more=more)
        else:
            yield info("memory_not_priced_less", row.key, key=row.key, less=row.less)
        if row.why:
            yield info(f"not_priced_{row.why}", row.key, key=row.key)


def _sharding(subject: Subject, row: Unmodelled) -> str:
    """What is said of a key that splits a run: part of a message's code."""
    if row.divides:
        return f"_{row.divides}"
    codes = division(subject.config)
    if codes is None:
        return "_unknown"
    if not codes:
        return "_whole"
    return "_alone" if subject.hardware is not None and subject.hardware.count == 1 else ""


def _images_percent(subject: Subject, usual: int) -> int:
    """Room above the figure for images that it does not hold."""
    run = as_read(subject)
    if subject.architecture is None or run is None:
        return usual
    return images_percent(subject.architecture, run)


def kto_batch(subject: Subject) -> Iterator[Finding]:
    """KTO's trainer compares answers within a batch and refuses one of a single sample, which is the default."""
    micro = subject.number("micro_batch_size")
    if subject.text("rl") == "kto" and (micro is None or micro <= 1):
        yield fails("kto_batch", "micro_batch_size", fix=Fix(set={"micro_batch_size": 2}))


def kernels_under_trl(subject: Subject) -> Iterator[Finding]:
    """Axolotl's kernels look for an adapter that TRL has not made yet."""
    if subject.text("rl") not in WRAPPING or not subject.lora:
        return
    for key in LORA_KERNEL_KEYS:
        if subject.on(key):
            yield fails("kernels_under_trl", key, fix=Fix(unset=(key,), safe=True), key=key)


def kernels_under_reward(subject: Subject) -> Iterator[Finding]:
    """The kernels take a causal model's adapter only, and Axolotl switches them on by itself here too."""
    if not subject.on("reward_model") or not subject.lora or subject.on("load_in_8bit"):
        return
    if unnamed(subject.config) or any(subject.on(key) for key in LORA_KERNEL_KEYS):
        yield fails("kernels_under_reward", LORA_KERNEL_KEYS[0], fix=Fix(set=dict.fromkeys(LORA_KERNEL_KEYS, False)))


def loss_under_rl(subject: Subject) -> Iterator[Finding]:
    """TRL's losses make all logits: a fused loss has no part in them."""
    if not subject.on("rl") and not subject.on("reward_model"):
        return
    for key in FUSED_LOSSES:
        if subject.on(key):
            yield info("loss_under_rl", key, key=key)


def full_precision_flash(subject: Subject) -> Iterator[Finding]:
    """FlashAttention's kernels take 16 bits."""
    half = subject.config.get("bf16", "auto") not in (False, "false")
    half = half or any(subject.on(key) for key in ("fp16", "float16", "bfloat16"))
    if not half and subject.text("attn_implementation").startswith("flash_attention"):
        fix = Fix(set={"attn_implementation": "sdpa"})
        yield fails("full_precision_flash", "attn_implementation", fix=fix)


def optimizer_needs(subject: Subject) -> Iterator[Finding]:
    """Optimizers that are built only with something else set, or only for some trainings."""
    name = subject.text("optimizer")
    if name in FUSED_FROM_FULL and subject.lora and subject.config.get("peft_autocast_adapter_dtype") is not False:
        yield fails("optimizer_full_precision", "optimizer", fix=Fix(set={"optimizer": "adamw_8bit"}), optimizer=name)
    if name.startswith(LOW_RANK) and not subject.on("optim_target_modules"):
        fix = Fix(set={"optim_target_modules": ["self_attn", "mlp"]})
        yield fails("optimizer_targets", "optim_target_modules", fix=fix, optimizer=name)
    if name == "galore_adafactor_layerwise":
        yield fails("optimizer_relative_step", "optimizer", fix=Fix(set={"optimizer": "galore_adafactor"}))
    elif name.endswith("_layerwise") and (subject.number("gradient_accumulation_steps") or 1) > 1:
        fix = Fix(set={"gradient_accumulation_steps": 1})
        yield fails("optimizer_layerwise", "gradient_accumulation_steps", fix=fix, optimizer=name)
    if name == "dion" and not (subject.on("dion_lr") and subject.on("dion_momentum")):
        fix = Fix(set={"dion_lr": 0.01, "dion_momentum": 0.95})
        yield fails("optimizer_dion", "dion_lr", fix=fix)
    if name == "dion" and subject.on("dion_rank_fraction"):
        yield misleads("optimizer_dion_rank", "dion_rank_fraction")
    if name == "adamw_anyprecision" and not subject.on("torchdistx_path"):
        fix = Fix(set={"optimizer": "adamw_torch_fused"})
        yield fails("optimizer_anyprecision", "optimizer", fix=fix)
    if name in LOMO and subject.flag("fp16") and subject.config.get("bf16") in (False, "false"):
        yield fails("optimizer_scaled", "optimizer", fix=Fix(set={"optimizer": "adamw_8bit"}), optimizer=name)
    if name == "adalomo" and not subject.on("adapter") and _deep(subject.architecture):
        yield fails("optimizer_adalomo_matrices", "optimizer", fix=Fix(set={"optimizer": "lomo"}))
    if name == "muon" and not subject.lora:
        yield info("optimizer_muon_norms", "optimizer")


def _deep(architecture: Architecture | None) -> bool:
    """Whether a weight of the text model has more than two dimensions: fused experts, a convolution."""
    modules = architecture.modules if architecture is not None else ()
    return any(module.part is Part.TEXT and len(module.shape) > 2 for module in modules)


def offloading(subject: Subject) -> Iterator[Finding]:
    """``disk`` is the host's memory too."""
    if subject.config.get("activation_offloading") == "disk":
        fix = Fix(set={"activation_offloading": True}, safe=True)
        yield misleads("offloading_disk", "activation_offloading", fix=fix)


MEMORY_RULES: tuple[Rule, ...] = (
    not_priced,
    kto_batch,
    kernels_under_trl,
    kernels_under_reward,
    loss_under_rl,
    full_precision_flash,
    optimizer_needs,
    offloading,
)
