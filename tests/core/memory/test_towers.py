"""Models with a vision tower trained on text, against their simulation."""

from tests.core.memory.recordings import assert_met, recorded

CASES = recorded("towers.jsonl")


def test_models_with_towers_are_met() -> None:
    """The tower's weights are there, nothing else of it: the worst within half a per cent."""
    assert_met(CASES, least=56, median=0.0002, worst=0.005)
