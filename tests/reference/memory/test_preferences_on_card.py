"""Preference training as it is simulated against what a card took for it (``tests/data/memory/gpu``)."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")
for package in ("transformers", "peft", "accelerate", "axolotl", "trl"):
    pytest.importorskip(package)

from tests.reference.memory.preference import simulation  # noqa: E402
from tests.reference.memory.preferences_on_card import ran  # noqa: E402


@pytest.mark.parametrize("run", ran(), ids=str)
def test_a_card_takes_what_is_simulated(run):
    """Within 0.02 %, the rows and answers being those that it had."""
    case = run.case
    config = case["config"] | {"answer_tokens": run.answer_tokens}
    found = simulation(case["model"], config, tuple(case["rows"])).run()
    assert found["allocated_peak_bytes"] == pytest.approx(run.card_bytes, rel=0.0002)
