"""What must be true of any plan, and of any "nothing fits"."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

from starlette.datastructures import QueryParams

from app.catalog.library import Catalog
from app.core.decision import Leaf
from app.core.errors import InvalidInput
from app.core.estimate import Verdict, badge
from app.core.findings import Severity
from app.core.fit import Ladder, Rung, build_ladder
from app.core.hardware import Hardware
from app.core.plan import Goal, Outcome, Plan, Priority, Wish
from app.services.headroom import with_reserve
from app.services.inputs import resolve_model
from app.services.measuring import Meter
from app.services.planning import plan
from app.services.templates import template
from app.web.forms import Form
from app.web.planning import answer

METHODS = ("qlora", "lora", "dora", "qdora", "full")
NOTHING_FITS = ("smallest_gpu", "smallest_gpu_tight", "fits_no_gpu")
TIGHT = ("tight", "tight_but_shorter")
MOST_LENGTHS = 4
"""Sequence lengths tried in an exhaustive search, the shortest among them: memory only falls with length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One question to the planner."""

    model: str
    gpu: str
    goal: Goal
    priority: Priority

    @property
    def wish(self) -> Wish:
        """Its wish."""
        return Wish(goal=self.goal, priority=self.priority)

    @property
    def query(self) -> str:
        """Its address on the wizard's page."""
        values = {"model": self.model, "gpu": self.gpu, "goal": self.goal.value, "priority": self.priority.value}
        return Form().with_values(**values).query()


def planned(catalog: Catalog, case: Case) -> tuple[Plan, Hardware]:
    """The plan, and the card that it is for."""
    hardware = catalog.gpus.get(case.gpu).hardware()
    return plan(catalog=catalog, base_model=case.model, model=None, hardware=hardware, wish=case.wish), hardware


def complaints(catalog: Catalog, case: Case, made: Plan, hardware: Hardware) -> Iterator[str]:
    """Everything that is wrong with a plan."""
    takes, capacity = made.estimate.memory.process_bytes, hardware.capacity_bytes
    said = {finding.code for finding in made.findings}
    if (made.outcome is Outcome.FITS) != (takes <= capacity) or made.estimate.fits is not (takes <= capacity):
        yield f"outcome {made.outcome} though it takes {takes} of {capacity}"
    for estimate in (made.estimate, *(other.estimate for other in made.alternatives)):
        if estimate.fits is not (badge(estimate) in (Verdict.FITS, Verdict.TIGHT)):
            yield f"{estimate.verdict} though fits is {estimate.fits}"
    if made.outcome is Outcome.FITS:
        if said.intersection(NOTHING_FITS):
            yield "fits and names a GPU that would"
        tight = made.estimate.verdict is Verdict.TIGHT
        if tight == (made.estimate.memory.range_bytes[1] <= capacity):
            yield "tight with headroom, or without and not said to be"
        if tight != bool(said.intersection(TIGHT)):
            yield "tight and no finding says so, or the other way round"
        yield from needless(catalog, case, made, hardware)
    else:
        if not said.intersection(NOTHING_FITS):
            yield "does not fit and names no GPU that would"
        sure = [other.method for other in made.alternatives if other.estimate.fits]
        if sure:
            yield f"does not fit though {sure} would"
    for finding in made.estimate.findings:
        if finding.severity is Severity.ERROR and finding.code != "datasets_missing":
            yield f"breaks Axolotl's rule {finding.code}"
    answers = {step.node: step.answer_id for step in made.decision.path}
    path, end = catalog.tree.follow(answers)
    if not isinstance(end, Leaf) or end.method != made.decision.leaf or len(path) != len(answers) - 1:
        yield f"its answers lead to {end} and not to {made.decision.leaf}"
    if made.method != made.decision.leaf:
        yield f"plans {made.method} at the leaf {made.decision.leaf}"


def needless(catalog: Catalog, case: Case, made: Plan, hardware: Hardware) -> Iterator[str]:
    """Changes that could be taken back: with one rung a step less the plan must have less than it has.

    What it has is headroom; where it is tight a reserve, where it has not even that the card.
    """
    resolved = resolve_model(catalog=catalog, base_model=case.model, model=None)
    meter, capacity = Meter(resolved.architecture, hardware), hardware.capacity_bytes
    start = template(catalog, resolved, hardware, case.wish, made.method)
    ladder = build_ladder(
        start,
        architecture=resolved.architecture,
        hardware=hardware,
        install=case.wish.install,
        keep=frozenset({"adapter"}),
    )
    positions = {rung: _held(ladder, rung, start, made.config) for rung in ladder.rungs}
    if ladder.at(positions) != made.config:
        yield f"its changes are none of the ladder's: {_named(positions)}"
        return
    takes, roomy = made.estimate.memory.process_bytes, made.estimate.verdict is Verdict.FITS
    limit = capacity if roomy or takes > with_reserve(capacity) else with_reserve(capacity)
    size_of = meter.most_bytes if roomy else meter.process_bytes
    for rung, position in positions.items():
        for less in {0, position - 1} if position else ():
            config = ladder.at({**positions, rung: less})
            if config != made.config and size_of(config) <= limit:
                yield f"{rung} could be at {less} in place of {position}"


def _held(ladder: Ladder, rung: Rung, start: Mapping[str, Any], config: Mapping[str, Any]) -> int:
    """How far down ``rung`` a configuration went; what another rung set as well counts as its own."""
    if all(config.get(key) == start.get(key) for key in ladder.patches[rung][0]):
        return 0
    for position, patch in enumerate(ladder.patches[rung], start=1):
        if all(config.get(key) == value for key, value in patch.items()):
            return position
    return 0


def not_reproduced(catalog: Catalog, case: Case, made: Plan) -> Iterator[str]:
    """Whether the wizard's address comes to another plan."""
    found = answer(Form.from_query(QueryParams(case.query.removeprefix("?"))), catalog)
    if found.plan is None or found.plan.config != made.config or found.form.query() != case.query:
        yield f"{case.query} comes to another plan"


def would_fit(catalog: Catalog, case: Case, hardware: Hardware) -> Iterator[str]:
    """Configurations of any method that fit after all: an exhaustive search of everything that a plan may change."""
    resolved = resolve_model(catalog=catalog, base_model=case.model, model=None)
    meter = Meter(resolved.architecture, hardware)
    for method in METHODS:
        if method in ("qlora", "qdora") and case.model.startswith("openai/gpt-oss"):
            continue
        try:
            start = template(catalog, resolved, hardware, case.wish, method)
            ladder = build_ladder(
                start,
                architecture=resolved.architecture,
                hardware=hardware,
                install=case.wish.install,
                keep=frozenset({"adapter"}),
            )
            for positions in _positions(ladder):
                if meter.process_bytes(ladder.at(positions)) <= hardware.capacity_bytes:
                    yield f"{method} fits at {_named(positions)}"
                    break
        except InvalidInput:
            continue


def _positions(ladder: Ladder) -> Iterator[Mapping[Rung, int]]:
    """Every combination of patches; of many lengths a few."""
    rungs = ladder.rungs
    choices: list[list[int]] = []
    for rung in rungs:
        last = len(ladder.patches[rung])
        step = max(1, last // MOST_LENGTHS)
        choices.append(sorted({0, last, *range(step, last, step)}) if rung is Rung.SEQUENCE else list(range(last + 1)))
    for combination in product(*choices):
        yield dict(zip(rungs, combination, strict=True))


def _named(positions: Mapping[Rung, int]) -> dict[str, Any]:
    return {rung.value: position for rung, position in positions.items() if position}
