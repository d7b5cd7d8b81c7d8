"""Each page plain, as a fragment, and on history restore."""

from urllib.parse import parse_qs, urlsplit

import pytest
import yaml
from starlette.testclient import TestClient

from app.application import create_app
from app.settings import Settings
from app.texts import LANGUAGES
from app.web.fields import PEFT_KEYS

from .conftest import FRAGMENT, GPU, MODEL, RESTORE, Get

PLAN = {"model": MODEL, "gpu": GPU}


def test_the_start_page_leads_to_a_plan(get: Get) -> None:
    page = get("/")
    form = page.one("main .hero-form")
    assert (form["method"], form["action"]) == ("get", "/plan")
    assert {field["name"] for field in form.select("[name]")} == {"model", "gpu"}
    assert page.document.select("main h1")
    for link in page.document.select(".hero-examples a"):
        assert get(link["href"]).document.select(".verdict")


def test_an_untouched_wizard_asks_for_a_model_and_a_gpu(get: Get) -> None:
    page = get("/plan")
    assert page.status == 200
    assert not page.document.select("#error-summary, [aria-invalid]")
    assert page.text(".empty-headline") == "Choose a model and a GPU"


@pytest.mark.parametrize(
    ("query", "headline"),
    [({"model": MODEL}, "Choose a GPU, or give its VRAM"), ({"gpu": GPU}, "Choose a model")],
)
def test_a_half_filled_wizard_says_what_is_missing(get: Get, query: dict[str, str], headline: str) -> None:
    assert get("/plan", query).text(".empty-headline") == headline


def test_a_plan_shows_verdict_memory_path_and_file(get: Get) -> None:
    page = get("/plan", PLAN)
    assert page.status == 200
    assert "GeForce RTX 4090" in page.text(".verdict-headline")
    assert len(page.document.select(".path li")) >= 3
    assert page.document.select(".alternative a[href*='method=']")
    config = yaml.safe_load(page.one("#yaml").text)
    assert config["base_model"] == MODEL
    assert isinstance(config["learning_rate"], float)
    assert "%" in page.text(".facts")


def test_what_changed_is_said_where_screen_readers_listen(get: Get) -> None:
    for query, said in ((PLAN, "GeForce RTX 4090"), ({}, "Choose"), ({"gpu": "zzz"}, "1 to put right")):
        for headers in ({}, FRAGMENT):
            page = get("/plan", query, headers)
            assert said in page.text("#said[role=status][aria-live=polite]")


def test_the_bar_and_its_table_say_the_same(get: Get) -> None:
    page = get("/plan", PLAN)
    drawn = [title.get_text() for title in page.document.select(".bar g > title")]
    names = [name.get_text() for name in page.document.select(".parts tbody .part-name")]
    values = [value.get_text() for value in page.document.select(".parts tbody td:nth-child(2)")]
    listed = [f"{name}: {value}" for name, value in zip(names, values, strict=True)]
    assert drawn == listed
    assert len(drawn) > 3
    widths = [float(str(rect["width"]).rstrip("%")) for rect in page.document.select(".bar g > rect.seg")]
    assert 0 < sum(widths) <= 100


def test_nothing_is_inline(get: Get) -> None:
    """The policy allows no inline script or style; the pages have none to allow."""
    for query in ({}, PLAN):
        page = get("/plan", query)
        assert not page.document.select("[style], style, script:not([src])")
        assert not [name for tag in page.document.select("*") for name in tag.attrs if name.startswith("on")]
        assert "hx-on" not in page.response.text


def test_every_field_has_a_label_and_every_reference_a_target(get: Get) -> None:
    for query in (PLAN, {"model": "nothing like it", "lora_r": "x"}):
        page = get("/plan", query)
        ids = [tag["id"] for tag in page.document.select("[id]")]
        assert len(ids) == len(set(ids))
        for field in page.document.select("#plan-form :is(input, select, textarea):not([type=hidden], [type=radio])"):
            assert field.find_parent("label") or page.document.select(f"label[for='{field['id']}']")
        for tag in page.document.select("[aria-describedby], [aria-labelledby]"):
            for attribute in ("aria-describedby", "aria-labelledby"):
                assert set(str(tag.get(attribute, "")).split()) <= set(ids)
        for link in page.document.select("a[href^='#']"):
            assert link["href"][1:] in ids
        for field in page.document.select("input[list]"):
            assert field["list"] in ids


def test_a_fragment_is_the_planner_alone(get: Get) -> None:
    page = get("/plan", PLAN, FRAGMENT)
    assert page.status == 200
    assert not page.document.select("html, body, link, script")
    assert page.one("#plan-form")
    assert page.one("#result .verdict")
    assert MODEL.partition("/")[2].split("-")[0] in page.text("head > title")
    around = page.document.select("template[hx][type=partial]")
    assert [part["hx-target"] for part in around] == ["#languages", "#site-nav"]


