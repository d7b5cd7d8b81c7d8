"""Five things that people come for, walked as a newcomer would: each within the actions that docs/web.md states.

A click, a text typed or pasted, and a choice from a list are one action each; reading and scrolling are none.
"""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from .conftest import Open

pytestmark = pytest.mark.browser

DOCUMENTED = Path(__file__).parents[2] / "docs" / "web.md"
OUT_OF_MEMORY = """\
base_model: meta-llama/Llama-3.1-8B
adapter: lora
lora_r: 64
lora_alpha: 128
lora_target_linear: true
sequence_len: 8192
micro_batch_size: 4
gradient_accumulation_steps: 4
optimizer: adamw_torch
learning_rate: 0.0002
num_epochs: 3
bf16: auto
datasets:
  - path: mlabonne/FineTome-100k
    type: chat_template
"""
OLD = OUT_OF_MEMORY.replace("type: chat_template", "type: sharegpt") + "relora_steps: 150\nflash_attention: true\n"


class Newcomer:
    """Somebody on the start page who counts what they do."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.actions = 0

    def click(self, target: Locator) -> None:
        """Click it."""
        self.actions += 1
        target.click()

    def type(self, target: Locator, text: str) -> None:
        """Type or paste ``text``."""
        self.actions += 1
        target.fill(text)

    def choose(self, target: Locator, value: str) -> None:
        """Choose from a list."""
        self.actions += 1
        target.select_option(value)

    def button(self, name: str) -> None:
        """Press the button called ``name``."""
        self.click(self.page.get_by_role("button", name=name))

    def link(self, name: str) -> None:
        """Follow the link called ``name``."""
        self.click(self.page.get_by_role("link", name=name, exact=True).first)


def documented(task: str) -> int:
    """How many actions the page on the pages says that a task takes."""
    row = next(line for line in DOCUMENTED.read_text(encoding="utf-8").splitlines() if line.startswith(f"| {task} |"))
    return int(row.split("|")[2])


def eight_billion_on_twelve_gigabytes(me: Newcomer) -> None:
    me.type(me.page.get_by_label("Base model"), "llama 3.1 8b")
    me.choose(me.page.get_by_label("GPU", exact=True), "rtx-3060-12gb")
    me.button("Plan it")
    expect(me.page.locator(".verdict-headline")).to_contain_text("fits GeForce RTX 3060 12GB")
    expect(me.page.locator(".facts")).to_contain_text("QLoRA")
    expect(me.page.locator("#yaml")).to_contain_text("load_in_4bit: true")


def why_is_this_out_of_memory(me: Newcomer) -> None:
    me.type(me.page.locator("#home-yaml"), OUT_OF_MEMORY)
    me.button("See what it takes")
    me.choose(me.page.get_by_label("GPU", exact=True), "rtx-4090")
    expect(me.page.locator(".verdict-headline")).to_contain_text("does not fit GeForce RTX 4090")
    expect(me.page.locator(".parts")).to_contain_text("Activations")
    expect(me.page.locator("[aria-labelledby=knobs-title]")).to_contain_text(re.compile(r"\u2212[\d.]+\u00a0GiB"))


def make_my_old_file_work(me: Newcomer) -> None:
    me.type(me.page.locator("#home-yaml"), OLD)
    me.button("Check it for mistakes")
    expect(me.page.locator(".check-verdict")).to_contain_text("Axolotl refuses this file")
    me.button("Apply all safe fixes")
    expect(me.page.locator("#f-yaml")).to_have_value(re.compile("type: chat_template"))
    expect(me.page.locator(".check-verdict")).not_to_contain_text("refuses")


def lora_or_dora_on_an_a100(me: Newcomer) -> None:
    me.link("Compare")
    me.type(me.page.get_by_label("Base model"), "llama 3.1 8b")
    me.choose(me.page.get_by_label("GPU", exact=True), "a100-80gb-sxm")
    me.click(me.page.locator("#compare-form").get_by_role("button", name="Compare"))
    for method in ("LoRA", "DoRA"):
        row = me.page.locator(".compare-table tbody tr").filter(
            has=me.page.locator("th", has_text=re.compile(f"^{method}"))
        )
        expect(row.locator("td").first).to_contain_text("fits")


def what_is_ia3_and_can_i_use_it(me: Newcomer) -> None:
    me.link("IA\u00b3")
    expect(me.page.locator("h1")).to_have_text("IA\u00b3")
    expect(me.page.locator("main")).to_contain_text("Only through a plugin adapter")
    expect(me.page.locator("main")).to_contain_text("Learns vectors that rescale")


TASKS = {
    "8B on my 12 GB card": eight_billion_on_twelve_gigabytes,
    "why is this out of memory": why_is_this_out_of_memory,
    "make my old YAML work": make_my_old_file_work,
    "LoRA or DoRA on an A100": lora_or_dora_on_an_a100,
    "what is IA\u00b3 and can I use it": what_is_ia3_and_can_i_use_it,
}


@pytest.mark.parametrize("task", TASKS)
def test_it_takes_as_many_actions_as_stated(open_page: Open, task: str) -> None:
    me = Newcomer(open_page("/"))
    TASKS[task](me)
    assert me.actions == documented(task)
