"""What is offered of a fix, on findings that are made up for it."""

from collections.abc import Iterable, Mapping
from itertools import count
from typing import Any

import pytest

from app.core.axolotl.fixing import changed, tried
from app.core.axolotl.subject import fails, info
from app.core.findings import Finding, Fix


def test_a_fix_that_leaves_its_finding_is_not_offered() -> None:
    """Whatever it changes."""
    standing = info("stands", "a", fix=Fix(set={"a": 2}, safe=True))

    def look(_: Mapping[str, Any]) -> Iterable[Finding]:
        return [standing]

    (left,) = tried({"a": 1}, [standing], look)
    assert left.fix is None


def test_a_fix_that_keeps_bringing_new_failures_is_not_offered() -> None:
    """Each of which has a fix of its own, on a key that was not there before."""
    first = fails("first", "a", fix=Fix(set={"a": 2}))
    numbers = count()

    def look(config: Mapping[str, Any]) -> Iterable[Finding]:
        number = next(numbers)
        return [fails(f"later_{number}", f"b{number}", fix=Fix(set={f"b{number}": 1}))] if config["a"] == 2 else [first]

    (left,) = tried({"a": 1}, [first], look)
    assert left.fix is None


def test_a_fix_is_completed_by_those_of_what_it_brings() -> None:
    """And is as safe as the least safe of them."""
    first = fails("first", "a", fix=Fix(set={"a": 2}, safe=True))

    def look(config: Mapping[str, Any]) -> Iterable[Finding]:
        if config["a"] == 1:
            return [first]
        return [] if "b" in config else [fails("later", "b", fix=Fix(set={"b": 1}))]

    (left,) = tried({"a": 1}, [first], look)
    assert left.fix == Fix(set={"a": 2, "b": 1})


@pytest.mark.parametrize("name", ["datasets[1].type", "datasets[1].split.name", "datasets[1]"])
def test_an_entry_that_is_not_there_is_not_made(name: str) -> None:
    """Lists have the entries that a person wrote."""
    config = {"datasets": [{"path": "a"}]}
    assert not changed(config, Fix(set={name: "x"}))
    assert not changed(config, Fix(unset=(name,)))
    assert config == {"datasets": [{"path": "a"}]}
