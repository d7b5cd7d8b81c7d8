"""What the wizard is made of: folded parts, the list of models, the picture of lengths, what would save most."""

import re

import pytest
import yaml
from starlette.datastructures import QueryParams

from app.texts import LANGUAGES, texts
from app.web.durations import duration
from app.web.forms import Form, turned
from app.web.memory_bar import has_room

from .conftest import GPU, MODEL, Get

PLAN = {"model": MODEL, "gpu": GPU}


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.0412, "41 ms"),
        (0.412, "0.41 s"),
        (1.26, "1.3 s"),
        (42.4, "42 s"),
        (59.7, "1 min 0 s"),
        (200, "3 min 20 s"),
        (3599.6, "1 h 0 min"),
        (18_600, "5 h 10 min"),
        (86_399, "1 d 0 h"),
        (183_600, "2 d 3 h"),
    ],
)
def test_a_time_is_said_in_two_units_at_most(seconds: float, said: str) -> None:
    assert duration(seconds, texts("en")) == said


def test_what_is_answered_is_folded_and_says_what_it_comes_to(get: Get) -> None:
    page = get("/plan", PLAN)
    config = yaml.safe_load(page.one("#yaml").text)
    assert not page.document.select("#plan-form details[open]")
    assert f"rank {config['lora_r']}" in page.text("#fold-knobs .fold-summary")
    assert f"{config['sequence_len']:,}" in page.text("#fold-data .fold-summary")
    assert "LoRA" in page.text("#fold-method .fold-summary")


def test_what_was_changed_or_is_at_fault_is_open(get: Get) -> None:
    changed = get("/plan", PLAN | {"lora_r": "24", "optimizer": "adamw_8bit"})
    assert [str(fold["id"]) for fold in changed.document.select("#plan-form details[open]")] == ["fold-knobs"]
    assert "2 changed" in changed.text("#fold-knobs summary")
    wrong = get("/plan", PLAN | {"rows": "many"})
    assert "fold-data" in [fold["id"] for fold in wrong.document.select("#plan-form details[open]")]
    assert "Error" in wrong.text("#fold-data summary")


@pytest.mark.parametrize(
    ("query", "first"), [("llama 3.1 8b", "Llama 3.1 8B"), ("lama 3.1 8b", "Llama 3.1 8B"), ("qwen3 8b", "Qwen3 8B")]
)
def test_models_are_found_by_what_people_call_them(get: Get, query: str, first: str) -> None:
    page = get("/plan/models", {"q": query})
    options = page.document.select("[role=option]")
    assert 0 < len(options) <= 8
    assert first in options[0].get_text(" ")
    assert get("/plan", {"model": str(options[0]["data-value"]), "gpu": GPU}).status == 200


@pytest.mark.parametrize("query", ["", "zzzz", "<script>", "x" * 5000, "\x00"])
def test_the_list_of_models_always_answers(get: Get, query: str) -> None:
    page = get("/plan/models", {"q": query, "lang": "my"})
    assert page.status == 200
    assert page.document.select("[role=option], .combo-none")
    assert not page.document.select("script")


def test_half_a_form_is_offered_the_other_half(get: Get) -> None:
    for query in ({}, {"model": MODEL}, {"gpu": GPU}):
        links = get("/plan", query).document.select(".empty .examples a")
        assert len(links) >= 3
        taken = get(str(links[-1]["href"]))
        assert taken.one("#result .verdict-headline")
        for name, value in query.items():
            assert taken.value(name) == value


def number(text: str) -> float:
    """The figure in a text."""
    found = re.search(r"[\d.,]+", text)
    assert found
    return float(found[0].replace(",", ""))


def test_the_picture_of_lengths_and_its_table_say_the_same(get: Get) -> None:
    page = get("/plan", PLAN)
    rows = page.document.select("#fold-lengths tbody tr")
    tokens = [row.select_one("th").get_text(strip=True) for row in rows]
    assert tokens == [text.get_text() for text in page.document.select(".column-tokens")]
    totals = [number(row.select("td")[0].get_text()) for row in rows]
    assert totals == [number(text.get_text()) for text in page.document.select(".column-total")]
    assert totals == sorted(totals)
    for row, total in zip(rows, totals, strict=True):
        parts = [number(cell.get_text()) for cell in row.select("td")[2:] if cell.get_text() != "–"]
        assert sum(parts) == pytest.approx(total, abs=0.06 * len(parts))
    current = page.one("#fold-lengths tr.is-current")
    config = yaml.safe_load(page.one("#yaml").text)
    assert number(current.select_one("th").get_text()) == config["sequence_len"]
    assert number(current.select("td")[0].get_text()) == number(page.text(".verdict-detail"))


def test_columns_stand_on_the_line_and_reach_their_total(get: Get) -> None:
    page = get("/plan", PLAN)
    totals = [number(text.get_text()) for text in page.document.select(".column-total")]
    columns = page.document.select(".column")
    heights = [sum(float(str(rect["height"])) for rect in column.select("rect.seg")) for column in columns]
    scale = heights[-1] / totals[-1]
    for height, total in zip(heights, totals, strict=True):
        assert height == pytest.approx(total * scale, abs=scale * 0.1)
    capacity = number(page.text(".bar-capacity-label").split(":")[1])
    foot = 218
    assert foot - float(str(page.one(".lengths-capacity")["y1"])) == pytest.approx(capacity * scale, abs=scale * 0.1)


