"""The methods: the guide's tables, a card and a page each."""

import re

import pytest
import yaml
from starlette.testclient import TestClient

from app.catalog.library import Catalog, load_catalog
from app.texts import LANGUAGES, texts
from app.web.fields import METHOD_KEYS
from app.web.reference.methods import drawing_of
from app.web.reference.teaching import FORMULAS, KNOBS

from .conftest import FRAGMENT, RESTORE, Get

IDS = tuple(row.id for row in load_catalog().methods.rows)
GUIDE = (
    "lora",
    "qlora",
    "dora",
    "prompt_tuning",
    "prefix_tuning",
    "p_tuning_v2",
    "ia3",
    "bottleneck",
    "loftq",
    "neftune",
    "relora",
)


def test_families_come_first_and_hold_every_method(get: Get, catalog: Catalog) -> None:
    page = get("/methods")
    families = page.document.select(".family")
    assert [family.select_one("h3").text for family in families] == [
        "Additive",
        "Selective",
        "Reparameterisation",
        "Training technique",
    ]
    listed = [str(link["href"]).rpartition("/")[2] for family in families for link in family.select("a")]
    assert sorted(listed) == sorted(row.id for row in catalog.methods.rows if row.family != "full")
    assert page.document.select_one("main section") is families[0].find_parent("section")


def test_the_guide_s_table_of_full_fine_tuning_against_peft_is_whole(get: Get) -> None:
    rows = get("/methods").document.select("[aria-labelledby=versus-title] tbody tr")
    assert len(rows) == 5
    assert "0.1 to 10 %" in rows[0].text


def test_support_is_told_as_the_guide_has_it_and_as_it_is(get: Get) -> None:
    rows = {row.th.text: row for row in get("/methods").document.select("[aria-labelledby=support-title] tbody tr")}
    assert len(rows) == len(GUIDE)
    assert "peft_use_loftq: true" in rows["LoftQ"].select("td")[0].text
    assert "loftq_bits: 4" in rows["LoftQ"].select("td")[1].text
    assert "relora_steps" in rows["ReLoRA"].select("td")[0].text
    assert "jagged_restart_steps" in rows["ReLoRA"].select("td")[1].text
    assert rows["Bottleneck adapters"].select_one(".support-none")


def test_phi_3_is_corrected_in_the_table_of_targets(get: Get) -> None:
    rows = get("/methods").document.select("[aria-labelledby=targets-title] tbody tr")
    row = next(row for row in rows if "Phi-3" in row.th.text)
    names = [code.text for code in row.select("td")[0].select("code")]
    assert sorted(names) == ["down_proj", "gate_up_proj", "o_proj", "qkv_proj"]
    assert [code.text for code in row.select("del code")] == ["q_proj", "k_proj", "v_proj", "dense", "fc1", "fc2"]


def test_no_english_sentence_is_left_in_the_burmese_table_of_targets(get: Get) -> None:
    """Names are the same in every language; what joins them is not."""
    rows = get("/methods?lang=my").document.select("[aria-labelledby=targets-title] tbody tr")
    names = [str(row.th.find(string=True)) for row in rows]
    assert "DeepSeek V2 နဲ့ V3၊ GLM-4.7-Flash" in names
    assert [name for name in names if re.search(r"\b(and|with|other|their)\b|text", name)] == []


def test_on_a_phone_every_figure_is_named(get: Get) -> None:
    """Where a row is a card there is no head above its figures."""
    for path in ("/methods", "/methods/lora", "/models", "/gpus", "/tree?model=qwen3-8b&gpu=rtx-4090"):
        tables = get(path).document.select("table.stacks")
        assert tables, path
        figures = [cell for table in tables for cell in table.select("td.num")]
        assert [cell.text for cell in figures if not cell.get("data-label")] == [], path


def test_the_rule_of_thumb_stands_beside_the_estimate(get: Get) -> None:
    rows = get("/methods").document.select("[aria-labelledby=rule-title] tbody tr")
    assert [row.th.text for row in rows] == ["Full fine-tuning", "LoRA", "QLoRA"]
    for row in rows:
        weights, process = (float(cell.text.split("\u00a0")[0]) for cell in row.select("td")[1:])
        assert 0 < weights < process


@pytest.mark.parametrize("id_", IDS)
def test_each_method_is_taught(get: Get, id_: str) -> None:
    page = get(f"/methods/{id_}")
    assert page.status == 200
    assert page.document.select(".formula math")
    assert page.document.select_one(".drawing[role=img] title").text
    assert isinstance(yaml.safe_load(page.one("#snippet").text), dict)
    assert page.document.select("#cost .facts, #cost .finding")
    assert page.one("head > title").text.endswith("Axoplan")
    described = page.one("meta[property='og:description']")["content"]
    assert str(described).startswith(page.text("h1"))


