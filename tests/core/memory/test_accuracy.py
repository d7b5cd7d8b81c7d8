"""The published accuracy is what the code says today."""

import json
import statistics
from pathlib import Path
from typing import Any

from tests.core.memory.recordings import DATA, estimated, recorded
from tests.reference.memory.evidence import card_versions, on_card
from tests.reference.memory.published import FULL, published

FACTS: dict[str, Any] = json.loads(
    (Path(__file__).parents[3] / "app" / "data" / "accuracy.json").read_text(encoding="utf-8")
)
AGAIN = "run `python -m tests.reference.memory.compare`, which writes app/data/accuracy.json and docs/accuracy.md"
EVERY = 9
"""Of the cases, one in so many is estimated again."""


def test_published_estimates_are_todays() -> None:
    """On a fixed sample, to the byte."""
    cases = {(name, case["case"]): case for name in _recordings() for case in recorded(f"{name}.jsonl")}
    for row in FACTS["cases"][::EVERY]:
        case = cases[row["recording"], row["case"]]
        assert row["reference_bytes"] == case["allocated_peak_bytes"], f"{row['case']} was recorded anew: {AGAIN}"
        assert row["estimated_bytes"] == estimated(case).allocated_peak_bytes, f"{row['case']} has changed: {AGAIN}"


def test_every_recorded_case_is_published() -> None:
    """None is left out because it looks bad."""
    published = {(row["recording"], row["case"]) for row in FACTS["cases"]}
    there = {(name, case["case"]) for name in _recordings() for case in recorded(f"{name}.jsonl")}
    assert published == there, AGAIN


def test_what_a_card_measured_is_met() -> None:
    """Cases that Axolotl trained on an H100: most to the ten thousandth, the worst within 1 %.

    KTO's prompts count as answers in an estimate: ``test_preferences_on_card`` says how much that is.
    """
    found = on_card()
    errors = sorted(abs(row.error) for row in found if row.case["config"].get("rl") != "kto")
    assert len(errors) >= 88
    assert statistics.median(errors) <= 0.0002
    assert errors[-1] <= 0.01


def test_what_a_card_measured_is_shown_as_it_is() -> None:
    """To the byte, and with what it ran on."""
    shown = {row["case"]: (row["reference_bytes"], row["estimated_bytes"]) for row in FACTS["card"]}
    assert shown == {row.name: (row.reference_bytes, row.estimated_bytes) for row in on_card()}, AGAIN
    assert FACTS["card_versions"] == card_versions()


def test_published_runs_are_met() -> None:
    """Within 15 % where everything about a run is known; on the T4, whose runs are known to the byte, within 3 %."""
    runs = published()
    known = [run for run in runs if run.setup == FULL]
    assert len(known) >= 60
    assert all(abs(run.error) <= 0.15 for run in known)
    assert all(abs(run.error) <= 0.03 for run in known if run.id.startswith("fitcheck/"))
    assert all(run.why for run in runs if run.setup != FULL)


def test_what_explains_an_outlier_comes_to_its_figure() -> None:
    """Where an explanation can be estimated, it was, and is as near as the text says."""
    explained = [run for run in published() if run.otherwise_bytes is not None]
    assert {run.why for run in explained} == {"whole_logits"}
    assert all(abs(run.otherwise_bytes / run.measured_bytes - 1) <= 0.04 for run in explained if run.otherwise_bytes)


def test_published_runs_are_shown_as_they_are() -> None:
    """What the page shows of them is what the code says today."""
    shown = {row["run"]: (row["measured_bytes"], row["estimated_bytes"]) for row in FACTS["published"]}
    assert shown == {run.id: (run.measured_bytes, run.estimated_bytes) for run in published()}, AGAIN


def _recordings() -> tuple[str, ...]:
    names = [path.stem for path in DATA.glob("*.jsonl")]
    return tuple(name for name in names if not name.endswith("refused") and name != "others")
