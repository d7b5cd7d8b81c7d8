"""The plan: walk the tree, start from the guide's knobs, fit them to the card, and estimate the roads not taken."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from app.catalog.library import Catalog
from app.core.advice import conflicts
from app.core.axolotl.composing import is_packed
from app.core.decision import Fact
from app.core.errors import InvalidInput
from app.core.estimate import Estimate
from app.core.findings import Finding, Fix, Severity
from app.core.fit import LOSSLESS, RUNG_KEYS, Fitted, Rung, build_ladder, climb
from app.core.hardware import Hardware
from app.core.knobs import ROOM_SEQUENCE
from app.core.messages import Param, message
from app.core.methods.settings import PeftType
from app.core.plan import Alternative, Decision, Outcome, Plan, Wish
from app.core.run import Run
from app.core.timing import Samples, steps_of
from app.services.estimating import estimate_resolved
from app.services.inputs import ResolvedModel, resolve_model
from app.services.measuring import Meter
from app.services.reach import largest_model, smallest_gpu
from app.services.templates import PEFT_METHODS, advise, asked_method, template

ALTERNATIVES = ("qlora", "lora", "dora", "full")
"""The document's trainable choices, always shown beside the one taken."""

NEXT_BEST = ("lora", "qlora", "dora", "full")
"""What is offered first where a person's own method does not fit."""

HEADROOM_SHARE = 0.02
"""Of the card's memory: what a plan leaves free where it can, beyond what it expects to take."""

ROOM = (*LOSSLESS, Rung.SEQUENCE)
"""What a method may give up and still be said to have room: no rank, no bits, sequences only down to the guide's."""


def plan(
    *,
    catalog: Catalog,
    base_model: str | None,
    model: Mapping[str, Any] | None,
    hardware: Hardware,
    wish: Wish,
    brief: bool = False,
) -> Plan:
    """Recommend a method and a configuration for one model on one kind of GPU.

    Where it is to be ``brief`` the roads not taken come without modules, time and findings of their own.

    Raises:
        InvalidInput: an override or the config.json holds values that cannot be.
        UnknownName: the catalogue does not hold ``base_model``.
    """
    resolved = resolve_model(catalog=catalog, base_model=base_model, model=model)
    return _Planner(catalog, resolved, hardware, wish, brief=brief).plan()


