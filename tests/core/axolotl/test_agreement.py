"""Our verdicts on broken configurations against Axolotl's own, as it gave them when it was asked.

The answers were recorded by ``tests/conformance/agree.py``; ``docs/axolotl.md`` lists where the two part, and why.
"""

import json
from functools import cache

import pytest

from app.core.axolotl.rules import check
from app.core.findings import Effect
from tests.conformance.agree import RECORDING, ours, schema
from tests.conformance.broken import Broken, broken

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


def test_every_rule_is_broken_in_at_least_three_ways() -> None:
    codes: dict[str, set[str]] = {}
    for case in cases():
        if case.rule:
            for finding in check(case.config, None, case.hardware, schema(), trying=False):
                if finding.effect is Effect.REJECTED:
                    codes.setdefault(case.rule, set()).add(case.name)
    few = {rule for rule in {case.rule for case in cases() if case.rule} if len(codes.get(rule, ())) < 3}
    assert (
        few
        <= {"deepcompile", "optimizer_names", "fp32_norms", "beta", "streaming_packed_several", "falcon"} | ALWAYS_FINE
    )


ALWAYS_FINE = {"rl_reentrant"}
"""Rules that one base alone can break."""
