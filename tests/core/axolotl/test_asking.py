"""Rules that are left out have nothing to say."""

from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest

from app.catalog.library import load_catalog
from app.core.architecture import Architecture
from app.core.axolotl.asking import watch
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
        unknown = {finding.key for finding in unknown_keys(case.config, known)}
        said = [f for f in check(case.config, architecture, hardware, known, trying=False) if f.key not in unknown]
        expected = [f for f in _by_all_rules(case.config, architecture, hardware, schema) if f.key not in unknown]
        assert sorted(map(repr, said)) == sorted(map(repr, expected)), case.name


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
