"""Applies fixes to a configuration, and sees to it that a fix that is offered leads to fewer problems, not to others.

A rule knows its own fault; what its fix means to every other rule is found out here by trying: a fix that brings a new
refusal or failure is completed with the fixes of those, and where that does not settle it, it is not offered.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from dataclasses import replace
from typing import Any

from app.core.findings import Effect, Finding, Fix, gathered

_POSITION = re.compile(r"\d{1,9}\]")

GRAVE = frozenset((Effect.REJECTED, Effect.FAILS_AT_RUN))
MOST_LOOKED_AT = 1_200
"""Entries that are looked through for all fixes of a file together: some 20 looks at what people have.

What is left then, in files that nobody has, is offered where it is safe, and not otherwise.
"""
LEAST_ENTRIES = 60
"""What a look at a small file counts as."""
MOST_ROUNDS = 3
"""Times that a fix is completed with what it brings to light."""

Look = Callable[[Mapping[str, Any]], Iterable[Finding]]
"""Everything to say of a configuration."""


def tried(config: Mapping[str, Any], found: Iterable[Finding], look: Look) -> list[Finding]:
    """``found`` with fixes that settle what they are for and bring no new refusal or failure; others are left out.

    Of many findings of a kind only the first are told one by one, and only their fixes are tried.
    """
    findings = list(found)
    before = frozenset(kind(finding) for finding in findings if finding.effect in GRAVE)
    looks = MOST_LOOKED_AT // max(LEAST_ENTRIES, entries(config, MOST_LOOKED_AT)) if _any(findings) else 0
    looks = looks if looks > 1 else 0

    def counted(at: Mapping[str, Any]) -> Iterable[Finding]:
        nonlocal looks
        looks -= 1
        return look(at)

    result = []
    for finding in gathered(findings):
        if finding.fix is not None and (finding.fix.set or finding.fix.unset) and looks > 0:
            result.append(replace(finding, fix=_completed(config, finding, finding.fix, before, counted)))
        elif finding.fix is not None and not finding.fix.safe:
            result.append(replace(finding, fix=None))
        else:
            result.append(finding)
    return result


def kind(finding: Finding) -> tuple[str, str | None]:
    """What is wrong where, whichever entry of a list it is: of a long one only the first faults are told."""
    return finding.code, re.sub(r"\[\d+\]", "[]", finding.key) if finding.key else None


def _any(findings: Iterable[Finding]) -> bool:
    return any(finding.fix is not None for finding in findings)


def entries(value: object, most: int) -> int:
    """Entries below ``value``, itself included, as far as ``most``."""
    count, left = 0, [value]
    while left and count < most:
        count += 1
        one = left.pop()
        if isinstance(one, Mapping):
            left.extend(one.values())
        elif isinstance(one, list | tuple):
            left.extend(one)
    return count


def _completed(
    config: Mapping[str, Any], finding: Finding, fix: Fix, before: frozenset[tuple[str, str | None]], look: Look
) -> Fix | None:
    for _ in range(MOST_ROUNDS):
        mended = deepcopy(dict(config))
        changed(mended, fix)
        after = list(look(mended))
        if any((other.code, other.key) == (finding.code, finding.key) for other in after):
            return None
        new = [other for other in after if other.effect in GRAVE and kind(other) not in before]
        if not new:
            return fix
        for other in new:
            more = other.fix
            if more is None or {*more.set, *more.unset} & {*fix.set, *fix.unset}:
                return None
            fix = Fix(set={**fix.set, **more.set}, unset=(*fix.unset, *more.unset), safe=fix.safe and more.safe)
    return None


def changed(config: dict[Any, Any], fix: Fix) -> bool:
    """Apply ``fix`` to ``config`` in place; whether it changed anything."""
    different = False
    for name in fix.unset:
        holder, key = holder_of(config, name, make=False)
        if isinstance(holder, dict) and key in holder:
            del holder[key]
            different = True
    for name, value in fix.set.items():
        holder, key = holder_of(config, name, make=True)
        reached = isinstance(holder, dict) or (isinstance(holder, list) and isinstance(key, int) and key < len(holder))
        if reached:
            different |= (isinstance(holder, dict) and key not in holder) or repr(holder[key]) != repr(value)
            holder[key] = deepcopy(value)
    return different


def steps(name: str) -> tuple[str | int, ...]:
    """The path that a key's spelling means: ``datasets[0].type``."""
    found: list[str | int] = []
    for part in name.split("."):
        head, *positions = part.split("[")
        found.append(head)
        found += [int(position[:-1]) for position in positions if _POSITION.fullmatch(position)]
    return tuple(found)


def holder_of(config: dict[Any, Any], name: str, *, make: bool) -> tuple[Any, str | int]:
    """What holds ``name``, and by which key; mappings on the way are made where asked for."""
    *way, last = steps(name)
    here: Any = config
    for part in way:
        if isinstance(here, list):
            here = here[part] if isinstance(part, int) and part < len(here) else None
        elif isinstance(here, dict):
            if make and not isinstance(here.get(part), dict | list):
                here[part] = {}
            here = here.get(part)
    return here, last
