"""Rules about data, sequence, loss, optimizer and precision. One function, one rule.

Sources: Axolotl 0.19.0 ``utils/schemas/validation.py``, ``core/builders``, ``loaders/patch_manager.py``; Transformers
5.16.1 for names of optimizers and schedulers.
"""

from collections.abc import Iterator

from app.core.axolotl.coverage import NO_FLASH_ATTENTION, NO_SDPA, SCHEDULERS
from app.core.axolotl.renamed import RENAMED, UNBUILT_OPTIMIZERS
from app.core.axolotl.subject import Rule, Subject, error, info, warning
from app.core.findings import Finding, Fix
from app.core.nearest import nearest
from app.core.run import ATTENTION_OF, CCE_PLUGIN, OPTIMIZERS

BUILT_OPTIMIZERS = frozenset(OPTIMIZERS)
LOSSES = (
    "cut_cross_entropy",
    "chunked_cross_entropy",
    "liger_cross_entropy",
    "liger_fused_linear_cross_entropy",
)
ATTENTION_FLAGS = tuple(key for key, row in RENAMED.items() if row.successor == "attn_implementation")
SHORT_ATTENTION = {"flash": "flash_attention_2", "fa2": "flash_attention_2", "flex": "flex_attention", "sdp": "sdpa"}


def datasets(subject: Subject) -> Iterator[Finding]:
    """Something to train on."""
    if not subject.on("datasets") and not subject.on("pretraining_dataset"):
        yield error("datasets_missing", "datasets")


def context(subject: Subject) -> Iterator[Finding]:
    """A sequence that the model was never trained to read."""
    length = subject.number("sequence_len")
    limit = subject.architecture.context_tokens if subject.architecture is not None else None
    if length is not None and limit is not None and length > limit:
        yield warning("beyond_context", "sequence_len", given=int(min(length, 1e15)), context=limit)


def packing(subject: Subject) -> Iterator[Finding]:
    """Packed samples must not attend to each other, and preference pairs are not packed at all."""
    if not subject.on("sample_packing"):
        return
    if subject.on("rl"):
        fix = Fix(set={"sample_packing": False}, safe=True)
        yield error("packing_rl", "sample_packing", fix=fix)
    elif not subject.on("attn_implementation") and not any(map(subject.on, ATTENTION_FLAGS)):
        yield warning("packing_without_attention", "sample_packing")


def attention_name(subject: Subject) -> Iterator[Finding]:
    """One name of those that Axolotl knows, or a kernel's path on the Hub."""
    given = subject.text("attn_implementation")
    if not given or given in ATTENTION_OF or "/" in given or given == "flash_attention_torch":
        return
    close = SHORT_ATTENTION.get(given) or next(iter(nearest(given, ATTENTION_OF, count=1)), None)
    fix = Fix(set={"attn_implementation": close}, safe=True) if close else None
    yield error("attention_name", "attn_implementation", fix=fix, given=given[:100], allowed=tuple(ATTENTION_OF))


def attention_twice(subject: Subject) -> Iterator[Finding]:
    """Axolotl refuses the old switches beside the new key."""
    for key in ATTENTION_FLAGS:
        if subject.on("attn_implementation") and subject.on(key):
            yield error("attention_twice", key, fix=Fix(unset=(key,), safe=True), key=key)


def flash_attention(subject: Subject) -> Iterator[Finding]:
    """FlashAttention needs a card and an architecture that have it."""
    chosen = subject.text("attn_implementation")
    if not chosen and subject.on("flash_attention"):
        chosen = "flash_attention_2"
    if not chosen.startswith("flash_attention"):
        return
    hardware = subject.hardware
    fix = Fix(set={"attn_implementation": "eager" if subject.model_type in NO_SDPA else "sdpa"})
    if hardware is not None and not hardware.flash_attention:
        yield error("flash_attention_card", "attn_implementation", fix=fix, hardware=hardware.name)
    elif subject.model_type in NO_FLASH_ATTENTION:
        yield error("flash_attention_model", "attn_implementation", fix=fix, model_type=subject.model_type)


def sdpa(subject: Subject) -> Iterator[Finding]:
    """Some architectures compute attention eagerly only."""
    if subject.text("attn_implementation") == "sdpa" and subject.model_type in NO_SDPA:
        fix = Fix(set={"attn_implementation": "eager"}, safe=True)
        yield error("sdpa_model", "attn_implementation", fix=fix, model_type=subject.model_type)


def two_losses(subject: Subject) -> Iterator[Finding]:
    """One implementation computes the loss. Cut cross entropy counts as on once its plugin is listed."""
    chosen = [key for key in LOSSES if subject.on(key)]
    silent = CCE_PLUGIN in subject.names("plugins") and subject.config.get("cut_cross_entropy") is None
    if len(chosen) > 1:
        yield error("two_losses", chosen[1], names=tuple(chosen))
    elif silent and chosen:
        fix = Fix(set={"cut_cross_entropy": False})
        yield error("two_losses", chosen[0], fix=fix, names=("cut_cross_entropy", *chosen))


