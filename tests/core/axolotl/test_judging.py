"""Kinds of values against pydantic itself, and how many faults are told."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from app.core.axolotl.judging import MOST_FAULTS, judge
from app.core.axolotl.schema import walk
from tests.core.axolotl.examples import schema
from tests.core.axolotl.good import findings

KINDS: dict[str, Any] = {"boolean": bool, "integer": int, "number": float, "text": str}
VALUES: tuple[object, ...] = (
    *(None, True, False, 0, 1, 2, -1, 0.0, 1.0, 1.5, 2.0**63, float("inf"), float("nan")),
    *("", "1", "on", "Yes", "maybe", "1.0", "1.5", "1e3", "1_000", "_1", " 7 ", "+3", "0x10", ".5", "inf", "NaN"),
    *(b"", b"yes", b"text", b"\xff\xfe", "က".encode(), "က".encode("utf-16"), [], [1], {}, {"a": 1}, (), 10**40),
)


@pytest.mark.parametrize("kind", KINDS)
def test_simple_kinds_are_pydantics(kind: str) -> None:
    """Text as YAML's ``!!binary`` gives it included: bytes pass where they are UTF-8."""
    adapter = TypeAdapter(KINDS[kind])
    for value in VALUES:
        if isinstance(value, bytes) and kind != "text":
            continue  # no key of another kind takes bytes in a file that people write
        try:
            adapter.validate_python(value)
            accepted = True
        except ValidationError:
            accepted = False
        assert (judge(value, (kind,), schema(), "x") == ()) is accepted, (kind, value)


def test_no_more_faults_of_a_list_are_told_than_anybody_reads() -> None:
    faults = judge([1] * 100, ({"list": ["text"]},), schema(), "tokens")
    assert [fault.path for fault in faults] == [f"tokens[{position}]" for position in range(MOST_FAULTS)]
    assert len(judge([1] * 3, ({"list": ["text"]},), schema(), "tokens")) == 3


def test_no_recorded_model_holds_itself() -> None:
    """What is judged follows the schema down, so it ends where the schema does."""

    def deepest(name: str, above: tuple[str, ...]) -> int:
        assert name not in above, above
        inner = {found for key in schema().models[name].values() for found in walk(key.accepts, "model")}
        return 1 + max((deepest(model, (*above, name)) for model in inner), default=0)

    assert max(deepest(name, ()) for name in schema().models) == 2


def test_a_mapping_for_a_list_of_datasets_becomes_its_only_item() -> None:
    block = {"path": "a/b", "type": "alpaca", "split": "test"}
    fix = findings({"test_datasets": block})["value_type"].fix
    assert fix is not None
    assert fix.set == {"test_datasets": [block]}
    assert fix.safe


def test_keys_that_are_no_text_are_told_where_they_are() -> None:
    assert findings({5: 1})["key_not_text"].key is None  # type: ignore[dict-item] # what YAML gives for ``5: 1``
    assert findings({"datasets": [{"path": "a", 5: 1}]})["key_not_text"].key == "datasets[0]"


def test_a_number_in_text_is_told_where_nothing_converts_it() -> None:
    found = findings({"optim_args": {"rank": "16", "name": "sixteen", "scale": 0.25}})["number_in_text"]
    assert found.key == "optim_args.rank"
    assert found.fix is not None
    assert found.fix.set == {"optim_args.rank": 16.0}


def test_what_is_plainly_of_a_keys_type_is_what_a_closer_look_takes() -> None:
    """The short way says yes to nothing that the long way finds a fault in."""
    values = (True, 0, -3, 1 << 70, 0.5, "", "no", "16", b"x", None, {}, {"a": 1}, [], ["a"])
    keys = [key for table in (schema().keys, *schema().models.values()) for key in table.values()]
    short = [(key, value) for key in keys for value in values if type(value) in key.plain]
    assert len(short) > len(keys)
    for key, value in short:
        assert judge(value, key.accepts, schema(), key.name, key.bounds) == (), (key.name, value)
    for key in (key for key in keys if key.bounds):
        assert not key.plain
