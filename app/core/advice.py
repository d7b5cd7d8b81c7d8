"""Advice on knobs: what a plan starts from, what is usual, and why. The rules are data (``app/data/advice.yaml``)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.core.decision import Condition, Facts, build_conditions
from app.core.findings import Finding, Severity
from app.core.messages import message
from app.core.plan import Advice

EFFECTIVE_BATCH = "effective_batch"
"""Micro batch times accumulation: no key of Axolotl's, but what both keys come to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One case of a knob: its value, and the bounds of what is usual, None where there are none."""

    id: str
    value: float | str
    source: str
    least: float | None = None
    most: float | None = None
    when: tuple[Condition, ...] = ()

    def __post_init__(self) -> None:
        if (self.least is None) != (self.most is None):
            raise ValueError(f"rule {self.id} has one bound")
        number = None if isinstance(self.value, str) else self.value
        if number is None and self.least is not None:
            raise ValueError(f"rule {self.id} bounds a text")
        if number is not None and not (self.least or 0) <= number <= (number if self.most is None else self.most):
            raise ValueError(f"rule {self.id} advises what is beyond its own bounds")


@dataclass(frozen=True, slots=True, kw_only=True)
class Knob:
    """One key's rules, the last of which always holds; ``of`` names the knob that values are shares of."""

    key: str
    rules: tuple[Rule, ...]
    of: str | None = None

    def __post_init__(self) -> None:
        if not self.rules or self.rules[-1].when:
            raise ValueError(f"the knob {self.key} has no rule that always holds")

    def rule(self, facts: Facts) -> Rule:
        """The first whose conditions all hold."""
        return next(rule for rule in self.rules if not rule.when or all(one.holds(facts) for one in rule.when))


@dataclass(frozen=True, slots=True, eq=False)
class Advisor:
    """Every knob that there is advice on, by key."""

    knobs: Mapping[str, Knob]

    def read(self, own: Mapping[str, Any]) -> Mapping[str, float]:
        """What advice reads of a person's own keys: the numbers that others are a share of."""
        given = {knob.of: _number(own.get(knob.of)) for knob in self.knobs.values() if knob.of is not None}
        return {key: value for key, value in given.items() if value is not None}

    def advise(self, keys: Sequence[str], facts: Facts, own: Mapping[str, Any]) -> tuple[Advice, ...]:
        """What these knobs should be. ``own`` is what a person set: what is a share of it follows it."""
        found: dict[str, Advice] = {}
        for key in keys:
            knob = self.knobs[key]
            rule = knob.rule(facts)
            value, least, most = rule.value, rule.least, rule.most
            if knob.of is not None and not isinstance(value, str):
                whole = _number(own.get(knob.of))
                if whole is None:
                    base = found[knob.of].value if knob.of in found else self.knobs[knob.of].rule(facts).value
                    whole = float(base)
                value = max(1, round(value * whole))
                least = None if least is None else least * whole
                most = None if most is None else most * whole
            found[key] = Advice(
                key=key,
                value=value,
                least=least,
                most=most,
                reason=message(f"advice.{key}.{rule.id}", value=value),
                source=rule.source,
            )
        return tuple(found.values())


def conflicts(advice: Sequence[Advice], own: Mapping[str, Any]) -> Iterator[Finding]:
    """A finding for each of a person's values that lies beyond what is usual; the value stays."""
    for item in advice:
        given = _given(item.key, own)
        if given is None or item.least is None or item.most is None or item.least <= given <= item.most:
            continue
        side = "high" if given > item.most else "low"
        yield Finding(
            severity=Severity.WARNING,
            key="gradient_accumulation_steps" if item.key == EFFECTIVE_BATCH else item.key,
            message=message(
                f"finding.advice_{item.key}_{side}",
                given=_plain(given),
                least=_plain(item.least),
                most=_plain(item.most),
                value=_plain(float(item.value)),
            ),
        )


def _given(key: str, own: Mapping[str, Any]) -> float | None:
    if key != EFFECTIVE_BATCH:
        return _number(own.get(key))
    micro, steps = _number(own.get("micro_batch_size")), _number(own.get("gradient_accumulation_steps"))
    return None if micro is None or steps is None else micro * steps


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _plain(value: float) -> str:
    """A number without an exponent where it is short so."""
    text = f"{value:.10f}".rstrip("0").rstrip(".")
    return text or "0"


def build_advisor(data: Sequence[Mapping[str, Any]]) -> Advisor:
    """The advice from its parsed data file.

    Raises:
        ValueError, KeyError, TypeError: the data is not advice.
    """
    knobs = {}
    for row in data:
        rules = tuple(
            Rule(
                id=rule["id"],
                value=rule["value"],
                source=rule["source"],
                least=rule.get("least"),
                most=rule.get("most"),
                when=build_conditions(rule.get("when", ())),
            )
            for rule in row["rules"]
        )
        knobs[row["key"]] = Knob(key=row["key"], rules=rules, of=row.get("of"))
    for knob in knobs.values():
        if knob.of is not None and knob.of not in knobs:
            raise ValueError(f"{knob.key} is a share of {knob.of}, which there is no advice on")
    return Advisor(knobs)