def cut_cross_entropy(subject: Subject) -> Iterator[Finding]:
    """The explicit key wants an explicit half precision, although bf16 is automatic by default."""
    if subject.on("cut_cross_entropy") and not subject.on("bf16") and not subject.on("fp16"):
        # An explicit false is a wish that the fix must not overrule.
        fix = Fix(set={"bf16": "auto"}, safe=True) if subject.config.get("bf16") is None else None
        yield error("cut_needs_half", "bf16", fix=fix)


def plugin_keys(subject: Subject) -> Iterator[Finding]:
    """A plugin's keys mean nothing unless the plugin is listed."""
    schema = subject.schema
    if schema is None:
        return
    listed = {schema.plugin_classes.get(name) for name in subject.names("plugins")}
    for key in sorted(subject.config.keys() & schema.plugin_of.keys()):
        package = schema.plugin_of[key]
        if subject.config[key] is not None and package not in listed:
            path = schema.class_of(package)
            fix = Fix(set={"plugins": [*subject.names("plugins"), path]}) if path and subject.on(key) else None
            yield warning("plugin_missing", key, fix=fix, key=key, plugin=path or package)


def optimizer(subject: Subject) -> Iterator[Finding]:
    """Any text passes the schema; only these are ever built."""
    given = subject.text("optimizer")
    if not given or given in BUILT_OPTIMIZERS:
        return
    close = UNBUILT_OPTIMIZERS.get(given) or next(iter(nearest(given, BUILT_OPTIMIZERS, count=1)), None)
    fix = Fix(set={"optimizer": close}, safe=True) if close else None
    code = "optimizer_nearest" if close else "optimizer"
    yield error(code, "optimizer", fix=fix, given=given[:100], nearest=close)


def scheduler(subject: Subject) -> Iterator[Finding]:
    """Likewise for the scheduler."""
    given = subject.text("lr_scheduler")
    if given and given not in SCHEDULERS:
        close = next(iter(nearest(given, SCHEDULERS, count=1)), None)
        fix = Fix(set={"lr_scheduler": close}, safe=True) if close else None
        yield error("scheduler", "lr_scheduler", fix=fix, given=given[:100], allowed=tuple(sorted(SCHEDULERS)))


def warmup(subject: Subject) -> Iterator[Finding]:
    """Steps or a share of them, not both; SimPO's trainer takes steps only."""
    if subject.on("warmup_steps") and subject.on("warmup_ratio"):
        yield error("warmup_twice", "warmup_ratio", fix=Fix(unset=("warmup_ratio",), safe=True))
    elif subject.text("rl") == "simpo" and subject.on("warmup_ratio"):
        fix = Fix(set={"warmup_steps": 10}, unset=("warmup_ratio",), safe=True)
        yield error("simpo_warmup", "warmup_ratio", fix=fix)


def preference(subject: Subject) -> Iterator[Finding]:
    """What preference training needs, and what it leaves unused."""
    if subject.text("rl") == "kto" and subject.config.get("remove_unused_columns") is not False:
        fix = Fix(set={"remove_unused_columns": False}, safe=True)
        yield error("kto_columns", "remove_unused_columns", fix=fix)
    if subject.on("rl") and subject.on("neftune_noise_alpha"):
        fix = Fix(unset=("neftune_noise_alpha",), safe=True)
        yield info("neftune_rl", "neftune_noise_alpha", fix=fix)


def bf16(subject: Subject) -> Iterator[Finding]:
    """bf16 needs Ampere or newer; full fine-tuning without it needs fp32, since fp16 gradients are not unscaled."""
    hardware = subject.hardware
    if hardware is None or hardware.bf16:
        return
    if subject.config.get("bf16") is True or subject.on("bfloat16"):
        fix = Fix(set={"bf16": False, "fp16": subject.on("adapter")}, unset=("bfloat16",))
        yield error("bf16_card", "bf16", fix=fix, hardware=hardware.name)
    # ``auto``, the default, falls back to fp16 where fp16 itself is left open.
    automatic = subject.config.get("bf16", "auto") in ("auto", None) and subject.config.get("fp16") is None
    if not subject.on("adapter") and (subject.on("fp16") or automatic):
        fix = Fix(set={"bf16": False, "fp16": False})
        yield error("fp16_full", "fp16", fix=fix, hardware=hardware.name)


def mpt_checkpointing(subject: Subject) -> Iterator[Finding]:
    """Refused by name."""
    if "mpt" in subject.text("base_model").lower() and subject.on("gradient_checkpointing"):
        fix = Fix(unset=("gradient_checkpointing",), safe=True)
        yield error("mpt_checkpointing", "gradient_checkpointing", fix=fix)


def card_memory(subject: Subject) -> Iterator[Finding]:
    """What the box says against what the driver offers."""
    hardware = subject.hardware
    if hardware is not None and hardware.gpu_id is not None:
        yield info(
            "card_memory",
            None,
            hardware=hardware.name,
            memory_gb=hardware.marketed_memory_gb,
            capacity_bytes=hardware.capacity_bytes,
        )


TRAINING_RULES: tuple[Rule, ...] = (
    datasets,
    context,
    packing,
    attention_name,
    attention_twice,
    flash_attention,
    sdpa,
    two_losses,
    cut_cross_entropy,
    plugin_keys,
    optimizer,
    scheduler,
    warmup,
    preference,
    bf16,
    mpt_checkpointing,
    card_memory,
)
