"""The plan: walk the tree, start from the guide's knobs, shrink until it fits, and estimate the roads not taken."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from app.catalog.library import Catalog
from app.core.adapter import default_targets
from app.core.axolotl.composing import Choice, apply_overrides, compose
from app.core.decision import Fact
from app.core.estimate import Estimate
from app.core.findings import Finding, Severity
from app.core.hardware import Hardware
from app.core.knobs import Knobs, reductions, starting_knobs
from app.core.messages import message
from app.core.plan import Alternative, Decision, Goal, Outcome, Plan, Wish
from app.services.estimating import estimate_resolved
from app.services.inputs import ResolvedModel, resolve_model

ALTERNATIVES = ("qlora", "lora", "dora", "full")
"""The document's trainable choices, always shown beside the one taken."""

METHOD_KEYS = frozenset(("adapter", "load_in_4bit", "peft_use_dora", "peft", "relora", "quantize_moe_experts"))
"""Keys that say which method it is; a road not taken is composed without them."""

SFT_GOALS = (Goal.CHAT, Goal.INSTRUCTION, Goal.COMPLETION, Goal.CONTINUED_PRETRAINING)


def plan(
    *,
    catalog: Catalog,
    base_model: str | None,
    model: Mapping[str, Any] | None,
    hardware: Hardware,
    wish: Wish,
) -> Plan:
    """Recommend a method and a configuration for one model on one kind of GPU.

    Raises:
        InvalidInput: an override or the config.json holds values that cannot be.
        UnknownName: the catalogue does not hold ``base_model``.
    """
    resolved = resolve_model(catalog=catalog, base_model=base_model, model=model)
    return _Planner(catalog, resolved, hardware, wish).plan()


