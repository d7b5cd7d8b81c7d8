"""How near the memory estimate comes: every recorded case with what is estimated of it, as published.

Written by ``python -m tests.reference.memory.compare``; a test holds it to what the code says.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import median

from app.catalog.files import DATA

HIGH = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class AccuracyCase:
    """One recorded peak."""

    case: str
    recording: str
    model_type: str
    method: str
    reference_bytes: int
    estimated_bytes: int

    @property
    def error(self) -> float:
        """Signed, as a share of the reference."""
        return self.estimated_bytes / self.reference_bytes - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Errors:
    """Sizes of the errors of some cases, as shares of the references."""

    cases: int
    median: float
    high: float
    worst: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherCalculator:
    """Another calculator asked about the same cases. ``refused`` counts those that it cannot be asked."""

    name: str
    version: str
    cases: int
    refused: int
    median: float
    high: float
    worst: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedRun:
    """One run on a real GPU: what its authors measured (``quantity``: allocated, reserved, process) and our estimate.

    ``setup`` is ``full`` where all that moves memory is known; ``why`` is the code of a remark.
    """

    run: str
    source: str
    quantity: str
    setup: str
    why: str | None
    measured_bytes: int
    estimated_bytes: int

    @property
    def error(self) -> float:
        """Signed, as a share of what was measured."""
        return self.estimated_bytes / self.measured_bytes - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """All that is published."""

    versions: Mapping[str, str]
    cases: tuple[AccuracyCase, ...]
    card_versions: Mapping[str, str]
    """The card, its driver and what ran there."""
    card: tuple[AccuracyCase, ...]
    """Cases that Axolotl itself trained on it."""
    published: tuple[PublishedRun, ...]
    others: tuple[OtherCalculator, ...]


def errors_of(cases: Iterable[AccuracyCase | PublishedRun]) -> Errors | None:
    """Median, 95th percentile and worst; None of no case."""
    ordered = sorted(abs(case.error) for case in cases)
    if not ordered:
        return None
    return Errors(
        cases=len(ordered),
        median=median(ordered),
        high=ordered[min(len(ordered) - 1, int(HIGH * len(ordered)))],
        worst=ordered[-1],
    )


@cache
def load_accuracy(path: Path = DATA / "accuracy.json") -> Accuracy:
    """Read the file, which is the program's own."""
    facts = json.loads(path.read_text(encoding="utf-8"))
    return Accuracy(
        versions=facts["versions"],
        cases=tuple(AccuracyCase(**row) for row in facts["cases"]),
        card_versions=facts["card_versions"],
        card=tuple(AccuracyCase(**row) for row in facts["card"]),
        published=tuple(PublishedRun(**row) for row in facts["published"]),
        others=tuple(
            OtherCalculator(
                name=row["name"],
                version=row["version"],
                cases=row["cases"],
                refused=row["refused"],
                median=row["median"],
                high=row["p95"],
                worst=row["worst"],
            )
            for row in facts["others"]
        ),
    )
