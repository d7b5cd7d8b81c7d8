"""Findings of a kind that are more than anybody reads, and names that nothing has."""

import pytest

from app.core.errors import UnknownName
from app.core.findings import MOST_ALIKE, SEVERITY_OF, Effect, Finding, Fix, gathered
from app.core.messages import message


def finding(code: str, effect: Effect, key: str) -> Finding:
    """One, with a fix."""
    said = message(f"finding.{code}")
    return Finding(severity=SEVERITY_OF[effect], message=said, key=key, effect=effect, fix=Fix(unset=(key,)))


@pytest.mark.parametrize(
    ("effects", "gravest"),
    [
        ([Effect.MISLEADS] * 3, Effect.MISLEADS),
        ([Effect.MISLEADS, Effect.REJECTED, Effect.FAILS_AT_RUN], Effect.REJECTED),
        ([Effect.REJECTED, Effect.MISLEADS, Effect.OK], Effect.REJECTED),
    ],
)
def test_what_is_left_of_a_kind_is_one_that_says_how_many_and_how_grave(effects: list[Effect], gravest: Effect) -> None:
    alike = [finding("alike", Effect.OK, f"a{number}") for number in range(MOST_ALIKE)]
    left = [finding("alike", effect, f"left{number}") for number, effect in enumerate(effects)]
    other = finding("other", Effect.OK, "b")
    told = gathered([*alike, left[0], other, *left[1:]])
    assert told[:MOST_ALIKE] == alike
    assert told[MOST_ALIKE + 1 :] == [other]
    more = told[MOST_ALIKE]
    assert (more.message.code, more.message.params["count"]) == ("finding.more_alike", len(left))
    assert (more.effect, more.severity, more.fix) == (gravest, SEVERITY_OF[gravest], None)


def test_as_many_as_are_read_stay_as_they_are() -> None:
    alike = [finding("alike", Effect.MISLEADS, f"a{number}") for number in range(MOST_ALIKE)]
    assert gathered(alike) == alike


@pytest.mark.parametrize(("nearest", "code"), [((), "error.unknown_gpu"), (("rtx-4090",), "error.unknown_gpu_nearest")])
def test_an_unknown_name_says_what_is_near_where_something_is(nearest: tuple[str, ...], code: str) -> None:
    said = UnknownName("gpu", "rtx-4091", nearest).message
    assert said.code == code
    assert said.params["given"] == "rtx-4091"
