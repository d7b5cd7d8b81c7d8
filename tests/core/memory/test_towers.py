"""Models with a vision tower trained on text, against their simulation."""

import statistics

from tests.core.memory.test_peaks import errors_of, recorded

CASES = recorded("towers.jsonl")


def test_models_with_towers_are_met() -> None:
    """The tower's weights are there, nothing else of it: the worst within half a per cent."""
    errors = errors_of(CASES)
    assert len(errors) >= 56
    assert statistics.median(errors) <= 0.0002
    assert errors[-1] <= 0.005
