"""Every page at three widths, in two themes and both languages: nothing overflows or is cut off, and axe finds nothing.

By default axe looks at each page on a light desktop and a dark phone, in Burmese on the phone alone. With ``AXOPLAN_EVERY=1`` it
looks at every combination: ``AXOPLAN_EVERY=1 .venv/bin/pytest -m browser tests/browser/test_every_page.py``.
"""

import os
from hashlib import sha256

import pytest
from playwright.sync_api import Page

from app.texts import LANGUAGES

from .conftest import Open
from .looking import AXE, cut_off, violations
from .site import PLAN, paths, without_an_address

pytestmark = pytest.mark.browser

WIDTHS = (390, 768, 1440)
NARROWEST = 320
"""What WCAG 1.4.10 asks for: a window of 1280 at 400 %."""
THEMES = ("light", "dark")
EVERY = bool(os.environ.get("AXOPLAN_EVERY"))
SAMPLE = {"en": {(1440, "light"), (390, "dark")}, "my": {(390, "dark")}}


def test_no_page_is_left_out() -> None:
    assert without_an_address() == []


def test_axe_is_the_published_file() -> None:
    digest, name = AXE.with_name(f"{AXE.name}.sha256").read_text(encoding="ascii").split()
    assert name == AXE.name
    assert sha256(AXE.read_bytes()).hexdigest() == digest


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("path", paths())
def test_a_page_is_whole_and_open_to_everyone(open_page: Open, path: str, lang: str) -> None:
    page = open_page(f"{path}{'&' if '?' in path else '?'}lang={lang}", width=WIDTHS[0])
    page.set_viewport_size({"width": NARROWEST, "height": 900})
    found = [f"{NARROWEST}: {what}" for what in cut_off(page)]
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        found += [f"{width}: {what}" for what in cut_off(page)]
        for theme in THEMES:
            if EVERY or (width, theme) in SAMPLE[lang]:
                page.emulate_media(color_scheme=theme)
                found += [f"{width} {theme}: {what}" for what in violations(page)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_folded_parts_are_whole_too(open_page: Open, lang: str) -> None:
    page = open_page(f"{PLAN}&lang={lang}", width=390)
    page.evaluate("document.querySelectorAll('details').forEach((fold) => { fold.open = true; })")
    found = cut_off(page) + violations(page)
    page.set_viewport_size({"width": 1440, "height": 900})
    found += cut_off(page) + violations(page)
    assert not found, "\n".join(found)


def test_at_twice_the_size_nothing_is_lost(open_page: Open) -> None:
    """200 % zoom of a 1280 window is a 640 window."""
    for path in (PLAN, f"/compare?{PLAN.partition('?')[2]}", "/check"):
        assert cut_off(open_page(path, width=640)) == [], path


@pytest.mark.parametrize("path", ["/", PLAN])
def test_nothing_shifts_while_a_page_loads(open_page: Open, path: str) -> None:
    page = open_page("/nothing")
    page.add_init_script(
        "window.shift = 0; new PerformanceObserver((list) => { for (const entry of list.getEntries()) window.shift += entry.value; })"
        ".observe({type: 'layout-shift', buffered: true});"
    )
    page.goto(f"{path}{'&' if '?' in path else '?'}lang=my")
    page.wait_for_load_state("networkidle")
    assert page.evaluate("window.shift") < 0.02


def requests_of(page: Page, path: str) -> list[str]:
    """What a first visit asks for."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path)
    page.wait_for_load_state("networkidle")
    return asked


def test_a_first_visit_takes_six_requests(open_page: Open) -> None:
    for path in ("/", PLAN):
        assert len(requests_of(open_page("about:blank"), path)) <= 6
