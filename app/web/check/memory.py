"""The memory of a checked file, what would save some, and what would make it fit."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from app.catalog.library import Catalog
from app.core.axolotl.unmodelled import spreads
from app.core.errors import InvalidInput, UnknownName
from app.core.estimate import Estimate, Verdict, badge
from app.core.hardware import Hardware
from app.core.plan import Dataset, Install
from app.core.prices import SAME_BYTES, Knob
from app.services.by_adapter import fit_by_adapter
from app.services.fitting import Fit, fit
from app.services.pricing import price_knobs
from app.texts import Texts
from app.web.check.context import FitView, MemoryView, SavingView
from app.web.contexts.result import Verdict as VerdictView
from app.web.memory_bar import gib, memory_bar, peak_text
from app.web.presenting import change_views, rule_of_thumb, verdict

SAVING, FITTING, OTHER_METHOD = "saving", "fit", "method"
"""What the buttons are called: one change that saves, all that make it fit, and those with another method."""
MOST_SAVINGS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighed:
    """A configuration with its estimate, on the card that was chosen, if any.

    ``model`` is the config.json that the estimate goes by, None for a model of the catalogue.
    """

    catalog: Catalog
    texts: Texts
    config: Mapping[str, Any]
    estimate: Estimate
    model: Mapping[str, Any] | None
    hardware: Hardware | None
    install: Install
    dataset: Dataset

    def knobs(self) -> tuple[Knob, ...]:
        """What each change would save, those that save something."""
        priced = price_knobs(
            self.config,
            self.estimate,
            hardware=self.hardware,
            dataset=self.dataset,
            install=self.install,
            meter=None,
        )
        return tuple(knob for knob in priced.items if knob.saves_bytes >= SAME_BYTES)

    def fitted(self) -> Fit | None:
        """Made to fit with the least change; None where that cannot be asked."""
        if self.hardware is None:
            return None
        try:
            return fit(
                catalog=self.catalog,
                config=self.config,
                model=self.model,
                hardware=self.hardware,
                install=self.install,
                dataset=self.dataset,
            )
        except (InvalidInput, UnknownName):
            return None

    def by_adapter(self) -> Fit | None:
        """A full fine-tune made to fit by training an adapter instead; None where that cannot be, or need not."""
        if self.hardware is None:
            return None
        return fit_by_adapter(
            catalog=self.catalog,
            config=self.config,
            estimate=self.estimate,
            model=self.model,
            hardware=self.hardware,
            install=self.install,
            dataset=self.dataset,
        )

    def view(self) -> MemoryView:
        """All of it, as the page shows it."""
        t, memory = self.texts.text, self.estimate.memory
        return MemoryView(
            verdict=self.verdict(),
            bar=memory_bar(self.estimate, self.texts, config=self.config),
            peak=peak_text(memory, self.texts),
            host=t("web.result.host", host_bytes=memory.host_bytes) if memory.host_bytes else "",
            rule_of_thumb=rule_of_thumb(self.estimate, self.texts),
            savings=self.savings(),
            fit=self.fit_view(),
        )

    def verdict(self) -> VerdictView | None:
        """Whether it fits; of a run that is spread over GPUs, only that it would not fit one that held everything."""
        if self.hardware is None:
            return None
        found = verdict(self.estimate, self.hardware, self.texts)
        if found.kind == "fits" or not spreads(self.config):
            return found
        said = self.texts.text("check.spread", memory=found.detail)
        return replace(found, kind="unknown", headline="", detail=said)

    def savings(self) -> tuple[SavingView, ...]:
        """Single changes that save, what saves most first, where it does not fit or only just."""
        if self.estimate.verdict not in (Verdict.TIGHT, Verdict.DOES_NOT_FIT):
            return ()
        return tuple(
            SavingView(
                name=f"{SAVING} {knob.turn.knob}",
                label=self.texts.render(knob.turn.label),
                price=self.texts.render(knob.summary),
                trains=self.texts.text(f"web.knobs.trains.{knob.turn.trains.value}"),
                verdict=badge(knob).value,
                verdict_text=self.texts.text(f"web.verdict.{badge(knob).value}.short"),
            )
            for knob in self.knobs()[:MOST_SAVINGS]
        )

    def fit_view(self) -> FitView | None:
        """The least that makes it fit, where it does not."""
        found = self.fitted() if self.estimate.fits is False else None
        if found is None:
            return None
        if found.estimate.fits:
            return self._fit_view(FITTING, found)
        why_not = " ".join(self.texts.render(f.message) for f in found.findings)
        other = self.by_adapter()
        if other is None:
            return FitView(name="", changes=(), memory="", why_not=why_not, other_method="")
        view = self._fit_view(OTHER_METHOD, other)
        return replace(view, why_not=why_not, other_method=self.texts.text("check.fit.other_method"))

    def _fit_view(self, name: str, found: Fit) -> FitView:
        return FitView(
            name=name,
            changes=change_views(found.changes, self.texts),
            memory=gib(found.estimate.memory.process_bytes, self.texts),
            why_not="",
            other_method="",
        )
