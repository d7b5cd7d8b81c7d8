"""What layers leave behind that are made again, rows of any length, towers in evaluation, and gpt-oss's experts in tiles."""

from tests.core.memory.recordings import assert_met, described, estimated, recorded

MADE_AGAIN = recorded("made_again.jsonl")
TILED = recorded("tiled_experts.jsonl")
NEWCOMERS = recorded("newcomers.jsonl")


def test_cases_written_down_before_any_was_estimated_are_met() -> None:
    """Gemma 4 under checkpoints, 8 bits under checkpoints that are not reentrant, odd rows, evaluation of towers."""
    assert_met(MADE_AGAIN, least=16, median=0.0005, worst=0.005)


def test_experts_in_tiles_are_met() -> None:
    """Whole, frozen, packed ones, and such as have adapters of their own."""
    assert_met(TILED, least=13, median=0.0002, worst=0.002)


def test_tiles_make_frozen_experts_smaller() -> None:
    """Sixteen of them take less than four, over twice the tokens."""
    few, many = (next(case for case in TILED if case["case"].endswith(f"lora-gc-{tiles}")) for tiles in (4, 16))
    assert estimated(many).allocated_peak_bytes < 1.1 * estimated(few).allocated_peak_bytes


def test_gemma_4s_scalar_is_what_its_backward_reads_first() -> None:
    """So that its layers are made again before their last norm's gradient is in fp32."""
    case = next(case for case in NEWCOMERS if case["case"] == "new-long-gemma-4-12b")
    _, run = described(case)
    width = case["model"]["text_config"]["hidden_size"]
    assert abs(estimated(case).allocated_peak_bytes - case["allocated_peak_bytes"]) < run.tokens * width * 2
