"""Axolotl's own names in addresses and in the box for other keys."""

from urllib.parse import parse_qs, urlsplit

import pytest
import yaml
from bs4 import BeautifulSoup
from starlette.testclient import TestClient

from .conftest import FRAGMENT, GPU, MODEL, Get

FILE = f"""
base_model: {MODEL}
adapter: qlora
load_in_4bit: true
lora_r: 24
lora_target_linear: true
datasets:
  - path: mlabonne/FineTome-100k
    type: chat_template
neftune_noise_alpha: 5
learning_rate: 2e-4
weight_decay: 0.01
gradient_checkpointing: true
"""


def asked(url: str) -> dict[str, str]:
    """The query of an address, each name once."""
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


def test_base_model_is_another_spelling_of_model(get: Get) -> None:
    page = get("/plan", {"base_model": MODEL, "gpu": GPU})
    assert page.status == 200
    assert asked(page.url) == {"model": MODEL, "gpu": GPU}


def test_axolotl_names_go_to_their_fields_and_the_rest_to_the_box(get: Get) -> None:
    query = {"base_model": MODEL, "gpu": GPU, "adapter": "qlora", "load_in_4bit": "true", "weight_decay": "0.01"}
    page = get("/plan", query | {"rl": "dpo", "utm_source": "somewhere"})
    expected = {"model": MODEL, "gpu": GPU, "goal": "dpo", "method": "qlora", "keys": "weight_decay: 0.01"}
    assert asked(page.url) == expected
    config = yaml.safe_load(page.one("#yaml").text)
    assert (config["adapter"], config["weight_decay"], config["rl"]) == ("qlora", 0.01, "dpo")


@pytest.mark.parametrize("headers", [{}, FRAGMENT])
def test_a_whole_file_fills_the_form(get: Get, headers: dict[str, str]) -> None:
    page = get("/plan", {"keys": FILE.replace("\n", "\r\n"), "gpu": GPU}, headers)
    assert page.status == 200
    assert (page.value("model"), page.picked("method"), page.value("lora_r")) == (MODEL, "qlora", "24")
    assert (page.value("dataset_path"), page.value("dataset_type")) == ("mlabonne/FineTome-100k", "chat_template")
    assert (page.picked("neftune"), page.value("learning_rate")) == ("on", "2e-4")
    assert yaml.safe_load(page.value("keys")) == {"lora_target_linear": True, "weight_decay": 0.01}
    config = yaml.safe_load(page.one("#yaml").text)
    assert (config["lora_target_linear"], config["learning_rate"]) == (True, 0.0002)
    assert get(page.url).status == 200


TWICE = (
    ({"lora_r": "8", "keys": "lora_r: 64\nseed: 7"}, "lora_r", ("64", "8")),
    ({"method": "lora", "keys": "adapter: qlora\nload_in_4bit: true"}, "adapter", ("qlora", "lora")),
    ({"method": "full", "keys": "adapter: lora\nload_in_8bit: true"}, "adapter", ("lora", "full")),
    ({"goal": "dpo", "keys": "rl: kto"}, "rl", ("kto", "dpo")),
    ({"neftune": "off", "keys": "neftune_noise_alpha: 10"}, "neftune_noise_alpha", ("10", "off")),
    ({"sequence_len": "1024", "keys": "sequence_len: 512"}, "sequence_len", ("512", "1024")),
    (
        {"dataset_path": "mine/chats", "keys": "datasets:\n  - path: their/chats\n    type: alpaca"},
        "datasets",
        ("their/chats", "mine/chats"),
    ),
    ({"keys": "base_model: Qwen/Qwen3-8B\nseed: 7"}, "base_model", ("Qwen/Qwen3-8B", MODEL)),
)


@pytest.mark.parametrize(("query", "key", "values"), TWICE, ids=[key for _, key, _ in TWICE])
@pytest.mark.parametrize("headers", [{}, FRAGMENT])
def test_what_the_box_and_a_field_say_otherwise_is_asked_about(
    get: Get, query: dict[str, str], key: str, values: tuple[str, str], headers: dict[str, str]
) -> None:
    """Nothing that was typed is lost, and a link settles it either way."""
    page = get("/plan", {"model": MODEL, "gpu": GPU, "lang": "en", **query}, headers)
    assert page.status == 422
    assert page.value("keys").split() == query["keys"].split()
    said = page.text("#f-keys-error")
    assert all(text in said for text in (f"{key} is ", *values))
    links = page.document.select("#f-keys-error a")
    assert [link.text.partition(",")[0] for link in links] == list(values)
    boxed, own = (get(str(link["href"])) for link in links)
    assert (boxed.status, own.status) == (200, 200)
    found = [yaml.safe_load(there.one("#yaml").text) for there in (boxed, own)]
    assert found[0].get(key) != found[1].get(key)
    if key not in ("datasets", "adapter", "neftune_noise_alpha"):
        assert [str(config[key]) for config in found] == list(values)
    if "seed" in query["keys"]:
        assert [config["seed"] for config in found] == [7, 7]


