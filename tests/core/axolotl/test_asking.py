"""Rules that are left out have nothing to say."""

from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest

from app.catalog.library import load_catalog
from app.core.architecture import Architecture
from app.core.axolotl.asking import MOST_KEYS, form, settle, watch
from app.core.axolotl.rules import RULES, check, unknown_keys
from app.core.axolotl.schema import Schema
from app.core.axolotl.subject import Rule, Subject, info
from app.core.findings import Finding
from app.core.hardware import Hardware
from tests.conformance.broken import BASES, broken

CATALOG = load_catalog()
CASES = tuple(case for number, case in enumerate(broken(CATALOG.axolotl)) if number % 15 == 0 or case.rule)[::2]
"""Half of those that a rule is about, and a sample of the others."""
MODELS = (None, "Qwen/Qwen3-8B", "openai/gpt-oss-20b", "google/gemma-3-4b-it")
CARDS = (None, "rtx-4090", "mi300x")


def _by_all_rules(
    config: Any, architecture: Architecture | None, hardware: Hardware | None, schema: Schema | None
) -> list[Finding]:
    subject = Subject(config=config, architecture=architecture, hardware=hardware, schema=schema)
    return [finding for rule in RULES for finding in rule(subject)]


def _architecture(model: str | None) -> Architecture | None:
    row = CATALOG.models.find(model) if model else None
    return CATALOG.architecture(row.id) if row else None


@pytest.mark.parametrize("schema", [CATALOG.axolotl, None], ids=["whole schema", "names alone"])
def test_what_is_broken_is_found_as_if_every_rule_ran(schema: Schema | None) -> None:
    known = schema or CATALOG.known_keys
    places = [
        (_architecture(model), CATALOG.gpus.get(card).hardware() if card else None)
        for model, card in product(MODELS, CARDS)
    ]
    for number, case in enumerate(CASES):
        architecture, hardware = places[number % len(places)]
        for config in (case.config, _with_other_numbers(case.config)):  # of the same form
            unknown = {finding.key for finding in unknown_keys(config, known)}
            said = [f for f in check(config, architecture, hardware, known, trying=False) if f.key not in unknown]
            expected = [f for f in _by_all_rules(config, architecture, hardware, schema) if f.key not in unknown]
            assert sorted(map(repr, said)) == sorted(map(repr, expected)), case.name


def _with_other_numbers(config: Any) -> dict[str, Any]:
    return {key: value * 7 + 3 if type(value) in (int, float) else value for key, value in config.items()}


def test_a_usual_configuration_wakes_few_rules() -> None:
    askers = watch(RULES, {"adapter": "qlora"}, None)
    assert 0 < len(list(askers.of(BASES["qlora"]))) < len(RULES) / 2


def silent(subject: Subject) -> Iterator[Finding]:
    """Asks for one key, then for another."""
    if subject.on("first") and subject.on("second"):
        yield info("both", None)


def speaks(subject: Subject) -> Iterator[Finding]:
    """Misses a key."""
    if not subject.on("first"):
        yield info("missing", None)


def looks_at_the_card(subject: Subject) -> Iterator[Finding]:
    """Asks for more than keys."""
    if subject.hardware is not None:
        yield info("card", None)


def goes_through_all(subject: Subject) -> Iterator[Finding]:
    """Likewise."""
    for key in subject.config:
        yield info("key", key)


def counts(subject: Subject) -> Iterator[Finding]:
    """Likewise, without naming any."""
    if len(subject.config) > 1:
        yield info("many", None)


@pytest.mark.parametrize(
    ("rule", "keys", "awake"),
    [
        (silent, ("second",), False),
        (silent, ("first",), True),
        (speaks, (), True),
        (looks_at_the_card, (), True),
        (goes_through_all, ("anything",), True),
        (counts, ("anything",), True),
    ],
)
def test_a_rule_sleeps_until_what_it_asks_first_is_there(rule: Rule, keys: tuple[str, ...], awake: bool) -> None:
    assert list(watch((rule,), {}, None).of(keys)) == ([rule] if awake else [])


def test_a_rule_that_a_method_sets_off_runs_for_that_method() -> None:
    assert list(watch((silent,), {"first": True}, None).of(("first",))) == []
    assert list(watch((silent,), {"first": True}, None).of(("first", "second"))) == [silent]


def test_rules_keep_their_order() -> None:
    askers = watch((goes_through_all, silent, speaks), {}, None)
    assert list(askers.of(("first", "second"))) == [goes_through_all, silent, speaks]


def reads_a_number(subject: Subject) -> Iterator[Finding]:
    """Says something of large ones."""
    if (subject.number("rank") or 0) > 8:
        yield info("large", "rank")


def test_what_reads_no_number_is_settled_and_the_rest_runs_each_time() -> None:
    config = {"first": True, "rank": 4}
    subject = Subject(config=config, architecture=None, hardware=None, schema=None)
    at = form(config)
    assert at is not None
    settled = settle((silent, goes_through_all, reads_a_number), subject, at)
    assert settled == (tuple(goes_through_all(subject)), reads_a_number)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"r": 4}, {"r": 8}, True),
        ({"r": 4}, {"r": 4.0}, False),
        ({"r": 1}, {"r": True}, False),
        ({"on": True}, {"on": False}, False),
        ({"on": None}, {}, False),
        ({"a": 1, "b": 1}, {"b": 1, "a": 1}, False),
        ({"a": [1]}, {"a": [2]}, False),
        ({"a": [1]}, {"a": "[1]"}, False),
        ({"a": list(range(9))}, {"a": list(range(10))}, True),
        ({"a": "x" * 201}, {"a": "y" * 201}, True),
        ({"a": "x" * 200}, {"a": "y" * 200}, False),
    ],
)
def test_a_form_is_all_but_numbers_and_what_is_long(one: Any, other: Any, same: bool) -> None:
    assert (form(one) == form(other)) is same


def test_a_key_that_is_no_name_has_no_form() -> None:
    assert form({1: "a"}) is None  # type: ignore[dict-item] # what YAML gives for ``1: a``


def test_what_nobody_has_is_not_kept() -> None:
    assert form({f"key_{number}": 1 for number in range(MOST_KEYS)}) is not None
    assert form({f"key_{number}": 1 for number in range(MOST_KEYS + 1)}) is None
    assert form({"k" * 201: 1}) is None
