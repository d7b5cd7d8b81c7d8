"""The page on accuracy says what is recorded, and draws every case."""

from statistics import median

import pytest

from app.catalog.accuracy import errors_of, load_accuracy
from app.texts import LANGUAGES

from .conftest import Get


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_case_is_drawn_and_listed(get: Get, language: str) -> None:
    facts = load_accuracy()
    page = get("/accuracy", {"lang": language})
    assert page.status == 200
    drawn = page.document.select(".scatter svg circle > title")
    rows = page.document.select("[aria-labelledby=every-title] details.every-case tbody tr")
    assert len(drawn) == len(rows) == len(facts.cases)
    assert {row.th.text for row in rows} == {case.case for case in facts.cases}
    assert page.text("#scatter-text")
    assert {str(number) for number in facts.versions.values()} <= {
        dd.text for dd in page.document.select(".fact-list dd")
    }


def test_points_lie_where_their_cases_say(get: Get) -> None:
    """Higher where more is estimated, farther right where more was recorded; inside the field."""
    cases = load_accuracy().cases
    points = [
        (float(str(tag["cx"])), float(str(tag["cy"]))) for tag in get("/accuracy").document.select("circle.sc-point")
    ]
    across = [
        x for _, x in sorted(zip(cases, (x for x, _ in points), strict=True), key=lambda pair: pair[0].reference_bytes)
    ]
    up = [
        y for _, y in sorted(zip(cases, (y for _, y in points), strict=True), key=lambda pair: pair[0].estimated_bytes)
    ]
    assert across == sorted(across)
    assert up == sorted(up, reverse=True)
    assert all(56 <= x <= 548 and 12 <= y <= 376 for x, y in points)


def test_the_summary_is_of_the_cases(get: Get) -> None:
    cases = load_accuracy().cases
    cells = [
        td.text for td in get("/accuracy").document.select("[aria-labelledby=summary-title] tbody tr")[0].select("td")
    ]
    errors = [abs(case.estimated_bytes / case.reference_bytes - 1) for case in cases]
    assert cells[0] == f"{len(cases):,}"
    middle = 100 * median(errors)
    assert cells[1] == (f"{middle:.2f}\u00a0%" if middle >= 0.005 else f"{middle:.4f}\u00a0%")
    assert cells[3] == f"{100 * max(errors):.2f}\u00a0%"
    assert errors_of([]) is None


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_was_trained_on_a_card_is_listed(get: Get, language: str) -> None:
    """Every case, how near the estimate comes to it, and what ran where."""
    facts = load_accuracy()
    page = get("/accuracy", {"lang": language})
    rows = page.document.select("[aria-labelledby=card-title] details tbody tr")
    assert {row.th.text for row in rows} == {case.case for case in facts.card}
    found = errors_of(facts.card)
    assert found is not None
    told = page.document.select("[aria-labelledby=card-title] p")[0].text
    assert str(found.cases) in told
    assert facts.card_versions["card"] in told


@pytest.mark.parametrize("language", LANGUAGES)
def test_published_runs_are_listed_with_their_sources(get: Get, language: str) -> None:
    """Each with its figures, and with a remark where something about it is not known."""
    runs = load_accuracy().published
    rows = get("/accuracy", {"lang": language}).document.select(".published-runs tbody tr")
    assert len(rows) == len(runs) >= 60
    sources = {run.run: run.source for run in runs}
    for row in rows:
        link = row.select_one("a")
        assert link is not None
        assert link["href"] == sources[link.text]
        assert "accuracy." not in row.text
    assert all(run.why for run in runs if run.setup != "full")
