"""How samples become rows: what is filled up, to which length, and whether a mask says so."""

from typing import Any

import pytest

from app.core.axolotl.run_reader import read_run
from app.core.collating import Padding
from app.core.run import Run

FLASH = {"attn_implementation": "flash_attention_2"}
PACKED = FLASH | {"sample_packing": True}


def laid_out(**config: Any) -> Run:
    """The run of a configuration of 1,000 tokens a row."""
    return read_run({"sequence_len": 1000} | config)


@pytest.mark.parametrize(
    ("config", "padded", "row_tokens"),
    [
        ({}, True, 1024),
        ({"micro_batch_size": 4}, True, 1024),
        ({"sequence_len": 1024}, True, 1024),
        ({"pad_to_sequence_len": True}, True, 1024),
        ({"pad_to_sequence_len": False}, False, 1000),
        ({"pad_to_sequence_len": False, "micro_batch_size": 2}, True, 1000),
        ({"pad_to_multiple_of": 300}, True, 1200),
        ({"pad_to_multiple_of": "many"}, True, 1024),
        (FLASH | {"batch_flattening": "false"}, True, 1024),
        (FLASH | {"batch_flattening": "No", "micro_batch_size": 2}, True, 1024),
        (PACKED, False, 1024),
        (PACKED | {"pad_to_sequence_len": False}, False, 1000),
        ({"sample_packing": True, "attn_implementation": "sdpa"}, False, 1024),
        ({"sample_packing": True}, True, 1024),
        ({"batch_flattening": True, "micro_batch_size": 4} | FLASH, False, 1000),
        ({"processor_type": "AutoProcessor"}, False, 1000),
        ({"processor_type": "AutoProcessor", "micro_batch_size": 2}, True, 1000),
        ({"rl": "dpo"}, True, 1000),
        ({"rl": "orpo", "pad_to_multiple_of": 64}, True, 1024),
        ({"rl": "kto"}, False, 1000),
        ({"rl": "kto", "micro_batch_size": 2}, True, 1000),
        ({"reward_model": True}, True, 1024),
    ],
)
def test_rows_are_filled_up(config: dict[str, Any], padded: bool, row_tokens: int) -> None:
    """To a multiple of 64 even where a row is alone; packed rows have no mask, unless no attention is named."""
    run = laid_out(**config)
    assert (run.padded, run.row_tokens) == (padded, row_tokens)


def test_evaluation_has_rows_of_its_own() -> None:
    """Unpacked where it is told so, which is what a plan writes."""
    run = laid_out(**PACKED, eval_sample_packing=False, eval_batch_size=2)
    assert not run.padded
    assert run.padded_evaluation
    assert not run.evaluated.sample_packing
    assert run.evaluated.padded
    assert not laid_out(**PACKED, eval_sample_packing="false").evaluated.sample_packing
    again = laid_out(**PACKED, eval_batch_size=2)
    assert again.evaluated.sample_packing
    assert not again.padded_evaluation


@pytest.mark.parametrize(("rows", "tokens"), [(1, 1024), (2, 2048), (3, 3072), (43, 42 * 1024), (64, 63 * 1024)])
def test_one_row_of_many_is_filled_up_as_a_whole(rows: int, tokens: int) -> None:
    """64,000 tokens are 62.5 times 1,024."""
    assert laid_out(**PACKED, micro_batch_size=rows).tokens == tokens


def test_numbers_that_change_later_are_filled_up_too() -> None:
    """A configuration is read once, whatever its numbers."""
    shorter = laid_out(pad_to_sequence_len=False, micro_batch_size=1)
    longer = laid_out(pad_to_sequence_len=False, micro_batch_size=2, sequence_len=130)
    assert (shorter.padding, shorter.padded, longer.padded, longer.tokens) == (Padding.BETWEEN_ROWS, False, True, 260)
    assert laid_out(sequence_len=130).tokens == 192
