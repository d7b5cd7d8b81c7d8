"""Rows of tables that train beside LoRA, against their simulation."""

import pytest

from app.core.adapter import resolve_adapter
from app.core.architectures import describe
from app.core.axolotl.run_reader import read_run
from app.core.errors import InvalidInput
from tests.core.memory.recordings import errors_of, estimated, recorded

CASES = recorded("trained_rows.jsonl")
KEY = "peft_trainable_token_indices"


def test_copies_of_tables_are_met() -> None:
    errors = errors_of(CASES)
    assert len(errors) == 12
    assert errors[-2] <= 0.001
    assert errors[-1] <= 0.003


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["case"])
def test_rows_train_beside_factors(case: dict) -> None:
    """Tied, a head shares the table's rows; a table without them takes less, and a head's copy is most of it."""
    config, model = case["config"], describe(case["model"])
    bare = {key: value for key, value in config.items() if key != KEY}
    with_rows, without = (resolve_adapter(model, read_run(one)) for one in (config, bare))
    given = config[KEY]
    tables = given if isinstance(given, dict) else {"embed_tokens": given}
    counted = [next(iter(tables.values()))] if model.tie_word_embeddings else list(tables.values())
    assert with_rows.trainable_parameters - without.trainable_parameters == model.hidden_size * sum(map(len, counted))
    assert estimated(case).allocated_peak_bytes > estimated({**case, "config": bare}).allocated_peak_bytes


@pytest.mark.parametrize("given", [7, "x", [1.5], [True], {"embed_tokens": 3}, {7: [1]}])
def test_what_is_no_list_of_rows_is_refused(given: object) -> None:
    config = CASES[0]["config"] | {KEY: given}
    with pytest.raises(InvalidInput) as caught:
        read_run(config)
    (fault,) = caught.value.errors
    assert (fault.pointer, fault.message.code) == (f"/config/{KEY}", "error.config.token_rows")


@pytest.mark.parametrize("given", [None, [], {}, {"embed_tokens": []}])
def test_no_rows_are_none(given: object) -> None:
    lora = read_run(CASES[0]["config"] | {KEY: given}).lora
    assert lora is not None
    assert lora.token_rows == ()
