"""Heads and losses that the other recordings do not reach, against their simulation."""

import statistics

import pytest

from tests.core.memory.test_peaks import errors_of, estimated, recorded

CASES = recorded("heads.jsonl")


def test_heads_are_met() -> None:
    """Liger's cross entropy, preference losses over scaled and capped logits, LayerNorms in fp32: the worst within 3 %."""
    errors = errors_of(CASES)
    assert len(errors) >= 25
    assert statistics.median(errors) <= 0.002
    assert errors[-1] <= 0.03


def test_ligers_cross_entropy_takes_less_than_the_plain_one() -> None:
    """It writes the gradient over the logits; what a loss on logits cannot save are the logits themselves."""
    for case in (case for case in CASES if case["case"].startswith("liger-logits")):
        plain = {key: value for key, value in case["config"].items() if key != "liger_cross_entropy"}
        fused = {**plain, "liger_fused_linear_cross_entropy": True}
        ours = estimated(case).allocated_peak_bytes
        assert ours <= estimated({**case, "config": plain}).allocated_peak_bytes
        assert ours > estimated({**case, "config": fused}).allocated_peak_bytes


def test_a_head_that_trains_alone_has_nothing_below_it() -> None:
    """No layer keeps what no gradient comes to; Liger's fused loss makes none where its input needs none."""
    (case,) = (case for case in CASES if case["case"] == "cut-head-alone-8b")
    assert estimated(case).allocated_peak_bytes == pytest.approx(case["allocated_peak_bytes"], rel=0.003)
    fused = {"cut_cross_entropy": False, "liger_fused_linear_cross_entropy": True}
    liger = estimated({**case, "config": case["config"] | fused})
    assert liger.allocated_peak_bytes <= case["allocated_peak_bytes"]
