"""The wizard as people use it: keyboard alone, searching, undoing, on a bad line, while the server restarts."""

import json
import os
import re
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import uvicorn
import yaml
from playwright.sync_api import Page, Route, expect

from app.application import create_app
from app.settings import Settings
from app.texts import LANGUAGES

from .acting import download, submit, unfold
from .conftest import Open
from .looking import cut_off, violations
from .site import MODEL, PLAN

pytestmark = pytest.mark.browser

ROOT = Path(__file__).resolve().parents[2]
AXOLOTL = Path(os.environ.get("AXOLOTL_PYTHON") or next(ROOT.glob(".cache/axolotl-*/bin/python"), "missing"))


def accepted_by_axolotl(text: str) -> dict[str, object]:
    """The verdict of Axolotl's own validator, in its own environment."""
    case = {"name": "x", "yaml": text, "model_type": "llama", "compute_capability": "sm_86", "bf16": True}
    run = subprocess.run(
        [str(AXOLOTL), str(ROOT / "tests/conformance/validate.py")],
        input=json.dumps(case) + "\n",
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
        timeout=300,
    )
    verdict: dict[str, object] = json.loads(run.stdout.splitlines()[-1])
    return verdict


@pytest.mark.parametrize("javascript", [True, False])
def test_from_an_empty_page_to_a_file_that_axolotl_accepts(open_page: Open, javascript: bool) -> None:
    page = open_page("/plan", javascript=javascript)
    page.get_by_label("Base model").fill("llama 3.1 8b instruct")
    page.get_by_label("GPU", exact=True).select_option("rtx-3060-12gb")
    if javascript:
        page.wait_for_url("**gpu=rtx-3060-12gb")
    submit(page).click()
    expect(page.locator(".verdict-headline")).to_contain_text("RTX 3060")
    with page.expect_download() as waiting:
        page.locator("#download").click()
    text = Path(waiting.value.path()).read_text(encoding="utf-8")
    config = yaml.safe_load(text)
    assert config["base_model"] == MODEL
    if AXOLOTL.exists():
        verdict = accepted_by_axolotl(text)
        assert verdict["valid"] is True, verdict
        assert verdict["unknown"] == []


CONFIG = {"model_type": "llama", "hidden_size": 2048, "intermediate_size": 5632, "num_hidden_layers": 22}
CONFIG |= {"num_attention_heads": 32, "num_key_value_heads": 4, "vocab_size": 32000}


def test_a_pasted_config_counts_at_once_however_many_names_it_holds(open_page: Open) -> None:
    """Nobody has to leave the box, and a list of 3,000 modules left unquantised is no reason to refuse the file."""
    page = open_page("/plan?gpu=rtx-3060-12gb")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_text("Paste its config.json").click()
    left = [f"model.layers.{number}.self_attn.q_proj" for number in range(3000)]
    for config in (
        CONFIG,
        {**CONFIG, "num_hidden_layers": 30, "quantization_config": {"modules_to_not_convert": left}},
    ):
        page.evaluate("text => navigator.clipboard.writeText(text)", json.dumps(config))
        page.get_by_label("config.json").focus()
        page.keyboard.press("ControlOrMeta+v")
        expect(page.locator(".pasted")).to_contain_text(f"{config['num_hidden_layers']} layers")
        expect(page.get_by_label("config.json")).to_have_value("")
        expect(page.locator(".verdict-headline")).to_contain_text("RTX 3060")


@pytest.mark.parametrize("path", ["/", "/plan", "/compare", "/fit", "/methods/lora"])
def test_escape_closes_the_models_found_and_keeps_what_was_typed(open_page: Open, path: str) -> None:
    page = open_page(path)
    field = page.get_by_label("Base model")
    field.focus()
    page.keyboard.type("qwen3 8b")
    listed = page.get_by_role("option").first
    expect(listed).to_be_visible()
    page.keyboard.press("Escape")
    expect(listed).to_be_hidden()
    expect(field).to_have_value("qwen3 8b")


