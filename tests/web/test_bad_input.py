"""Whatever is typed: a clear answer at its field, everything kept, never a fault of ours."""

import base64
import json
import zlib
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from app.application import create_app
from app.settings import Settings
from app.web.fields import FIELDS

from .conftest import FRAGMENT, GPU, MODEL, Get, Page

PLAN = {"model": MODEL, "gpu": GPU}
LLAMA = {
    "model_type": "llama",
    "vocab_size": 32000,
    "hidden_size": 2048,
    "intermediate_size": 5632,
    "num_hidden_layers": 22,
    "num_attention_heads": 32,
    "num_key_value_heads": 4,
    "max_position_embeddings": 2048,
    "torch_dtype": "bfloat16",
    "id2label": {str(number): f"LABEL_{number}" for number in range(50)},
}


def at_field(page: Page, name: str) -> str:
    """The error beside ``name``, tied to it and led to by the summary."""
    field = page.one(f"#f-{name}")
    assert field["aria-invalid"] == "true"
    assert f"f-{name}-error" in str(field["aria-describedby"]).split()
    assert page.document.select(f"#error-summary a[href='#f-{name}']")
    return page.text(f"#f-{name}-error")


@pytest.mark.parametrize("headers", [{}, FRAGMENT])
@pytest.mark.parametrize(
    ("name", "given_value", "said"),
    [
        ("model", "definitely not a model 9z", "config.json"),
        ("gpu", "rtx-4091", "rtx-4091"),
        ("vram_gib", "much", "not a number"),
        ("vram_gib", "-4", "-4"),
        ("vram_gib", "nan", "not a number"),
        ("vram_gib", "1e400", "not a number"),
        ("goal", "chatt", "chat"),
        ("priority", "best", "quality"),
        ("rows", "many", "whole number"),
        ("rows", "1.5", "whole number"),
        ("mean_tokens", "0", "between"),
        ("max_tokens", "9" * 190, "between"),
        ("sequence_len", "-1", "between"),
        ("method", "qlra", "qlora"),
        ("neftune", "maybe", "on"),
        ("lora_r", "-3", "between"),
        ("lora_r", "sixteen", "whole number"),
        ("lora_alpha", "1e3", "whole number"),
        ("lora_dropout", "2", "between"),
        ("learning_rate", "fast", "not a number"),
        ("num_epochs", "-1", "between"),
        ("micro_batch_size", "0", "between"),
        ("optimizer", "adam_w", "adam"),
        ("gradient_checkpointing", "yes please", "offload"),
        ("install", "conda", "docker"),
        ("dataset_path", "x" * 301, "301"),
    ],
)
def test_each_bad_value_is_answered_at_its_field(
    get: Get, name: str, given_value: str, said: str, headers: dict[str, str]
) -> None:
    query = PLAN | {"lora_alpha": "20"}
    if name == "vram_gib":
        del query["gpu"]
    page = get("/plan", query | {name: given_value}, headers)
    assert page.status == 422
    assert said in at_field(page, name)
    kept = page.picked(name) if name in ("priority", "method", "neftune", "install") else page.value(name)
    assert kept == given_value
    assert page.value("lora_alpha") == ("20" if name != "lora_alpha" else given_value)
    assert not page.document.select("#yaml")


def test_all_bad_values_are_named_at_once(get: Get) -> None:
    page = get("/plan", {"model": "lama 8b", "gpu": "rtx-4091", "lora_r": "-3", "goal": "chatt", "rows": "abc"})
    named = [str(link["href"]) for link in page.document.select("#error-summary li a")]
    assert named == ["#f-model", "#f-gpu", "#f-goal", "#f-rows", "#f-lora_r"], "in the order of the form"


def test_an_unknown_model_leads_to_the_nearest(get: Get) -> None:
    page = get("/plan", {"model": "llama-3.1-8b-instrct-x", "gpu": GPU})
    links = page.document.select("#f-model-error a")
    assert links
    taken = get(str(links[0]["href"]))
    assert taken.status == 200
    assert taken.one(".verdict")


@pytest.mark.parametrize("lang", ["en", "my"])
def test_memory_typed_beside_a_gpu_is_what_there_is_of_it(get: Get, lang: str) -> None:
    """With a note, and as fast as the card is."""
    page = get("/plan", PLAN | {"vram_gib": "20", "lang": lang})
    assert page.status == 200
    assert "20.0\u00a0GiB" in page.one(".verdict").text
    notes = page.document.select("#result .finding.is-info")
    assert any("GeForce RTX 4090 (20\u00a0GiB)" in note.text and "23.6\u00a0GiB" in note.text for note in notes)
    assert page.document.select("#fold-time")


def test_a_sequence_beyond_the_context_is_pointed_out_at_its_field(get: Get) -> None:
    page = get("/plan", {"model": "TinyLlama/TinyLlama-1.1B-Chat-v1.0", "gpu": GPU, "sequence_len": "8192"})
    assert page.document.select("#f-sequence_len-finding, #f-sequence_len-error")


