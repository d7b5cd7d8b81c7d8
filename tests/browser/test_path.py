"""From the start page to a file, with and without JavaScript; Back, reload and sharing."""

import json
import re
from pathlib import Path

import pytest
import yaml
from playwright.sync_api import expect

from .acting import download, submit, unfold
from .conftest import Open

pytestmark = pytest.mark.browser

MODEL = "meta-llama/Llama-3.1-8B-Instruct"
PLAN = f"/plan?model={MODEL}&gpu=rtx-4090"
LLAMA = {
    "model_type": "llama",
    "vocab_size": 32000,
    "hidden_size": 2048,
    "intermediate_size": 5632,
    "num_hidden_layers": 22,
    "num_attention_heads": 32,
    "num_key_value_heads": 4,
    "max_position_embeddings": 2048,
}


@pytest.mark.parametrize("javascript", [True, False])
def test_from_the_start_page_to_a_file(open_page: Open, javascript: bool) -> None:
    page = open_page("/", javascript=javascript)
    page.get_by_label("Base model").fill("llama 3.1 8b instruct")
    page.get_by_label("GPU", exact=True).select_option("rtx-4090")
    page.get_by_role("button", name="Plan it").click()
    page.wait_for_url("**/plan?*")
    assert page.url.endswith(PLAN.replace(MODEL, MODEL.replace("/", "%2F")))
    expect(page.locator(".verdict")).to_contain_text("GeForce RTX 4090")

    unfold(page, "knobs")
    rank = page.get_by_label("lora_r", exact=True)
    assert rank.get_attribute("placeholder") == "32"
    rank.fill("24")
    if not javascript:
        submit(page).click()
    page.wait_for_url("**lora_r=24")
    expect(page.locator("#yaml")).to_contain_text("lora_r: 24")
    assert download(page)["lora_r"] == 24

    page.reload()
    expect(page.get_by_label("lora_r", exact=True)).to_have_value("24")
    expect(page.locator("#yaml")).to_contain_text("lora_r: 24")


def test_choices_update_what_is_shown_and_back_undoes_them(open_page: Open) -> None:
    page = open_page(PLAN)
    page.get_by_label("What the fine-tune is for").select_option("dpo")
    expect(page.locator("#yaml")).to_contain_text("rl: dpo")
    unfold(page, "method")
    page.locator("input[name=method][value=qlora]").check()
    expect(page.locator("#yaml")).to_contain_text("adapter: qlora")
    unfold(page, "knobs")
    page.get_by_label("lora_r", exact=True).press_sequentially("16", delay=30)
    page.wait_for_url("**lora_r=16")
    page.get_by_label("num_epochs").press_sequentially("2")
    page.wait_for_url("**num_epochs=2")

    page.go_back()
    expect(page.get_by_label("num_epochs")).to_have_value("")
    expect(page.locator("#yaml")).to_contain_text("lora_r: 16")
    page.go_back()
    expect(page.get_by_label("lora_r", exact=True)).to_have_value("")
    expect(page.locator("#yaml")).to_contain_text("adapter: qlora")
    page.go_back()
    expect(page.locator("input[name=method][value='']")).to_be_checked()
    page.go_back()
    expect(page.get_by_label("What the fine-tune is for")).to_have_value("")
    expect(page.locator("#yaml")).not_to_contain_text("rl: dpo")
    page.go_forward()
    expect(page.locator("#yaml")).to_contain_text("rl: dpo")


def test_typing_keeps_focus_and_the_caret(open_page: Open) -> None:
    page = open_page(PLAN)
    unfold(page, "knobs")
    rank = page.get_by_label("lora_r", exact=True)
    rank.press_sequentially("1")
    page.wait_for_url("**lora_r=1")
    rank.press_sequentially("6")
    page.wait_for_url("**lora_r=16")
    expect(rank).to_be_focused()
    expect(rank).to_have_value("16")


def test_a_reset_brings_the_recommendation_back_and_keeps_focus(open_page: Open) -> None:
    page = open_page(f"{PLAN}&lora_r=24&goal=dpo")
    page.locator(".reset[data-focus=f-goal]").click()
    expect(page.get_by_label("What the fine-tune is for")).to_be_focused()
    expect(page.get_by_label("What the fine-tune is for")).to_have_value("")
    page.locator(".reset[data-focus=f-lora_r]").click()
    expect(page.get_by_label("lora_r", exact=True)).to_have_value("")
    expect(page.get_by_label("lora_r", exact=True)).to_be_focused()


