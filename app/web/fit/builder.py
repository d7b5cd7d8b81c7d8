"""Puts ``/fit`` together: four searches and a map, all starting from the wizard's plan."""

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.requests import Request

from app.catalog.library import Catalog
from app.core.errors import InvalidInput
from app.core.estimate import Estimate, badge
from app.core.fit import KEY_RUNGS
from app.core.hardware import Hardware
from app.core.nearest import nearest
from app.core.objective import MOST_OF, Objective
from app.core.plan import Plan
from app.services.fitting import GRID_DEFAULTS, Axis, Fit, Found, Grid, fit
from app.texts import Texts
from app.web.chooser import chooser, pinned
from app.web.contexts import Link, Option
from app.web.fit.context import CellView, FitPage, MapView, MostView, RowView, VaryView
from app.web.memory_bar import gib
from app.web.planning import Answer
from app.web.presenting import change_views, verdict
from app.web.preview import preview
from app.web.shell import shell
from app.web.templating import path_for

OBJECTIVES = (
    Objective.LARGEST_MICRO_BATCH,
    Objective.LONGEST_SEQUENCE,
    Objective.HIGHEST_RANK,
    Objective.FASTEST,
)
VARY = tuple(KEY_RUNGS)


class Builder:
    """One page in the making."""

    def __init__(self, request: Request, texts: Texts, found: Answer) -> None:
        self.request, self.texts, self.t = request, texts, texts.text
        self.catalog: Catalog = request.app.state.catalog
        self.found, self.form = found, found.form
        self.problems: list[str] = []
        query = request.query_params
        self.vary = self.known("vary", query.getlist("vary"), VARY)
        self.x, self.y = self.axis("x", "sequence_len"), self.axis("y", "micro_batch_size")
        if self.x == self.y:
            self.problems.append(self.t("fit.error.same_axes", key=self.x))

    @property
    def status(self) -> int:
        """The HTTP status of the page."""
        return 422 if self.problems else self.found.status

    def known(self, name: str, given: Sequence[str], allowed: Sequence[str]) -> tuple[str, ...]:
        """What was given as far as it is allowed; the rest is a problem to name."""
        for value in given:
            if value and value not in allowed:
                close = nearest(value, allowed, count=1)
                code = "fit.error.choice_nearest" if close else "fit.error.choice"
                params = {"name": name, "given": value[:60], "allowed": tuple(allowed), "nearest": close}
                self.problems.append(self.t(code, **params))
        return tuple(value for value in given if value in allowed)

    def axis(self, name: str, default: str) -> str:
        """The key of one side of the map."""
        found = self.known(name, [self.request.query_params.get(name, "")], tuple(GRID_DEFAULTS))
        return found[0] if found else default

    def page(self) -> FitPage:
        """Everything."""
        plan, hardware = self.found.plan, self.found.hardware
        ready = plan is not None and hardware is not None and not self.problems
        title, about = preview(self.texts, self.catalog, self.found, title=self.t("fit.title"), lead=self.t("fit.lead"))
        return FitPage(
            shell=shell(self.request, self.texts, here="fit", title=title, description=about),
            chooser=chooser(self.request, self.texts, self.found, "fit"),
            action=path_for(self.request, "fit"),
            verdict=verdict(plan.estimate, hardware, self.texts) if plan is not None and hardware is not None else None,
            method=self.t(f"method.{plan.method}") if plan is not None else "",
            state=self.found.state.value,
            most=tuple(self.most(o, plan, hardware) for o in OBJECTIVES) if ready and plan and hardware else (),
            map=self.map(plan, hardware) if ready and plan and hardware else None,
            vary=tuple(VaryView(key=key, text=self.t(f"fit.vary.{key}"), checked=key in self.vary) for key in VARY),
            axes=tuple(Option(value=key, label=key) for key in GRID_DEFAULTS),
            x=self.x,
            y=self.y,
            problems=tuple(self.problems),
        )

    def search(
        self, plan: Plan, hardware: Hardware, objective: Objective, grid: tuple[Axis, Axis] | None = None
    ) -> Fit:
        """One search that starts from the plan's configuration."""
        return fit(
            catalog=self.catalog,
            config=plan.config,
            model=self.found.asked.model,
            hardware=hardware,
            vary=self.vary or None,
            objective=objective,
            grid=grid,
            install=self.found.asked.wish.install,
            dataset=self.found.asked.wish.dataset,
        )

    def most(self, objective: Objective, plan: Plan, hardware: Hardware) -> MostView:
        """One question and its answer."""
        question = self.t(f"fit.{objective.value}")
        try:
            found = self.search(plan, hardware, objective)
        except InvalidInput as error:
            return self.none(objective, question, " ".join(self.texts.render(e.message) for e in error.errors))
        if not found.estimate.fits:
            return self.none(objective, question, " ".join(self.texts.render(f.message) for f in found.findings))
        estimate = found.estimate
        key = MOST_OF[objective][0] if objective in MOST_OF else None
        speed = estimate.time.tokens_per_second if estimate.time else None
        further = found.at_most
        return MostView(
            objective=objective.value,
            question=question,
            value=self.value(key, found),
            memory=gib(estimate.memory.process_bytes, self.texts),
            verdict=badge(estimate).value,
            verdict_text=self.t(f"web.verdict.{badge(estimate).value}.short"),
            speed=self.rate(estimate) if key and speed else "",
            changes=change_views(found.changes, self.texts),
            url=self.plan_url(found.config),
            at_most=self.t(
                "fit.at_most",
                value=self.value(key, further),
                memory=gib(further.estimate.memory.process_bytes, self.texts),
            )
            if further
            else "",
            at_most_link=Link(text=self.t("fit.at_most.open"), url=self.plan_url(further.config)) if further else None,
        )

    def value(self, key: str | None, found: Fit | Found) -> str:
        """How much of the key, or how fast."""
        return self.t("web.number", number=found.config[key]) if key else self.rate(found.estimate)

    def none(self, objective: Objective, question: str, why_not: str) -> MostView:
        """A question without an answer, and why."""
        return MostView(
            objective=objective.value,
            question=question,
            value="–",
            memory="",
            verdict="unknown",
            verdict_text="",
            speed="",
            changes=(),
            url="",
            why_not=why_not,
        )

    def rate(self, estimate: Estimate) -> str:
        """Tokens a second."""
        return self.t("fit.rate", rate=round(estimate.time.tokens_per_second)) if estimate.time else ""

    def plan_url(self, config: Mapping[str, Any]) -> str:
        """The wizard with exactly this configuration."""
        return path_for(self.request, "plan") + pinned(self.form, config).query()

    def map(self, plan: Plan, hardware: Hardware) -> MapView | None:
        """The two keys against each other, the plan's own values among them."""
        if "lora_r" in (self.x, self.y) and "lora_r" not in plan.config:
            return None
        axes = tuple(Axis(key=key, values=self.values(key, plan)) for key in (self.x, self.y))
        found = self.search(plan, hardware, Objective.FITS, (axes[0], axes[1]))
        grid = found.grid
        if grid is None:
            return None
        return MapView(
            x_key=self.x,
            y_key=self.y,
            x_values=tuple(self.t("web.number", number=value) for value in grid.x.values),
            rows=tuple(
                RowView(
                    head=self.t("web.number", number=grid.y.values[position]),
                    cells=tuple(
                        self.cell(position, across, grid, hardware, found.config) for across in range(len(row))
                    ),
                )
                for position, row in enumerate(grid.rows)
            ),
            caption=self.t("fit.map.caption", x=self.x, y=self.y, capacity_bytes=hardware.capacity_bytes),
        )

    def values(self, key: str, plan: Plan) -> tuple[int, ...]:
        """The usual values within the model's context, and the plan's own."""
        context = plan.estimate.architecture.context_tokens
        usual = [v for v in GRID_DEFAULTS[key] if key != "sequence_len" or context is None or v <= context]
        own = plan.config.get(key)
        return tuple(sorted({*usual, *([own] if isinstance(own, int) else [])}))

    def cell(self, down: int, across: int, grid: Grid, hardware: Hardware, config: Mapping[str, Any]) -> CellView:
        """One combination."""
        cell = grid.rows[down][across]
        kind = badge(cell).value
        text = self.t(f"web.verdict.{kind}.short")
        memory = gib(cell.process_bytes, self.texts)
        return CellView(
            memory=memory,
            verdict=kind,
            verdict_text=text,
            share=f"{min(100.0, 100 * cell.process_bytes / hardware.capacity_bytes):.1f}%",
            label=self.t(
                "fit.cell", x=f"{grid.x.key} {cell.x}", y=f"{grid.y.key} {cell.y}", memory=memory, verdict=text
            ),
            url=self.plan_url(cell.config),
            current=config.get(grid.x.key) == cell.x and config.get(grid.y.key) == cell.y,
        )
