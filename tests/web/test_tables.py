"""The tables of models and GPUs: filtered, sorted and restored by their address alone."""

from urllib.parse import parse_qs, urlsplit

import pytest

from app.catalog.library import Catalog
from app.texts import LANGUAGES

from .conftest import FRAGMENT, MODEL, RESTORE, Get, Page

CURRENT = FRAGMENT | {"HX-Current-URL": "http://testserver/models?family=qwen"}


def names(page: Page) -> list[str]:
    """The rows in their order."""
    return [link.text for link in page.document.select("tbody th > a")]


@pytest.mark.parametrize("language", LANGUAGES)
def test_all_models_are_listed_with_their_source(get: Get, catalog: Catalog, language: str) -> None:
    page = get("/models", {"lang": language})
    assert page.status == 200
    assert len(names(page)) == len(catalog.models.rows)
    first = page.document.select("tbody tr")[0]
    assert first.select_one("a[href^='https://']")
    assert "2026-" in first.text


def test_models_are_searched_as_people_call_them(get: Get) -> None:
    assert names(get("/models", {"q": "llama 3.1 8b instruct"}))[0] == "Llama 3.1 8B Instruct"
    nothing = get("/models", {"q": "zzzz 99999"})
    assert nothing.text(".empty-headline") == "No model is called that"


def test_filters_hold_together(get: Get, catalog: Catalog) -> None:
    page = get("/models", {"family": "gemma", "architecture": "gemma2"})
    expected = {row.name for row in catalog.models.rows if row.family == "gemma" and row.model_type == "gemma2"}
    assert set(names(page)) == expected
    assert page.one("#f-family option[selected]")["value"] == "gemma"


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_models_are_sorted_by_counted_parameters(get: Get, catalog: Catalog, order: str) -> None:
    page = get("/models", {"sort": "parameters", "order": order})
    shown = [int(row.select("td")[2].text.replace(",", "")) for row in page.document.select("tbody tr")]
    assert shown == sorted(shown, reverse=order == "desc")
    assert len(shown) == len(catalog.models.rows)
    head = page.one("th[aria-sort]")
    assert head["aria-sort"] == {"asc": "ascending", "desc": "descending"}[order]
    other = parse_qs(urlsplit(str(head.a["href"])).query)["order"]
    assert other == ["desc" if order == "asc" else "asc"]


def test_a_card_shows_what_fits_on_it(get: Get) -> None:
    page = get("/models", {"gpu": "rtx-3060-12gb", "q": "qwen3"})
    kinds = {row.th.a.text: row.select_one(".room")["class"] for row in page.document.select("tbody tr")}
    assert "room-fits" in kinds["Qwen3 8B"]
    assert "room-does_not_fit" in kinds["Qwen3 32B"]
    only = get("/models", {"gpu": "rtx-3060-12gb", "q": "qwen3", "fits": "1"})
    assert "Qwen3 32B" not in names(only)
    assert "Qwen3 8B" in names(only)


@pytest.mark.parametrize("path", ["/models", "/gpus"])
@pytest.mark.parametrize("headers", [{}, FRAGMENT])
def test_a_bad_sort_is_said_and_changes_nothing(get: Get, path: str, headers: dict[str, str]) -> None:
    page = get(path, {"sort": "nmae"}, headers)
    assert page.status == 422
    assert len(page.document.select("tbody tr")) > 50
    if not headers:
        assert "nmae" in page.text(".filter-fault")


@pytest.mark.parametrize(
    ("path", "query", "field"),
    [
        ("/models", {"family": "lama"}, "family"),
        ("/models", {"architecture": "zzz"}, "architecture"),
        ("/models", {"gpu": "rtx-4091"}, "gpu"),
        ("/models", {"q": "x" * 201}, "q"),
        ("/models", {"fits": "perhaps"}, "fits"),
        ("/gpus", {"segment": "gaming"}, "segment"),
        ("/gpus", {"vendor": "nvidea"}, "vendor"),
        ("/gpus", {"model": "no such model 9z"}, "model"),
    ],
)
def test_a_bad_filter_is_answered_at_its_field(get: Get, path: str, query: dict[str, str], field: str) -> None:
    page = get(path, query)
    assert page.status == 422
    assert page.text(f"#f-{field}-error")
    assert page.one(f"#f-{field}")["aria-invalid"] == "true"


def test_bare_memory_counts_as_a_card(get: Get) -> None:
    assert get("/models", {"vram_gib": "12", "fits": "1", "q": "qwen3"}).status == 200
    assert get("/models", {"vram_gib": "much"}).status == 422
    assert get("/models", {"vram_gib": "12", "gpu": "rtx-4090"}).status == 200


