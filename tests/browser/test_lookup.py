"""The tables live: filtered while typing, with an address that restores them and a Back that undoes a choice."""

import pytest
from playwright.sync_api import expect

from .conftest import Open

pytestmark = pytest.mark.browser

QUERY = "model=meta-llama/Llama-3.1-8B-Instruct&gpu=rtx-4090"


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


def test_the_keyboard_is_led_to_what_came(open_page: Open) -> None:
    """After a swap the focus is on the answer, or still on the field that asked; never nowhere."""
    page = open_page(f"/fit?{QUERY}")
    page.get_by_label("GPU", exact=True).focus()
    page.get_by_label("GPU", exact=True).select_option("h100-sxm")
    page.wait_for_url("**h100-sxm*")
    expect(page.get_by_label("GPU", exact=True)).to_be_focused()
    page.get_by_role("button", name="Find out").press("Enter")
    expect(page.locator("#most-title")).to_be_focused()

    page = open_page(f"/compare?{QUERY}")
    page.get_by_label("Variant 1").fill("lora_r: 64")
    page.locator("#compare-form button").press("Enter")
    expect(page.locator("#table-title")).to_be_focused()
    page.get_by_label("Variant 1").fill("lora_r")
    page.locator("#compare-form button").press("Enter")
    expect(page.locator("#error-summary")).to_be_focused()

    page = open_page("/tree")
    page.get_by_text("24 to 48 GB", exact=True).click()
    page.get_by_role("button", name="Go on").press("Enter")
    expect(page.locator("#question")).to_be_focused()


def test_on_a_phone_a_row_is_a_card_and_nothing_lies_beside_the_window(open_page: Open) -> None:
    page = open_page("/models?gpu=rtx-4090&lang=my", width=390)
    for path in (
        "/models?gpu=rtx-4090&lang=my",
        "/gpus",
        "/methods?lang=my",
        "/methods/lora",
        f"/tree?{QUERY}&lang=my",
    ):
        page.goto(path)
        hidden = page.evaluate(
            "[...document.querySelectorAll('.scroll-x:has(> .stacks)')].map((box) => box.scrollWidth - box.clientWidth)"
        )
        assert hidden
        assert max(hidden) <= 1, path
    page.goto("/models")
    page.get_by_role("link", name="Parameters").click()
    page.wait_for_url("**sort=parameters**", timeout=20_000)
