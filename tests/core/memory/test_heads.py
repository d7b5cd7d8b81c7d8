"""Heads and losses that the other recordings do not reach, against their simulation."""

from tests.core.memory.recordings import assert_met, estimated, recorded

CASES = recorded("heads.jsonl")


def test_heads_are_met() -> None:
    """Liger's cross entropy, preference losses over scaled and capped logits, LayerNorms in fp32: the worst within 3 %."""
    assert_met(CASES, least=25, median=0.002, worst=0.03)


def test_ligers_cross_entropy_takes_less_than_the_plain_one() -> None:
    """It writes the gradient over the logits; what a loss on logits cannot save are the logits themselves."""
    for case in (case for case in CASES if case["case"].startswith("liger-logits")):
        plain = {key: value for key, value in case["config"].items() if key != "liger_cross_entropy"}
        fused = {**plain, "liger_fused_linear_cross_entropy": True}
        ours = estimated(case).allocated_peak_bytes
        assert ours <= estimated({**case, "config": plain}).allocated_peak_bytes
        assert ours > estimated({**case, "config": fused}).allocated_peak_bytes


def test_of_a_model_that_trains_in_part() -> None:
    """Layers that no gradient comes to keep nothing; a table's name among those that train brings it to all of them."""
    parts = [case for case in CASES if case["case"].startswith("part-")]
    assert len(parts) == 10
    assert_met(parts, worst=0.0002)


def test_ligers_fused_loss_makes_no_gradient_where_its_input_needs_none() -> None:
    """Of a head that trains behind layers that do not, under a name that Axolotl does not know a head by."""
    (case,) = (case for case in CASES if case["case"] == "part-norm-8b-nogc")
    fused = {
        "cut_cross_entropy": False,
        "liger_fused_linear_cross_entropy": True,
        "unfrozen_parameters": ["^lm_.+weight"],
    }
    liger = estimated({**case, "config": case["config"] | fused})
    named = estimated({**case, "config": case["config"] | fused | {"unfrozen_parameters": ["^lm_head"]}})
    assert liger.allocated_peak_bytes < named.allocated_peak_bytes
