"""What fits: four answers and a map, each leading to exactly that plan."""

from urllib.parse import parse_qsl, urlsplit

import pytest
import yaml
from bs4 import BeautifulSoup
from starlette.testclient import TestClient

from app.catalog.library import Catalog
from app.texts import LANGUAGES, texts
from app.web.forms import Form
from app.web.planning import answer

from .conftest import GPU, MODEL, Get

PLAN = {"model": MODEL, "gpu": GPU}


def planned_gib(catalog: Catalog, url: str) -> str:
    """What the plan behind an address takes, as pages show it."""
    from starlette.datastructures import QueryParams

    found = answer(Form.from_query(QueryParams(parse_qsl(urlsplit(url).query))), catalog)
    assert found.plan is not None
    return f"{found.plan.estimate.memory.process_bytes / 2**30:,.1f}\u00a0GiB"


@pytest.mark.parametrize("query", [PLAN, {"model": "Qwen/Qwen3-4B", "gpu": "rtx-3060-12gb", "goal": "dpo"}])
def test_every_cell_and_answer_leads_to_that_plan(get: Get, catalog: Catalog, query: dict[str, str]) -> None:
    page = get("/fit", query)
    assert page.status == 200
    cells = page.document.select(".fit-cell a")
    assert len(cells) >= 35
    for cell in cells[::4]:
        assert cell.select_one(".num").text == planned_gib(catalog, str(cell["href"]))  # type: ignore[union-attr]
    cards = page.document.select(".fit-card")
    assert len(cards) == 4
    for card in cards:
        link = card.select_one("a")
        assert link is not None
        assert planned_gib(catalog, str(link["href"])) in card.text


def test_what_fits_on_the_map_is_what_the_verdict_says(get: Get) -> None:
    page = get("/fit", PLAN)
    current = page.one(".fit-cell.is-current a")
    assert current["aria-current"] == "true"
    for row in page.document.select(".fit-map tbody tr"):
        kinds = [str(cell["class"]) for cell in row.select("td")]
        fits = ["does_not_fit" not in kind for kind in kinds]
        assert fits == sorted(fits, reverse=True)


def test_a_model_in_full_has_no_rank(get: Get) -> None:
    page = get("/fit", {"model": "Qwen/Qwen3-0.6B", "gpu": GPU, "method": "full"})
    assert "no adapter" in page.text(".fit-most")


def test_without_rates_nothing_is_called_fastest(get: Get) -> None:
    page = get("/fit", {"model": MODEL, "vram_gib": "24"})
    assert "rates" in page.text(".fit-most")


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"x": "sequence"}, "sequence_len"),
        ({"x": "lora_r", "y": "lora_r"}, "lora_r"),
        ({"vary": "rank"}, "rank"),
        ({"gpu": "zzz"}, "zzz"),
    ],
)
def test_what_cannot_be_is_named(get: Get, query: dict[str, str], said: str) -> None:
    page = get("/fit", PLAN | query)
    assert page.status == 422
    assert said in page.text(".error-summary")
    assert page.document.select("form.tool-form")


def test_a_page_without_a_model_asks_for_one(client: TestClient) -> None:
    answered = client.get("/fit")
    assert answered.status_code == 200
    assert "Choose a model" in answered.text


def test_a_brought_file_that_is_fitted_stays_that_file(client: TestClient) -> None:
    """The link to the wizard holds what fitting changed, and nothing else is added."""
    file = {"base_model": MODEL, "adapter": "lora", "lora_r": 16, "lora_alpha": 32, "lora_target_linear": True}
    file |= {"gradient_checkpointing": True, "sequence_len": 2048, "micro_batch_size": 1}
    posted = client.post("/plan?lang=en", data={"yaml": yaml.safe_dump(file), "gpu": GPU})
    page = BeautifulSoup(client.get(str(posted.url).replace("/plan?", "/fit?")).text, "html.parser")
    links = {a["href"] for a in page.select("main a[href]") if "/plan?" in a["href"] and "file=as_is" in a["href"]}
    changed: set[str] = set()
    for link in links:
        there = BeautifulSoup(client.get(link).text, "html.parser")
        config = yaml.safe_load(there.select_one("#yaml").text)
        assert "neftune_noise_alpha" not in config
        changed |= {key for key in config.keys() | file.keys() if config.get(key) != file.get(key)}
    assert {"sequence_len", "micro_batch_size"} <= changed


@pytest.mark.parametrize("path", ["/fit", "/compare"])
@pytest.mark.parametrize("asked", [{}, {"model": "Qwen/Qwen3-8B"}, {"gpu": "rtx-4090"}])
def test_where_nothing_is_chosen_there_is_something_to_look_at(get: Get, path: str, asked: dict[str, str]) -> None:
    """Each link leads to the same page, answered."""
    links = [str(link["href"]) for link in get(path, asked).document.select(".examples a")]
    assert len(links) > 2
    answered = get(links[0])
    assert answered.url.partition("?")[0].endswith(path)
    assert answered.status == 200
    assert not answered.document.select(".empty-headline")


@pytest.mark.parametrize("language", LANGUAGES)
def test_smaller_batches_of_evaluation_are_said_to_move_its_loss(get: Get, language: str) -> None:
    """A mean of batches' means: the steps are the same, the best checkpoint need not be."""
    said = get("/fit", PLAN | {"lang": language}).text("main")
    assert texts(language).text("fit.vary.eval_batch_size") in said
    assert "eval_loss" in said
