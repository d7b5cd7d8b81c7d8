"""The nearest names, found by comparing the likeliest first, are those that comparing all of them finds."""

from difflib import SequenceMatcher

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.catalog.library import Catalog, load_catalog
from app.catalog.search import LEAST_LIKENESS, LONGEST_QUERY, _near, closest, tokens


def by_comparing_all(given_: str, names: dict[str, tuple[str, ...]], count: int) -> list[float]:
    """The likenesses of the ``count`` nearest."""
    words, spelt = frozenset(tokens(given_)), given_[:LONGEST_QUERY].lower()

    def likeness(name: str) -> float:
        own = frozenset(tokens(name))
        numbers = sorted(word for word in words if word[0].isdigit())
        theirs = [word for word in own if word[0].isdigit()]
        near = sum(max((_near(number, other) for other in theirs), default=0.0) for number in numbers)
        shared = len(words & own) / max(1, len(words | own)) + near / max(1, len(numbers))
        return shared + SequenceMatcher(None, spelt, name.lower()).ratio()

    found = {id_: max(map(likeness, (id_, *written))) for id_, written in names.items()}
    return sorted((found[id_] for id_ in found if found[id_] >= LEAST_LIKENESS), reverse=True)[:count]


CATALOG = load_catalog()
NAMES = {row.id: (row.name, *row.aliases) for row in CATALOG.models.rows}


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(sorted(NAMES)), st.integers(0, 40), st.sampled_from(("", "-GPTQ", "2", "x")), st.integers(1, 4))
def test_the_nearest_are_as_near_as_any(id_: str, cut: int, tail: str, count: int) -> None:
    text = id_[cut:] + tail
    wanted = by_comparing_all(text, NAMES, count)
    found = closest(text, NAMES, count)
    assert [by_comparing_all(text, {one: NAMES[one]}, 1)[0] for one in found] == pytest.approx(wanted)


@pytest.mark.parametrize("text", ["", "zzzz", "x" * 5000])
def test_what_is_like_nothing_finds_nothing(text: str, catalog: Catalog) -> None:
    assert closest(text, {row.id: (row.name,) for row in catalog.models.rows}, 3) == ()
