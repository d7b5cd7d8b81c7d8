"""What somebody gave, as a message repeats it."""

import datetime as dt

import pytest

from app.core.shown import LONGEST, LONGEST_PATH, MOST_LISTED, listed, path_shown, shown


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("lorra", "lorra"),
        (None, "null"),
        (True, "true"),
        ([1, None, {"a": False}], '[1, null, {"a": false}]'),
        (16.5, "16.5"),
        (float("inf"), "Infinity"),
        (dt.date(2026, 1, 2), '"2026-01-02"'),
        ({dt.date(2026, 1, 2): 1}, "{}"),
    ],
)
def test_a_value_is_spelled_as_in_a_file(value: object, text: str) -> None:
    """Nobody meets Python's own spelling."""
    assert shown(value) == text


def test_a_long_value_is_cut() -> None:
    """It stays readable."""
    assert len(shown("x" * 1000)) == LONGEST
    assert shown([1] * 1000).endswith("…")


def test_a_number_given_as_text_is_told_from_a_number() -> None:
    """Only where that matters."""
    assert shown("4096", quoted=True) == '"4096"'
    assert shown(4096, quoted=True) == "4096"


def test_names_are_listed_so_far() -> None:
    """Each cut, and no more than somebody reads."""
    assert listed(["a", "b"]) == ("a", "b")
    many = listed("x" * 1000 for _ in range(1000))
    assert len(many) == MOST_LISTED
    assert {len(name) for name in many} == {LONGEST}


def test_a_key_s_path_is_cut_later() -> None:
    assert path_shown("a" * LONGEST_PATH) == "a" * LONGEST_PATH
    assert path_shown("a" * 1000) == "a" * (LONGEST_PATH - 1) + "…"