@pytest.mark.parametrize(
    ("query", "key", "value"),
    [
        ({"learning_rate": "2e-4", "keys": "learning_rate: 0.0002"}, "learning_rate", 0.0002),
        ({"method": "qlora", "keys": "adapter: qlora\nload_in_4bit: true"}, "adapter", "qlora"),
        ({"neftune": "on", "keys": "neftune_noise_alpha: 10"}, "neftune_noise_alpha", 10),
        ({"method": "relora", "keys": "jagged_restart_steps: 50"}, "jagged_restart_steps", 50),
        ({"method": "lora", "keys": "lora_r: 64"}, "lora_r", 64),
    ],
)
def test_what_says_the_same_or_only_more_is_no_contradiction(
    get: Get, query: dict[str, str], key: str, value: object
) -> None:
    page = get("/plan", {"model": MODEL, "gpu": GPU, **query})
    assert page.status == 200
    assert yaml.safe_load(page.one("#yaml").text)[key] == value


def test_a_key_that_stands_twice_in_the_box_is_asked_about(get: Get) -> None:
    page = get("/plan", {"model": MODEL, "gpu": GPU, "lang": "en", "keys": "seed: 7\nlora_r: 8\nseed: 9"})
    assert page.status == 422
    assert "seed stands twice, first on line 1" in page.text("#f-keys-error")
    assert page.value("keys").split() == ["seed:", "7", "lora_r:", "8", "seed:", "9"]


def test_what_no_field_can_hold_stays_as_it_was_written(get: Get) -> None:
    text = "adapter: lora\nload_in_8bit: true\nneftune_noise_alpha: 10"
    page = get("/plan", {"model": MODEL, "gpu": GPU, "keys": text})
    assert page.status == 200
    config = yaml.safe_load(page.one("#yaml").text)
    assert (config["load_in_8bit"], config["neftune_noise_alpha"]) == (True, 10)


def test_old_names_in_a_file_become_todays(get: Get) -> None:
    text = f"base_model: {MODEL}\nadapter: lora\nlora_r: 8\nflash_attention: true\nnoisy_embedding_alpha: 7"
    page = get("/plan", {"gpu": GPU, "keys": text})
    config = yaml.safe_load(page.one("#yaml").text)
    assert not {"flash_attention", "noisy_embedding_alpha"} & config.keys()
    assert (config["attn_implementation"], config["neftune_noise_alpha"]) == ("flash_attention_2", 7)


def test_a_brought_file_is_priced_as_it_stands(client: TestClient) -> None:
    """What /estimate says of it, and its own keys alone, until one asks for more; then what is added is listed."""
    response = client.post("/plan?lang=en", data={"yaml": FILE, "gpu": GPU})
    document = BeautifulSoup(response.text, "html.parser")
    config = yaml.safe_load(document.select_one("#yaml").text)
    assert config == {**yaml.safe_load(FILE), "learning_rate": 0.0002}
    asked_for = {"config": config, "hardware": {"gpu": GPU}}
    size = client.post("/api/v1/estimate", json=asked_for).json()["memory"]["process_bytes"]
    assert f"{size / 2**30:.1f}" in document.select_one(".verdict").text
    filled = BeautifulSoup(client.get(document.select_one(".brought a")["href"]).text, "html.parser")
    more = yaml.safe_load(filled.select_one("#yaml").text)
    added = {line.text.partition(":")[0] for line in filled.select(".brought-added code")}
    assert added == more.keys() - config.keys()
    assert {"cut_cross_entropy", "plugins"} <= added
    back = BeautifulSoup(client.get(filled.select_one(".brought a")["href"]).text, "html.parser")
    assert yaml.safe_load(back.select_one("#yaml").text) == config


def test_a_file_without_an_adapter_stays_full_fine_tuning(client: TestClient) -> None:
    text = f"base_model: {MODEL}\nlearning_rate: 0.00001\nrl: dpo\nsequence_len: 512\n"
    document = BeautifulSoup(client.post("/plan?lang=en", data={"yaml": text, "gpu": GPU}).text, "html.parser")
    assert yaml.safe_load(document.select_one("#yaml").text) == yaml.safe_load(text)
    assert "does not fit" in document.select_one(".verdict").text or "refuses" in document.select_one(".verdict").text


@pytest.mark.parametrize("size", [20_000, 60_000])
def test_a_long_file_is_read_whole(client: TestClient, size: int) -> None:
    text = FILE + "# " + "x" * size + "\nseed: 77\n"
    document = BeautifulSoup(client.post("/plan?lang=en", data={"yaml": text, "gpu": GPU}).text, "html.parser")
    assert yaml.safe_load(document.select_one("#yaml").text)["seed"] == 77


def test_a_file_that_is_too_long_is_refused_with_both_numbers_and_kept(client: TestClient) -> None:
    text = FILE.strip() + "\n# " + "x" * 70_000
    for path in ("/plan?lang=en", "/check?lang=en"):
        response = client.post(path, data={"yaml": text, "gpu": GPU})
        assert f"{len(text):,}" in response.text
        assert "65,536" in response.text
        assert "x" * 70_000 in response.text


