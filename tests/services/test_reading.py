"""Anybody's text: read as PyYAML reads it, bounded, every trap and fault at its line."""

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.findings import Effect
from app.services.reading import LONGEST, read


def codes(text: str | bytes) -> list[str]:
    """What is said of a text."""
    return [finding.code for finding in read(text).findings]


def test_what_pyyaml_reads_is_what_is_read() -> None:
    text = "a: 1\nb: [x, 2.0e-4, 2e-4]\nc: {d: no}\n# e\nf: |\n  g\n"
    assert read(text).config == yaml.safe_load(text)


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        ("a: 1\n\tb: 2\n", "yaml_tab", 2),
        ("a: 1\nb: c: d\n", "yaml_colon", 2),
        ("a: [1, 2\n", "yaml_unclosed", 2),
        ("a: [1 2: 3\nb: 4", "yaml_bracket", 2),
        ("a: 'x\n", "yaml_unclosed", 2),
        ("a: *b\n", "yaml_alias_unknown", 1),
        ("a: &x 1\nb: &x 2\n", "yaml_anchor_twice", 2),
        ("a: 1\n---\nb: 2\n", "yaml_documents", 2),
        ("a: !!python/object/apply:os.system [echo]\n", "yaml_tag", 1),
        ("a: !mine x\n", "yaml_tag", 1),
        ("a: @b\n", "yaml_character", 1),
        ("a:\n\u2013 b: c\n  d: e\n", "yaml_odd_bullet", 2),
        ("a:\n  \u2022 b: c\n    d: e\n", "yaml_odd_bullet", 2),
        ("a: 1\nb:\u00a02\nc: 3\n", "yaml_odd_space", 2),
        ("a\uff1a b\nc: d\n", "yaml_odd_colon", 1),
        ('a: "b\u201d\nc: d\n', "yaml_odd_quote", 1),
        ("a:\n  - b\n c: d\n", "yaml_indent", 3),
    ],
)
def test_what_does_not_parse_is_one_finding_at_its_line(text: str, code: str, line: int) -> None:
    reading = read(text)
    assert reading.config is None
    assert [(f.code, f.line) for f in reading.findings] == [(code, line)]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"\xff\xfe\x00", "yaml_encoding"),
        (b"\x80\x81", "yaml_encoding"),
        (b"a: \x00", "yaml_binary"),
        ("a: \x07\n", "yaml_binary"),
        ("a: \ud800\n", "yaml_binary"),
        ("", "yaml_empty"),
        ("# only a comment\n", "yaml_empty"),
        ("- a\n- b\n", "yaml_no_mapping"),
        ("just text\n", "yaml_no_mapping"),
        ("a: 2001-99-99\n", "yaml_value"),
        ("a: " + "9" * 5000, "yaml_digits"),
        ("a: 0x" + "f" * 5000, "yaml_digits"),
        ("x" * (LONGEST + 1), "yaml_long"),
        ("a: " + "[" * 40 + "]" * 40, "yaml_deep"),
        ("a: &a [*a]\n", "yaml_itself"),
        ("a: [" + "1, " * 9000 + "1]", "yaml_many"),
    ],
)
def test_what_is_no_configuration_is_one_finding(text: str | bytes, code: str) -> None:
    assert codes(text) == [code]
    assert read(text).config is None


def test_a_bomb_of_aliases_is_never_unfolded() -> None:
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    assert codes("\n".join(rows)) == ["yaml_many"]


def test_a_bomb_of_merge_keys_is_never_unfolded() -> None:
    rows = ["a0: &a0 {x: 1}"]
    rows += [f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}]}}" for i in range(1, 12)]
    assert codes("\n".join(rows)) == ["yaml_many"]


def test_utf_16_and_a_byte_order_mark_are_text() -> None:
    reading = read("a: ကခ\n".encode("utf-16"))
    assert reading.config == {"a": "ကခ"}
    assert [(finding.code, finding.effect) for finding in reading.findings] == [("yaml_utf16", Effect.REJECTED)]
    assert not read(reading.text).findings
    assert read("\ufeffa: 1\n".encode()).config == {"a": 1}


def test_traps_of_yaml_are_named_at_their_lines() -> None:
    text = "a: 010\nb: 1:30\nc: 2024-01-01\nd: 1\nd: 2\ne: '010'\n"
    found = [(f.code, f.key, f.line) for f in read(text).findings]
    assert found == [
        ("octal", "a", 1),
        ("sexagesimal", "b", 2),
        ("date", "c", 3),
        ("duplicate_key", "d", 5),
    ]


def test_lines_are_found_by_path_and_by_what_is_around() -> None:
    reading = read("a:\n  - b: 1\n    c: 2\n  - b: 3\nd: {e: 4}\n")
    assert [reading.line(key) for key in ("a", "a[0].c", "a[1].b", "a[1].nothing", "d.e", "x", None)] == [
        1,
        3,
        4,
        4,
        5,
        None,
        None,
    ]


@settings(deadline=None, max_examples=150)
@given(st.binary(max_size=300) | st.text(max_size=300))
def test_nothing_breaks_the_reader(text: str | bytes) -> None:
    reading = read(text)
    assert (reading.config is None) == any(f.effect.value == "rejected" for f in reading.findings)


@pytest.mark.parametrize(
    ("text", "code", "key", "sign"),
    [
        ("a:\n  - b: c\n\u00a0\u00a0\u00a0\u00a0type: d\n", "key_space", "type", "no-break space (U+00A0)"),
        ("a:\n  \u2013 path: b\n", "key_bullet", "path", "\u2013 (en dash, U+2013)"),
        ("lora_r\u200b: 8\n", "key_unseen", "lora_r", "zero width space (U+200B)"),
    ],
)
def test_what_is_read_as_a_key_by_a_letter_that_looks_like_another_is_told(
    text: str, code: str, key: str, sign: str
) -> None:
    (finding,) = read(text).findings
    assert finding.code == code
    assert finding.line == text.count("\n")
    assert finding.message.params["key"] == key
    assert finding.message.params["sign"] == sign


def test_a_key_in_another_writing_is_left_in_peace() -> None:
    assert codes("caf\u00e9: 1\n") == []
