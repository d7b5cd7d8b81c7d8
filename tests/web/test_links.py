"""Every page that can be reached from the start page is there, in both languages."""

import re
from collections import Counter, deque
from urllib.parse import parse_qs, urljoin, urlsplit

import pytest
from bs4 import BeautifulSoup
from starlette.testclient import TestClient

from app.texts import LANGUAGES
from app.web.shell import PAGES

EACH = 4
"""How many addresses of one kind are followed: pages of models, and queries with the same names, are many."""
OWN = re.compile(r"^/(?!/)")


def kind(address: str) -> str:
    """Addresses of one kind are made by the same code: path without the id, names of the query."""
    parts = urlsplit(address)
    path = re.sub(r"^/models/.+", "/models/*", parts.path)
    return f"{path}?{','.join(sorted(parse_qs(parts.query)))}"


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_link_leads_nowhere(client: TestClient, language: str) -> None:
    waiting, seen, kinds = deque([f"/?lang={language}"]), set(), Counter[str]()
    while waiting:
        address = waiting.popleft()
        response = client.get(address)
        assert response.status_code == 200, address
        if not response.headers["content-type"].startswith("text/html"):
            continue
        document = BeautifulSoup(response.text, "html.parser")
        assert document.html is None or document.html["lang"] in LANGUAGES
        ids = {str(tag["id"]) for tag in document.select("[id]")}
        for link in document.select("a[href]"):
            target = str(link["href"])
            if target.startswith("#"):
                assert target[1:] in ids, (address, target)
                continue
            target = urljoin(address, target).partition("#")[0]
            if not OWN.match(target) or target in seen:
                continue
            seen.add(target)
            kinds[kind(target)] += 1
            if kinds[kind(target)] <= EACH:
                waiting.append(target)
    reached = {urlsplit(address).path for address in seen}
    there = {name for names in PAGES.values() for name in names if _exists(client, name)}
    assert {f"/{name}" for name in there} <= reached


def _exists(client: TestClient, name: str) -> bool:
    return any(getattr(route, "name", "") == name for route in client.app.routes)  # type: ignore[attr-defined]  # FastAPI
