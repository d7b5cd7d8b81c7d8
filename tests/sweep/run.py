"""Plans for every model of the catalogue on every GPU, held to what each says of itself.

    nice -n 10 .venv/bin/python -m tests.sweep.run                # every model, GPU and priority, goals in turn
    nice -n 10 .venv/bin/python -m tests.sweep.run --goals all    # every goal too

Prints what was checked, how long it took, and the first complaints about each model; fails where there is one.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing import get_context
from random import Random
from statistics import median

from app.catalog.library import Catalog, load_catalog
from app.core.plan import Goal, Outcome, Priority
from tests.sweep.checks import Case, complaints, not_reproduced, planned, would_fit

GOALS = tuple(Goal)
REPRODUCED_EVERY = 50
SEARCHED_EVERY = 20


@dataclass(slots=True)
class Found:
    """What came of one model."""

    plans: int = 0
    reproduced: int = 0
    searched: int = 0
    seconds: list[float] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    complaints: list[str] = field(default_factory=list)


def cases(catalog: Catalog, model: str, goals: Sequence[Goal] | None) -> Iterator[Case]:
    """Every GPU and priority; with each its goal in turn, or all of ``goals``."""
    turn = sum(map(ord, model))
    for position, gpu in enumerate(catalog.gpus.rows):
        for number, priority in enumerate(Priority):
            chosen = goals or (GOALS[(turn + position + 3 * number) % len(GOALS)],)
            for goal in chosen:
                yield Case(model=model, gpu=gpu.id, goal=goal, priority=priority)


def sweep_model(asked: tuple[str, Sequence[Goal] | None]) -> Found:
    """All cases of one model."""
    model, goals = asked
    catalog = load_catalog()
    found = Found()
    draw = Random(model)
    for case in cases(catalog, model, goals):
        check(catalog, case, found, draw)
    return found


def check(catalog: Catalog, case: Case, found: Found, draw: Random) -> None:
    """One case; a sample is asked for by its address too, and a sample of what fits nowhere searched."""
    began = time.process_time()
    made, hardware = planned(catalog, case)
    found.seconds.append(time.process_time() - began)
    found.plans += 1
    found.outcomes[f"{made.method}, {made.outcome.value}"] += 1
    wrong = list(complaints(catalog, case, made, hardware))
    if draw.randrange(REPRODUCED_EVERY) == 0:
        found.reproduced += 1
        wrong += not_reproduced(catalog, case, made)
    if made.outcome is Outcome.DOES_NOT_FIT and draw.randrange(SEARCHED_EVERY) == 0:
        found.searched += 1
        wrong += [f"said that nothing fits, but {one}" for one in would_fit(catalog, case, hardware)]
    found.complaints += [f"{case.query}: {complaint}" for complaint in wrong]


def main() -> int:
    """Sweep and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--goals", choices=("turn", "all"), default="turn")
    parser.add_argument("--every", type=int, default=1, help="only each so many-th model")
    parser.add_argument("--workers", type=int, default=2)
    chosen = parser.parse_args()
    goals = GOALS if chosen.goals == "all" else None
    models = [row.id for row in load_catalog().models.rows][:: chosen.every]
    began = time.monotonic()
    whole = Found()
    with get_context("spawn").Pool(chosen.workers) as pool:
        for number, found in enumerate(pool.imap_unordered(sweep_model, [(model, goals) for model in models]), start=1):
            whole.plans += found.plans
            whole.reproduced += found.reproduced
            whole.searched += found.searched
            whole.seconds += found.seconds
            whole.outcomes += found.outcomes
            whole.complaints += found.complaints
            for complaint in found.complaints[:3]:
                print(complaint)
            print(f"{number}/{len(models)} models, {whole.plans} plans, {len(whole.complaints)} complaints", flush=True)
    print(
        f"{whole.plans} plans of {len(models)} models in {time.monotonic() - began:.0f} s on {chosen.workers} processes"
    )
    print(f"one plan: median {1000 * median(whole.seconds):.1f} ms of processor time")
    print(f"{whole.reproduced} asked again by their address, {whole.searched} that fit nowhere searched exhaustively")
    for outcome, count in whole.outcomes.most_common():
        print(f"  {count:7d}  {outcome}")
    print(f"{len(whole.complaints)} complaints")
    return 1 if whole.complaints else 0


if __name__ == "__main__":
    sys.exit(main())
