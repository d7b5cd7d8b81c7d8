"""How many images a row holds and how large they are, said by keyboard alone, with JavaScript and without."""

import pytest
from playwright.sync_api import Page, expect

from app.web.sharing import pack

from .conftest import Open
from .site import IMAGES_YAML

pytestmark = pytest.mark.browser


def reached(page: Page, field: str, most: int = 40) -> None:
    """Tab until the focus is in a field."""
    for _ in range(most):
        page.keyboard.press("Tab")
        if page.locator(f"#{field}").evaluate("field => field === document.activeElement"):
            return
    pytest.fail(f"{field} is not reached")


@pytest.mark.parametrize("javascript", [True, False])
def test_a_file_s_images_are_said_and_shared(open_page: Open, javascript: bool) -> None:
    """The answer's address holds them; where the second is wrong, the form says so and keeps both."""
    page = open_page(f"/check?c={pack(IMAGES_YAML)}&gpu=rtx-5090&lang=en", javascript=javascript)
    before = page.locator(".bar-range-label").first.text_content()
    page.locator("#f-gpu").focus()
    reached(page, "f-images_per_row")
    page.keyboard.type("3")
    page.keyboard.press("Tab")
    page.keyboard.type("640")
    page.keyboard.press("Enter")
    page.wait_for_url("**images_per_row=3&image_side=640**")
    expect(page.locator("#result")).to_contain_text("640 × 640")
    assert page.locator(".bar-range-label").first.text_content() != before
    page.reload()
    expect(page.locator("#f-image_side")).to_have_value("640")
    page.locator("#f-images_per_row").focus()
    page.keyboard.press("Tab")
    page.keyboard.type("x")
    page.keyboard.press("Enter")
    expect(page.locator("#f-image_side-error")).to_contain_text("not a whole number")
    expect(page.locator("#f-images_per_row")).to_have_value("3")


def test_the_plan_asks_while_it_is_typed(open_page: Open) -> None:
    """The fields come with the key that reads images, and what is typed into them is in the address."""
    page = open_page("/plan?model=Qwen/Qwen2.5-VL-7B-Instruct&gpu=h100-sxm&lang=en")
    assert page.locator("#f-images_per_row").count() == 0
    page.locator("#fold-knobs > summary").click()
    page.locator("#f-keys").fill("processor_type: AutoProcessor")
    page.locator("#f-keys").blur()
    expect(page.locator("#f-images_per_row")).to_be_visible()
    page.locator("#f-images_per_row").focus()
    page.keyboard.type("2")
    page.wait_for_url("**images_per_row=2**")
    expect(page.locator("#f-images_per_row")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.type("640")
    page.wait_for_url("**image_side=640**")
    expect(page.locator("#result")).to_contain_text("640 × 640")
