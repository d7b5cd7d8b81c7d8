"""Rules about preference and reinforcement training. One function or row, one rule.

Sources: Axolotl 0.19.0 ``RLValidationMixin`` and ``EBFTValidationMixin`` of ``utils/schemas/validation.py``; TRL 1.9.0.
"""

from collections.abc import Iterator, Mapping

from app.core.axolotl.subject import Row, Rule, Subject, info, misleads, rejected
from app.core.findings import Effect, Finding, Fix

REWARD_KEYS = ("reward_model", "process_reward_model")
ONLY_UNDER: Mapping[str, tuple[str, ...]] = {
    "orpo_alpha": ("orpo",),
    "simpo_gamma": ("simpo",),
    "cpo_alpha": ("simpo",),
    "kto_desirable_weight": ("kto",),
    "kto_undesirable_weight": ("kto",),
    "dpo_label_smoothing": ("dpo", "ipo"),
    "dpo_use_weighting": ("dpo", "ipo"),
    "dpo_padding_free": ("dpo", "ipo"),
    "precompute_ref_log_probs": ("dpo", "ipo", "kto"),
    "trl": ("grpo", "gdpo", "dpo", "ipo", "ebft", "kto", "orpo", "simpo"),
}
"""Keys that only some trainers read, by the values of ``rl`` that choose those."""


def preference(subject: Subject) -> Iterator[Finding]:
    """What preference training needs, and what it leaves unused."""
    if subject.text("rl") == "kto":
        if subject.config.get("remove_unused_columns") is not False:
            fix = Fix(set={"remove_unused_columns": False}, safe=True)
            yield rejected("kto_columns", "remove_unused_columns", fix=fix)
        if subject.on("eval_sample_packing") and not subject.on("sample_packing"):
            yield rejected("packing_rl", "eval_sample_packing", fix=Fix(set={"eval_sample_packing": False}, safe=True))
    if subject.on("rl") and subject.on("neftune_noise_alpha"):
        fix = Fix(unset=("neftune_noise_alpha",), safe=True)
        yield info("neftune_rl", "neftune_noise_alpha", fix=fix)
    for key, trainers in ONLY_UNDER.items():
        if subject.given(key) and subject.text("rl") not in trainers:
            yield misleads("rl_key_unread", key, key=key, trainers=trainers)


def dpo_losses(subject: Subject) -> Iterator[Finding]:
    """Losses and their weights belong together, and to DPO."""
    losses, weights = subject.config.get("dpo_loss_type"), subject.config.get("dpo_loss_weights")
    if subject.text("rl") == "dpo":
        if weights is not None and losses is None:
            yield rejected("dpo_weights_alone", "dpo_loss_weights", fix=Fix(unset=("dpo_loss_weights",)))
        elif isinstance(losses, list | str) and isinstance(weights, list) and len(losses) != len(weights):
            yield rejected("dpo_weights_count", "dpo_loss_weights", losses=len(losses), weights=len(weights))
    elif losses is not None or weights is not None:
        key = "dpo_loss_type" if losses is not None else "dpo_loss_weights"
        yield rejected("dpo_losses_elsewhere", key, fix=Fix(unset=("dpo_loss_type", "dpo_loss_weights")))


def dpo_liger(subject: Subject) -> Iterator[Finding]:
    """Liger's fused DPO loss has no IPO, and only one loss."""
    losses = subject.names("dpo_loss_type")
    if not subject.flag("dpo_use_liger_kernel"):
        return
    if subject.text("rl") == "ipo" or (losses and losses[0] == "ipo"):
        fix = Fix(set={"dpo_use_liger_kernel": False}, safe=True)
        yield rejected("dpo_liger_ipo", "dpo_use_liger_kernel", fix=fix)
    elif len(losses) > 1:
        yield misleads("dpo_liger_first", "dpo_use_liger_kernel")


