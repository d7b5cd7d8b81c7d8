"""How near the memory estimate comes, drawn and in tables."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import log10

from starlette.requests import Request

from app.catalog.accuracy import Accuracy, AccuracyCase, Errors, PublishedRun, errors_of, load_accuracy
from app.core.units import GIB
from app.texts import Texts
from app.web.memory_bar import gib
from app.web.reference.contexts import AccuracyPage, CaseView, ErrorsView, Fact, Point, RunView, Scatter, Tick
from app.web.shell import shell

LEFT, TOP, RIGHT, BOTTOM = 56, 12, 548, 376
"""The drawing's field in its own units."""
OVERALL = ("peaks", "drawn")
"""Recordings that go through methods, models and settings at large; each of the others looks into one thing."""
TICKS_GIB = (0.001, 0.01, 0.1, 1, 10, 100, 1000)


def accuracy_page(request: Request, texts: Texts) -> AccuracyPage:
    """The page."""
    t = texts.text
    facts = load_accuracy()
    cases, others = facts.cases, facts.others
    everything = errors_of(cases)
    lead = (
        t(
            "reference.accuracy.lead",
            count=everything.cases,
            median=100 * everything.median,
            high=100 * everything.high,
            worst=100 * everything.worst,
        )
        if everything
        else ""
    )
    return AccuracyPage(
        shell=shell(request, texts, here="accuracy", title=t("reference.accuracy.title"), description=lead),
        lead=lead,
        scatter=_scatter(cases, texts),
        summary=(
            *_rows(t("reference.accuracy.all"), cases, texts),
            *_rows(t("reference.accuracy.chosen"), [case for case in cases if case.recording == "peaks"], texts),
            *_rows(t("reference.accuracy.single"), [case for case in cases if case.recording not in OVERALL], texts),
            *_rows(t("reference.accuracy.drawn"), [case for case in cases if case.recording == "drawn"], texts),
        ),
        others_text=t(
            "reference.accuracy.others.text", count=max((o.cases + o.refused for o in facts.others), default=0)
        ),
        methods=_grouped(cases, lambda case: case.method, lambda name: t(f"method.{name}"), texts),
        architectures=_grouped(cases, lambda case: case.model_type, str, texts),
        published=tuple(
            row
            for group in ("axolotl", "fitcheck")
            for row in _rows(t(f"accuracy.runs.{group}"), _known(facts.published, group), texts)
        ),
        runs=tuple(_run(run, texts) for run in sorted(facts.published, key=_family)),
        others=tuple(
            ErrorsView(
                name=f"{other.name} {other.version}",
                cases=t("web.number", number=other.cases),
                median=_percent(other.median, texts),
                high=_percent(other.high, texts),
                worst=_percent(other.worst, texts),
                refused=t("web.number", number=other.refused),
            )
            for other in others
        ),
        card_text=_trained(facts, texts),
        card=(
            *_rows(t("reference.accuracy.all"), facts.card, texts),
            *_grouped(facts.card, lambda case: case.method, lambda name: t(f"method.{name}"), texts),
        ),
        card_versions=_versions(facts.card_versions),
        card_cases=tuple(_case(case, texts) for case in facts.card),
        versions=_versions(facts.versions),
        cases=tuple(_case(case, texts) for case in facts.cases),
    )


def _trained(facts: Accuracy, texts: Texts) -> str:
    """What was trained on a card, and how near the estimate comes."""
    found = errors_of(facts.card)
    if not found:
        return ""
    return texts.text(
        "accuracy.card.text",
        count=found.cases,
        card=facts.card_versions["card"],
        median=100 * found.median,
        worst=100 * found.worst,
    )


def _versions(versions: Mapping[str, str]) -> tuple[Fact, ...]:
    return tuple(Fact(name=name, value=version) for name, version in versions.items())


def _case(case: AccuracyCase, texts: Texts) -> CaseView:
    return CaseView(
        name=case.case,
        reference=gib(case.reference_bytes, texts),
        estimated=gib(case.estimated_bytes, texts),
        error=f"{100 * case.error:+.2f}\u00a0%".replace("-", "\u2212"),
    )


def _family(run: PublishedRun) -> str:
    """Whose run it is."""
    return run.run.partition("/")[0]


def _known(runs: Iterable[PublishedRun], family: str) -> list[PublishedRun]:
    """Those of one family whose setup is known in full."""
    return [run for run in runs if run.setup == "full" and _family(run) == family]


def _run(run: PublishedRun, texts: Texts) -> RunView:
    t = texts.text
    return RunView(
        name=run.run,
        url=run.source,
        quantity=t(f"accuracy.quantity.{run.quantity}"),
        setup=t(f"accuracy.setup.{run.setup}"),
        measured=gib(run.measured_bytes, texts),
        estimated=gib(run.estimated_bytes, texts),
        error=f"{100 * run.error:+.1f}\u00a0%".replace("-", "\u2212"),
        remark=t(f"accuracy.why.{run.why}") if run.why else "",
    )


def _percent(share: float, texts: Texts) -> str:
    return texts.text("web.percent", share=100 * share)


def _rows(name: str, cases: Iterable[AccuracyCase | PublishedRun], texts: Texts) -> tuple[ErrorsView, ...]:
    """One row, or none of no case."""
    found = errors_of(cases)
    return (_view(name, found, texts),) if found else ()


def _view(name: str, found: Errors, texts: Texts) -> ErrorsView:
    return ErrorsView(
        name=name,
        cases=texts.text("web.number", number=found.cases),
        median=_percent(found.median, texts),
        high=_percent(found.high, texts),
        worst=_percent(found.worst, texts),
    )


def _grouped(
    cases: Sequence[AccuracyCase], key: Callable[[AccuracyCase], str], name: Callable[[str], str], texts: Texts
) -> tuple[ErrorsView, ...]:
    groups = sorted({key(case) for case in cases})
    return tuple(
        row for group in groups for row in _rows(name(group), [case for case in cases if key(case) == group], texts)
    )


def _scatter(cases: Sequence[AccuracyCase], texts: Texts) -> Scatter:
    """Estimated against recorded, both axes logarithmic, the same on both."""
    sizes = [size for case in cases for size in (case.reference_bytes, case.estimated_bytes)]
    low, high = log10(min(sizes) / GIB) - 0.05, log10(max(sizes) / GIB) + 0.05

    def across(size_gib: float) -> str:
        return f"{LEFT + (log10(size_gib) - low) / (high - low) * (RIGHT - LEFT):.1f}"

    def up(size_gib: float) -> str:
        return f"{BOTTOM - (log10(size_gib) - low) / (high - low) * (BOTTOM - TOP):.1f}"

    shown = errors_of(cases)
    return Scatter(
        left=LEFT,
        top=TOP,
        right=RIGHT,
        bottom=BOTTOM,
        points=tuple(
            Point(
                x=across(case.reference_bytes / GIB),
                y=up(case.estimated_bytes / GIB),
                kind=case.method,
                label=f"{case.case}: {gib(case.reference_bytes, texts)} → {gib(case.estimated_bytes, texts)}",
            )
            for case in cases
        ),
        ticks=tuple(
            Tick(x=across(size), y=up(size), label=f"{size:g}") for size in TICKS_GIB if low < log10(size) < high
        ),
        description=texts.text(
            "reference.accuracy.drawing",
            count=len(cases),
            low_bytes=min(sizes),
            high_bytes=max(sizes),
            worst=100 * shown.worst if shown else 0,
        ),
    )
