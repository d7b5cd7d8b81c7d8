"""Another language, and Enter in a field, where a form holds what no address does."""

import pytest
from playwright.sync_api import expect

from .conftest import Open
from .site import MODEL

pytestmark = pytest.mark.browser

FILE = f"base_model: {MODEL}\nadapter: lora\nlora_r: 16\nlora_alpha: 32\nlora_target_linear: true\nseed: 7\n"


@pytest.mark.parametrize("javascript", [True, False])
def test_the_start_page_keeps_a_typed_file(open_page: Open, javascript: bool) -> None:
    page = open_page("/?lang=en", javascript=javascript)
    page.locator("#f-model").fill("qwen3 8b")
    page.locator("#home-yaml").fill(FILE)
    page.locator("#languages button[value=my]").click()
    expect(page.locator("html")).to_have_attribute("lang", "my")
    expect(page.locator("#home-yaml")).to_have_value(FILE)
    if javascript:
        expect(page.locator("#f-model")).to_have_value("qwen3 8b")
    page.locator("#languages button[value=en]").click()
    expect(page.locator("html")).to_have_attribute("lang", "en")
    expect(page.locator("#home-yaml")).to_have_value(FILE)


@pytest.mark.parametrize("javascript", [True, False])
def test_the_check_keeps_a_typed_file(open_page: Open, javascript: bool) -> None:
    page = open_page("/check?lang=en", javascript=javascript)
    page.locator("#f-yaml").fill(FILE)
    page.locator("#f-gpu").select_option("rtx-4090")
    page.locator("#languages button[value=my]").click()
    expect(page.locator("html")).to_have_attribute("lang", "my")
    expect(page.locator("#f-yaml")).to_have_value(FILE)
    expect(page.locator("#f-gpu")).to_have_value("rtx-4090")


def test_enter_in_a_field_of_the_check_checks_and_keeps_the_language(open_page: Open) -> None:
    page = open_page("/check?lang=en")
    page.locator("#f-yaml").fill(FILE)
    page.locator("#f-vram_gib").fill("24")
    page.locator("#f-vram_gib").press("Enter")
    expect(page.locator(".verdict-headline")).to_be_visible()
    expect(page.locator("html")).to_have_attribute("lang", "en")


def test_a_change_that_saves_is_applied_and_the_file_taken_along(open_page: Open) -> None:
    page = open_page("/check?lang=en")
    page.locator("#f-yaml").fill(
        FILE + "datasets: [{path: a/b, type: alpaca}]\nmicro_batch_size: 8\nsequence_len: 4096\nlearning_rate: 0.0001\n"
    )
    page.locator("#f-gpu").select_option("rtx-4090")
    page.get_by_role("button", name="Check", exact=True).click()
    expect(page.locator(".check-verdict")).to_contain_text("does not fit")
    page.locator("button[value=fit]").click()
    expect(page.locator(".check-verdict")).not_to_contain_text("does not fit")
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download", exact=True).click()
    assert waiting.value.suggested_filename == "llama-3.1-8b-instruct-lora.yaml"
