"""Findings: what a person should know about a configuration, with a fix where one is safe."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from app.core.messages import Message, message

MOST_ALIKE = 50
"""Findings of one kind that are told one by one."""


class Severity(StrEnum):
    """How much a finding matters."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


class Effect(StrEnum):
    """What becomes of a run under Axolotl because of what a finding is about; the gravest first."""

    REJECTED = "rejected"
    """Axolotl's validator refuses the file."""
    FAILS_AT_RUN = "fails_at_run"
    """The validator lets it pass; loading, training or merging then fails."""
    MISLEADS = "misleads"
    """It runs, but not as the file says."""
    OK = "ok"
    """Nothing is wrong."""


SEVERITY_OF = {
    Effect.REJECTED: Severity.ERROR,
    Effect.FAILS_AT_RUN: Severity.ERROR,
    Effect.MISLEADS: Severity.WARNING,
    Effect.OK: Severity.INFO,
}


_GRAVITY = {effect: position for position, effect in enumerate(Effect)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fix:
    """A change that resolves a finding. ``safe`` fixes never change what a working file trains."""

    set: Mapping[str, object] = field(default_factory=dict)
    unset: tuple[str, ...] = ()
    safe: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One finding. ``key`` is the Axolotl key it concerns, dotted where nested, or None."""

    severity: Severity
    message: Message
    key: str | None = None
    line: int | None = None
    fix: Fix | None = None
    effect: Effect = Effect.OK
    """What it does to a run; a warning about our own estimate does nothing to one."""

    @property
    def code(self) -> str:
        """The message's code without its ``finding.`` prefix: stable, the API's ``code``."""
        return self.message.code.removeprefix("finding.")


def gravest(findings: Iterable[Finding]) -> Effect:
    """The gravest effect of any finding: what becomes of a run of the whole."""
    return min((finding.effect for finding in findings), key=_GRAVITY.__getitem__, default=Effect.OK)


def by_gravity(findings: Iterable[Finding]) -> list[Finding]:
    """The gravest first, else as they came."""
    return sorted(findings, key=lambda finding: _GRAVITY[finding.effect])


def gathered(findings: Iterable[Finding]) -> list[Finding]:
    """``findings`` with those of a kind beyond ``MOST_ALIKE`` as one, at the first of them, that says how many."""
    told = list(findings)
    if len(told) <= MOST_ALIKE:
        return told
    findings, told = told, []
    counts: Counter[str] = Counter()
    first: dict[str, int] = {}
    for finding in findings:
        code = finding.code
        counts[code] += 1
        if counts[code] <= MOST_ALIKE:
            told.append(finding)
        elif code not in first:
            first[code] = len(told)
            told.append(finding)
        elif _GRAVITY[finding.effect] < _GRAVITY[told[first[code]].effect]:
            told[first[code]] = replace(told[first[code]], effect=finding.effect, severity=finding.severity)
    for code, position in first.items():
        more = message("finding.more_alike", count=counts[code] - MOST_ALIKE, alike=code)
        told[position] = replace(told[position], message=more, fix=None)
    return told