def test_a_pasted_model_moves_into_a_short_address(get: Get) -> None:
    page = get("/plan", {"gpu": GPU, "model_json": json.dumps(LLAMA, indent=2), "lora_r": ""})
    query = parse_qs(urlsplit(page.url).query)
    assert set(query) == {"gpu", "m"}
    assert len(query["m"][0]) < 300
    assert page.status == 200
    assert "llama" in page.text(".pasted")
    assert page.value("m") == query["m"][0]
    assert page.value("model_json") == ""
    again = get(page.url)
    assert again.one("#yaml").text == page.one("#yaml").text
    removed = get(str(page.one(".pasted a")["href"]))
    assert "m" not in parse_qs(urlsplit(removed.url).query)


def test_a_pasted_model_keeps_the_name_beside_it(get: Get) -> None:
    page = get("/plan", {"model": "me/my-own", "gpu": GPU, "model_json": json.dumps(LLAMA)}, FRAGMENT)
    assert page.status == 200
    assert "base_model: me/my-own" in page.one("#yaml").text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "line 1"),
        ("not json", "line 1"),
        ('{"hidden_size": NaN}', "NaN"),
        ('{"hidden_size": ' + "9" * 5000 + "}", "number"),
        ("[" * 3000, ""),
        ("[1, 2]", "object"),
        ('"llama"', "object"),
        ("{}", "empty"),
        ('{"hidden_size": 4096}', "model_type"),
        ('{"model_type": "unheard_of"}', "unheard_of"),
        (json.dumps(LLAMA | {"hidden_size": -1}), "hidden_size"),
        (json.dumps(LLAMA | {"hidden_size": "wide"}), "hidden_size"),
        (json.dumps(LLAMA | {"num_hidden_layers": 10**9}), "num_hidden_layers"),
        (json.dumps(LLAMA) + " " * 30_000 + "x", "limit"),
    ],
)
def test_a_bad_config_json_is_answered_where_it_was_pasted(get: Get, text: str, said: str) -> None:
    page = get("/plan", {"gpu": GPU, "model_json": text})
    assert page.status == 422
    assert said in at_field(page, "model_json")
    assert page.value("model_json").strip() == text.strip()
    assert "open" in page.one("details.more").attrs


def _packed(raw: bytes) -> str:
    return base64.urlsafe_b64encode(zlib.compress(raw)).rstrip(b"=").decode()


@pytest.mark.parametrize(
    "packed",
    [
        "!!!",
        "eJx",
        "ünïcode",
        "A" * 7000,
        _packed(b"[]"),
        _packed(b"{"),
        _packed(b"\xff\xfe"),
        _packed(b'{"a": "' + b"x" * 200_000 + b'"}'),
        _packed(b'{"hidden_size": 4096}'),
    ],
)
def test_a_damaged_address_is_said_to_be_one(get: Get, packed: str) -> None:
    """Also one that would unfold beyond all measure."""
    page = get("/plan", {"gpu": GPU, "m": packed})
    assert page.status == 422
    assert at_field(page, "model_json")


_texts = st.text(max_size=40) | st.sampled_from(
    ["0", "-1", "1e9", "nan", "inf", "16", "lora", "\x00", "၁၆", "<b>", "{x}"]
)
_client = TestClient(create_app(Settings(access_log=False)))


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from([*FIELDS, "model_json", "lang"]), _texts, max_size=6))
def test_nothing_typed_is_a_fault_of_ours(query: dict[str, str]) -> None:
    """``_client`` raises what the service would answer with 500."""
    response = _client.get("/plan", params=PLAN | query)
    assert response.status_code in (200, 422)


def test_with_a_bad_value_the_plan_without_it_stays_in_place(get: Get) -> None:
    page = get("/plan", PLAN | {"lora_r": "-3", "micro_batch_size": "1"})
    assert page.status == 422
    assert page.one(".partial-note")
    assert page.document.select(".bar, .path")
    assert not page.document.select("[download]")
    assert get("/plan/config.yaml", PLAN | {"lora_r": "-3"}).status == 422


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("weight_decay: [1", "never closed"),
        ("just words", "Write keys"),
        ("- a\n- b", "Write keys"),
        ("1: 2", "Write keys"),
        ("a: &x [*x]", "holds itself"),
        ("d: 2024-99-99", "looks like a date"),
        ("lora_r: 8\nlora_r:\n  - [", "no YAML"),
    ],
)
def test_a_box_of_other_keys_that_cannot_be_read_says_why(get: Get, text: str, said: str) -> None:
    page = get("/plan", PLAN | {"keys": text})
    assert page.status == 422
    assert said in at_field(page, "keys")
    assert page.value("keys").strip() == text


def test_a_copy_by_another_publisher_is_planned_as_the_model_that_it_is_called_after(get: Get) -> None:
    page = get("/plan", {"model": "NousResearch/Llama-2-7b-hf", "gpu": "rtx-4090"})
    assert page.status == 200
    assert "counted as meta-llama/Llama-2-7b-hf" in page.text("#result")
    assert "base_model : NousResearch/Llama-2-7b-hf" in page.text("#result")


def test_the_rule_of_thumb_beside_a_smaller_figure_is_said_as_such(get: Get) -> None:
    """Experts are packed closer than the rule has it."""
    for model, said in (("Qwen/Qwen3-30B-A3B", "as it is stored"), ("Qwen/Qwen3-8B", "also counts activations")):
        page = get("/plan", {"model": model, "gpu": "rtx-5090", "method": "qlora"})
        assert said in page.text("#result .memory ~ .aside, #result .parts ~ .aside")