def test_the_keyboard_alone_does_it_all(open_page: Open) -> None:
    page = open_page("/plan")
    press = page.keyboard.press
    press("Tab")
    expect(page.locator(".skip-link")).to_be_focused()
    press("Enter")
    for _ in range(3):
        press("Tab")
        if page.evaluate("document.activeElement.id") == "f-model":
            break
    model = page.get_by_label("Base model")
    expect(model).to_be_focused()
    page.keyboard.type("qwen3 8b")
    expect(page.locator("[role=option]").first).to_be_visible()
    press("ArrowDown")
    taken = page.locator("[aria-selected=true]")
    expect(model).to_have_attribute("aria-activedescendant", str(taken.get_attribute("id")))
    press("Enter")
    expect(model).to_have_value("Qwen/Qwen3-8B")
    expect(model).to_have_attribute("aria-expanded", "false")
    page.wait_for_url("**model=Qwen%2FQwen3-8B")
    press("Tab")
    press("Tab")
    expect(page.get_by_label("GPU", exact=True)).to_be_focused()
    page.keyboard.type("GeForce RTX 4090")
    expect(page.locator(".verdict-headline")).to_contain_text("RTX 4090")
    expect(page.get_by_label("GPU", exact=True)).to_be_focused()
    page.locator("#fold-knobs > summary").focus()
    press("Enter")
    press("Tab")
    expect(page.get_by_label("lora_r", exact=True)).to_be_focused()
    page.keyboard.type("8")
    expect(page.locator("#yaml")).to_contain_text("lora_r: 8")
    page.locator("#download").focus()
    with page.expect_download():
        press("Enter")


def test_models_are_found_while_typing(open_page: Open) -> None:
    page = open_page("/")
    model = page.get_by_label("Base model")
    model.press_sequentially("lama 3.1")
    first = page.locator("[role=option]").first
    expect(first).to_contain_text("Llama 3.1")
    assert violations(page) == []
    model.press("Escape")
    expect(page.locator(".combo-list")).to_be_hidden()
    model.press("ArrowDown")
    page.locator("[role=option]", has_text="8B Instruct").first.click()
    expect(model).to_have_value(MODEL)
    expect(model).to_be_focused()
    model.fill("zzzz")
    expect(page.locator(".combo-none")).to_be_visible()


def edits(page: Page) -> list[Callable[[], None]]:
    """Ten changes, one after the other."""
    label = page.get_by_label
    return [
        lambda: label("What the fine-tune is for").select_option("instruction") and None,
        lambda: page.get_by_role("radio", name="Quality").check(),
        lambda: label("sequence_len").fill("2048"),
        lambda: page.locator("input[name=method][value=qlora]").check(),
        lambda: label("lora_r", exact=True).fill("16"),
        lambda: label("lora_alpha").fill("32"),
        lambda: label("micro_batch_size").fill("1"),
        lambda: label("num_epochs").fill("2"),
        lambda: label("GPU", exact=True).select_option("rtx-3060-12gb") and None,
        lambda: label("gradient_checkpointing").select_option("offload") and None,
    ]


def test_back_and_forward_through_ten_edits(open_page: Open) -> None:
    page = open_page(PLAN)
    for name in ("data", "method", "knobs"):
        unfold(page, name)
    seen = [(page.url, page.locator("#yaml").inner_text())]
    for edit in edits(page):
        edit()
        page.wait_for_function("url => location.href !== url", arg=seen[-1][0])
        page.wait_for_function("text => document.querySelector('#yaml').innerText !== text", arg=seen[-1][1])
        seen.append((page.url, page.locator("#yaml").inner_text()))
    assert len({url for url, _ in seen}) == 11
    for url, text in reversed(seen[:-1]):
        page.go_back()
        expect(page).to_have_url(url)
        expect(page.locator("#yaml")).to_have_text(text, use_inner_text=True)
    expect(page.get_by_label("What the fine-tune is for")).to_have_value("")
    for url, text in seen[1:]:
        page.go_forward()
        expect(page).to_have_url(url)
        expect(page.locator("#yaml")).to_have_text(text, use_inner_text=True)
    expect(page.get_by_label("num_epochs")).to_have_value("2")


@pytest.mark.parametrize("javascript", [True, False])
def test_a_shared_address_shows_the_same_in_a_fresh_profile(open_page: Open, javascript: bool) -> None:
    first = open_page(PLAN)
    unfold(first, "knobs")
    first.get_by_label("lora_r", exact=True).fill("24")
    first.wait_for_url("**lora_r=24")
    expect(first.locator("#yaml")).to_contain_text("lora_r: 24")
    other = open_page(first.url, javascript=javascript)
    assert other.locator("#yaml").inner_text() == first.locator("#yaml").inner_text()
    expect(other.get_by_label("lora_r", exact=True)).to_have_value("24")
    expect(other.get_by_label("lora_r", exact=True)).to_be_visible()
    assert "RTX 4090" in other.title()
    preview = other.locator("meta[property='og:description']").get_attribute("content")
    assert preview is not None
    assert "GiB" in preview


def test_on_a_slow_line_it_shows_that_it_works_and_asks_once(open_page: Open) -> None:
    page = open_page(PLAN)
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/plan?*", hold)
    unfold(page, "knobs")
    page.get_by_label("lora_r", exact=True).fill("24")
    button = submit(page)
    button.click()
    button.click()
    button.click()
    expect(page.locator("#progress")).to_have_class(re.compile("htmx-request"))
    expect(page.locator("#result")).to_have_attribute("aria-busy", "true")
    assert len(held) == 1
    held[0].continue_()
    expect(page.locator("#yaml")).to_contain_text("lora_r: 24")
    expect(page.locator("#progress")).not_to_have_class(re.compile("htmx-request"))
    expect(page.locator("#result")).not_to_have_attribute("aria-busy", "true")
    assert len(held) == 1


