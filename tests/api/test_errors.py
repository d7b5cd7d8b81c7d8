"""Bad input: each a clear answer at the value at fault, in one shape, never a 500."""

from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from app.schemas.answer import Problem

JSON = {"content-type": "application/json"}
MODEL = "meta-llama/Llama-3.1-8B"
LORA = {"base_model": MODEL, "adapter": "lora", "lora_r": 16, "lora_target_linear": True}


def refused(client: TestClient, status: int, body: Any, path: str = "/api/v1/estimate") -> dict[str, Any]:
    """The problem that comes back for ``body``."""
    content = body if isinstance(body, bytes) else None
    response = client.post(path, content=content, json=None if content is not None else body, headers=JSON)
    return problem(response, status)


def problem(response: Any, status: int) -> dict[str, Any]:
    """The response as a problem, of exactly the shape that is documented."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    data: dict[str, Any] = response.json()
    assert Problem.model_validate(data).model_dump() == data
    assert data["status"] == status
    assert data["type"].startswith("urn:axoplan:problem:")
    for text in (data["title"], data["detail"], *(error["detail"] for error in data["errors"])):
        assert not text.startswith(("error.", "problem.")), "a code without a text"
    return data


def pointers(data: dict[str, Any]) -> list[str]:
    """Where the faults are."""
    return [error["pointer"] for error in data["errors"]]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nope",
        b'{"config": {"lora_r": NaN}}',
        b'{"config": {"lora_r": Infinity}}',
        b'{"config": {"base_model": "\\ud800"}}',
        b'{"config": {"base_model": "\xff\xfe"}}',
        b'{"config": {"lora_r": ' + b"9" * 6000 + b"}}",
        '{"config": {}}'.encode("utf-16"),
        b'{"config": {}} {}',
    ],
)
def test_what_is_no_json(client: TestClient, body: bytes) -> None:
    """400, and where it stops being so."""
    data = refused(client, 400, body)
    assert data["type"].endswith("malformed-json")


@pytest.mark.parametrize(
    ("body", "at"),
    [
        (b"[" * 100_000, ""),
        (b'{"config":' + b'{"a":' * 100 + b"1" + b"}" * 101, "/config" + "/a" * 31),
        (b'{"config": {"learning_rate": 1e999}}', "/config/learning_rate"),
        (b'{"config": {"lora_alpha": ' + b"9" * 400 + b"}}", "/config/lora_alpha"),
        (b'{"config": {"datasets": [{"shards": -1e400}]}}', "/config/datasets/0/shards"),
        (b"[]", ""),
        (b"null", ""),
        (b'"text"', ""),
        (b"1", ""),
    ],
)
def test_json_that_means_nothing_here(client: TestClient, body: bytes, at: str) -> None:
    """422 at the value at fault."""
    assert pointers(refused(client, 422, body)) == [at]


@pytest.mark.parametrize(
    ("body", "at", "nearest"),
    [
        ({"config": {"base_model": "meta-llama/Llama-3.1-9B"}}, "/config/base_model", "meta-llama/Llama-3.1-8B"),
        ({"config": LORA, "hardware": {"gpu": "rtx-4091"}}, "/hardware/gpu", "rtx-4090"),
        ({"config": LORA, "hardwear": {}}, "/hardwear", "hardware"),
        ({"config": LORA, "hardware": {"gpus": "rtx-4090", "vram_gib": 1}}, "/hardware/gpus", "gpu"),
        ({"config": LORA | {"optimizer": "adamw_8bitt"}}, "/config/optimizer", "adamw_8bit"),
    ],
)
def test_a_name_that_nothing_has(client: TestClient, body: dict[str, Any], at: str, nearest: str) -> None:
    """422 with the nearest names."""
    (error,) = refused(client, 422, body)["errors"]
    assert error["pointer"] == at
    assert nearest in error["nearest"]


@pytest.mark.parametrize(
    ("body", "at"),
    [
        ({}, ["/config"]),
        ({"config": "text"}, ["/config"]),
        ({"config": {}}, ["/config/base_model"]),
        ({"config": {"base_model": None}}, ["/config/base_model"]),
        ({"config": {"base_model": 7}}, ["/config/base_model"]),
        ({"config": {"base_model": ""}}, ["/config/base_model"]),
        ({"config": LORA | {"lora_r": -1}}, ["/config/lora_r"]),
        ({"config": LORA | {"lora_r": "many", "micro_batch_size": 0}}, ["/config/lora_r", "/config/micro_batch_size"]),
        ({"config": LORA, "hardware": {}}, ["/hardware/gpu"]),
        ({"config": LORA, "hardware": {"gpu": "rtx-4090", "vram_gib": 0}}, ["/hardware/vram_gib"]),
        ({"config": LORA, "hardware": {"vram_gib": -1}}, ["/hardware/vram_gib"]),
        ({"config": LORA, "hardware": {"vram_gib": "24"}}, ["/hardware/vram_gib"]),
        ({"config": LORA, "hardware": {"gpu": "rtx-4090", "count": 0}}, ["/hardware/count"]),
        ({"config": LORA, "hardware": {"gpu": "rtx-4090", "count": 1.5}}, ["/hardware/count"]),
        ({"config": LORA, "hardware": {"vram_gib": 8, "compute_capability": "8"}}, ["/hardware/compute_capability"]),
        ({"config": LORA, "model": []}, ["/model"]),
        ({"config": LORA, "model": {"model_type": "llama", "hidden_size": "big"}}, ["/model/hidden_size"]),
        ({"config": LORA, "model": {"model_type": "llama", "hidden_size": 10**15}}, ["/model/hidden_size"]),
    ],
)
def test_values_that_cannot_be(client: TestClient, body: dict[str, Any], at: list[str]) -> None:
    """422, all of them at once."""
    assert pointers(refused(client, 422, body)) == at


def test_no_more_errors_than_anybody_reads(client: TestClient) -> None:
    """The sentence still counts them all."""
    body = {
        "config": LORA | {"lora_target_linear": False, "lora_target_modules": [f"n_{number}" for number in range(200)]}
    }
    data = refused(client, 422, body)
    assert len(data["errors"]) <= 50


@pytest.mark.parametrize(
    ("body", "at"),
    [
        ({"hardware": {"gpu": "rtx-4090"}}, ["/base_model"]),
        ({"base_model": MODEL}, ["/hardware"]),
        ({"base_model": "nobody/nothing", "hardware": {"gpu": "rtx-4090"}}, ["/base_model"]),
        ({"base_model": MODEL, "hardware": {"gpu": "abacus"}}, ["/hardware/gpu"]),
        ({"base_model": MODEL, "hardware": {"gpu": "rtx-4090"}, "goal": "chatt"}, ["/goal"]),
        ({"base_model": MODEL, "hardware": {"gpu": "rtx-4090"}, "sequence_len": 0}, ["/sequence_len"]),
        ({"base_model": MODEL, "hardware": {"gpu": "rtx-4090"}, "overrides": {"lora_r": -4}}, ["/overrides/lora_r"]),
        ({"base_model": MODEL, "hardware": {"gpu": "rtx-4090"}, "dataset": {"row": 5}}, ["/dataset/row"]),
    ],
)
def test_plans_that_cannot_be(client: TestClient, body: dict[str, Any], at: list[str]) -> None:
    """Errors point into the request, wherever the plan met them."""
    assert pointers(refused(client, 422, body, "/api/v1/plan")) == at


@pytest.mark.parametrize("query", ["target=scripts", "target=axolotle", "comments=maybe", "target=&comments="])
def test_a_file_that_cannot_be_had(client: TestClient, query: str) -> None:
    """The answer says what can."""
    data = refused(client, 422, {"config": LORA}, f"/api/v1/config?{query}")
    assert all(pointer.startswith("/query/") for pointer in pointers(data))
    assert "axolotl" in data["errors"][0]["detail"] or "true" in data["errors"][0]["detail"]


@pytest.mark.parametrize(
    ("path", "nearest"),
    [
        ("/api/v1/models/meta-llama/Llama-3.1-9B", "meta-llama/Llama-3.1-8B"),
        ("/api/v1/methods/qlorra", "qlora"),
    ],
)
def test_an_unknown_id_in_a_path(client: TestClient, path: str, nearest: str) -> None:
    """404 with the nearest names, in the sentence and beside it."""
    data = problem(client.get(path), 404)
    assert nearest in data["errors"][0]["nearest"]
    assert nearest in data["detail"]


@pytest.mark.parametrize("path", ["/api", "/api/v1", "/api/v1/", "/api/v1/nothing", "/api/v2/models", "/healthz/x"])
def test_nothing_there(client: TestClient, path: str) -> None:
    """404 in the one shape."""
    problem(client.get(path), 404)


def test_a_method_that_is_not_answered(client: TestClient) -> None:
    """405 says what is."""
    response = client.get("/api/v1/estimate")
    problem(response, 405)
    assert response.headers["allow"] == "POST"


@pytest.mark.parametrize(
    "media_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""]
)
def test_a_wrong_media_type(client: TestClient, media_type: str) -> None:
    """415, before the body is looked at."""
    problem(client.post("/api/v1/estimate", content=b"{", headers={"content-type": media_type}), 415)


@pytest.mark.parametrize(
    "media_type", ["application/json; charset=utf-8", "Application/JSON", "application/merge-patch+json"]
)
def test_other_ways_to_say_json(client: TestClient, media_type: str) -> None:
    """Parameters, case and suffixes do not matter."""
    problem(client.post("/api/v1/estimate", content=b"{", headers={"content-type": media_type}), 400)


def test_a_body_over_the_limit(client: TestClient) -> None:
    """Whether its length is announced or found out on the way."""

    def endless() -> Iterator[bytes]:
        for _ in range(160):
            yield b"x" * (1 << 16)

    announced = client.post("/api/v1/estimate", content=b"x" * (10 << 20), headers=JSON)
    streamed = client.post("/api/v1/estimate", content=endless(), headers=JSON)
    for response in (announced, streamed):
        assert "1,048,576" in problem(response, 413)["detail"]


def test_errors_speak_the_readers_language(client: TestClient) -> None:
    """Pointers and codes do not."""
    english = refused(client, 422, {"config": LORA | {"lora_r": -1}})
    burmese = refused(client, 422, {"config": LORA | {"lora_r": -1}}, "/api/v1/estimate?lang=my")
    assert english["detail"] != burmese["detail"]
    for same in ("pointer", "code", "nearest"):
        assert english["errors"][0][same] == burmese["errors"][0][same]


NASTY = [
    None, True, False, 0, -1, 1.5, 10**18, -(10**18), 1e308, 5e-324, "", "\x00", "é\u202e\u0000", "x" * 5000, "1" * 5000,
    [], [None], [[]], {}, {"": ""}, {"a": {"b": [1, {"c": None}]}}, "!!python/object:os.system", "${jndi:x}", "%s%n{0.__class__}",
]  # fmt: skip
KEYS = [
    "base_model", "adapter", "load_in_4bit", "load_in_8bit", "lora_r", "lora_alpha", "lora_dropout", "lora_target_modules",
    "lora_target_linear", "lora_target_parameters", "lora_modules_to_save", "lora_rank_pattern", "peft_use_dora",
    "peft_layers_to_transform", "peft", "peft_config", "relora", "sequence_len", "micro_batch_size", "eval_batch_size",
    "gradient_accumulation_steps", "gradient_checkpointing", "gradient_checkpointing_kwargs", "optimizer", "learning_rate",
    "num_epochs", "bf16", "fp16", "plugins", "datasets", "test_datasets", "val_set_size", "attn_implementation", "rl",
    "sample_packing", "special_tokens", "neftune_noise_alpha", "unfrozen_parameters", "relora_steps", "lora_mlp_kernel",
    "bf17", "", "\x00", "a/b~c", "chat_template", "activation_offloading", "trust_remote_code", "pretraining_dataset",
]  # fmt: skip


@pytest.mark.parametrize("key", KEYS)
def test_nasty_values_never_break_it(client: TestClient, key: str) -> None:
    """Whatever stands under whatever key: an answer or a refusal."""
    for value in NASTY:
        config = {**LORA, key: value}
        hardware = {"gpu": "rtx-4090"}
        for path, body in (
            ("/api/v1/estimate", {"config": config, "hardware": hardware}),
            ("/api/v1/config", {"config": config}),
        ):
            response = client.post(path, json=body)
            assert response.status_code in (200, 422), (path, key, value, response.text[:300])


@pytest.mark.parametrize("value", NASTY, ids=lambda value: repr(value)[:20])
def test_nasty_overrides_never_break_a_plan(client: TestClient, value: Any) -> None:
    """Nor do they break what plans around them; one value under every key in turn."""
    for key in KEYS:
        body = {"base_model": MODEL, "hardware": {"gpu": "rtx-4090"}, "overrides": {key: value}}
        response = client.post("/api/v1/plan", json=body)
        assert response.status_code in (200, 422), (key, value, response.text[:300])


MODEL_KEYS = [
    "model_type", "hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "head_dim", "vocab_size",
    "intermediate_size", "tie_word_embeddings", "max_position_embeddings", "layer_types", "text_config", "vision_config",
    "num_experts", "num_local_experts", "hidden_act", "sliding_window", "rope_scaling", "_name_or_path", "quantization_config",
]  # fmt: skip


@pytest.mark.parametrize("key", MODEL_KEYS)
@pytest.mark.parametrize("model_type", ["llama", "qwen3_moe", "gemma3", "falcon", "somebodys_own"])
def test_nasty_config_jsons_never_break_it(client: TestClient, key: str, model_type: str) -> None:
    """Likewise for what is pasted."""
    for value in NASTY:
        model = {
            "model_type": model_type,
            "hidden_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            key: value,
        }
        response = client.post("/api/v1/estimate", json={"config": LORA, "model": model})
        assert response.status_code in (200, 422), (model_type, key, value, response.text[:300])


def test_a_model_given_by_name_is_pointed_to_where_names_go(client: TestClient) -> None:
    body = {"model": MODEL, "hardware": {"gpu": "rtx-4090"}}
    found = refused(client, 422, body, "/api/v1/plan")
    assert found["errors"][0]["pointer"] == "/model"
    assert "base_model" in found["errors"][0]["detail"]


@pytest.mark.parametrize(
    ("call", "query", "nearest", "allowed"),
    [
        (("POST", "estimate"), "knob=true", ["knobs"], "knobs, lang"),
        (("POST", "plan"), "knobs=true&zzz=1", [], "knobs, lang"),
        (("POST", "fit"), "grd=1", [], "lang"),
        (("POST", "compare"), "langg=my", ["lang"], "lang"),
        (("POST", "check"), "verbose=1", [], "lang"),
        (("POST", "config"), "targt=peft", ["target"], "target, comments, lang"),
        (("GET", "models"), "Q=llama", ["q"], "q, lang"),
        (("GET", "models/Qwen/Qwen3-8B"), "q=llama", [], "lang"),
        (("GET", "gpus"), "page=2", [], "lang"),
        (("GET", "methods"), "page=2", [], "lang"),
        (("GET", "methods/lora"), "page=2", [], "lang"),
    ],
)
def test_a_query_parameter_that_a_call_does_not_have(
    client: TestClient, call: tuple[str, str], query: str, nearest: list[str], allowed: str
) -> None:
    """A misspelt one is not ignored without a word."""
    method, path = call
    response = client.request(method, f"/api/v1/{path}?{query}", json={"config": LORA} if method == "POST" else None)
    assert response.status_code == 422
    (error,) = response.json()["errors"]
    name = query.rpartition("&")[2].partition("=")[0]
    assert error["pointer"] == f"/query/{name}"
    assert name in error["detail"]
    assert error["detail"].endswith(f"Allowed: {allowed}.")
    assert error["nearest"] == nearest


def test_a_method_that_an_address_does_not_answer(client: TestClient) -> None:
    for path, method, allowed in (("estimate", "GET", "POST"), ("gpus", "DELETE", "GET")):
        response = client.request(method, f"/api/v1/{path}")
        assert response.status_code == 405
        assert response.headers["allow"] == allowed
        assert response.json()["detail"] == f"/api/v1/{path} does not answer {method}. Allowed: {allowed}."
