"""The frame of the pages: what it links to, and what goes along."""

from urllib.parse import parse_qs, urlsplit

import pytest
from starlette.requests import Request
from starlette.testclient import TestClient

from app.application import create_app
from app.settings import Settings
from app.web.shell import PAGES, same_page

from .conftest import GPU, MODEL, Get


def test_the_menu_leads_only_where_there_is_a_page(get: Get) -> None:
    page = get("/plan")
    links = page.document.select("#site-menu a")
    assert links
    for link in links:
        assert get(str(link["href"])).status == 200
    assert {"/plan", "/docs"} <= {urlsplit(str(link["href"])).path for link in links}


def test_a_page_that_is_added_appears_in_the_menu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PAGES, "about", (*PAGES["about"], "added"))
    assert "/added" not in TestClient(create_app(Settings())).get("/plan").text
    app = create_app(Settings())
    app.add_api_route("/added", lambda: None, name="added", methods=["GET"])
    assert "/added" in TestClient(app).get("/plan").text


def test_the_page_that_is_open_is_marked(get: Get) -> None:
    assert get("/plan").one("#site-menu [aria-current=page]")["href"] == "/plan"
    assert not get("/").document.select("#site-menu [aria-current=page]")


def test_model_and_card_go_along_and_so_does_the_language(get: Get) -> None:
    page = get("/plan", {"model": MODEL, "gpu": GPU, "lora_r": "24", "lang": "my"})
    link = urlsplit(str(page.one("#site-menu [aria-current=page]")["href"]))
    assert parse_qs(link.query) == {"model": [MODEL], "gpu": [GPU], "lang": ["my"]}


def test_another_language_never_leads_to_another_host() -> None:
    scope = {"type": "http", "path": "//elsewhere.example/x", "query_string": b"a=1&lang=en", "headers": []}
    assert same_page(Request(scope), "my") == "/elsewhere.example/x?a=1&lang=my"