def test_no_box_cuts_off_what_is_pasted(client: TestClient) -> None:
    for path in ("/", "/plan", "/check", "/compare"):
        document = BeautifulSoup(client.get(path).text, "html.parser")
        assert not [area["name"] for area in document.select("textarea[maxlength]")]


def test_the_start_page_keeps_a_typed_file_in_another_language(client: TestClient) -> None:
    document = BeautifulSoup(client.get("/?lang=en").text, "html.parser")
    switch = document.select_one('#languages button[value="my"]')
    assert switch["form"] == "home-form"
    # Enter in a field presses the form's first button, which must not be the switch
    first = next(b for b in document.select("button") if b.get("form", "") == "home-form")
    assert first.has_attr("hidden")
    for text in (FILE, FILE + "".join(f"# {number * 7919}\n" for number in range(5000))):
        response = client.post(switch["formaction"], data={"yaml": text, "model": "Qwen/Qwen3-8B", "switch": "my"})
        there = BeautifulSoup(response.text, "html.parser")
        assert there.html["lang"] == "my"
        assert there.select_one("#home-yaml").text.strip() == text.strip()
        assert there.select_one("#f-model")["value"] == "Qwen/Qwen3-8B"


def test_what_axolotl_refuses_is_said_before_what_fits(client: TestClient) -> None:
    """Own keys that clash: the verdict, the button and the file's first line say so."""
    query = {"model": MODEL, "gpu": GPU, "keys": "adapter: qlora\nload_in_4bit: true\nload_in_8bit: true", "lang": "en"}
    document = BeautifulSoup(client.get("/plan", params=query).text, "html.parser")
    verdict = document.select_one(".verdict")
    assert "verdict-rejected" in verdict["class"]
    assert verdict.select_one("svg")["class"] == ["icon", "icon-rejected"]
    assert verdict.select_one(".verdict-headline").text == "Axolotl refuses this file"
    buttons = document.select("a[download]")
    assert len(buttons) == 2
    assert all("button-refused" in button["class"] and "all the same" in button.text for button in buttons)
    assert "REFUSES" in client.get(buttons[0]["href"]).text.splitlines()[0]


def test_turning_a_knob_takes_out_the_own_keys_that_it_rules_out(client: TestClient) -> None:
    """So that what comes of it is what its price was of."""
    query = {"model": MODEL, "gpu": GPU, "keys": "adapter: lora\nload_in_8bit: true\nseed: 7", "lang": "en"}
    document = BeautifulSoup(client.get("/plan", params=query).text, "html.parser")
    knob = next(item for item in document.select(".alternative") if "4 bits" in item.text and "QLoRA" in item.text)
    there = BeautifulSoup(client.get(knob.select_one("a")["href"]).text, "html.parser")
    config = yaml.safe_load(there.select_one("#yaml").text)
    assert (config["adapter"], config["load_in_4bit"], config["seed"]) == ("qlora", True, 7)
    assert "load_in_8bit" not in config
    assert "verdict-fits" in there.select_one(".verdict")["class"]


def test_a_fragment_that_is_no_configuration_yet_is_filled_in_and_that_is_said(client: TestClient) -> None:
    """QLoRA without a rank: as it stands there is nothing to estimate."""
    text = f"base_model: {MODEL}\nadapter: qlora\nload_in_4bit: true\nseed: 7\n"
    document = BeautifulSoup(client.post("/plan?lang=en", data={"yaml": text, "gpu": GPU}).text, "html.parser")
    assert "file=filled" in document.select_one("#languages a[lang=my]")["href"]
    assert any("lora_r" in line.text for line in document.select(".brought-added li"))
    stands = BeautifulSoup(client.get(document.select_one(".brought a")["href"]).text, "html.parser")
    assert "Fill in" in stands.select_one(".error-summary").text


def test_the_fix_of_a_small_model_leads_to_lora_and_nothing_more(get: Get) -> None:
    page = get("/plan", {"model": "Qwen/Qwen3-0.6B", "gpu": "rtx-4060", "lang": "en"})
    said = next(item for item in page.document.select(".finding") if "small enough" in item.text)
    there = get(str(said.select_one("a")["href"]))
    assert there.status == 200
    assert asked(there.url) == {"model": "Qwen/Qwen3-0.6B", "gpu": "rtx-4060", "method": "lora", "lang": "en"}
    config = yaml.safe_load(there.one("#yaml").text)
    assert (config["adapter"], config.get("load_in_4bit")) == ("lora", None)


def test_roads_beside_a_file_that_stands_as_it_is_say_what_they_are(client: TestClient) -> None:
    """They are filled in and made to fit, which the file is not."""
    note = "Your file itself stands as it is"
    document = BeautifulSoup(client.post("/plan?lang=en", data={"yaml": FILE, "gpu": GPU}).text, "html.parser")
    assert note in document.select_one("#alternatives-title").find_next("p").text
    filled = BeautifulSoup(client.get(document.select_one(".brought a")["href"]).text, "html.parser")
    assert note not in filled.text
