"""Rules about steps: batches, warm-up, saving, evaluating, checkpointing. One function or row, one rule.

Sources: Axolotl 0.19.0 ``utils/schemas/validation.py``, ``utils/config/__init__.py``, ``core/builders``.
"""

import re
from collections.abc import Iterator, Mapping

from app.core.axolotl.subject import Row, Rule, Subject, fails, info, misleads, rejected
from app.core.findings import Effect, Finding, Fix
from app.core.lookalikes import described, number_of

MATMULS = ("aten::mm", "aten::addmm", "aten::matmul", "aten::bmm")
POSITIVE = ("micro_batch_size", "gradient_accumulation_steps", "sequence_len", "num_epochs", "learning_rate")
RATES: Mapping[str, tuple[float, float]] = {
    "full": (1e-7, 2e-4),
    "adapter": (5e-6, 2e-3),
    "preference": (1e-8, 4e-4),
    "pretraining": (1e-7, 2e-3),
}
"""Learning rates that somebody has reported to work, with an order of magnitude to spare on both sides.

Sources: Axolotl's documentation (full 1e-5..5e-5, LoRA 1e-4..3e-4) and its examples (3e-6..2e-5 full; 1e-5..2e-4 with
adapters; 2e-4 for DPO); TRL's defaults for preference training (1e-6 for DPO); Pythia's paper for pre-training (1e-3
for the smallest, arXiv:2304.01373, table 6).
"""


_COMMA = re.compile(r"\d{1,6},\d{1,12}(?:e-?\d{1,3})?", re.IGNORECASE)


def positive(subject: Subject) -> Iterator[Finding]:
    """Nothing checks these, and none of them means anything at zero or below."""
    for key in POSITIVE:
        number = subject.number(key)
        # A batch size of zero counts as none given and comes to one.
        if number is not None and not number > 0:
            yield fails("not_positive", key, key=key, given=f"{number:g}")


def evaluation_rows(subject: Subject) -> Iterator[Finding]:
    """None is as if it were left out; less than none PyTorch's ``DataLoader`` refuses once it evaluates."""
    number = subject.number("eval_batch_size")
    if number is not None and number < 0 and (subject.on("val_set_size") or subject.on("test_datasets")):
        fix = Fix(unset=("eval_batch_size",))
        yield fails("not_positive", "eval_batch_size", fix=fix, key="eval_batch_size", given=f"{number:g}")


def weight_decay(subject: Subject) -> Iterator[Finding]:
    """Most optimizers take what is below zero for a group of weights, and grow these; a few refuse it (both run)."""
    number = subject.number("weight_decay")
    if number is not None and number < 0:
        fix = Fix(set={"weight_decay": -number})
        yield misleads("decay_negative", "weight_decay", fix=fix, given=f"{number:g}")


def learning_rate_text(subject: Subject) -> Iterator[Finding]:
    """The one key that takes text, and turns it into a number itself."""
    given = subject.config.get("learning_rate")
    if isinstance(given, str) and subject.number("learning_rate") is None and given:
        if (found := number_of(given)) is not None:
            number, sign = found[0], described(found[1])
            sure = Fix(set={"learning_rate": number}, safe=True)
            yield rejected("value_minus", "learning_rate", fix=sure, key="learning_rate", given=given[:40], sign=sign)
            return
        point = _COMMA.fullmatch(given.strip())
        fix = Fix(set={"learning_rate": float(given.strip().replace(",", "."))}, safe=True) if point else None
        yield rejected("learning_rate_text", "learning_rate", fix=fix, given=given[:40])


def learning_rate(subject: Subject) -> Iterator[Finding]:
    """Far outside of what the method is used with."""
    number = subject.number("learning_rate")
    kind = "adapter" if subject.on("adapter") else "pretraining" if subject.on("pretraining_dataset") else "full"
    low, high = RATES["preference"] if subject.on("rl") and not subject.on("adapter") else RATES[kind]
    if number is not None and number > 0 and not low <= number <= high:
        code = "rate_low" if number < low else "rate_high"
        yield misleads(code, "learning_rate", given=f"{number:g}", least=f"{low:g}", most=f"{high:g}")


