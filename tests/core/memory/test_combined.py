"""Switches that no earlier case holds together, and again when what these had shown was mended."""

import pytest

from tests.core.memory.recordings import assert_met, estimated, recorded

COMBINED = recorded("combined.jsonl")
AGAIN = recorded("combined_again.jsonl")


def test_combined_switches_are_met() -> None:
    """Median within 0.01 %, nineteen of twenty within a fifth of a per cent, none beyond half a per cent."""
    assert_met(COMBINED, least=115, median=0.0001, nineteen_of_twenty=0.002, worst=0.005)


def test_they_are_met_again() -> None:
    """Median within 0.02 %, all within one and a quarter: experts in 8 bits, whose products lie beside a clone here."""
    assert_met(AGAIN, least=31, median=0.0002, nineteen_of_twenty=0.005, worst=0.0125)


@pytest.mark.parametrize(
    ("case", "error"),
    [
        ("combined-0-qwen2.5-1.5b", 0.0005),
        ("combined-31-qwen3-8b", 0.0005),
        ("combined-40-qwen3-4b", 0.0005),
        ("combined-59-phi-3.5-mini-instruct", 0.0005),
        ("combined-61-mistral-7b-v0.3", 0.0005),
        ("combined-80-glm-4.7-flash", 0.0005),
        ("combined-again-9-mixtral-8x7b-v0.1", 0.003),
        ("combined-again-12-llama-4-scout-17b-16e-instruct", 0.0005),
    ],
)
def test_what_a_cause_was_mended_for_is_met(case: str, error: float) -> None:
    """A tied table's sum, norms of weights, packed weights on nodes, prefixes, prompts, results in place, clones."""
    (found,) = (one for one in (*COMBINED, *AGAIN) if one["case"] == case)
    assert estimated(found).allocated_peak_bytes == pytest.approx(found["allocated_peak_bytes"], rel=error)


def test_a_result_in_place_is_met_in_training() -> None:
    """Evaluation is higher there; without it the backward is."""
    (found,) = (one for one in COMBINED if one["case"] == "combined-72-qwen3-30b-a3b")
    training = {key: value for key, value in found["config"].items() if key != "val_set_size"}
    highest = found["phase_peaks"]["backward"]
    assert estimated(found | {"config": training}).allocated_peak_bytes == pytest.approx(highest, rel=0.0005)
