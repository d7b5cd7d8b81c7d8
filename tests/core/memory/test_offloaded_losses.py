"""A chunked loss whose saved tensors wait on the host, against its simulation."""

import statistics

import pytest

from tests.core.memory.test_peaks import errors_of, estimated, recorded

CASES = recorded("offloaded_losses.jsonl")


def test_a_chunked_loss_under_offloading_is_met() -> None:
    """In every mode, tied or not, in lengths that are no multiple of its chunks: the worst within half a per cent."""
    errors = errors_of(CASES)
    assert len(errors) >= 30
    assert statistics.median(errors) <= 0.0005
    assert errors[-1] <= 0.005


def test_chunks_of_logits_wait_on_the_host() -> None:
    """Which counts them there, within a fifth, where the hooks see them; exactly where inputs alone leave."""
    for case in CASES:
        allowed = 0.01 if case["case"].startswith("hidden") else 0.2
        assert estimated(case).host_bytes == pytest.approx(case["host_bytes"], rel=allowed), case["case"]
