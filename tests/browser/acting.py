"""What several tests do on a page."""

import re
from pathlib import Path

import yaml
from playwright.sync_api import Locator, Page


def unfold(page: Page, name: str) -> None:
    """Open a part of the form that is folded."""
    page.locator(f"#fold-{name} > summary").click()


def submit(page: Page) -> Locator:
    """The form's button, which makes a plan or brings it up to date."""
    return page.locator("#plan-form button[type=submit]")


def download(page: Page) -> dict[str, object]:
    """The file that the page offers, as a configuration."""
    with page.expect_download() as waiting:
        page.locator("#download").click()
    file = waiting.value
    assert re.fullmatch(r"[a-z0-9.-]+\.yaml", file.suggested_filename)
    config = yaml.safe_load(Path(file.path()).read_text(encoding="utf-8"))
    assert isinstance(config, dict)
    return config
