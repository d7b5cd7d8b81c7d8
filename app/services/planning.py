"""The plan: walk the tree, start from the guide's knobs, fit them to the card, and estimate the roads not taken."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from app.catalog.library import Catalog
from app.core.advice import conflicts
from app.core.axolotl.adapter_rules import NOT_AXOLOTLS
from app.core.axolotl.run_reader import read_run
from app.core.decision import Fact
from app.core.errors import FieldError, InvalidInput
from app.core.estimate import Estimate, Verdict
from app.core.findings import Finding, Fix, Severity
from app.core.fit import RUNG_KEYS, SHORTEST_SEQUENCE, Fitted, Ladder, Rung, build_ladder, climb
from app.core.hardware import Hardware
from app.core.knobs import ROOM_SEQUENCE
from app.core.messages import Message, Param, message
from app.core.methods.settings import VIRTUAL_TOKENS, PeftType
from app.core.plan import Alternative, Decision, Outcome, Plan, Wish
from app.core.timing import Pace, Samples, steps_of
from app.services.estimating import estimate_resolved
from app.services.headroom import PAID_FOR_HEADROOM, least_change
from app.services.inputs import ResolvedModel, resolve_model
from app.services.measuring import Meter
from app.services.reach import Trainable, largest_model, relative, smallest_gpu
from app.services.roomier import fits_too
from app.services.swapping import KEYS_OF_METHOD, METHOD_KEYS
from app.services.templates import PEFT_METHODS, advise, asked_method, is_whole, template
from app.services.writing import flow_text

SAID_OF_EXPORTS = frozenset({NOT_AXOLOTLS, "adapter_by_export"})
"""What a check says of the bare keys; a plan hands out files that bring the adapter, and says so itself."""
ALTERNATIVES = ("qlora", "lora", "dora", "full")
"""The document's trainable choices, always shown beside the one taken."""

NEXT_BEST = ("lora", "qlora", "dora", "full")
"""What is offered first where a person's own method does not fit."""


