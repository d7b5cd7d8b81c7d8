"""Axolotl's own names in addresses and in the box for other keys."""

from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

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


def test_a_field_wins_over_the_box(get: Get) -> None:
    page = get("/plan", {"model": MODEL, "gpu": GPU, "lora_r": "8", "keys": "lora_r: 64\nseed: 7"})
    assert page.value("lora_r") == "8"
    config = yaml.safe_load(page.one("#yaml").text)
    assert (config["lora_r"], config["seed"]) == (8, 7)


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
