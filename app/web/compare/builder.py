"""Puts ``/compare`` together: the methods or a person's variants, all starting from the wizard's plan."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request

from app.catalog.library import Catalog
from app.core.errors import InvalidInput
from app.core.estimate import Estimate, badge
from app.core.messages import message
from app.services.comparing import Compared, compare
from app.services.writing import write_yaml
from app.texts import Texts
from app.web.chooser import chooser
from app.web.compare.context import (
    BarView,
    ComparePage,
    DiffView,
    ItemView,
    LegendView,
    PictureView,
    VariantView,
)
from app.web.compare.difference import NotYaml, difference, read_file
from app.web.compare.opening import HABITS, exactly
from app.web.compare.variants import MOST_VARIANTS, Typed, read_variant
from app.web.contexts import FieldError, Link
from app.web.forms import Form
from app.web.memory_bar import FILLS, MARGIN, gib, memory_segments
from app.web.planning import Answer
from app.web.presenting import model_name
from app.web.preview import preview
from app.web.shell import shell
from app.web.templating import path_for

BAR = 62
SETTINGS = ("sequence_len", "micro_batch_size", "gradient_accumulation_steps")
PLANNED: Mapping[str, Any] = {}
"""The plan as it is: a variant that changes nothing."""


class Builder:
    """One page in the making, and what its downloads hold."""

    def __init__(self, request: Request, texts: Texts, found: Answer) -> None:
        self.request, self.texts, self.t = request, texts, texts.text
        self.catalog: Catalog = request.app.state.catalog
        self.found, self.form = found, found.form
        self.problems: list[str] = []
        query = request.query_params
        lines = [text for text in query.getlist("v") if text.strip()]
        if len(lines) > MOST_VARIANTS:
            self.problems.append(self.t("compare.error.many", given=len(lines), most=MOST_VARIANTS))
        self.typed = [read_variant(text) for text in lines[:MOST_VARIANTS]]
        self.items = self._compared()
        self.left, self.right = self._chosen("left", 0), self._chosen("right", 1)

    @property
    def status(self) -> int:
        """The HTTP status of the page."""
        wrong = self.problems or any(line.error for line in self.typed)
        return 422 if wrong else self.found.status

    def _compared(self) -> tuple[Compared, ...]:
        plan = self.found.plan
        if plan is None or any(line.error for line in self.typed):
            return ()
        variants = [PLANNED, *(line.keys for line in self.typed if line.keys is not None)] if self.typed else None
        try:
            items = compare(
                catalog=self.catalog,
                config=plan.config,
                model=self.found.asked.model,
                hardware=self.found.hardware,
                variants=variants,
                dataset=self.found.asked.wish.dataset,
            )
        except InvalidInput as error:
            for fault in error.errors:
                self._blame(fault.pointer, self.texts.render(fault.message))
            return ()
        return items

    def _blame(self, pointer: str, said: str) -> None:
        """Put a fault at the variant that it is about."""
        parts = pointer.split("/")
        position = int(parts[2]) - 1 if pointer.startswith("/variants/") else -1
        if 0 <= position < len(self.typed):
            text = self.typed[position].text
            self.typed[position] = Typed(text=text, error=message("compare.error.value", said=said))
        else:
            self.problems.append(said)

    def _chosen(self, name: str, default: int) -> int:
        """Which item a side of the difference is."""
        text = self.request.query_params.get(name, "")
        if text.isdecimal() and len(text) < 4 and int(text) < len(self.items):
            return int(text)
        if text and self.items:
            self.problems.append(self.t("compare.error.side", name=name, given=text[:40], most=len(self.items) - 1))
        return min(default, max(0, len(self.items) - 1))

    def page(self) -> ComparePage:
        """Everything."""
        query = self.request.query_params
        diff = self.diff(query.get("ya", ""), query.get("yb", ""))
        title, about = preview(
            self.texts, self.catalog, self.found, title=self.t("compare.title"), lead=self.t("compare.lead")
        )
        return ComparePage(
            shell=shell(self.request, self.texts, here="compare", title=title, description=about),
            chooser=chooser(self.request, self.texts, self.found, "compare"),
            action=path_for(self.request, "compare"),
            state=self.found.state.value,
            variants=self.variant_views(),
            settings=self.settings(),
            recommended=self.advice(),
            items=tuple(self.item(position, item) for position, item in enumerate(self.items)),
            parts=tuple(self.t(f"term.{code}") for code in self.codes()),
            picture=self.picture() if self.items else None,
            downloads=self.downloads() if self.items else (),
            left=self.left,
            right=self.right,
            pasted_left=query.get("ya", ""),
            pasted_right=query.get("yb", ""),
            diff=diff,
            problems=tuple(self.problems),
        )

    def variant_views(self) -> tuple[VariantView, ...]:
        """The lines as typed, and an empty one for the next."""
        views = [
            VariantView(
                id=f"f-v{position}",
                value=line.text,
                errors=(FieldError(text=self.texts.render(line.error)),) if line.error else (),
            )
            for position, line in enumerate(self.typed)
        ]
        if len(views) < MOST_VARIANTS:
            views.append(VariantView(id=f"f-v{len(views)}", value="", errors=()))
        return tuple(views)

    def codes(self) -> tuple[str, ...]:
        """The parts of the memory that any of them has, in the bar's order."""
        there = {t.code for item in self.items if item.estimate for t in item.estimate.memory.breakdown if t.bytes}
        return tuple(code for code in FILLS if code in there)

    def label(self, item: Compared) -> str:
        """What an item is called."""
        return self.t("compare.planned") if item.label == "" else item.label

    def item(self, position: int, item: Compared) -> ItemView:
        """One row of the table."""
        estimate = item.estimate
        sizes = {term.code: term.bytes for term in estimate.memory.breakdown} if estimate else {}
        return ItemView(
            position=position,
            label=self.label(item),
            trainable=self.t("web.number", number=estimate.trainable_parameters) if estimate else "–",
            share=self.t("web.percent", share=estimate.trainable_percent) if estimate else "",
            verdict=badge(estimate).value if estimate else "unknown",
            verdict_text=self.t(f"web.verdict.{badge(estimate).value}.short") if estimate else self.t("compare.cannot"),
            memory=gib(estimate.memory.process_bytes, self.texts) if estimate else "–",
            parts=tuple(
                (self.t(f"term.{code}"), gib(sizes[code], self.texts) if sizes.get(code) else "–")
                for code in self.codes()
            ),
            time=f"{item.relative_step_time:.2f}×" if item.relative_step_time else "–",
            disk=self.disk(estimate) if estimate else "–",
            gives_up=self.t(item.method.cost) if item.method else "",
            plan=self.plan_link(item),
            recommended=self.recommended(item),
            why_not=" ".join(self.texts.render(reason) for reason in item.reasons),
        )

    def recommended(self, item: Compared) -> bool:
        """Whether it is the method that the decision tree takes for this model and card."""
        plan = self.found.plan
        return plan is not None and item.method is not None and item.method.id == plan.decision.method

    def advice(self) -> str:
        """Which of the methods the tree takes and why, in words; nothing where variants of a plan are compared."""
        plan = self.found.plan
        if plan is None or self.typed or not self.items:
            return ""
        *_, chosen, _switch = plan.decision.path
        name = self.t(f"method.{plan.decision.method}")
        return self.t("compare.advice", method=name, reason=self.texts.render(chosen.reason))

    def settings(self) -> str:
        """What is compared, in a line; the form above may be far away, and is not printed."""
        plan, hardware = self.found.plan, self.found.hardware
        if plan is None or hardware is None:
            return ""
        keys = tuple(f"{key}: {plan.config[key]}" for key in SETTINGS if key in plan.config)
        name = model_name(plan, self.catalog, self.texts)
        return self.t("compare.settings", model=name, hardware=hardware.name, keys=keys)

    def disk(self, estimate: Estimate) -> str:
        """A checkpoint's size, in the unit that suits it."""
        size = estimate.adapter_disk_bytes
        code, unit = next(
            (code, unit)
            for code, unit in (("compare.gb", 10**9), ("compare.mb", 10**6), ("compare.kb", 10**3))
            if size >= unit or unit == 10**3
        )
        return self.t(code, size=size / unit)

    def plan_link(self, item: Compared) -> Link | None:
        """The wizard with a method, or with a variant's keys: there a method that Axolotl lacks has its files."""
        if item.estimate is None:
            return None
        return Link(text=self.t("fit.open"), url=path_for(self.request, "plan") + self.planned_form(item).query())

    def planned_form(self, item: Compared) -> Form:
        """What the wizard is asked for one row: the plan itself, or exactly what is shown."""
        if item.label == "" or self.found.hardware is None:
            return self.form
        habits = HABITS if item.method is not None else frozenset()
        return exactly(self.form, item.config, self.catalog, self.found.hardware, habits)

    def picture(self) -> PictureView:
        """Bars on one scale."""
        drawn = [(item, item.estimate) for item in self.items if item.estimate is not None]
        capacity = self.found.hardware.capacity_bytes if self.found.hardware else 0
        largest = max([capacity, *(estimate.memory.process_bytes for _, estimate in drawn)])
        scale = largest * MARGIN / 100
        numbers = [FILLS.index(code) for code in self.codes()]
        return PictureView(
            bars=tuple(
                BarView(
                    label=self.label(item),
                    value=gib(estimate.memory.process_bytes, self.texts),
                    verdict=badge(estimate).value,
                    y=24 + BAR * position,
                    segments=memory_segments(estimate, scale, self.texts),
                )
                for position, (item, estimate) in enumerate(drawn)
            ),
            height=24 + BAR * len(drawn),
            capacity=gib(capacity, self.texts),
            capacity_percent=f"{capacity / scale:.3f}%",
            capacity_label_end=capacity / scale > 60,
            legend=(
                *(LegendView(number=n, label=self.t(f"term.{FILLS[n]}")) for n in numbers),
                LegendView(number=len(FILLS) - 1, label=self.t("web.bar.overhead")),
            ),
            description=", ".join(f"{self.label(i)} {gib(e.memory.process_bytes, self.texts)}" for i, e in drawn),
        )

    def downloads(self) -> tuple[Link, ...]:
        """The same as CSV and JSON."""
        pairs = [*self.form.values.items(), *(("v", line.text) for line in self.typed)]
        pairs += [("lang", self.texts.language)]
        query = urlencode(pairs)
        return tuple(
            Link(text=kind.upper(), url=f"{path_for(self.request, f'compare_{kind}')}?{query}")
            for kind in ("csv", "json")
        )

    def diff(self, pasted_left: str, pasted_right: str) -> DiffView | None:
        """Two of the items, or what was pasted in their place, where a difference is asked for."""
        query = self.request.query_params
        if not any(query.get(name, "").strip() for name in ("left", "right", "ya", "yb")):
            return None
        sides = []
        for name, pasted, position in (("ya", pasted_left, self.left), ("yb", pasted_right, self.right)):
            if pasted.strip():
                try:
                    sides.append((self.t(f"compare.pasted.{name}"), read_file(pasted), pasted))
                except NotYaml as error:
                    self.problems.append(
                        self.t("compare.error.yaml", name=self.t(f"compare.pasted.{name}"), place=str(error))
                    )
            elif self.items:
                config = self.items[position].config
                text = write_yaml(config, self.texts, comments=False)
                sides.append((self.label(self.items[position]), config, text))
        return difference(sides[0], sides[1], self.t("planner.unset")) if len(sides) == 2 else None


def labelled(items: Sequence[Compared], planned: str) -> tuple[Compared, ...]:
    """Items with a name each, for files."""
    return tuple(_named(item, planned) for item in items)


def _named(item: Compared, planned: str) -> Compared:
    return Compared(
        label=item.label or planned,
        method=item.method,
        config=item.config,
        estimate=item.estimate,
        reasons=item.reasons,
        relative_step_time=item.relative_step_time,
    )