def test_a_bad_value_is_answered_while_typing_and_mends(open_page: Open) -> None:
    page = open_page(PLAN)
    unfold(page, "knobs")
    rank = page.get_by_label("lora_r", exact=True)
    rank.fill("-4")
    expect(page.locator("#f-lora_r-error")).to_contain_text("between")
    expect(rank).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#error-summary")).to_be_visible()
    rank.fill("8")
    expect(page.locator("#error-summary")).to_have_count(0)
    expect(page.locator("#yaml")).to_contain_text("lora_r: 8")


def test_an_unknown_model_offers_the_nearest(open_page: Open) -> None:
    page = open_page(PLAN)
    model = page.get_by_label("Base model")
    model.fill("qwen3 4")
    model.press("Escape")
    model.press("Enter")
    page.locator("#f-model-error a").first.click()
    expect(page.locator(".verdict")).to_be_visible()
    assert "Qwen" in model.input_value()


@pytest.mark.parametrize("javascript", [True, False])
def test_a_pasted_config_json(open_page: Open, javascript: bool) -> None:
    page = open_page("/plan?gpu=rtx-4090", javascript=javascript)
    unfold(page, "json")
    text = page.get_by_label("config.json", exact=True)
    text.fill("{not json")
    if javascript:
        text.blur()
    else:
        submit(page).click()
    expect(page.locator("#f-model_json-error")).to_contain_text("not JSON")
    expect(text).to_have_value("{not json")
    text.fill(json.dumps(LLAMA, indent=2))
    if javascript:
        text.blur()
    else:
        submit(page).click()
    expect(page.locator(".pasted")).to_contain_text("22 layers")
    page.wait_for_url(re.compile(r"[?&]m=[\w-]+"))
    assert "model_json" not in page.url
    page.reload()
    expect(page.locator(".pasted")).to_contain_text("22 layers")
    page.locator(".pasted a").click()
    expect(page.locator(".pasted")).to_have_count(0)


def test_a_config_json_from_a_file(open_page: Open, tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps(LLAMA, indent=2), encoding="utf-8")
    page = open_page("/plan?gpu=rtx-4090")
    unfold(page, "json")
    page.locator("input[type=file]").set_input_files(file)
    expect(page.locator(".pasted")).to_contain_text("22 layers")


def test_copying(open_page: Open) -> None:
    page = open_page(PLAN, permissions=["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy", exact=True).click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert yaml.safe_load(page.evaluate("navigator.clipboard.readText()"))["base_model"] == MODEL
    page.get_by_role("button", name="Copy the link to this plan").click()
    expect(page.locator(".beyond [data-copies]")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == page.url


def test_the_language_switch_follows_the_form(open_page: Open) -> None:
    page = open_page(PLAN)
    unfold(page, "knobs")
    page.get_by_label("lora_r", exact=True).fill("24")
    page.wait_for_url("**lora_r=24")
    page.get_by_role("link", name="မြန်မာ").click()
    expect(page.locator("html")).to_have_attribute("lang", "my")
    expect(page.get_by_label("lora_r", exact=True)).to_have_value("24")
    page.get_by_label("lora_r", exact=True).fill("48")
    page.wait_for_url("**lora_r=48**")
    expect(page.locator("html")).to_have_attribute("lang", "my")
    expect(page.locator(".verdict-headline")).to_contain_text("ပါ")


def test_a_server_that_is_gone_is_said_and_nothing_is_lost(open_page: Open) -> None:
    page = open_page(PLAN)
    unfold(page, "knobs")
    page.route("**/plan?*", lambda route: route.fulfill(status=503, body="down", content_type="text/plain"))
    page.get_by_label("lora_r", exact=True).fill("24")
    expect(page.locator("#notice")).to_contain_text("could not answer")
    expect(page.locator("#yaml")).to_contain_text("lora_r: 32")
    expect(page.get_by_label("lora_r", exact=True)).to_have_value("24")
    page.unroute("**/plan?*")
    page.get_by_label("num_epochs").fill("2")
    expect(page.locator("#yaml")).to_contain_text("lora_r: 24")
    expect(page.locator("#notice")).to_be_hidden()