def early_stopping(subject: Subject) -> Iterator[Finding]:
    """Stopping needs evaluations that fall together with saves."""
    if not subject.number("early_stopping_patience"):
        return
    save, evaluate = subject.number("save_steps"), subject.number("eval_steps")
    if not save or not evaluate:
        yield rejected("early_stopping_steps", "early_stopping_patience")
    elif save % evaluate:
        yield rejected("early_stopping_apart", "early_stopping_patience", save=f"{save:g}", evaluate=f"{evaluate:g}")


def selective(subject: Subject) -> Iterator[Finding]:
    """Selective checkpointing decides inside of checkpointing, without re-entry."""
    given = subject.config.get("selective_checkpointing")
    # An empty mapping is a mapping all the same, and takes its defaults.
    if (not given and not isinstance(given, Mapping)) or (
        isinstance(given, str) and not subject.flag("selective_checkpointing")
    ):
        return
    key = "selective_checkpointing"
    kwargs = subject.mapping("gradient_checkpointing_kwargs")
    if not subject.flag("gradient_checkpointing") and not _offloads_by_value(subject):
        yield rejected("selective_alone", key, fix=Fix(set={"gradient_checkpointing": True}))
    elif kwargs.get("use_reentrant"):
        yield rejected("selective_reentrant", key, fix=Fix(set={"gradient_checkpointing_kwargs.use_reentrant": False}))
    elif subject.on("activation_offloading") and subject.config["activation_offloading"] != "hidden_states":
        yield rejected("selective_offloading", "activation_offloading")
    elif subject.on("adapter") and isinstance(given, Mapping) and isinstance(given.get("save"), list | tuple):
        bad = [s for s in given["save"] if isinstance(s, str) and s != "attention" and any(s in op for op in MATMULS)]
        if bad:
            yield rejected("selective_matmul", f"{key}.save", names=tuple(bad))


def _offloads_by_value(subject: Subject) -> bool:
    return subject.text("gradient_checkpointing") in ("offload", "offload_disk")


def checkpoints(subject: Subject) -> bool:
    """Whether gradient checkpointing is on, by its old values too."""
    return subject.flag("gradient_checkpointing") or _offloads_by_value(subject)


def _offloads(subject: Subject) -> bool:
    given = subject.config.get("activation_offloading")
    return given in ("legacy", "disk", "hidden_states") or subject.flag("activation_offloading")


def saves(subject: Subject) -> Iterator[Finding]:
    """One way to say when to save."""
    strategy = subject.config.get("save_strategy")
    if strategy and subject.on("save_steps") and strategy != "steps":
        yield rejected("save_strategy_steps", "save_strategy", fix=Fix(set={"save_strategy": "steps"}))
    if subject.on("saves_per_epoch") and subject.on("save_steps"):
        yield rejected("saves_twice", "saves_per_epoch", fix=Fix(unset=("saves_per_epoch",)))
    if strategy == "best" and not subject.on("metric_for_best_model"):
        yield rejected("save_best_metric", "metric_for_best_model", fix=Fix(set={"metric_for_best_model": "eval_loss"}))
    if subject.on("hub_model_id") and strategy not in ("steps", "epoch", None):
        yield misleads("hub_unsaved", "hub_model_id")


def evaluations(subject: Subject) -> Iterator[Finding]:
    """One way to say when to evaluate, and something to evaluate on."""
    # The old name counts where the new one is not set.
    key = "eval_strategy" if subject.given("eval_strategy") else "evaluation_strategy"
    strategy = subject.config.get(key)
    validation = subject.config.get("val_set_size")
    if strategy and subject.on("eval_steps") and strategy != "steps":
        yield rejected(
            "eval_strategy_steps", key, fix=Fix(set={"eval_strategy": "steps"}, unset=("evaluation_strategy",))
        )
    elif (
        validation is not None
        and not isinstance(validation, str)
        and validation == 0
        and (subject.on("eval_steps") or strategy)
        and not subject.on("test_datasets")
        and strategy != "no"
    ):
        fix = Fix(unset=("eval_steps", "eval_strategy", "evaluation_strategy"), safe=True)
        yield rejected("eval_without_data", "eval_steps" if subject.on("eval_steps") else key, fix=fix)
    if subject.on("evals_per_epoch") and subject.on("eval_steps"):
        yield rejected("evals_twice", "evals_per_epoch", fix=Fix(unset=("evals_per_epoch",)))
    elif subject.on("evals_per_epoch") and strategy and strategy != "steps":
        yield rejected("evals_strategy", key, fix=Fix(unset=("eval_strategy", "evaluation_strategy")))
    if subject.on("do_bench_eval") and not (subject.on("evals_per_epoch") or subject.on("eval_steps")):
        yield rejected("bench_steps", "do_bench_eval")
    wants = any(map(subject.on, ("evals_per_epoch", "eval_steps"))) and not subject.on("do_bench_eval")
    if wants and not subject.on("val_set_size") and not subject.on("test_datasets") and validation is None:
        yield misleads("eval_no_data", "val_set_size")


