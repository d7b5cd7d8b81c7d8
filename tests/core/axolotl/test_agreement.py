"""Our verdicts on broken configurations against Axolotl's own, as it gave them when it was asked.

The answers were recorded by ``tests/conformance/agree.py``; ``docs/axolotl.md`` lists where the two part, and why.
"""

import json
from functools import cache

import pytest

from app.core.axolotl.rules import check
from app.core.findings import Effect
from tests.conformance.agree import RECORDING, ours, schema
from tests.conformance.broken import BASES, Broken, broken

KNOWN = {
    "kind full fp8 true",
    "kind qlora image_resize_algorithm true",
    "kind qlora image_resize_algorithm false",
    "nested fsdp_config FSDPConfig.version word",
    "nested fsdp_config FSDPConfig.version fraction",
    "nested fsdp_config FSDPConfig.version list",
    "nested fsdp_config FSDPConfig.version mapping",
}
"""Where we disagree on purpose or to no harm; each is explained in ``docs/axolotl.md``."""


@cache
def cases() -> tuple[Broken, ...]:
    """All of them."""
    return tuple(broken(schema()))


@cache
def answers() -> dict[str, bool]:
    """What Axolotl said, by name."""
    recorded = json.loads(RECORDING.read_text(encoding="utf-8"))
    return dict.fromkeys(recorded["valid"], True) | dict.fromkeys(recorded["invalid"], False)


def test_the_recording_is_of_these_cases_and_this_release() -> None:
    assert json.loads(RECORDING.read_text(encoding="utf-8"))["axolotl"] == schema().version
    assert answers().keys() == {case.name for case in cases()}
    assert sum(not valid for valid in answers().values()) > 1000


@pytest.mark.parametrize("part", range(4))
def test_we_say_what_axolotl_says(part: int) -> None:
    mine = cases()[part::4]
    apart = {case.name for case in mine if ours(case) is not answers()[case.name]}
    assert apart <= KNOWN


def test_every_rule_that_rejects_is_broken_in_at_least_three_ways() -> None:
    """Each by itself, not each group of them; the same change to another base is the same way, and Axolotl refused it."""
    ways: dict[str, set[str]] = {}
    for case in cases():
        if not answers()[case.name]:
            for finding in check(case.config, None, case.hardware, schema(), trying=False):
                if finding.effect is Effect.REJECTED:
                    ways.setdefault(finding.code, set()).add(_way(case.name))
    assert len(ways) > 150
    assert {code: names for code, names in ways.items() if len(names) < 3} == {}


def _way(name: str) -> str:
    """A case's name without the base that it was tried on."""
    kind, *rest = name.split()
    return " ".join((kind, *(word for word in rest if word not in BASES or (word == rest[0] and kind in RULED))))


RULED = ("rule", "again")
