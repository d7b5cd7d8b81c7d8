"""Side by side: methods or variants, as picture, table, CSV and JSON, and the difference of two files."""

import csv
import io

import pytest
from starlette.datastructures import QueryParams
from starlette.testclient import TestClient

from app.catalog.library import Catalog
from app.core.estimate import badge
from app.services.checking import plain
from app.web.compare.opening import HABITS
from app.web.forms import Form
from app.web.planning import answer

from .conftest import GPU, MODEL, Get

PLAN = {"model": MODEL, "gpu": GPU}


def test_the_guides_methods_stand_side_by_side(get: Get, catalog: Catalog) -> None:
    page = get("/compare", PLAN)
    names = [row.name for row in catalog.methods.rows if row.compared]
    heads = [str(head.find(string=True)).strip() for head in page.document.select(".compare-table tbody th")]
    assert heads == names
    bars = page.document.select(".compare-label")
    assert {bar.text.partition(":")[0] for bar in bars} <= set(names)
    for rect in page.document.select(".compare-picture rect.seg"):
        assert 0 <= float(str(rect["x"]).rstrip("%")) <= 100


@pytest.mark.parametrize(("gpu", "method"), [("rtx-3060-12gb", "QLoRA"), ("a100-40gb-sxm", "LoRA")])
def test_what_the_plan_recommends_is_marked_and_what_is_compared_is_said(get: Get, gpu: str, method: str) -> None:
    page = get("/compare", PLAN | {"gpu": gpu, "lang": "en"})
    marked = [row.th.text for row in page.document.select(".compare-table tbody tr") if "recommended" in row.th.text]
    assert [text.split()[0] for text in marked] == [method]
    said = page.text("section:has(#picture-title) > .aside")
    assert "Llama 3.1 8B Instruct on " in said
    assert "sequence_len: " in said


def test_own_variants_stand_beside_the_plan(get: Get, client: TestClient) -> None:
    answered = client.get("/compare.json", params=[*PLAN.items(), ("v", "lora_r: 64"), ("v", "{sequence_len: 8192}")])
    items = answered.json()["items"]
    assert [item["label"] for item in items] == ["As planned", "lora_r: 64", "sequence_len: 8192"]
    assert [item["config"]["lora_r"] for item in items] == [32, 64, 32]
    page = get("/compare", PLAN | {"v": "lora_r: 64"})
    assert page.one("#f-v0")["value"] == "lora_r: 64"
    assert page.one("#f-v1")["value"] == ""


def test_csv_json_and_table_say_the_same(get: Get, client: TestClient) -> None:
    page = get("/compare", PLAN)
    links = [str(link["href"]) for link in page.document.select(".block-actions a")]
    table = list(csv.DictReader(io.StringIO(client.get(links[0]).text)))
    items = client.get(links[1]).json()["items"]
    assert [row["label"] for row in table] == [item["label"] for item in items]
    rows = page.document.select(".compare-table tbody tr")
    for row, item, shown in zip(table, items, rows, strict=True):
        assert row["process_bytes"] == str(item["process_bytes"] or "")
        if item["process_bytes"]:
            assert f"{item['process_bytes'] / 2**30:,.1f}\u00a0GiB" in shown.text
            assert f"{item['trainable_parameters']:,}" in shown.text


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("lora_r", "lora_r"),
        ("lora_r: -4", "lora_r"),
        ("- a", "- a"),
        ("lora_r: [", "lora_r: ["),
        ("adapter: ia4", "ia4"),
        ("1: 2", "1: 2"),
    ],
)
def test_a_variant_that_cannot_be_is_answered_at_its_line(get: Get, typed: str, said: str) -> None:
    page = get("/compare", PLAN | {"v": typed})
    assert page.status == 422
    line = page.one("#f-v0")
    assert (line["value"], line["aria-invalid"]) == (typed, "true")
    assert said in page.text("#f-v0-error")


def test_spreadsheets_get_no_formulas(client: TestClient) -> None:
    answered = client.get("/compare.csv", params=[*PLAN.items(), ("v", "=cmd: 1")])
    assert "\r\n'=cmd" in answered.text


def test_two_configurations_are_told_apart_by_key_and_line(get: Get) -> None:
    page = get("/compare", PLAN | {"left": "1", "right": "2"})
    keys = [str(row.select_one("code").text) for row in page.document.select("#diff tbody tr")]  # type: ignore[union-attr]
    assert {"adapter", "load_in_4bit"} <= set(keys)
    assert "+load_in_4bit: true" in [line.text for line in page.document.select(".diff-added")]
    assert "-adapter: lora" in [line.text for line in page.document.select(".diff-removed")]


