"""The tables live: filtered while typing, with an address that restores them and a Back that undoes a choice."""

import pytest
from playwright.sync_api import expect

from .conftest import Open

pytestmark = pytest.mark.browser


def test_a_table_follows_its_filter(open_page: Open) -> None:
    page = open_page("/models")
    page.fill("#f-q", "qwen3 8b")
    expect(page.locator("#models tbody tr").first).to_contain_text("Qwen3 8B")
    expect(page).to_have_url("/models?q=qwen3+8b", timeout=20_000)
    assert page.evaluate("document.activeElement.id") == "f-q"
    page.select_option("#f-family", "qwen")
    page.wait_for_url("**/models?q=qwen3+8b&family=qwen")
    page.click("#models thead a >> nth=3")
    page.wait_for_url("**sort=parameters**")
    page.go_back()
    page.wait_for_url("**/models?q=qwen3+8b&family=qwen")
    expect(page.locator("#f-q")).to_have_value("qwen3 8b")


def test_a_method_s_cost_follows_the_card(open_page: Open) -> None:
    page = open_page("/methods/lora")
    page.select_option("#f-gpu", "rtx-3060-12gb")
    expect(page.locator("#cost .cost-verdict")).to_contain_text("RTX 3060")
    page.wait_for_url("**gpu=rtx-3060-12gb**")
    assert "gpu=rtx-3060-12gb" in (page.locator("#cost .button[href*=plan]").get_attribute("href") or "")


def test_both_work_without_javascript(open_page: Open) -> None:
    page = open_page("/models", javascript=False)
    page.fill("#f-q", "gemma 3 4b")
    page.click("#models-form button")
    expect(page.locator("#models tbody tr").first).to_contain_text("Gemma 3 4B")
    page = open_page("/methods/dora", javascript=False)
    page.select_option("#f-gpu", "rtx-3090")
    page.click("#cost-form button")
    expect(page.locator("#cost .cost-verdict")).to_contain_text("RTX 3090")