def test_a_server_that_restarts_in_the_middle_costs_nothing(open_page: Open) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def start() -> tuple[uvicorn.Server, threading.Thread]:
        server = uvicorn.Server(
            uvicorn.Config(create_app(Settings(access_log=False)), host="127.0.0.1", port=port, log_level="error")
        )
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.02)
        return server, thread

    def stop(server: uvicorn.Server, thread: threading.Thread) -> None:
        server.force_exit = server.should_exit = True
        thread.join(10)

    running = start()
    page = open_page(f"http://127.0.0.1:{port}{PLAN}")
    unfold(page, "knobs")
    stop(*running)
    page.get_by_label("lora_r", exact=True).fill("24")
    expect(page.locator("#notice")).to_contain_text("cannot be reached")
    running = start()
    page.get_by_label("num_epochs").fill("2")
    expect(page.locator("#yaml")).to_contain_text("lora_r: 24")
    expect(page.locator("#yaml")).to_contain_text("num_epochs: 2")
    expect(page.locator("#notice")).to_be_hidden()
    page.close()
    stop(*running)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_both_languages_go_the_whole_way(open_page: Open, lang: str) -> None:
    page = open_page(f"/?lang={lang}", width=390)
    page.locator("#f-model").fill("gemma 3 4b it")
    page.locator("#f-gpu").select_option("rtx-4090")
    page.locator(".hero-form button").click()
    expect(page.locator(".verdict-headline")).to_contain_text("RTX 4090")
    expect(page.locator("html")).to_have_attribute("lang", lang)
    assert download(page)["base_model"] == "google/gemma-3-4b-it"


def test_the_button_below_the_steps_covers_none_of_them(open_page: Open) -> None:
    page = open_page(PLAN, width=1440)
    page.evaluate("document.querySelectorAll('#plan-form details').forEach((fold) => { fold.open = true; })")
    steps, button = page.locator(".steps"), page.locator("#plan-form button[type=submit]")
    assert steps.evaluate("(steps) => steps.scrollHeight > steps.clientHeight")
    for share in (0, 0.5, 1):
        steps.evaluate("(steps, share) => { steps.scrollTop = share * steps.scrollHeight; }", share)
        above, below = steps.bounding_box(), button.bounding_box()
        assert above is not None
        assert below is not None
        assert above["y"] + above["height"] <= below["y"]


def test_a_link_to_a_field_opens_the_fold_that_hides_it(open_page: Open) -> None:
    page = open_page(f"{PLAN}&lora_r=-3")
    unfold(page, "knobs")
    expect(page.get_by_label("lora_r", exact=True)).to_be_hidden()
    page.locator("#error-summary a").click()
    expect(page.get_by_label("lora_r", exact=True)).to_be_focused()


def test_the_menu_opens_and_closes_without_javascript(open_page: Open) -> None:
    page = open_page("/", javascript=False, width=390)
    page.locator(".nav-button").click()
    expect(page.locator("#site-menu")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#site-menu")).to_be_hidden()


def test_the_open_menu_is_whole(open_page: Open) -> None:
    page = open_page("/plan", width=390)
    page.locator(".nav-button").click()
    # axe counts controls that the menu covers as its neighbours
    found = [what for what in violations(page) if not what.startswith("target-size")]
    assert cut_off(page) + found == []
    heights = [link.bounding_box() for link in page.locator("#site-menu a").all()]
    assert all(box is not None and box["height"] >= 24 for box in heights)


def test_a_pasted_file_fills_the_form(open_page: Open) -> None:
    page = open_page("/")
    page.locator("#home-yaml").fill(f"base_model: {MODEL}\nadapter: qlora\nload_in_4bit: true\nseed: 7\n")
    page.locator(".way-form button").first.click()
    expect(page.get_by_label("Base model")).to_have_value(MODEL)
    page.get_by_label("GPU", exact=True).select_option("rtx-4090")
    expect(page.locator("#yaml")).to_contain_text("seed: 7")
    keys = page.get_by_label("Other Axolotl keys")
    expect(keys).to_have_value("seed: 7")
    keys.fill("seed: 8\nlora_r: 12")
    keys.blur()
    expect(page.get_by_label("lora_r", exact=True)).to_have_value("12")
    expect(keys).to_have_value("seed: 8")
    expect(page.locator("#yaml")).to_contain_text("seed: 8")
