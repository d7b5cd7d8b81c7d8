"""Preference training against what an H100 took for it: real runs of Axolotl, ``tests/data/memory/gpu``."""

import pytest

from tests.core.memory.recordings import estimated
from tests.reference.memory.preferences_on_card import Ran, ran

RAN = ran()
KTO = [run for run in RAN if run.case["config"]["rl"] == "kto"]
OTHERS = [run for run in RAN if run not in KTO]


def test_the_card_ran_every_kind_of_preference_code() -> None:
    """TRL's trainers for DPO and KTO, and the one that SimPO shares its code with; rows are told by their logits."""
    assert {run.case["config"]["rl"] for run in RAN} == {"dpo", "kto", "simpo"}
    assert len(RAN) >= 7
    assert all(0 <= run.case["asked_tokens"] - run.case["rows"][1] <= 1 for run in RAN)


@pytest.mark.parametrize("run", OTHERS, ids=str)
def test_a_card_takes_what_is_estimated(run: Ran) -> None:
    """Within 0.1 %."""
    assert estimated(run.case).allocated_peak_bytes == pytest.approx(run.card_bytes, rel=0.001)


@pytest.mark.parametrize("run", KTO, ids=str)
def test_prompts_are_all_that_ktos_estimate_has_more(run: Ran) -> None:
    """It takes every token for an answer's, and the metrics copy the logits of one side's answers: half were prompts."""
    batch, tokens = run.case["rows"]
    prompts = 4 * run.case["model"]["vocab_size"] * batch // 2 * (tokens - 1 - run.answer_tokens)
    more = estimated(run.case).allocated_peak_bytes - run.card_bytes
    assert 0 <= more <= prompts + 0.001 * run.card_bytes
    if run.case["config"].get("adapter"):  # whose metrics are the peak, whatever the answers' share
        assert more == pytest.approx(prompts, abs=0.001 * run.card_bytes)