def test_a_restored_history_entry_is_a_whole_page(get: Get) -> None:
    page = get("/plan", PLAN, RESTORE)
    assert page.one("body #planner #result .verdict")


def test_caches_tell_fragments_and_languages_apart(get: Get) -> None:
    for path in ("/", "/plan", "/plan/config.yaml?model=x&gpu=y", "/nothing"):
        vary = {name.strip() for name in get(path).response.headers["vary"].split(",")}
        assert {"HX-Request", "HX-Request-Type", "Accept-Language"} <= vary


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_language_switch_keeps_the_form(get: Get, language: str) -> None:
    query = PLAN | {"lora_r": "24", "goal": "dpo"}
    link = get("/plan", query).one(f"#languages a[hreflang={language}]")
    page = get(str(link["href"]))
    assert page.one("html")["lang"] == language
    assert page.response.headers["content-language"] == language
    assert (page.value("model"), page.value("lora_r"), page.value("goal")) == (MODEL, "24", "dpo")
    assert page.value("lang") == language


def test_the_reader_s_language_is_the_default(get: Get) -> None:
    assert get("/plan", {}, {"Accept-Language": "my-MM,en;q=0.5"}).one("html")["lang"] == "my"
    assert get("/plan", {"lang": "en"}, {"Accept-Language": "my"}).one("html")["lang"] == "en"
    assert get("/plan", {"lang": "xx"}, {"Accept-Language": "fr"}).one("html")["lang"] == "en"


def test_blanks_and_defaults_leave_the_address(get: Get) -> None:
    query = PLAN | {"goal": "chat", "priority": "quality", "lora_r": "", "vram_gib": " ", "install": "docker"}
    page = get("/plan", query)
    assert parse_qs(urlsplit(page.url).query) == {"model": [MODEL], "gpu": [GPU], "priority": ["quality"]}
    assert page.picked("priority") == "quality"


def test_names_are_spelt_as_the_catalogue_does(get: Get) -> None:
    page = get("/plan", {"model": "LLAMA 3.1 8b instruct", "gpu": "4090"})
    assert parse_qs(urlsplit(page.url).query) == {"model": [MODEL], "gpu": [GPU]}


def test_the_address_restores_every_field(get: Get) -> None:
    query = {
        "model": "Qwen/Qwen3-8B",
        "vram_gib": "15.5",
        "goal": "instruction",
        "priority": "memory",
        "dataset_path": "./data & more.jsonl",
        "dataset_type": "alpaca",
        "rows": "12000",
        "mean_tokens": "300",
        "max_tokens": "1900",
        "sequence_len": "1024",
        "method": "qlora",
        "neftune": "off",
        "lora_r": "24",
        "lora_alpha": "48",
        "lora_dropout": "0.1",
        "micro_batch_size": "1",
        "gradient_accumulation_steps": "16",
        "learning_rate": "0.0001",
        "num_epochs": "2",
        "optimizer": "adamw_8bit",
        "gradient_checkpointing": "offload",
        "install": "pip",
    }
    page = get("/plan", query)
    assert page.status == 200, page.text("#error-summary")
    radios = {"priority", "method", "neftune", "install"}
    assert {name: page.picked(name) if name in radios else page.value(name) for name in query} == query
    config = yaml.safe_load(page.one("#yaml").text)
    assert config["lora_r"] == 24
    assert (config["gradient_checkpointing"], config["activation_offloading"]) == (True, True)
    assert "neftune_noise_alpha" not in config
    for name in ("lora_r", "method", "optimizer", "goal"):
        reset = page.one(f".reset[data-focus=f-{name}]")
        assert name not in parse_qs(urlsplit(str(reset["href"])).query)


def test_a_blank_field_shows_the_recommendation(get: Get) -> None:
    page = get("/plan", PLAN)
    config = yaml.safe_load(page.one("#yaml").text)
    for key in ("lora_r", "lora_alpha", "micro_batch_size", "optimizer", "sequence_len"):
        assert page.one(f"#f-{key}")["placeholder"] == str(config[key])
    assert float(str(page.one("#f-learning_rate")["placeholder"])) == config["learning_rate"]


def test_the_download_is_the_file_that_is_shown(get: Get) -> None:
    page = get("/plan", PLAN | {"lora_r": "24"})
    link = page.one("#download")
    file = get(str(link["href"])).response
    assert file.status_code == 200
    assert file.headers["content-type"].startswith("application/yaml")
    assert file.headers["content-disposition"] == f'attachment; filename="{link["download"]}"'
    assert file.text == page.one("#yaml").text


def test_without_a_plan_the_download_is_the_page_that_says_why(get: Get) -> None:
    page = get("/plan/config.yaml", {"model": MODEL})
    assert page.status == 422
    assert page.one("#plan-form")


def test_own_method_and_alternatives(get: Get) -> None:
    page = get("/plan", PLAN | {"method": "dora"})
    assert "DoRA" in page.text(".facts")
    assert yaml.safe_load(page.one("#yaml").text)["peft_use_dora"] is True
    assert page.picked("method") == "dora"


