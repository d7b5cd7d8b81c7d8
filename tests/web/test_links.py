"""Every page that can be reached from the start page is there, in both languages."""

import re
from collections import Counter, deque
from html import unescape
from urllib.parse import urljoin, urlsplit

import pytest
from starlette.testclient import TestClient

from app.texts import LANGUAGES
from app.web.shell import PAGES

from .conftest import Get

EACH = 2
"""How many addresses of one path are followed: queries are many, and pages of models count as one path."""
LINK = re.compile(r'<a\b[^>]*\shref="([^"]*)"')
ID = re.compile(r'\sid="([^"]*)"')
OWN = re.compile(r"^/(?!/)")


def path_of(address: str) -> str:
    """Pages of models are one path: the same code makes them."""
    return re.sub(r"^/models/.+", "/models/*", urlsplit(address).path)


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_link_leads_nowhere(client: TestClient, language: str) -> None:
    waiting, seen, followed = deque([f"/?lang={language}"]), set[str](), Counter[str]()
    while waiting:
        address = waiting.popleft()
        response = client.get(address)
        assert response.status_code == 200, address
        if not response.headers["content-type"].startswith("text/html"):
            continue
        ids = set(ID.findall(response.text))
        for link in map(unescape, LINK.findall(response.text)):
            if link.startswith("#"):
                assert link[1:] in ids, (address, link)
                continue
            target = urljoin(address, link).partition("#")[0]
            if not OWN.match(target) or target in seen:
                continue
            seen.add(target)
            followed[path_of(target)] += 1
            if followed[path_of(target)] <= EACH:
                waiting.append(target)
    names = {getattr(route, "name", "") for route in client.app.routes}  # type: ignore[attr-defined]  # FastAPI
    there = {name for group in PAGES.values() for name in group} & names
    assert {f"/{name}" for name in there} <= followed.keys()
    assert "/models/*" in followed
    assert "/methods/lora" in followed


@pytest.mark.parametrize("path", ["/fit", "/compare", "/tree"])
def test_a_shared_link_says_which_plan_it_is_about(get: Get, path: str) -> None:
    page = get(path, {"model": "meta-llama/Llama-3.1-8B-Instruct", "gpu": "rtx-4090"})
    assert "Llama 3.1 8B Instruct on GeForce RTX 4090" in page.document.title.text
    about = str(page.document.select_one("meta[property='og:description']")["content"])
    assert about.startswith("Llama 3.1 8B Instruct on GeForce RTX 4090: LoRA. It fits GeForce RTX 4090: ")
    assert "GiB to spare." in about


def test_a_shared_check_says_what_was_found(get: Get) -> None:
    page = get(str(get("/check").document.find("a", string="Try an old file")["href"]))
    about = str(page.document.select_one("meta[property='og:description']")["content"])
    assert re.match(r"This file runs, but not as it says: Misleading: \d+", about)
