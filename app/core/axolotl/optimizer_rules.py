"""Rules about optimizers and schedulers. One function or row, one rule.

Sources: Axolotl 0.19.0 ``OptimizationValidationMixin`` of ``utils/schemas/validation.py``, ``core/builders/base.py``;
Transformers 5.16.1 for names of optimizers and schedulers.
"""

from collections.abc import Iterator

from app.core.axolotl.subject import LORA_ADAPTERS, Rule, Subject, fails, info, misleads, rejected
from app.core.coverage import SCHEDULERS
from app.core.findings import Finding, Fix
from app.core.nearest import nearest
from app.core.optimizer_names import OPTIMIZERS, like_optimizer, same_optimizer, same_scheduler

BUILT_OPTIMIZERS = frozenset(OPTIMIZERS)
POLORA_UNTRAINED = tuple(
    """lora_modules_to_save unfrozen_parameters peft_use_dora peft_trainable_token_indices lisa_step_interval
    reward_model process_reward_model""".split()
)
POLORA_IGNORED = ("loraplus_lr_ratio", "lr_groups", "embedding_lr", "embedding_lr_scale")
FULL_ONLY = tuple(name for name in OPTIMIZERS if name.startswith(("galore", "apollo", "lomo", "adalomo")))
"""Optimizers that save memory by projecting the gradients of whole matrices."""


def optimizer(subject: Subject) -> Iterator[Finding]:
    """Any text passes the schema; only these are ever built."""
    given = subject.text("optimizer")
    if not given or given in BUILT_OPTIMIZERS:
        return
    same = same_optimizer(given)
    close = same or like_optimizer(given)
    fix = Fix(set={"optimizer": close}, safe=same is not None) if close else None
    code = "optimizer_renamed" if same else "optimizer_nearest" if close else "optimizer"
    yield fails(code, "optimizer", fix=fix, given=given[:100], nearest=close)


def scheduler(subject: Subject) -> Iterator[Finding]:
    """Likewise for the scheduler."""
    given = subject.text("lr_scheduler")
    if given and given not in SCHEDULERS:
        same = same_scheduler(given, SCHEDULERS)
        close = same or next(iter(nearest(given, SCHEDULERS, count=1)), None)
        fix = Fix(set={"lr_scheduler": close}, safe=same is not None) if close else None
        yield fails("scheduler", "lr_scheduler", fix=fix, given=given[:100], allowed=tuple(sorted(SCHEDULERS)))


def second_fsdp(subject: Subject) -> Iterator[Finding]:
    """Optimizers that work with FSDP's second version alone, and with DeepSpeed not at all."""
    given = subject.text("optimizer")
    if given not in ("muon", "polora", "q_galore_adamw8bit") and not given.startswith("flash_"):
        return
    if subject.on("deepspeed"):
        yield rejected("optimizer_deepspeed", "optimizer", given=given[:40])
    elif (subject.on("fsdp") or subject.on("fsdp_config")) and not subject.fsdp2:
        yield rejected("optimizer_fsdp1", "optimizer", fix=Fix(set={"fsdp_version": 2}), given=given[:40])


def polora(subject: Subject) -> Iterator[Finding]:
    """PoLoRA steps the two factors of LoRA and nothing else."""
    if subject.text("optimizer") != "polora":
        return
    if subject.text("adapter") not in LORA_ADAPTERS:
        yield rejected("polora_adapter", "optimizer")
    if (subject.number("tensor_parallel_size") or 1) > 1 and not subject.on("deepspeed"):
        yield rejected("polora_tensor", "tensor_parallel_size")
    for key in POLORA_UNTRAINED:
        if subject.on(key):
            yield rejected("polora_untrained", key, key=key)
    for key in POLORA_IGNORED:
        if subject.on(key):
            yield rejected("polora_ignored", key, fix=Fix(unset=(key,), safe=True), key=key)
    if subject.on("relora_steps"):
        yield rejected("polora_relora", "relora_steps")
    elif subject.on("relora"):
        yield misleads("polora_relora", "relora")
    if subject.on("weight_decay"):
        yield misleads("polora_decay", "weight_decay")


def q_galore(subject: Subject) -> Iterator[Finding]:
    """Q-GaLore trains whole weights."""
    if subject.text("optimizer") != "q_galore_adamw8bit":
        return
    if subject.on("adapter"):
        yield rejected("galore_adapter", "optimizer")
    elif (
        (subject.on("fsdp") or subject.on("fsdp_config"))
        and subject.fsdp2
        and not subject.on("deepspeed")
        and subject.mapping("fsdp_config").get("use_orig_params") is not True
    ):
        fix = Fix(set={"fsdp_config.use_orig_params": True}, safe=True)
        yield rejected("galore_params", "fsdp_config.use_orig_params", fix=fix)


def projected(subject: Subject) -> Iterator[Finding]:
    """GaLore and its kin project whole matrices; LoRA's are small already."""
    if subject.text("optimizer") in FULL_ONLY and subject.on("adapter"):
        yield misleads("galore_lora", "optimizer", given=subject.text("optimizer"))


def adam_settings(subject: Subject) -> Iterator[Finding]:
    """Adam's settings without an Adam."""
    given = subject.text("optimizer")
    keys = [key for key in ("adam_beta1", "adam_beta2", "adam_epsilon") if subject.on(key)]
    if keys and given and "adam" not in given.lower():
        yield info("adam_settings", keys[0], names=tuple(keys), optimizer=given[:60])


def cosine_settings(subject: Subject) -> Iterator[Finding]:
    """Settings of the cosine under another scheduler."""
    given = subject.text("lr_scheduler")
    for key in ("cosine_min_lr_ratio", "cosine_constant_lr_ratio"):
        if subject.on(key) and given and "cosine" not in given:
            yield misleads("cosine_unread", key, key=key, given=given[:60])


OPTIMIZER_RULES: tuple[Rule, ...] = (
    optimizer,
    scheduler,
    second_fsdp,
    polora,
    q_galore,
    projected,
    adam_settings,
    cosine_settings,
)
