"""Written files read back as the configuration they were written from, in order, with reasons."""

import re
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.core.axolotl.composing import compose
from app.core.axolotl.keys import GROUPS, OTHER
from app.core.axolotl.presets import PRESETS
from app.core.axolotl.rules import RULES
from app.core.plan import Goal, Install
from app.services.writing import write_yaml
from app.texts import LANGUAGES, texts
from tests.core.axolotl.examples import HOPPER, TURING, architecture, choice
from tests.core.axolotl.good import findings
from tests.core.axolotl.rule_cases import CASES

ENGLISH = texts("en")

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
    | st.sampled_from(["no", "Off", "y", "1e-4", "017", "0o17", "1_000", "~", "null", ".inf", "12:30:45", "2001-01-01"])
    | st.sampled_from(["- a", "a: b", "#x", "a #b", "'", '"', "%", "@", "&a", "*a", "!x", "|", ">", "?", "{}", "[]"])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=15,
)


@settings(deadline=None)
@example({"x": [["\x85", "\u2028", "\ufeff", "\x00", "\x7f", "\U0001f600", "\xa0"]]})
@given(
    st.dictionaries(st.text(max_size=12) | st.sampled_from([*GROUPS["adapter"], *GROUPS["data"]]), VALUES, max_size=5)
)
def test_any_configuration_reads_back_as_itself(config: dict[str, Any]) -> None:
    for comments in (True, False):
        assert yaml.safe_load(write_yaml(config, ENGLISH, comments=comments)) == config


@settings(deadline=None)
@given(st.lists(st.text(max_size=30), max_size=4))
def test_header_lines_are_comments_whatever_they_hold(header: list[str]) -> None:
    text = write_yaml({"lora_r": 8}, ENGLISH, header=tuple(header))
    assert yaml.safe_load(text) == {"lora_r": 8}


@settings(deadline=None)
@given(st.floats(min_value=0, allow_infinity=False))
def test_floats_stay_numbers_in_yaml_1_1(value: float) -> None:
    read = yaml.safe_load(write_yaml({"learning_rate": value}, ENGLISH))["learning_rate"]
    assert isinstance(read, float)
    assert read == value


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0.0002, "0.0002"),
        (2e-5, "0.00002"),
        (1e-8, "0.00000001"),
        (1.0, "1.0"),
        (1e22, "1.0e+22"),
        (1.5e-300, "1.5e-300"),
        (float("inf"), ".inf"),
        (True, "true"),
        (None, "null"),
        (3, "3"),
        ("cosine", "cosine"),
        ("./out", "./out"),
        ("meta-llama/Llama-3.1-8B", "meta-llama/Llama-3.1-8B"),
        ("no", '"no"'),
        ("2e-4", '"2e-4"'),
        ("010", '"010"'),
        ("", '""'),
        ("<|pad|>", '"<|pad|>"'),
        ("a\nb", '"a\\nb"'),
        ("မြန်မာ", '"မြန်မာ"'),
        ({}, "{}"),
        ([], "[]"),
        ((1, 2), "[1, 2]"),
        (["q_proj", "v_proj"], "[q_proj, v_proj]"),
    ],
)
def test_values_are_written_plainly(value: object, written: str) -> None:
    assert write_yaml({"x": value}, ENGLISH, comments=False) == f"x: {written}\n"


def test_lists_of_one_or_of_much_stand_line_by_line() -> None:
    assert write_yaml({"plugins": ["a.B"]}, ENGLISH, comments=False) == "plugins:\n  - a.B\n"
    long = [f"module_{i}" for i in range(20)]
    assert write_yaml({"x": long}, ENGLISH, comments=False).count("\n") == 21


def test_mappings_nest_and_lists_of_them_line_up() -> None:
    config = {"datasets": [{"path": "a/b", "type": {"field_input": "x"}}, {"path": "c", "d": [[1, 2], []]}, 5, {}]}
    assert write_yaml(config, ENGLISH, comments=False).splitlines() == [
        "datasets:",
        "  - path: a/b",
        "    type:",
        "      field_input: x",
        "  - path: c",
        "    d:",
        "      - [1, 2]",
        "      - []",
        "  - 5",
        "  - {}",
    ]


