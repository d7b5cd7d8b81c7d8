"""SDPA on cards before Ampere, against simulated runs that choose PyTorch's kernels as there."""

from typing import Any

from tests.core.memory.recordings import assert_met, estimated, recorded

CASES = recorded("older_cards.jsonl")


def _on_newer(case: dict[str, Any]) -> int:
    newer = case["config"] | {"before_ampere": False}
    return estimated(case | {"config": newer}).allocated_peak_bytes


def test_their_peaks_are_met() -> None:
    """Median within 0.02 %, nineteen of twenty within 0.5 %, none beyond 3 %."""
    assert_met(CASES, least=36, median=0.0002, nineteen_of_twenty=0.005, worst=0.03)


def test_where_keys_are_grouped_they_are_not_those_of_newer_cards() -> None:
    """Of rows that are long beside the model; keys of every head have a kernel there too."""
    for case in CASES:
        model, (_, tokens) = case["model"], case["rows"]
        grouped = model["num_attention_heads"] != model["num_key_value_heads"]
        if tokens >= 3000 and model["model_type"] == "llama":
            ratio = _on_newer(case) / case["allocated_peak_bytes"]
            assert ratio < 0.75 if grouped else ratio > 0.95, case["case"]
