"""Links on a plan change what they say and nothing else, and what follows is what they said."""

from urllib.parse import parse_qsl, urlsplit

import pytest
from starlette.datastructures import QueryParams

from app.catalog.library import Catalog
from app.core.estimate import badge
from app.core.plan import Plan
from app.web.forms import Form
from app.web.planning import answer

from .conftest import GPU, MODEL, Get

PLAN = {"model": MODEL, "gpu": GPU}
PLANS = [
    PLAN,
    PLAN | {"priority": "quality"},
    PLAN | {"priority": "speed", "goal": "dpo"},
    PLAN | {"gpu": "rtx-3070"},
    PLAN | {"method": "full", "gpu": "rtx-6000-ada"},
    PLAN | {"method": "prefix_tuning"},
    {"model": "google/gemma-3-12b-it", "gpu": "rtx-4070", "goal": "kto"},
    {"model": "Qwen/Qwen3-30B-A3B", "gpu": "rtx-4090", "rows": "5000"},
    {"model": MODEL, "vram_gib": "20", "gpu": "rtx-4090"},
]


def planned(catalog: Catalog, url: str) -> Plan:
    """The plan behind an address."""
    found = answer(Form.from_query(QueryParams(parse_qsl(urlsplit(url).query))), catalog)
    assert found.plan is not None
    return found.plan


@pytest.mark.parametrize("query", PLANS, ids=lambda query: "-".join(query.values()))
def test_a_length_taken_changes_the_length_alone(get: Get, catalog: Catalog, query: dict[str, str]) -> None:
    """Columns of the table, and the two lengths that are offered: with the verdict that was said."""
    page = get("/plan", query)
    before = planned(catalog, page.url)
    takes = [(str(link["href"]), link.text.rpartition(": ")[2]) for link in page.document.select(".lengths-take")]
    rows = page.document.select("#fold-lengths tbody tr")
    for row in rows:
        link, cells = row.select_one("th a"), row.select("td")
        if link is not None:
            takes.append((str(link["href"]), cells[1].text.strip().replace(" ", "_")))
    assert len(takes) >= len(rows) - 1
    for url, verdict in takes:
        after = planned(catalog, url)
        differ = {key for key in {**before.config, **after.config} if before.config.get(key) != after.config.get(key)}
        assert differ == {"sequence_len"}, url
        assert after.method == before.method
        assert badge(after.estimate).value == verdict


def test_the_longest_with_headroom_is_offered_before_the_longest_at_all(get: Get) -> None:
    """In both languages."""
    for lang, tight in (("en", "tight"), ("my", "ကပ်ကပ်လေး")):
        first, second = get("/plan", PLAN | {"lang": lang}).document.select(".lengths-take")
        assert tight not in first.text
        assert tight in second.text


def test_what_a_road_not_taken_was_cut_by_is_shown(get: Get, catalog: Catalog) -> None:
    """Every key, from and to."""
    page = get("/plan", PLAN)
    made = planned(catalog, page.url)
    roads = page.document.select("section[aria-labelledby=alternatives-title] .alternative")
    cut = 0
    for road, other in zip(roads, made.alternatives, strict=True):
        for change in other.changes:
            assert f"{change.key} {change.before} → {change.after}" in " ".join(road.text.split())
            cut += 1
    assert cut


def test_each_method_compared_opens_as_that_method(get: Get, catalog: Catalog) -> None:
    """Those that Axolotl lacks too, with their files."""
    page = get("/compare", PLAN)
    links = page.document.select(".compare-open")
    rows = [row for row in catalog.methods.rows if row.compared]
    assert len(links) == len(rows)
    for link, row in zip(links, rows, strict=True):
        opened = get(str(link["href"]))
        assert opened.status == 200, row.id
        config = planned(catalog, opened.url).config
        for key, value in row.config.items():
            held = config.get(key)
            assert value.items() <= held.items() if isinstance(value, dict) else held == value, row.id
        if row.peft and row.axolotl.support == "plugin":
            assert opened.document.select("section[aria-labelledby=take-title] a[download]"), row.id


def test_the_tight_plan_beside_a_fit_is_tight(get: Get, catalog: Catalog) -> None:
    """And the one recommended has room to spare."""
    page = get("/fit", PLAN)
    tight = 0
    for card in page.document.select(".fit-card"):
        links = [planned(catalog, str(link["href"])) for link in card.select("a")]
        assert links[0].estimate.verdict.value == "fits"
        for plan in links[1:]:
            assert plan.estimate.verdict.value == "tight"
            tight += 1
    assert tight >= 2


@pytest.mark.parametrize("lang", ["en", "my"])
@pytest.mark.parametrize("own", [{}, {"rows": "5000", "mean_tokens": "300"}])
def test_a_time_is_rounded_in_one_way(get: Get, lang: str, own: dict[str, str]) -> None:
    """Above and in the details."""
    page = get("/plan", PLAN | own | {"lang": lang})
    figure = page.document.select(".facts > div")[2].select_one("strong")
    assert figure is not None
    details = [cell.text for cell in page.document.select("#fold-time dd")]
    assert any(text.startswith(f"{figure.text} (") for text in details)


def test_energy_says_what_it_is_at_the_most(get: Get, catalog: Catalog) -> None:
    """Over the longest run of the band."""
    query = PLAN | {"rows": "5000", "mean_tokens": "300"}
    page = get("/plan", query)
    time = planned(catalog, page.url).estimate.time
    assert time is not None
    assert time.energy_kwh_range is not None
    shown = [cell.text for cell in page.document.select("#fold-time dd") if "kWh" in cell.text]
    assert shown == [f"{time.energy_kwh:.1f} kWh at full power, at most {time.energy_kwh_range[1]:.1f} kWh"]


@pytest.mark.parametrize("lang", ["en", "my"])
def test_a_kept_method_that_does_not_fit_has_a_link_to_one_that_does(get: Get, catalog: Catalog, lang: str) -> None:
    """First of all findings, with what it takes."""
    page = get("/plan", PLAN | {"gpu": "rtx-3060-12gb", "method": "lora", "lang": lang})
    first = page.document.select("#result .finding")[0]
    link = first.select_one(".finding-links a")
    assert link is not None
    after = planned(catalog, str(link["href"]))
    assert (after.method, after.estimate.verdict.value) == ("qlora", "fits")
    assert f"{after.estimate.memory.process_bytes / 2**30:.1f}\u00a0GiB" in first.text
    assert {"LoRA", "QLoRA"} <= set(first.text.replace("\u00a0", " ").split())
