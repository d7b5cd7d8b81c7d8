"""The guide's ranges: the table of docs/planner.md is what is planned, and departs only for a stated reason."""

import pytest

from app.catalog.library import Catalog

from . import ranges


@pytest.fixture(scope="module")
def planned(catalog: Catalog) -> list[str]:
    """The table as it should be."""
    return list(ranges.table(catalog))


def test_the_documented_table_is_what_is_planned(planned: list[str]) -> None:
    """Line by line; ``python -m tests.services.ranges`` writes it."""
    text = ranges.DOCS.read_text("utf-8")
    documented = text.partition(ranges.START)[2].partition(ranges.END)[0].splitlines()
    assert documented == planned
    assert len(planned) == 2 + len(ranges.TYPED) + len(ranges.CARDS)


def test_every_departure_has_its_reason(planned: list[str]) -> None:
    """No method outside the guide's range without one in brackets."""
    for line in planned[2:]:
        _, _, guide, *cells = [part.strip() for part in line.strip("|").split("|")]
        for cell in cells:
            method, _, why = cell.partition(" (")
            assert why or method.partition(",")[0] in guide.split(" or "), line
            assert not why.startswith(")"), line