def warmup(subject: Subject) -> Iterator[Finding]:
    """Steps or a share of them, not both; SimPO's trainer takes steps only."""
    if subject.on("warmup_steps") and subject.on("warmup_ratio"):
        yield rejected("warmup_twice", "warmup_ratio", fix=Fix(unset=("warmup_ratio",), safe=True))
    elif subject.text("rl") == "simpo" and subject.number("warmup_ratio"):
        fix = Fix(set={"warmup_steps": 10}, unset=("warmup_ratio",), safe=True)
        yield rejected("simpo_warmup", "warmup_ratio", fix=fix)


def batches(subject: Subject) -> Iterator[Finding]:
    """Two of the three sizes, and not the two that say the same."""
    if not subject.on("batch_size"):
        return
    if subject.on("gradient_accumulation_steps"):
        yield rejected("batch_twice", "batch_size", fix=Fix(unset=("batch_size",), safe=True))
    elif not subject.on("micro_batch_size"):
        yield rejected("batch_alone", "batch_size")


def evaluation_batch(subject: Subject) -> Iterator[Finding]:
    """Another batch size in evaluation has another peak."""
    micro, evaluation = subject.number("micro_batch_size"), subject.number("eval_batch_size")
    if micro and evaluation and micro != evaluation:
        yield info("eval_batch", "eval_batch_size", given=int(min(evaluation, 1e9)), micro=int(min(micro, 1e9)))


def _noise(subject: Subject) -> float:
    """NEFTune's noise after the old name is mapped; 1 where there is none."""
    for key in ("neftune_noise_alpha", "noisy_embedding_alpha"):
        if subject.on(key) or (
            key == "neftune_noise_alpha" and subject.given(key) and not subject.on("noisy_embedding_alpha")
        ):
            number = subject.number(key)
            return 1 if number is None else number
    return 1


SCHEDULE_RULES: tuple[Rule, ...] = (
    positive,
    evaluation_rows,
    weight_decay,
    learning_rate_text,
    learning_rate,
    batches,
    evaluation_batch,
    warmup,
    saves,
    evaluations,
    early_stopping,
    selective,
    Row(
        code="neftune_zero",
        key="neftune_noise_alpha",
        when=lambda s: _noise(s) <= 0,
        fix=Fix(unset=("neftune_noise_alpha", "noisy_embedding_alpha"), safe=True),
    ),
    Row(
        code="offloading_alone",
        key="activation_offloading",
        when=lambda s: _offloads(s) and not checkpoints(s),
        fix=Fix(set={"gradient_checkpointing": True}, safe=True),
    ),
    Row(
        code="hidden_states_frozen",
        key="activation_offloading",
        when=lambda s: (
            s.text("activation_offloading") == "hidden_states"
            and bool(s.mapping("gradient_checkpointing_kwargs").get("use_reentrant"))
            and s.on("unfrozen_parameters")
        ),
    ),
    Row(
        code="frozen_reentrant",
        key="gradient_checkpointing_kwargs",
        when=lambda s: (
            s.on("unfrozen_parameters") and s.mapping("gradient_checkpointing_kwargs").get("use_reentrant") is True
        ),
        fix=Fix(set={"gradient_checkpointing_kwargs.use_reentrant": False}, safe=True),
    ),
    Row(
        code="mpt_checkpointing",
        key="gradient_checkpointing",
        when=lambda s: "mpt" in s.text("base_model").lower() and checkpoints(s),
        fix=Fix(unset=("gradient_checkpointing",), safe=True),
    ),
    Row(
        code="safetensors_off",
        key="save_safetensors",
        when=lambda s: s.given("save_safetensors") and not s.flag("save_safetensors"),
        fix=Fix(unset=("save_safetensors",), safe=True),
    ),
    Row(
        code="group_by_length_streaming",
        key="group_by_length",
        when=lambda s: s.on("pretraining_dataset") and s.on("group_by_length"),
        effect=Effect.MISLEADS,
    ),
)