def grpo_groups(subject: Subject) -> Iterator[Finding]:
    """Each prompt is answered ``num_generations`` times, and a group is never split."""
    trl = subject.mapping("trl")
    group = trl.get("num_generations")
    if subject.text("rl") != "grpo" or isinstance(group, bool) or not isinstance(group, int):
        return
    if group < 2:
        yield rejected("grpo_group", "trl.num_generations", fix=Fix(set={"trl.num_generations": 2}), given=group)
        return
    explicit = trl.get("generation_batch_size")
    micro, steps = (int(subject.number(key) or 1) for key in ("micro_batch_size", "gradient_accumulation_steps"))
    batch = explicit if isinstance(explicit, int) else micro * steps
    if batch % group:
        better = next((n for n in range(steps, steps + group + 1) if (micro * n) % group == 0), group)
        fix = Fix(set={"gradient_accumulation_steps": better}) if explicit is None else None
        yield rejected("grpo_batch", "trl.num_generations", fix=fix, batch=batch, group=group)
    elif subject.gpus > 1 and batch < group * subject.gpus:
        yield rejected("grpo_ranks", "gradient_accumulation_steps", batch=batch, least=group * subject.gpus)


def ebft(subject: Subject) -> Iterator[Finding]:
    """Energy-based fine-tuning and its own attention."""
    if subject.text("rl") != "ebft":
        return
    inner = subject.mapping("ebft")
    if not subject.on("ebft"):
        yield rejected("ebft_missing", "ebft", fix=Fix(set={"ebft": {"mode": "structured"}}))
    if inner.get("mode") != "strided":
        return
    compiles = subject.config.get("torch_compile")  # "auto" has become true by the time that this is looked at
    if (compiles is True or compiles == "auto") and subject.on("gradient_checkpointing"):
        yield rejected("ebft_compile", "torch_compile", fix=Fix(unset=("torch_compile",), safe=True))
    flex = subject.text("attn_implementation") == "flex_attention" or subject.on("flex_attention")
    if flex and (
        subject.config.get("activation_offloading") is True or subject.text("activation_offloading") == "true"
    ):
        yield rejected("ebft_offloading", "activation_offloading", fix=Fix(unset=("activation_offloading",), safe=True))


def beta(subject: Subject) -> Iterator[Finding]:
    """Two betas that differ."""
    own, inner = subject.config.get("beta"), subject.mapping("trl").get("beta")
    if own and inner and own != inner:
        yield rejected("beta_twice", "trl.beta")


def losses_under_rl(subject: Subject) -> Iterator[Finding]:
    """Preference and reward trainers compute a loss of their own."""
    if subject.on("rl") or any(map(subject.on, REWARD_KEYS)):
        for key in ("cut_cross_entropy", "chunked_cross_entropy", "liger_fused_linear_cross_entropy"):
            if subject.on(key):
                yield info("loss_unused", key, key=key)


PREFERENCE_RULES: tuple[Rule, ...] = (
    preference,
    dpo_losses,
    dpo_liger,
    grpo_groups,
    ebft,
    beta,
    losses_under_rl,
    Row(
        code="gdpo_aggregation",
        key="trl.multi_objective_aggregation",
        when=lambda s: (
            s.text("rl") == "gdpo" and s.mapping("trl").get("multi_objective_aggregation") == "sum_then_normalize"
        ),
        fix=Fix(unset=("trl.multi_objective_aggregation",)),
    ),
    Row(
        code="grpo_liger_context",
        key="trl.use_liger_loss",
        when=lambda s: (
            s.text("rl") == "grpo"
            and bool(s.mapping("trl").get("use_liger_loss"))
            and (s.number("context_parallel_size") or 1) > 1
        ),
    ),
    Row(
        code="rl_reentrant",
        key="gradient_checkpointing_kwargs",
        when=lambda s: (
            s.on("rl")
            and s.on("gradient_checkpointing")
            and bool(s.mapping("gradient_checkpointing_kwargs").get("use_reentrant"))
            and s.on("load_in_4bit")
            and s.text("adapter") == "qlora"
            and s.gpus > 1
        ),
        fix=Fix(set={"gradient_checkpointing_kwargs.use_reentrant": False}, safe=True),
    ),
    Row(
        code="reward_padding",
        key="pad_to_sequence_len",
        when=lambda s: s.on("reward_model") and s.config.get("pad_to_sequence_len") is False,
        effect=Effect.OK,
    ),
)
