"""About: what it says is so."""

import json
from pathlib import Path

import pytest

from app import __version__
from app.catalog.library import Catalog
from app.texts import LANGUAGES
from app.web.reference.about import HELD_TO

from .conftest import Get

TESTS = Path(__file__).parents[1]


@pytest.mark.parametrize("language", LANGUAGES)
def test_about_names_versions_counts_and_licences(get: Get, catalog: Catalog, language: str) -> None:
    page = get("/about", {"lang": language})
    text = page.text("main")
    for said in (__version__, "0.19.0", "0.20.0", "5.16.1", f"{len(catalog.models.rows)}", "2026-11-24", "htmx 4.0.1"):
        assert said in text
    for link in page.document.select("[aria-labelledby=licences-title] a"):
        assert get(str(link["href"])).status == 200
    assert len(page.document.select("[aria-labelledby=licences-title] li")) == 3
    assert page.document.select("a[href$='/docs']")


def test_the_versions_are_those_of_the_recordings() -> None:
    with (TESTS / "data" / "memory" / "peaks.jsonl").open(encoding="utf-8") as file:
        versions = json.loads(file.readline())["versions"]
    for name, version in HELD_TO:
        assert versions[name.lower()] == version


def test_nothing_is_kept_of_a_visitor(get: Get) -> None:
    """What the privacy note promises."""
    for path in ("/", "/about", "/models", "/plan?model=Qwen/Qwen3-4B&gpu=rtx-4090"):
        page = get(path)
        assert "set-cookie" not in page.response.headers
        for tag in page.document.select("script[src], link[href], img[src]"):
            assert not str(tag.get("src") or tag.get("href")).startswith(("http:", "https:", "//"))