def test_what_takes_most_is_said_where_it_does_not_fit(get: Get) -> None:
    page = get("/plan", PLAN | {"method": "full"})
    rows = page.document.select(".parts tbody tr")
    most = max(rows, key=lambda row: number(row.select_one("td").get_text()))
    assert most.select_one(".part-name").get_text(strip=True) in page.text(".largest")
    assert not get("/plan", PLAN).document.select(".largest")


@pytest.mark.parametrize("gpu", ["rtx-4090", "rtx-3060-12gb", "a100-80gb-sxm"])
def test_the_card_s_line_crosses_out_no_figure(get: Get, gpu: str) -> None:
    page = get("/plan", PLAN | {"gpu": gpu})
    line = float(str(page.one(".lengths-capacity")["y1"]))
    for figure in page.document.select(".column-total"):
        foot = float(str(figure["y"]))
        assert not foot - 11 < line < foot + 1, figure


def test_a_part_says_only_what_stands_in_it() -> None:
    assert has_room("Weights", 11)
    assert has_room("2.1 GiB", 11)
    assert not has_room("Loading, CUDA, reserve", 11)
    assert not has_room("Load လုပ်ချိန်၊ CUDA နဲ့ reserve", 20)
    assert has_room("မှတ်ချက်", 11), "marks sit on their letters"


@pytest.mark.parametrize("query", [PLAN, PLAN | {"method": "qlora"}, {"model": "Qwen/Qwen3-30B-A3B", "gpu": GPU}])
def test_what_would_save_most_does(get: Get, query: dict[str, str]) -> None:
    page = get("/plan", query)
    before = number(page.text(".verdict-detail"))
    offered = page.document.select("section[aria-labelledby=knobs-title] .alternative")
    assert offered
    for item in offered:
        link = item.select_one("a")
        saves = number(item.select_one(".alternative-head").get_text().split("−")[1])
        after = get(str(link["href"]))
        assert after.status == 200
        takes = number(after.text(".verdict-detail"))
        if after.document.select(".facts dd strong")[0] == page.document.select(".facts dd strong")[0]:
            assert takes == pytest.approx(before - saves, abs=0.16), item.get_text(" ")
        else:  # another method brings its own recommendations along
            assert takes < before


def test_turning_a_knob_goes_to_its_field_or_to_the_box() -> None:
    form = Form.from_query(QueryParams({"model": MODEL, "lora_r": "64", "keys": "seed: 7"}))
    turns = turned(form, {"lora_r": 16, "adapter": "qlora", "load_in_4bit": True, "eval_batch_size": 1, "bf16": None})
    assert dict(turns.values) == {
        "model": MODEL,
        "method": "qlora",
        "lora_r": "16",
        "keys": "seed: 7\neval_batch_size: 1\nbf16: null",
    }
    assert "lora_r" not in turned(form, {"lora_r": None}).values


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_style_guide_shows_every_token_and_text(get: Get, language: str) -> None:
    page = get("/styleguide", {"lang": language})
    assert page.status == 200
    assert len(page.document.select(".guide-swatches li")) == 14
    assert not [text for text in page.document.stripped_strings if text.startswith(("styleguide.", "web.", "term."))]


@pytest.mark.parametrize(("method", "adapted"), [("lora", True), ("full", False)])
def test_the_share_is_of_the_number_beside_it(get: Get, method: str, adapted: bool) -> None:
    """PEFT's footing: base and adapter together, and so it says."""
    page = get("/plan", {"model": "Qwen/Qwen3-0.6B", "gpu": "rtx-4090", "method": method, "lang": "en"})
    fact = next(
        row for row in page.document.select(".facts div, dl div") if row.dt and row.dt.text.strip() == "Trained"
    )
    trained, total = (int(number.replace(",", "")) for number in re.findall(r"[\d,]{6,}", fact.dd.text))
    share = float(fact.dd.strong.text.replace("%", "").strip())
    assert share == pytest.approx(100 * trained / total, abs=0.005)
    assert ("adapter included" in fact.dd.text) is adapted


def test_where_loading_takes_most_the_bar_says_so(get: Get) -> None:
    page = get("/plan", {"model": "google/gemma-4-E2B-it", "gpu": GPU})
    assert "Loading" in page.document.select(".parts tbody tr")[-1].text
    assert "while the weights load" in page.document.select_one(".memory figcaption").text
    other = get("/plan", PLAN)
    assert "Loading" not in other.document.select(".parts tbody tr")[-1].text


def test_the_button_makes_a_plan_and_then_brings_it_up_to_date(get: Get) -> None:
    assert get("/plan").text("#plan-form button[type=submit]") == "Plan it"
    assert get("/plan", PLAN).text("#plan-form button[type=submit]") == "Update the plan"
