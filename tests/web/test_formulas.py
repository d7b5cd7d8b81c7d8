"""Under the memory table every figure says how it comes about, and which terms several GPUs share."""

from typing import Any

import pytest
from bs4 import BeautifulSoup
from starlette.testclient import TestClient

from app.texts import LANGUAGES, texts

from .conftest import GPU, MODEL, Get, Page

PLAN = {"model": MODEL, "gpu": GPU}
FILE = f"base_model: {MODEL}\nadapter: lora\nlora_r: 16\nlora_target_linear: true\nsequence_len: 2048\n"


def page_of(response: Any) -> Page:
    """A response and its document."""
    return Page(response, BeautifulSoup(response.text, "html.parser"))


def marks(page: Page) -> dict[str, bool]:
    """The parts of the table, and whether each is marked."""
    return {
        name.find(string=True).strip(): name.select_one(".part-mark") is not None
        for name in page.document.select(".parts tbody .part-name")
    }


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_part_of_a_plan_has_its_products(get: Get, language: str) -> None:
    """All but what CUDA takes; they add up to the bytes that stand below them, and each says what it is."""
    page = get("/plan", PLAN | {"lang": language})
    terms = page.document.select("#fold-formulas dl > div")
    assert len(terms) == len(page.document.select(".parts tbody tr")) - 1
    for term in terms:
        *products, total = [line.get_text() for line in term.select("li")]
        assert products
        assert total.startswith("= ")
        assert term.select_one(".part-mark").get_text() in {
            texts(language).text(f"formulas.{code}") for code in ("sharded", "own")
        }
        assert term.select("p.fact-note")[-1].get_text()
    assert "summand." not in page.text("#fold-formulas")
    assert "formulas." not in page.text("#fold-formulas")
    weights = [line.get_text(" ", strip=True) for line in terms[0].select("li")]
    assert weights[0].startswith("8,030,261,248 × 2 ")
    assert weights[1] == "= 16,060,522,496 bytes"


def test_what_is_elsewhere_is_subtracted_on_a_line_of_its_own(client: TestClient) -> None:
    """States that are paged."""
    document = page_of(client.post("/check?lang=en", data={"yaml": FILE + "optimizer: paged_adamw_8bit\n"})).document
    lines = [line.get_text() for line in document.select("#fold-formulas .sum-figure")]
    assert [line for line in lines if line.startswith("− ")]


@pytest.mark.parametrize(
    ("more", "parts"),
    [
        ("", set()),
        ("context_parallel_size: 2\nflash_attention: true\n", set()),
        ("deepspeed: deepspeed_configs/zero1.json\n", {"Optimizer states"}),
        ("deepspeed: deepspeed_configs/zero3.json\n", {"Weights", "Adapter", "Optimizer states"}),
    ],
)
def test_a_table_marks_what_its_files_keys_divide(client: TestClient, more: str, parts: set[str]) -> None:
    """And in no other table, where it would say nothing."""
    page = page_of(client.post("/check?lang=en", data={"yaml": FILE + more}))
    found = marks(page)
    assert {name for name, marked in found.items() if marked} == parts


def test_a_plan_of_one_gpu_marks_nothing(get: Get) -> None:
    """The fold still tells them apart."""
    page = get("/plan", PLAN)
    assert not any(marks(page).values())
    told = {term.select_one("dt").get_text(" ", strip=True) for term in page.document.select("#fold-formulas dl > div")}
    assert {"Weights sharded", "Activations each GPU's own"} <= told