def test_keys_that_are_no_text_are_written_as_what_they_are() -> None:
    config: dict[Any, Any] = {True: 1, 5: [None, {2.5: "x"}], None: "y"}
    assert yaml.safe_load(write_yaml(config, ENGLISH)) == config


def test_what_is_nested_beyond_reason_or_in_itself_is_still_written() -> None:
    deep: Any = "bottom"
    for _ in range(60):
        deep = [{"x": deep}]
    assert yaml.safe_load(write_yaml({"x": deep}, ENGLISH)) == {"x": deep}
    knot: list[Any] = [1]
    knot.append(knot)
    assert yaml.safe_load(write_yaml({"x": knot}, ENGLISH))["x"][0] == 1


def test_an_empty_configuration_is_an_empty_mapping() -> None:
    assert yaml.safe_load(write_yaml({}, ENGLISH)) == {}


@pytest.mark.parametrize("language", LANGUAGES)
def test_groups_are_titled_and_stand_in_order(language: str) -> None:
    catalog = texts(language)
    text = write_yaml({"mine": 1, **compose(choice())}, catalog, header=("Made here",))
    titles = [catalog.text(f"yaml.group.{group}") for group in GROUPS if group != "devices"]
    places = [text.index(f"\n# {title}\n") for title in [*titles, catalog.text(f"yaml.group.{OTHER}")]]
    assert places == sorted(places)
    assert text.startswith("# Made here\n\n#")
    assert text.endswith("\nmine: 1\n")


@pytest.mark.parametrize("language", LANGUAGES)
def test_reasons_stand_above_their_keys_in_the_readers_language(language: str) -> None:
    catalog = texts(language)
    lines = write_yaml(compose(choice(method="qlora")), catalog).splitlines()
    for key, code in (("adapter", "yaml.key.adapter.qlora"), ("learning_rate", "yaml.key.learning_rate")):
        (place,) = (number for number, line in enumerate(lines) if line.startswith(f"{key}:"))
        assert lines[place - 1] == f"# {catalog.text(code)}"


def test_without_comments_there_are_none() -> None:
    assert "#" not in write_yaml({"lora_r": 8, "adapter": "lora"}, ENGLISH, comments=False)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_read_back_as_themselves(name: str) -> None:
    assert yaml.safe_load(write_yaml(PRESETS[name], ENGLISH)) == PRESETS[name]


def test_both_languages_have_the_same_texts_with_the_same_placeholders() -> None:
    """And every code that the writer or a rule can ask for is there."""
    english, burmese = (texts(language)._catalog for language in ("en", "my"))
    own = {code for code in english if code.startswith(("yaml.", "finding."))}
    assert own == {code for code in burmese if code.startswith(("yaml.", "finding."))}
    for code in own:
        assert sorted(re.findall(r"{[^}]*}", english[code])) == sorted(re.findall(r"{[^}]*}", burmese[code])), code
        if code.startswith("yaml."):
            assert "\n" not in english[code] + burmese[code]
    assert {f"yaml.group.{group}" for group in (*GROUPS, OTHER)} <= own
    keys = {code.split(".")[2] for code in own if code.startswith("yaml.key.")}
    assert keys <= {key for group in GROUPS.values() for key in group}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_finding_has_a_sentence(language: str) -> None:
    catalog = texts(language)
    assert RULES
    for _, changes, model, card, _, _ in CASES:
        for finding in findings(changes, model, card).values():
            sentence = catalog.render(finding.message)
            assert sentence != finding.message.code
            assert not re.search(r"\{[a-z_]+(:[a-z]*)?\}", sentence)


def test_composed_files_read_back_as_composed() -> None:
    for goal in Goal:
        for install in Install:
            for card in (HOPPER, TURING):
                config = compose(choice(goal=goal, install=install, hardware=card, architecture=architecture("phi3")))
                assert yaml.safe_load(write_yaml(config, texts("my"))) == config
