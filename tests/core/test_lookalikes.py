"""Letters that look like YAML's own are named, with what belongs in their place."""

import pytest

from app.core.lookalikes import described, in_rows, is_bullet, number_of, unseen, without_unseen


@pytest.mark.parametrize(
    ("rows", "line", "found"),
    [
        (["datasets:", "\u2013 path: a", "  type: alpaca"], 3, ("bullet", "\u2013", 2, 1)),
        (["datasets:", "  \u2022\u00a0path: a", "    type: alpaca"], 3, ("bullet", "\u2022", 2, 3)),
        (["a:", "  b: 1", "\u00a0 c: 2"], 3, ("space", "\u00a0", 3, 1)),
        (["lora_r:\u00a08", "b: 1"], 2, ("space", "\u00a0", 1, 8)),
        (["base_model\uff1a x", "lora_r: 8"], 2, ("colon", "\uff1a", 1, 11)),
        (['a: "b\u201d', "c: 1"], 1, ("quote", "\u201d", 1, 6)),
        (["# caf\u00e9", "a: [1"], 2, None),
        (["a: [1"], 2, None),
        (["\u2013 a", "b", "c", "d", "e", "f: ]"], 6, None),
    ],
)
def test_what_keeps_a_row_from_being_read(rows: list[str], line: int, found: object) -> None:
    assert in_rows(rows, line) == found


def test_a_letter_is_described_by_name_and_number() -> None:
    assert described("\u2013") == "\u2013 (en dash, U+2013)"
    assert described("\u00a0") == "no-break space (U+00A0)"


def test_a_bullet_has_a_space_behind_it() -> None:
    assert is_bullet("\u2013 a")
    assert is_bullet("\u2022\u00a0a")
    assert not is_bullet("\u20131")
    assert not is_bullet("- a")
    assert not is_bullet("")


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("\u22121", -1),
        ("\u22120.1", -0.1),
        ("2e\u22124", 2e-4),
        ("\u20135", -5),
        ("1\u22122", None),
        ("-1", None),
        ("\u00e9", None),
    ],
)
def test_a_number_behind_what_looks_like_a_minus(text: str, number: float | None) -> None:
    found = number_of(text)
    assert (None if found is None else found[0]) == number
    assert found is None or type(found[0]) is type(number)


@pytest.mark.parametrize(
    ("text", "sign", "clean"),
    [
        ("lora\u200b", "\u200b", "lora"),
        ("a\u00a0b", "\u00a0", "a b"),
        ("lora", None, "lora"),
        ("caf\u00e9", None, "caf\u00e9"),
        ("\u1000\u102d\u200b\u1005", None, "\u1000\u102d\u1005"),
        ("\u1000\u102d\u200b", "\u200b", "\u1000\u102d"),
    ],
)
def test_what_is_not_to_be_seen(text: str, sign: str | None, clean: str) -> None:
    """Burmese is written with zero-width spaces between words; at an end they mean nothing."""
    assert unseen(text) == sign
    assert without_unseen(text) == clean