def test_pasted_files_are_told_apart_without_any_plan(get: Get) -> None:
    page = get("/compare", {"ya": "a: 1\nb: 2", "yb": "a: 1\nb: 3\nc: true"})
    assert page.status == 200
    rows = [[cell.text for cell in row.select("th, td")] for row in page.document.select("#diff tbody tr")]
    assert rows == [["b", "2", "3"], ["c", "not set", "true"]]
    same = get("/compare", {"ya": "a: 1", "yb": "a: 1"})
    assert "the same" in same.text("#diff")
    broken = get("/compare", {"ya": "a: [1", "yb": "b"})
    assert broken.status == 422
    assert "1:" in broken.text(".error-summary")
    assert broken.one("#f-ya").text == "a: [1"


@pytest.mark.parametrize("query", [{"left": "99"}, {"left": "x"}, {"gpu": "zzz"}])
def test_what_cannot_be_is_named(get: Get, query: dict[str, str]) -> None:
    page = get("/compare", PLAN | query)
    assert page.status == 422
    assert next(iter(query.values())) in page.text(".error-summary")


def test_a_download_without_a_plan_says_why(client: TestClient) -> None:
    assert client.get("/compare.csv").status_code == 422
    many = client.get("/compare", params=[*PLAN.items(), *(("v", f"lora_r: {8 + i}") for i in range(9))])
    assert many.status_code == 422
    assert "lora_r: 15" in many.text


@pytest.mark.parametrize(
    "asked",
    [
        {"model": MODEL, "gpu": GPU},
        {"model": "Qwen/Qwen3-30B-A3B", "gpu": "a100-80gb-sxm", "goal": "completion"},
        {"model": "google/gemma-3-4b-it", "gpu": "rtx-3060-12gb", "goal": "dpo", "lora_r": "64"},
        {"model": "openai-community/gpt2", "gpu": "t4", "priority": "speed", "keys": "weight_decay: 0.1"},
        {"model": MODEL, "gpu": "mi300x", "method": "full", "install": "pip", "learning_rate": "0.00005"},
        {"model": MODEL, "gpu": "rtx-4090", "v": "{sequence_len: 8192, learning_rate: 0.00001}"},
    ],
)
def test_a_rows_plan_has_the_rows_figures(
    get: Get, client: TestClient, catalog: Catalog, asked: dict[str, str]
) -> None:
    """For every method: the plan that a row links to takes what the row says, part by part."""
    rows = get("/compare", asked).document.select(".compare-table tbody tr")
    items = client.get("/compare.json", params=asked).json()["items"]
    linked = 0
    for row, item in zip(rows, items, strict=True):
        link = row.select_one("a.compare-open")
        if link is None:
            assert item["process_bytes"] is None
            continue
        linked += 1
        form = Form.from_query(QueryParams(str(link["href"]).partition("?")[2]), catalog.known_keys)
        found = answer(form, catalog)
        assert (found.asked.errors, form["file"]) == ([], "")
        assert found.plan is not None
        estimate = found.plan.estimate
        assert item["process_bytes"] == estimate.memory.process_bytes, item["label"]
        assert item["trainable_parameters"] == estimate.trainable_parameters
        assert (item["fits"], item["verdict"]) == (estimate.fits, badge(estimate).value)
        for term in estimate.memory.breakdown:
            assert (item[f"{term.code}_bytes"] or 0) == term.bytes, (item["label"], term.code)
        free = HABITS.difference(asked) if "v" not in asked else frozenset()
        assert {key: value for key, value in item["config"].items() if key not in free} == {
            key: value for key, value in plain(found.plan.config).items() if key not in free
        }
    assert linked >= (2 if "v" in asked else 8)


def test_what_suits_is_said_in_words(get: Get) -> None:
    page = get("/compare", {"model": MODEL, "gpu": GPU})
    plan = get("/plan", {"model": MODEL, "gpu": GPU})
    said = page.text(".advice")
    assert plan.text(".facts div:first-child strong") in said
    assert any(reason.text in said for reason in plan.document.select(".path-reason"))
    of_a_plan = get("/compare", {"model": MODEL, "gpu": GPU, "v": "lora_r: 64"})
    assert not of_a_plan.document.select(".advice")