@pytest.mark.parametrize("id_", [*GUIDE, "full"])
def test_the_guide_s_methods_have_lessons_symbols_and_a_drawing_of_their_own(
    get: Get, catalog: Catalog, id_: str
) -> None:
    page = get(f"/methods/{id_}", {"lang": "my"})
    assert page.document.select(".lessons li")
    assert page.document.select(".symbols div")
    assert drawing_of(catalog.methods.get(id_)) in page.response.text or page.document.select(".drawing")


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_drawing_and_key_has_its_text(catalog: Catalog, language: str) -> None:
    known = texts(language)
    for row in catalog.methods.rows:
        assert f"reference.drawing.{drawing_of(row)}" in known, row.id
        assert f"reference.trained.{row.id}" in known, row.id
    for keys in KNOBS.values():
        assert all(f"reference.knob.{key}" in known for key, _ in keys)


def test_formulas_without_words_are_the_registry_s(catalog: Catalog) -> None:
    for id_, formula in FORMULAS.items():
        assert catalog.methods.get(id_).formula.startswith(formula)


def test_the_cost_is_the_wizard_s(get: Get) -> None:
    """The same model, card and method give the same numbers on both pages."""
    query = {"model": "Qwen/Qwen3-8B", "gpu": "rtx-3060-12gb"}
    page = get("/methods/qlora", query)
    plan = get(str(page.one("#cost .button[href*='plan']")["href"]))
    assert plan.picked("method") == "qlora"
    assert plan.value("model") == "Qwen/Qwen3-8B"
    trained = page.document.select_one("#cost .facts strong").text
    assert trained in plan.response.text
    assert page.text("#cost .cost-verdict strong") == plan.text(".verdict-headline")


@pytest.mark.parametrize("id_", sorted(METHOD_KEYS))
def test_the_wizard_is_led_to_with_the_method_chosen(get: Get, id_: str) -> None:
    link = str(get(f"/methods/{id_}").one("#cost .button[href*='plan']")["href"])
    assert f"method={id_}" in link


def test_nothing_chosen_shows_an_example_and_says_so(get: Get) -> None:
    assert "For example Llama 3.1 8B Instruct" in get("/methods/lora").text("#cost [role=status] .aside")
    assert "For example" not in get("/methods/lora", {"gpu": "rtx-3090"}).text("#cost [role=status] .aside")


@pytest.mark.parametrize(
    ("query", "field", "said"),
    [
        ({"model": "lama nonsense 9z"}, "model", "9z"),
        ({"gpu": "rtx-4091"}, "gpu", "rtx-4091"),
        ({"vram_gib": "much"}, "vram_gib", "much"),
        ({"vram_gib": "-3"}, "vram_gib", "-3"),
        ({"model": "x" * 300}, "model", "300"),
    ],
)
@pytest.mark.parametrize("headers", [{}, FRAGMENT])
def test_bad_input_is_answered_at_its_field(
    get: Get, query: dict[str, str], field: str, said: str, headers: dict[str, str]
) -> None:
    page = get("/methods/lora", query, headers)
    assert page.status == 422
    assert said in page.text(f"#f-{field}-error")
    assert page.one(f"#f-{field}")["aria-invalid"] == "true"


def test_a_fragment_is_the_cost_alone(get: Get) -> None:
    page = get("/methods/lora", {"gpu": "rtx-3090"}, FRAGMENT)
    assert not page.document.select("html, body, #keys-title")
    assert page.one("#cost-form")
    assert page.one("template[hx][type=partial]")["hx-target"] == "#languages"
    assert get("/methods/lora", {"gpu": "rtx-3090"}, RESTORE).one("body #keys-title")


def test_an_unknown_method_names_the_nearest(get: Get) -> None:
    page = get("/methods/qlor")
    assert page.status == 404
    links = [str(link["href"]) for link in page.document.select(".suggestions a")]
    assert "/methods/qlora" in links
    assert get(links[0]).status == 200
    assert get("/methods/%00%ff").status == 404


def test_names_may_be_spelt_otherwise(get: Get) -> None:
    assert get("/methods/Prompt-Tuning").text("h1") == "Prompt tuning"


def test_no_style_or_script_is_inline(client: TestClient) -> None:
    for path in ("/methods", "/methods/lora", "/models", "/gpus", "/about"):
        text = client.get(path).text
        assert " style=" not in text
        assert "<style" not in text


@pytest.mark.parametrize("id_", ["lora", "ia3", "bottleneck"])
def test_whether_axolotl_runs_it_is_said_at_the_top(get: Get, id_: str) -> None:
    page = get(f"/methods/{id_}")
    assert page.text(".page-head .support") == page.text("section[aria-labelledby=truth-title] .support")
