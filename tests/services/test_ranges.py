"""The guide's ranges: the table of docs/planner.md is what is planned, and departs only for a stated reason."""

from app.catalog.library import Catalog

from . import ranges


def test_the_documented_table_is_what_is_planned(catalog: Catalog) -> None:
    """Line by line; ``python -m tests.services.ranges`` writes it."""
    text = ranges.DOCS.read_text("utf-8")
    documented = text.partition(ranges.START)[2].partition(ranges.END)[0].splitlines()
    planned = list(ranges.table(catalog))
    assert documented == planned
    assert len(planned) == 2 + len(ranges.TYPED) + len(ranges.CARDS)


def test_every_departure_has_its_reason(catalog: Catalog) -> None:
    """No method outside the guide's range without one in brackets."""
    for line in list(ranges.table(catalog))[2:]:
        _, _, guide, *cells = [part.strip() for part in line.strip("|").split("|")]
        for cell in cells:
            method, _, why = cell.partition(" (")
            assert why or method.partition(",")[0] in guide.split(" or "), line
            assert not why.startswith(")"), line
