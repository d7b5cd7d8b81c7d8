"""A small, fixed part of what ``tests/conformance/fuzz.py`` throws at the checker."""

from app.catalog.library import load_catalog
from tests.conformance.fuzz import run


def test_nothing_crashes_the_checker() -> None:
    crashes, _, _ = run(load_catalog(), count=120, seed=7)
    assert crashes == []