def test_a_plan_that_does_not_fit_shows_the_overflow(get: Get) -> None:
    page = get("/plan", {"model": "meta-llama/Llama-3.3-70B-Instruct", "gpu": "rtx-3060-12gb"})
    assert page.status == 200
    assert page.one(".verdict-does_not_fit")
    assert page.one(".bar .bar-over")
    assert page.document.select(".finding.is-error")


def test_the_presets_keep_the_guide_s_values(get: Get) -> None:
    links = get("/plan").document.select(".presets a")
    assert len(links) == 2
    for link, expected in zip(
        links,
        (
            {"adapter": "lora", "lora_r": 32, "lora_alpha": 16, "sequence_len": 4096, "micro_batch_size": 2},
            {"adapter": "qlora", "lora_r": 64, "lora_alpha": 32, "sequence_len": 2048, "micro_batch_size": 1},
        ),
        strict=True,
    ):
        config = yaml.safe_load(get(str(link["href"])).one("#yaml").text)
        common = {
            "gradient_accumulation_steps": 4,
            "num_epochs": 3,
            "learning_rate": 0.0002,
            "lr_scheduler": "cosine",
            "lora_dropout": 0.05,
            "neftune_noise_alpha": 5,
            "bf16": "auto",
        }
        assert (expected | common).items() <= config.items()
        assert config["base_model"] == MODEL
        assert len(config["lora_target_modules"]) == 7


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("query", [{}, PLAN, {"model": "zzz", "gpu": "zzz", "goal": "zzz", "rows": "zzz"}])
def test_no_text_is_missing(get: Get, language: str, query: dict[str, str]) -> None:
    """A code without a text would show as the code."""
    for path in ("/", "/plan", "/nothing"):
        page = get(path, query | {"lang": language})
        assert not [text for text in page.document.stripped_strings if text.startswith(("web.", "error.", "term."))]


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nothing", 404), ("POST", "/tree", 405)])
def test_errors_of_pages_are_pages(client: TestClient, method: str, path: str, status: int) -> None:
    response = client.request(method, path)
    assert response.status_code == status
    assert response.headers["content-type"].startswith("text/html")
    assert f">{status}<" in response.text


def test_a_crash_is_a_page(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.web.routes.home_page", lambda *_: 1 / 0)
    response = client.get("/")
    assert response.status_code == 500
    assert "text/html" in response.headers["content-type"]
    assert "ZeroDivisionError" not in response.text


def test_addresses_carry_the_path_prefix() -> None:
    """Behind a proxy that serves the product below ``/tools/axoplan``."""
    app = create_app(Settings(access_log=False, root_path="/tools/axoplan"))
    with TestClient(app) as client:
        text = client.get("/plan", params=PLAN).text
    for attribute in ('href="/', 'action="/', 'src="/', 'hx-get="/'):
        assert text.count(attribute) == text.count(f"{attribute}tools/axoplan/")


@pytest.mark.parametrize("method", sorted(PEFT_KEYS))
def test_a_method_that_axolotl_lacks_is_planned_with_its_files(client: TestClient, get: Get, method: str) -> None:
    """Never a YAML that Axolotl refuses: a plugin or a script, and the nearest native method."""
    query = {"model": MODEL, "gpu": "rtx-4090", "lang": "en"}
    page = get("/plan", {**query, "keys": f"adapter: {method}"})
    assert page.document.select_one(f"input[name=method][value={method}]").has_attr("checked")
    links = [link["href"] for link in page.document.select(".downloads a")]
    assert len(links) == (1 if method == "bottleneck" else 3)
    for link in links:
        assert client.get(link).status_code == 200
    assert client.get("/plan/config.yaml", params={**query, "method": method}).status_code == 422
    near = page.document.select_one("#take-title ~ .alternatives a")["href"]
    assert "adapter" not in near
    assert client.get(near).status_code == 200


def test_own_settings_of_a_method_stand_beside_the_usual_ones(get: Get) -> None:
    query = {"model": MODEL, "gpu": "rtx-4090", "keys": "adapter: prompt_tuning\npeft_config: {num_virtual_tokens: 50}"}
    assert "num_virtual_tokens: 50" in get("/plan", query).document.select_one("#yaml").text


def test_a_method_that_axolotl_lacks_is_left_for_a_native_one(get: Get) -> None:
    """The box for other keys no longer says otherwise then."""
    query = {
        "model": MODEL,
        "gpu": "rtx-4090",
        "method": "prompt_tuning",
        "keys": "peft_config: {num_virtual_tokens: 50}",
    }
    address = get("/plan", query).document.select_one("#take-title ~ .alternatives a")["href"]
    page = get("/plan", {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()})
    assert "peft_config" not in page.document.select_one("#yaml").text
    assert "adapter: lora" in page.document.select_one("#yaml").text