def test_every_parameter_survives_every_link(get: Get) -> None:
    """Sorting keeps the filters, the language switch keeps both, what this page has no field for travels along."""
    query = {"family": "qwen", "gpu": "rtx-4090", "model": MODEL, "sort": "name", "order": "desc", "lang": "my"}
    page = get("/models", query)
    for link in [page.one("#languages a[hreflang=my]"), page.document.select("thead a")[1]]:
        kept = parse_qs(urlsplit(str(link["href"])).query)
        assert {name: [value] for name, value in query.items() if name not in ("sort", "order")}.items() <= kept.items()
    hidden = {tag["name"]: tag["value"] for tag in page.document.select("input[type=hidden]")}
    assert hidden == {"model": MODEL, "lang": "my", "sort": "name", "order": "desc"}


def test_a_fragment_is_the_table_and_says_its_address(get: Get) -> None:
    page = get("/models", {"family": "qwen", "q": "4b", "sort": ""}, CURRENT)
    assert not page.document.select("html, body, form")
    assert page.one("#models table")
    assert page.response.headers["hx-replace-url"] == "/models?q=4b&family=qwen"
    chosen = get("/models", {"family": "gemma"}, CURRENT)
    assert chosen.response.headers["hx-push-url"] == "/models?family=gemma"
    whole = get("/models", {"family": "gemma"}, RESTORE)
    assert whole.one("body #models-form")


def test_a_model_s_page_tells_what_it_is_and_what_fits(get: Get, catalog: Catalog) -> None:
    page = get(f"/models/{MODEL}")
    assert page.text("h1") == "Llama 3.1 8B Instruct"
    assert "8,030,261,248" in page.text(".lead")
    assert next(code.text for code in page.document.select(".codes code")) == "q_proj"
    smallest = page.document.select("[aria-labelledby=fits-title] table")[0].select("tbody tr")
    assert [row.th.text for row in smallest] == ["QLoRA", "LoRA", "Full fine-tuning"]
    assert len(page.document.select("details table")[0].select("tbody tr")) == len(catalog.gpus.rows)
    assert page.document.select("a.button[href*='plan?model=meta-llama']")
    parameters = [row.select("td")[-1].text for row in page.document.select("details table")[1].select("tbody tr")]
    assert sum(int(text.replace(",", "")) for text in parameters) == 8_030_261_248


def test_models_of_every_shape_have_a_page(get: Get, catalog: Catalog) -> None:
    for model_type in ("gpt2", "gemma3", "nemotron_h"):
        row = next(row for row in catalog.models.rows if row.model_type == model_type)
        assert get(f"/models/{row.id}").status == 200, row.id


def test_ids_are_found_in_any_case_and_unknown_ones_name_the_nearest(get: Get) -> None:
    assert get(f"/models/{MODEL.upper()}").text("h1") == "Llama 3.1 8B Instruct"
    page = get("/models/meta-llama/Llama-3.1-8B-Instrukt")
    assert page.status == 404
    links = page.document.select(".suggestions a")
    assert get(str(links[0]["href"])).text("h1").startswith("Llama 3.1")
    assert get("/models/x").status == 404
    assert get("/models//").status == 404


def test_gpus_show_what_the_driver_reports(get: Get, catalog: Catalog) -> None:
    page = get("/gpus", {"q": "4090"})
    assert "GeForce RTX 4090" in names(page)
    row = page.one("#rtx-4090")
    assert "23.6\u00a0GiB" in row.text
    assert "24 GB" in row.text
    assert "8.9" in row.text
    assert row.select_one("a[href*='fits=1'][href*='gpu=rtx-4090']")
    assert len(names(get("/gpus"))) == len(catalog.gpus.rows)


def test_gpus_are_sorted_by_memory(get: Get) -> None:
    page = get("/gpus", {"sort": "memory", "order": "desc"})
    shown = [float(row.select("td")[0].text.split("\u00a0")[0]) for row in page.document.select("tbody tr")]
    assert shown == sorted(shown, reverse=True)


def test_gpus_for_a_model_say_the_method_that_fits(get: Get) -> None:
    page = get("/gpus", {"model": "llama 3.1 8b instruct"})
    assert "up to QLoRA" in page.one("#rtx-3060-12gb").text
    assert "up to Full fine-tuning" in page.one("#h100-sxm").text
    assert "Llama 3.1 8B Instruct" in page.text(".found")