class _Planner:
    """One plan in the making; every method is composed, measured and fitted at most once."""

    def __init__(
        self, catalog: Catalog, resolved: ResolvedModel, hardware: Hardware, wish: Wish, *, brief: bool
    ) -> None:
        self.brief = brief
        self.catalog = catalog
        self.resolved = resolved
        self.hardware = hardware
        self.wish = wish
        self.keep = frozenset(wish.overrides) | (
            frozenset({"sequence_len"}) if wish.sequence_len_tokens is not None else frozenset()
        )
        self.template = cache(lambda method: template(catalog, resolved, hardware, wish, method))
        self.meter = Meter.of(resolved)
        self.fitted = cache(self._fitted)
        self.asked_method = asked_method(wish.overrides)

    def plan(self) -> Plan:
        decision = self.catalog.tree.walk(
            self._fact,
            {
                "memory_gb": self.hardware.marketed_memory_gb,
                "hardware": self.hardware.name,
                "model": self.resolved.id or self.resolved.architecture.model_type,
            },
        )
        method = self.asked_method or decision.method
        found = self.fitted(method)
        estimate = self._estimate(found.config)
        alternatives = self._alternatives(method)
        leaf = self.catalog.tree.leaves.get(method)
        advice = advise(
            self.catalog.advisor, self.resolved, self.hardware, self.wish, method, keys=leaf.knobs if leaf else ()
        )
        spoken_of = {finding.key for finding in estimate.findings}
        return Plan(
            outcome=Outcome.FITS if estimate.fits else Outcome.DOES_NOT_FIT,
            method=method,
            decision=decision,
            config=found.config,
            estimate=estimate,
            alternatives=alternatives,
            findings=(
                *self._findings(method, decision, found, alternatives),
                *(said for said in conflicts(advice, self.wish.overrides) if said.key not in spoken_of),
                *estimate.findings,
            ),
            changes=found.changes,
            advice=advice,
        )

    def _fact(self, name: str) -> Fact:
        match name:
            case "memory_gb":
                return self.hardware.marketed_memory_gb
            case "bf16":
                return self.hardware.bf16
            case "goal":
                return self.wish.goal.value
            case "priority":
                return self.wish.priority.value
            case "tasks":
                return self.wish.tasks.value
            case "rows":
                return self.wish.dataset.rows
            case "steps":
                return self._steps()
            case "moe":
                return self.resolved.architecture.mixture_of_experts
            case "packed":
                return is_packed(self.resolved.id or "")
            case "saves_4bit":
                return self._least("qlora") < self._least("lora")
        return self._has_room(name.removeprefix("fits_"))

    def _steps(self) -> int | None:
        """Optimizer steps that the data comes to under ReLoRA, None where its size is not known."""
        dataset, config = self.wish.dataset, self.template("relora")
        return steps_of(
            Run.from_config(config),
            Samples(rows=dataset.rows, mean_tokens=dataset.mean_tokens),
            epochs=float(config.get("num_epochs") or 1),
            max_steps=None,
            data_parallel=self.hardware.data_parallel,
        )

    def _least(self, method: str) -> int:
        """What the method takes without giving up rank, bits, or sequences of the guide's smaller template."""
        ladder = build_ladder(
            self.template(method),
            architecture=self.resolved.architecture,
            hardware=self.hardware,
            install=self.wish.install,
            keep=self.keep | {"adapter"},
            rungs=ROOM,
            shortest_sequence=ROOM_SEQUENCE,
        )
        return self.meter.process_bytes(ladder.at(ladder.floor()))

    def _has_room(self, method: str) -> bool:
        """Whether the method fits, headroom and all, without giving up what ``_least`` keeps."""
        try:
            least = self._least(method)
        except InvalidInput:
            if method == self.asked_method:
                raise
            return False
        return least <= with_headroom(self.hardware.capacity_bytes)

    def _fitted(self, method: str) -> Fitted:
        """The method's template with the least change that fits; it stays the method that it is."""
        refused = {"gradient_checkpointing"} if method == PeftType.PREFIX_TUNING else set()
        return self._climb(method, self.keep | {"adapter"} | refused)

    def _climb(self, method: str, keep: frozenset[str]) -> Fitted:
        ladder = build_ladder(
            self.template(method),
            architecture=self.resolved.architecture,
            hardware=self.hardware,
            install=self.wish.install,
            keep=keep,
        )
        capacity = self.hardware.capacity_bytes
        roomy = climb(ladder, measure=self.meter.process_bytes, capacity_bytes=with_headroom(capacity))
        return roomy if roomy.fits else climb(ladder, measure=self.meter.process_bytes, capacity_bytes=capacity)

    def _estimate(self, config: Mapping[str, Any], *, brief: bool = False) -> Estimate:
        return estimate_resolved(
            catalog=self.catalog,
            resolved=self.resolved,
            config=config,
            hardware=self.hardware,
            dataset=self.wish.dataset,
            measured=self.meter.measured(config),
            brief=brief,
        )

    def _alternatives(self, taken: str) -> tuple[Alternative, ...]:
        found = []
        for method in ALTERNATIVES:
            if method == taken:
                continue
            config = self.fitted(method).config
            estimate = self._estimate(config, brief=self.brief)
            reason = "fits" if estimate.fits else "does_not_fit"
            found.append(
                Alternative(
                    method=method,
                    config=config,
                    estimate=estimate,
                    reason=message(f"alternative.{method}.{reason}", process_bytes=estimate.memory.process_bytes),
                )
            )
        return tuple(found)

    def _findings(
        self, method: str, decision: Decision, found: Fitted, alternatives: tuple[Alternative, ...]
    ) -> tuple[Finding, ...]:
        findings = []
        if method != decision.method:
            findings.append(
                Finding(
                    severity=Severity.INFO,
                    key="adapter",
                    message=message("finding.own_method", method=method, recommended=decision.method),
                )
            )
        if method in PEFT_METHODS:
            row = self.catalog.methods.get(method)
            nearest = self.catalog.methods.get(row.nearest or "lora")
            findings.append(
                Finding(
                    severity=Severity.WARNING,
                    key="adapter",
                    message=message("finding.not_in_axolotl", method=row.name, nearest=nearest.name),
                )
            )
        if found.fits and found.changes:
            keys = tuple(change.key for change in found.changes)
            saves = sum(change.saves_bytes for change in found.changes)
            findings.append(
                Finding(severity=Severity.INFO, message=message("finding.made_to_fit", keys=keys, saves_bytes=saves))
            )
        if not found.fits:
            kept = self._kept(method)
            findings += kept or self._own_method_too_large(method, alternatives)
            findings.append(self._gpu_that_would(method, found.process_bytes, own_values=bool(kept)))
            findings += [] if kept else self._model_that_would()
        longest = self.wish.dataset.max_tokens
        length = found.config.get("sequence_len")
        if longest is not None and isinstance(length, int) and length < longest:
            findings.append(
                Finding(
                    severity=Severity.WARNING,
                    key="sequence_len",
                    message=message("finding.longer_samples", sequence_len=length, max_tokens=longest),
                )
            )
        return tuple(findings)

    def _kept(self, method: str) -> list[Finding]:
        """A finding for each of the person's values that keeps the plan from fitting, with what would fit."""
        kept = self.keep.intersection(key for rung in Rung for key in RUNG_KEYS[rung])
        if not kept:
            return []
        free = self._climb(method, (self.keep - kept) | {"adapter"})
        if not free.fits:
            return []
        return [
            Finding(
                severity=Severity.WARNING,
                key=change.key,
                message=message(
                    "finding.kept_does_not_fit",
                    key=change.key,
                    given=_shown(change.before),
                    fitting=_shown(change.after),
                    saves_bytes=change.saves_bytes,
                ),
                fix=Fix(set={change.key: change.after}),
            )
            for change in free.changes
            if change.key in kept
        ]

    def _own_method_too_large(self, method: str, alternatives: tuple[Alternative, ...]) -> list[Finding]:
        """Where the person's own method does not fit but another does."""
        fitting = [other.method for other in alternatives if other.estimate.fits]
        if method != self.asked_method or not fitting:
            return []
        best = next(other for other in NEXT_BEST if other in fitting)
        said = message("finding.own_method_too_large", method=method, fitting=best)
        return [Finding(severity=Severity.WARNING, key="adapter", message=said)]

    def _gpu_that_would(self, method: str, need_bytes: int, *, own_values: bool) -> Finding:
        """Names the GPU with the least memory that would do."""
        card: dict[str, Param] = {
            "hardware": self.hardware.name,
            "capacity_bytes": self.hardware.capacity_bytes,
            "process_bytes": need_bytes,
        }
        gpu = smallest_gpu(self.catalog, self.resolved, self.wish, method, keep=self.keep, need_bytes=need_bytes)
        if gpu is None:
            return Finding(severity=Severity.ERROR, message=message("finding.fits_no_gpu", **card))
        row, there = gpu
        code = "finding.smallest_gpu_as_set" if own_values else "finding.smallest_gpu"
        said = message(code, **card, gpu=row.name, gpu_bytes=row.memory_bytes, need_bytes=there)
        return Finding(severity=Severity.ERROR, message=said)

    def _model_that_would(self) -> list[Finding]:
        """Names the largest model that this card trains."""
        found = largest_model(self.catalog, self.hardware, self.wish)
        if found is None:
            return []
        model, takes = found
        said = message(
            "finding.largest_model", hardware=self.hardware.name, model=model.name, id=model.id, process_bytes=takes
        )
        return [Finding(severity=Severity.INFO, key="base_model", message=said, fix=Fix(set={"base_model": model.id}))]


def with_headroom(capacity_bytes: int) -> int:
    """What a plan may take of a card and still leave its headroom."""
    return int(capacity_bytes * (1 - HEADROOM_SHARE))


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