PREFIX_SOURCE = "https://github.com/huggingface/peft/blob/v0.20.0/src/peft/peft_model.py#L732"
VIRTUAL_TOKENS_SOURCE = "https://github.com/huggingface/peft/blob/v0.20.0/src/peft/peft_model.py#L2114"


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

    Where it is to be ``brief`` the roads not taken come without findings of their own.

    Raises:
        InvalidInput: an override or the config.json holds values that cannot be.
        UnknownName: the catalogue does not hold ``base_model``.
    """
    resolved = resolve_model(
        catalog=catalog, base_model=base_model, model=model, dataset=wish.dataset, config=wish.overrides
    )
    other = wish.overrides.get("base_model")
    named = catalog.models.find(other) if isinstance(other, str) else None
    if named is not None and named != resolved.row and not resolved.pasted:
        said = message("error.overrides.base_model", given=named.id, model=resolved.id or "model")
        raise InvalidInput(FieldError("/overrides/base_model", said))
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
        self.asked_method = asked_method(wish.overrides, whole=wish.whole)
        self.keep = frozenset(wish.overrides) | (
            frozenset({"sequence_len"}) if wish.sequence_len_tokens is not None else frozenset()
        )
        self.template = cache(lambda method: template(catalog, resolved, hardware, wish, method))
        self.meter = Meter(resolved.architecture, hardware)
        self._fits: dict[str, Fitted] = {}

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
        alternatives = self._alternatives(method, estimate)
        leaf = self.catalog.tree.leaves.get(method)
        advice = advise(
            self.catalog.advisor, self.resolved, self.hardware, self.wish, method, keys=leaf.knobs if leaf else ()
        )
        spoken_of = {finding.key for finding in estimate.findings}
        exported = method in PEFT_METHODS and method != PeftType.BOTTLENECK
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
                *(said for said in estimate.findings if not (exported and said.code in SAID_OF_EXPORTS)),
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
                return bool(self.resolved.architecture.published_in)
            case "saves_4bit":
                return self.meter.process_bytes(self._least("qlora")) < self.meter.process_bytes(self._least("lora"))
        return self._has_room(name.removeprefix("fits_"))

    def _steps(self) -> int | None:
        """Optimizer steps that the data comes to under ReLoRA, None where its size is not known."""
        dataset, config = self.wish.dataset, self.template("relora")
        return steps_of(
            read_run(config),
            Samples(rows=dataset.rows, mean_tokens=dataset.mean_tokens),
            epochs=float(config.get("num_epochs") or 1),
            max_steps=None,
            data_parallel=self.hardware.data_parallel,
        )

    def _ladder(self, method: str, keep: frozenset[str], *, paid: bool) -> Ladder:
        """What the method's template may give up: all of it, or only what headroom may cost."""
        config = self.template(method)
        return build_ladder(
            config,
            architecture=self.resolved.architecture,
            hardware=self.hardware,
            install=self.wish.install,
            keep=keep,
            rungs=PAID_FOR_HEADROOM if paid else tuple(Rung),
            shortest_sequence=ROOM_SEQUENCE if paid else SHORTEST_SEQUENCE,
            run=self.meter.run(config),
        )

    def _least(self, method: str) -> Mapping[str, Any]:
        """The method's smallest without giving up rank, bits, or sequences of the guide's smaller template."""
        ladder = self._ladder(method, self.keep | {"adapter"}, paid=True)
        return ladder.at(ladder.floor())

    def _has_room(self, method: str) -> bool:
        """Whether the method fits with headroom, without giving up what ``_least`` keeps."""
        try:
            most = self.meter.most_bytes(self._least(method))
        except InvalidInput:
            if method == self.asked_method:
                raise
            return False
        return most <= self.hardware.capacity_bytes

    def fitted(self, method: str) -> Fitted:
        """The method's template with the least change that fits; it stays the method that it is."""
        if method not in self._fits:
            whole = is_whole(self.wish, method)
            self._fits[method] = self._as_it_stands(method) if whole else self._climb(method, self.keep | {"adapter"})
        return self._fits[method]

    def _as_it_stands(self, method: str) -> Fitted:
        """A person's whole file, whether it fits or not."""
        config = self.template(method)
        process = self.meter.process_bytes(config)
        return Fitted(config=config, process_bytes=process, fits=process <= self.hardware.capacity_bytes, changes=())

    def _climb(self, method: str, keep: frozenset[str]) -> Fitted:
        return least_change(
            self.meter,
            self.hardware.capacity_bytes,
            paid=self._ladder(method, keep, paid=True),
            whole=lambda: self._ladder(method, keep, paid=False),
        )

    def _estimate(self, config: Mapping[str, Any], *, checked: bool = True, composed: bool = False) -> Estimate:
        return estimate_resolved(
            catalog=self.catalog,
            resolved=self.resolved,
            config=config,
            hardware=self.hardware,
            dataset=self.wish.dataset,
            measured=self.meter.measured(config),
            checked=checked,
            composed=composed,
        )

    def _alternatives(self, taken: str, planned: Estimate) -> tuple[Alternative, ...]:
        found = []
        packed = bool(self.resolved.architecture.published_in)
        for method in ALTERNATIVES:
            if method == taken or (method == "qlora" and packed):  # what is quantised already cannot be again
                continue
            fitted = self.fitted(method)
            estimate = self._estimate(fitted.config, checked=not self.brief, composed=not self.wish.overrides)
            reason = "fits" if estimate.fits else "does_not_fit"
            pace = Pace.between(estimate.time, planned.time) if estimate.fits else None
            found.append(
                Alternative(
                    method=method,
                    config=fitted.config,
                    estimate=estimate,
                    reason=message(f"alternative.{method}.{reason}", process_bytes=estimate.memory.process_bytes),
                    pace=_paced(pace) if pace else None,
                    changes=fitted.changes if estimate.fits else (),
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
                    message=message(
                        "finding.own_method", method=self._name(method), recommended=self._name(decision.method)
                    ),
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
        if method in VIRTUAL_TOKENS:
            findings += self._switched_off(method, found.config)
        if not found.fits:
            kept = self._kept(method)
            findings += kept or self._other_method(method, alternatives)
            findings += self._gpu_that_would(method, found.process_bytes, own_values=bool(kept), others=alternatives)
            findings += [] if kept or self._fitting(alternatives) else self._models_that_would(method)
        else:
            findings += self._tight(method, found)
            if self.asked_method is None:
                findings += fits_too(method, found.config, alternatives, self.wish.priority)
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
        """What of the person's values keeps the plan from fitting, with what would fit: all of it together."""
        able = frozenset(key for rung in Rung for key in RUNG_KEYS[rung])
        kept = able if is_whole(self.wish, method) else self.keep & able
        if not kept:
            return []
        free = self._climb(method, (self.keep - kept) | {"adapter"})
        if not free.fits:
            return []
        changes = [change for change in free.changes if change.key in kept]
        fix = Fix(set={change.key: change.after for change in changes})
        if len(changes) > 1:
            said = message(
                "finding.kept_do_not_fit",
                changes=tuple(f"{change.key}: {_shown(change.after)}" for change in changes),
                saves_bytes=sum(change.saves_bytes for change in changes),
            )
            return [Finding(severity=Severity.WARNING, message=said, fix=fix)]
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
                fix=fix,
            )
            for change in changes
        ]

    def _fitting(self, alternatives: tuple[Alternative, ...]) -> list[Alternative]:
        """Roads not taken that fit, what is offered first in front, those with headroom before tight ones."""
        fitting = [other for other in alternatives if other.estimate.fits]
        tight = {other.method: other.estimate.verdict is Verdict.TIGHT for other in fitting}
        return sorted(fitting, key=lambda other: (tight[other.method], NEXT_BEST.index(other.method)))

    def _other_method(self, method: str, alternatives: tuple[Alternative, ...]) -> list[Finding]:
        """Where nothing fits with the person's own method but another does: what would, and the keys that switch."""
        fitting = self._fitting(alternatives)
        if method != self.asked_method or not fitting:
            return []
        best = fitting[0]
        keys = KEYS_OF_METHOD[best.method]
        gone = tuple(sorted(key for key in METHOD_KEYS & self.wish.overrides.keys() if key not in keys))
        said = message(
            f"finding.own_method_too_large{'_tight' if best.estimate.verdict is Verdict.TIGHT else ''}",
            method=self._name(method),
            hardware=self.hardware.name,
            fitting=self._name(best.method),
            process_bytes=best.estimate.memory.process_bytes,
            capacity_bytes=self.hardware.capacity_bytes,
        )
        return [Finding(severity=Severity.ERROR, key="adapter", message=said, fix=Fix(set=keys, unset=gone))]

    def _name(self, method: str) -> str:
        return self.catalog.methods.get(method).name

    def _gpu_that_would(
        self, method: str, need_bytes: int, *, own_values: bool, others: tuple[Alternative, ...]
    ) -> list[Finding]:
        """Names the GPU with the least memory that would do with headroom, and one that would do tightly."""
        said: dict[str, Param] = {
            "hardware": self.hardware.name,
            "capacity_bytes": self.hardware.capacity_bytes,
            "process_bytes": need_bytes,
            "method": self._name(method),
        }
        about = "_as_set" if own_values else "_method" if self._fitting(others) else ""
        severity = Severity.WARNING if about == "_method" else Severity.ERROR
        gpus = smallest_gpu(
            self.catalog,
            self.resolved,
            self.wish,
            method,
            keep=self.keep,
            need_bytes=need_bytes,
            vendor=self.hardware.vendor,
        )
        named = gpus.roomy or gpus.tight
        if named is None:
            return [Finding(severity=severity, message=message(f"finding.fits_no_gpu{about}", **said))]
        row, takes = named
        said |= {"gpu": row.name, "gpu_bytes": row.memory_bytes, "need_bytes": takes}
        room = "" if gpus.roomy else "_tight"
        found = [Finding(severity=severity, message=message(f"finding.smallest_gpu{about}{room}", **said))]
        if gpus.roomy and gpus.tight:
            row, takes = gpus.tight
            tight = message("finding.tight_gpu", gpu=row.name, gpu_bytes=row.memory_bytes, need_bytes=takes)
            found.append(Finding(severity=Severity.INFO, message=tight))
        return found

    def _models_that_would(self, method: str) -> list[Finding]:
        """Names models that this card trains with headroom: a relative of the one asked for, and the largest."""
        kept = method if method == self.asked_method else "qlora"
        about = self.catalog, self.resolved, self.hardware, self.wish, kept
        akin, largest = relative(*about), largest_model(*about)
        found = [self._model("finding.relative_model", kept, akin)] if akin else []
        if largest and (akin is None or largest.row.id != akin.row.id):
            found.append(self._model("finding.largest_model", kept, largest))
        return found

    def _model(self, code: str, method: str, found: Trainable) -> Finding:
        said = message(
            code,
            hardware=self.hardware.name,
            method=self._name(method),
            model=found.row.name,
            id=found.row.id,
            process_bytes=found.process_bytes,
            sequence_len=found.sequence_len_tokens,
        )
        fix = Fix(set={"base_model": found.row.id})
        return Finding(severity=Severity.INFO, key="base_model", message=said, fix=fix)

    def _tight(self, method: str, found: Fitted) -> list[Finding]:
        """Where a plan has no headroom: the length that would leave it, everything else as it is.

        Everything else is the method and what was changed to fit, which a shorter length would otherwise undo.
        """
        capacity = self.hardware.capacity_bytes
        if self.meter.most_bytes(found.config) <= capacity:
            return []
        ladder = build_ladder(
            found.config,
            architecture=self.resolved.architecture,
            hardware=self.hardware,
            install=self.wish.install,
            rungs=(Rung.SEQUENCE,),
            run=self.meter.run(found.config),
        )
        shorter = climb(
            ladder, measure=self.meter.process_bytes, at_most=self.meter.most_bytes, capacity_bytes=capacity
        )
        if not shorter.fits:
            return [Finding(severity=Severity.WARNING, message=message("finding.tight"))]
        length = shorter.config["sequence_len"]
        said = message("finding.tight_but_shorter", given=found.config["sequence_len"], sequence_len=length)
        same = {change.key: found.config.get(change.key) for change in found.changes}
        fix = Fix(set={**KEYS_OF_METHOD.get(method, {}), **same, "sequence_len": length})
        return [Finding(severity=Severity.WARNING, key="sequence_len", message=said, fix=fix)]

    def _switched_off(self, method: str, config: Mapping[str, Any]) -> list[Finding]:
        """What virtual tokens rule out, and why: PEFT and Axolotl would refuse or mix it up."""
        found = []
        if method == PeftType.PREFIX_TUNING and not config.get("gradient_checkpointing"):
            said = message("finding.prefix_without_checkpointing", source=PREFIX_SOURCE)
            found.append(Finding(severity=Severity.INFO, key="gradient_checkpointing", message=said))
        if config.get("sample_packing") is False:
            said = message("finding.virtual_tokens_unpacked", source=VIRTUAL_TOKENS_SOURCE)
            found.append(Finding(severity=Severity.INFO, key="sample_packing", message=said))
        return found


def _shown(value: object) -> str:
    return "–" if value is None else flow_text(value)


def _paced(pace: Pace) -> Message:
    """How long a road not taken takes beside the plan."""
    return message(f"alternative.pace.{pace.wording}", percent=pace.percent, times=pace.times)
