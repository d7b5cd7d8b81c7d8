"""A running service and Chromium, with and without JavaScript; every page's console is watched."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import uvicorn
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from app.application import create_app
from app.settings import Settings

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()


@pytest.fixture(scope="session")
def service() -> Iterator[str]:
    """The address of a service of our own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = uvicorn.Server(
        uvicorn.Config(create_app(Settings(access_log=False)), host="127.0.0.1", port=port, log_level="error")
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.02)
    assert server.started
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(10)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


Open = Callable[..., Page]


@pytest.fixture
def open_page(browser: Browser, service: str) -> Iterator[Open]:
    """Open a path in a fresh profile: ``open_page("/plan", javascript=False)``. Complaints in any console fail."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def opened(path: str, *, javascript: bool = True, width: int = 1280, **settings: object) -> Page:
        context = browser.new_context(
            base_url=service,
            java_script_enabled=javascript,
            viewport={"width": width, "height": 900},
            locale="en-US",
            accept_downloads=True,
            **settings,  # type: ignore[arg-type]
        )
        context.set_default_timeout(10_000)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(path)
        return page

    yield opened
    for context in contexts:
        context.close()
    # Chromium reports every status from 400 on as a failure to load; the pages mean those that the tests bring about.
    # htmx says the same of a server that is gone.
    meant = ("Failed to load resource", "htmx: htmx:error: Failed to fetch")
    assert [text for text in complaints if not text.startswith(meant)] == []
