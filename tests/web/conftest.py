"""Pages as people and htmx ask for them, parsed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from bs4 import BeautifulSoup, Tag
from starlette.testclient import TestClient

FRAGMENT = {"HX-Request": "true", "HX-Request-Type": "partial", "HX-Target": "div#planner"}
RESTORE = {"HX-Request": "true", "HX-Request-Type": "full", "HX-History-Restore-Request": "true"}
MODEL = "meta-llama/Llama-3.1-8B-Instruct"
GPU = "rtx-4090"


@dataclass(frozen=True, slots=True)
class Page:
    """A response and its document."""

    response: Any
    document: BeautifulSoup

    @property
    def status(self) -> int:
        """The HTTP status."""
        return int(self.response.status_code)

    @property
    def url(self) -> str:
        """Where redirects led."""
        return str(self.response.url)

    def one(self, selector: str) -> Tag:
        """The only element that ``selector`` finds."""
        found = self.document.select(selector)
        assert len(found) == 1, f"{selector} finds {len(found)}"
        return found[0]

    def text(self, selector: str) -> str:
        """What a person reads there, spaces evened out."""
        return " ".join(self.one(selector).get_text(" ").split())

    def value(self, name: str) -> str:
        """What the field ``name`` holds."""
        field = self.one(f"#plan-form [name={name}]:not([type=radio])")
        if field.name == "select":
            return str(next((option["value"] for option in field.select("option[selected]")), ""))
        return field.text if field.name == "textarea" else str(field.get("value", ""))

    def picked(self, name: str) -> str:
        """Which radio button of ``name`` is checked."""
        return str(self.one(f"#plan-form input[name={name}][checked]")["value"])


Get = Callable[..., Page]


@pytest.fixture
def get(client: TestClient) -> Get:
    """Ask for a page: ``get("/plan", {"model": ...}, headers)``."""

    def ask(path: str, query: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None) -> Page:
        response = client.get(path, params=dict(query) if query else None, headers=dict(headers or {}))
        return Page(response, BeautifulSoup(response.text, "html.parser"))

    return ask