class _Planner:
    """One plan in the making; every method is fitted at most once."""

    def __init__(self, catalog: Catalog, resolved: ResolvedModel, hardware: Hardware, wish: Wish) -> None:
        self.catalog = catalog
        self.resolved = resolved
        self.hardware = hardware
        self.wish = wish
        self.keep = frozenset(wish.overrides) | (
            frozenset({"sequence_len"}) if wish.sequence_len_tokens is not None else frozenset()
        )
        self.fitted = cache(self._fit)

    def plan(self) -> Plan:
        decision = self.catalog.tree.walk(
            self._fact,
            {
                "memory_gb": self.hardware.marketed_memory_gb,
                "hardware": self.hardware.name,
                "model": self.resolved.id or self.resolved.architecture.model_type,
            },
        )
        method = self._asked_method() or decision.method
        config, estimate, changed = self.fitted(method)
        outcome = Outcome.FITS if estimate.fits else Outcome.DOES_NOT_FIT
        return Plan(
            outcome=outcome,
            method=method,
            decision=decision,
            config=config,
            estimate=estimate,
            alternatives=self._alternatives(method),
            findings=(*self._findings(method, decision, estimate, changed), *estimate.findings),
        )

    def _asked_method(self) -> str | None:
        """The method that the person's own keys come to, None where they leave it open."""
        overrides = self.wish.overrides
        if not METHOD_KEYS & overrides.keys():
            return None
        adapter = overrides.get("adapter", "lora")
        if not adapter:
            return "full"
        if adapter == "qlora":
            return "qdora" if overrides.get("peft_use_dora") else "qlora"
        if overrides.get("relora"):
            return "relora"
        if overrides.get("peft"):
            return "loftq"
        return "dora" if overrides.get("peft_use_dora") else "lora"

    def _fact(self, name: str) -> Fact:
        match name:
            case "memory_gb":
                return self.hardware.marketed_memory_gb
            case "goal":
                return self.wish.goal.value
            case "priority":
                return self.wish.priority.value
        return bool(self.fitted(name.removeprefix("fits_"))[1].fits)

    def _fit(self, method: str) -> tuple[dict[str, Any], Estimate, tuple[str, ...]]:
        """The first knobs that fit, or the smallest tried, with the keys that were changed on the way."""
        knobs = starting_knobs(
            method,
            memory_gb=self.hardware.marketed_memory_gb,
            context_tokens=self.resolved.architecture.context_tokens,
            wanted_tokens=self.wish.sequence_len_tokens,
        )
        config, estimate = self._estimate(method, knobs)
        changed: list[str] = []
        for key, smaller in reductions(knobs, keep=self.keep):
            if estimate.fits:
                break
            config, estimate = self._estimate(method, smaller)
            changed.append(key)
        return config, estimate, tuple(dict.fromkeys(changed))

    def _estimate(self, method: str, knobs: Knobs) -> tuple[dict[str, Any], Estimate]:
        config = self._config(method, knobs)
        return config, estimate_resolved(
            catalog=self.catalog, resolved=self.resolved, config=config, hardware=self.hardware
        )

    def _config(self, method: str, knobs: Knobs) -> dict[str, Any]:
        row = self.resolved.row
        choice = Choice(
            base_model=self.resolved.id or "path/to/your/model",
            architecture=self.resolved.architecture,
            hardware=self.hardware,
            method=method,
            goal=self.wish.goal,
            install=self.wish.install,
            dataset=self.wish.dataset,
            sequence_len_tokens=knobs.sequence_len_tokens,
            micro_batch_size=knobs.micro_batch_size,
            gradient_accumulation_steps=knobs.gradient_accumulation_steps,
            lora_r=knobs.lora_r,
            lora_alpha=knobs.lora_alpha,
            lora_dropout=knobs.lora_dropout,
            learning_rate=knobs.learning_rate,
            num_epochs=knobs.num_epochs,
            optimizer=knobs.optimizer,
            gradient_checkpointing=knobs.gradient_checkpointing,
            neftune=self.wish.goal in SFT_GOALS,
            chat_template=row.chat_template if row else None,
            pad_token=row.pad_token if row else None,
            targets=default_targets(self.resolved.architecture),
            evaluate=True,
        )
        overrides = self.wish.overrides
        if method != self._asked_method():
            overrides = {key: value for key, value in overrides.items() if key not in METHOD_KEYS}
        return apply_overrides(compose(choice), overrides)

    def _alternatives(self, taken: str) -> tuple[Alternative, ...]:
        found = []
        for method in ALTERNATIVES:
            if method == taken:
                continue
            config, estimate, _ = self.fitted(method)
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
        self, method: str, decision: Decision, estimate: Estimate, changed: tuple[str, ...]
    ) -> tuple[Finding, ...]:
        found = []
        if method != decision.method:
            found.append(
                Finding(
                    severity=Severity.INFO,
                    key="adapter",
                    message=message("finding.own_method", method=method, recommended=decision.method),
                )
            )
        if changed and estimate.fits:
            found.append(Finding(severity=Severity.INFO, message=message("finding.made_to_fit", keys=changed)))
        if not estimate.fits:
            found.append(self._nothing_fits(estimate))
        return tuple(found)

    def _nothing_fits(self, estimate: Estimate) -> Finding:
        """Names the GPU with the least memory that would hold the smallest configuration found."""
        need = estimate.memory.process_bytes
        enough = [row for row in self.catalog.gpus.rows if row.memory_bytes >= need]
        if not enough:
            return Finding(
                severity=Severity.ERROR,
                message=message("finding.fits_no_gpu", process_bytes=need, hardware=self.hardware.name),
            )
        smallest = min(enough, key=lambda row: (row.memory_bytes, row.name))
        return Finding(
            severity=Severity.ERROR,
            message=message(
                "finding.smallest_gpu",
                process_bytes=need,
                hardware=self.hardware.name,
                capacity_bytes=self.hardware.capacity_bytes,
                gpu=smallest.name,
                gpu_bytes=smallest.memory_bytes,
            ),
        )
