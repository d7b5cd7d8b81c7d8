"""What each resource gives."""

from typing import Any

import pytest
import yaml
from starlette.testclient import TestClient

MODEL = "meta-llama/Llama-3.1-8B"
QLORA = {
    "base_model": MODEL,
    "adapter": "qlora",
    "load_in_4bit": True,
    "lora_r": 16,
    "lora_target_linear": True,
    "sequence_len": 2048,
    "gradient_checkpointing": True,
    "learning_rate": 0.0002,
}


def posted(client: TestClient, path: str, body: dict[str, Any]) -> Any:
    """A successful answer."""
    response = client.post(f"/api/v1{path}", json=body)
    assert response.status_code == 200, response.text
    return response.json()


def test_models_are_found_by_daily_speech(client: TestClient) -> None:
    """`q` narrows, nothing pages."""
    everything = client.get("/api/v1/models").json()
    assert everything["total"] == len(everything["items"])
    found = client.get("/api/v1/models", params={"q": "llama 3.1 8b"}).json()
    assert found["items"][0]["id"] == MODEL
    assert found["total"] < everything["total"]


@pytest.mark.parametrize("written", [MODEL, MODEL.upper(), "meta-llama%2FLlama-3.1-8B"])
def test_a_model_has_its_config_source_and_date(client: TestClient, written: str) -> None:
    """Its id holds a slash, escaped or not, in any case."""
    row = client.get(f"/api/v1/models/{written}").json()
    assert row["id"] == MODEL
    assert row["config"]["hidden_size"] == 4096
    assert row["source"].startswith("https://")
    assert row["total_parameters"] == 8_030_261_248
    assert row["checked_on"]


def test_gpus(client: TestClient) -> None:
    """What the driver offers beside what the box says."""
    gpus = {row["id"]: row for row in client.get("/api/v1/gpus").json()["items"]}
    assert gpus["rtx-4090"]["marketed_memory_gb"] == 24
    assert gpus["rtx-4090"]["compute_capability"] == "8.9"


@pytest.mark.parametrize("language", ["en", "my"])
def test_methods_are_explained_in_the_readers_language(client: TestClient, language: str) -> None:
    """No code is left where a text belongs."""
    listed = client.get("/api/v1/methods", params={"lang": language}).json()
    ids = {row["id"] for row in listed["items"]}
    assert {"full", "lora", "qlora", "dora", "relora", "prompt_tuning", "ia3", "bottleneck"} <= ids
    for row in listed["items"]:
        assert client.get(f"/api/v1/methods/{row['id']}", params={"lang": language}).json() == row
        assert "methods." not in str(row), row["id"]


def test_an_estimate_adds_up(client: TestClient) -> None:
    """Terms to the peak, headroom to the capacity, the model's own count."""
    estimate = posted(client, "/estimate", {"config": QLORA, "hardware": {"gpu": "rtx-4090"}})
    memory = estimate["memory"]
    assert sum(term["bytes"] for term in memory["breakdown"]) == memory["allocated_peak_bytes"]
    assert estimate["headroom_bytes"] == estimate["capacity_bytes"] - memory["process_bytes"]
    assert estimate["model"]["total_parameters"] == 8_030_261_248
    assert estimate["trainable_parameters"] == 41_943_040
    assert estimate["fits"] is True
    assert sum(row["trainable_parameters"] for row in estimate["modules"]) == estimate["trainable_parameters"]


@pytest.mark.parametrize("language", ["en", "my"])
def test_each_term_has_its_formula(client: TestClient, language: str) -> None:
    """Its products sum to it; what they are is said in the reader's language, and which terms are sharded."""
    memory = posted(client, f"/estimate?lang={language}", {"config": QLORA})["memory"]
    for term in memory["breakdown"]:
        assert sum(part["bytes"] for part in term["parts"]) == term["bytes"], term["term"]
        assert term["formula"] == (" + ".join(part["formula"] for part in term["parts"]) or "0")
        assert term["source"]
        assert "summand." not in str(term)
    assert [term["term"] for term in memory["breakdown"] if term["sharded"]] == [
        "weights",
        "adapter",
        "gradients",
        "optimizer",
    ]


def test_without_hardware_nothing_is_said_of_fitting(client: TestClient) -> None:
    """Nulls, not guesses."""
    estimate = posted(client, "/estimate", {"config": QLORA})
    assert (estimate["fits"], estimate["capacity_bytes"], estimate["headroom_bytes"]) == (None, None, None)
    assert estimate["verdict"] == "unknown"


def test_not_fitting_is_an_answer(client: TestClient) -> None:
    """200, with a negative headroom."""
    estimate = posted(client, "/estimate", {"config": QLORA, "hardware": {"vram_gib": 2}})
    assert estimate["fits"] is False
    assert estimate["headroom_bytes"] < 0


def test_a_pasted_config_json_overrides_the_lookup(client: TestClient) -> None:
    """Whatever base_model says."""
    model = {
        "model_type": "llama",
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "vocab_size": 100,
    }
    small = posted(client, "/estimate", {"config": QLORA, "model": model})
    assert small["model"]["total_parameters"] < 10**7
    unknown = posted(client, "/estimate", {"config": QLORA | {"base_model": "me/mine"}, "model": model})
    assert unknown["model"]["id"] == "me/mine"


def test_a_plan_is_whole(client: TestClient) -> None:
    """Method, reasons, configuration, file and estimate agree with each other."""
    plan = posted(client, "/plan", {"base_model": MODEL, "hardware": {"gpu": "rtx-4090"}})
    assert plan["outcome"] == "fits"
    assert plan["decision"]["path"][0]["node"] == "vram"
    assert all(step["reason"] for step in plan["decision"]["path"])
    assert yaml.safe_load(plan["yaml"]) == plan["config"]
    again = posted(client, "/estimate", {"config": plan["config"], "hardware": {"gpu": "rtx-4090"}})
    assert again["memory"] == plan["estimate"]["memory"]
    assert plan["method"] not in {other["method"] for other in plan["alternatives"]}


def test_overrides_are_kept_as_given(client: TestClient) -> None:
    """The plan works around them."""
    plan = posted(client, "/plan", {"base_model": MODEL, "hardware": {"gpu": "rtx-4090"}, "overrides": {"lora_r": 12}})
    assert plan["config"]["lora_r"] == 12


def test_a_plan_that_fits_nowhere_is_an_answer(client: TestClient) -> None:
    """The closest configuration, and in a finding what would do."""
    plan = posted(client, "/plan", {"base_model": MODEL, "hardware": {"vram_gib": 2}})
    assert plan["outcome"] == "does_not_fit"
    assert plan["findings"]


def test_a_plan_is_made_from_a_pasted_config_json(client: TestClient) -> None:
    """Without any base_model."""
    model = client.get(f"/api/v1/models/{MODEL}").json()["config"]
    plan = posted(client, "/plan", {"model": model, "hardware": {"vram_gib": 24}})
    assert plan["estimate"]["model"]["total_parameters"] == 8_030_261_248


def test_a_configuration_is_written_as_a_file(client: TestClient) -> None:
    """A download that reads back as the same keys."""
    whole = QLORA | {"datasets": [{"path": "a/b", "type": "alpaca"}], "lora_alpha": 32}
    response = client.post("/api/v1/config", json={"config": whole})
    assert response.headers["content-type"].startswith("application/yaml")
    assert response.headers["content-disposition"] == 'attachment; filename="llama-3.1-8b-qlora.yaml"'
    assert yaml.safe_load(response.text) == whole
    plain = client.post("/api/v1/config", params={"comments": "false"}, json={"config": whole})
    assert "#" in response.text
    assert "#" not in plain.text


@pytest.mark.parametrize("base_model", ["../../etc/passwd", 'a"\r\nx: y', "မြန်မာ", "."])
def test_file_names_are_safe(client: TestClient, base_model: str) -> None:
    """Whatever the model is called."""
    response = client.post("/api/v1/config", json={"config": QLORA | {"base_model": base_model}})
    name = response.headers["content-disposition"].removeprefix('attachment; filename="').removesuffix('"')
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789.-")
    assert name.endswith(".yaml")
    assert not name.startswith(".")


@pytest.mark.parametrize(
    ("query", "header", "language"),
    [
        ("", None, "en"),
        ("", "my", "my"),
        ("", "my-MM,my;q=0.9,en;q=0.8", "my"),
        ("", "fr, en;q=0.5, my;q=0.1", "en"),
        ("?lang=my", "en", "my"),
        ("?lang=en", "my", "en"),
        ("?lang=xx", "my", "my"),
    ],
)
def test_language(client: TestClient, query: str, header: str | None, language: str) -> None:
    """`lang`, then Accept-Language, then English; caches are told."""
    response = client.get(f"/api/v1/methods{query}", headers={"accept-language": header} if header else {})
    assert response.headers["content-language"] == language
    assert "Accept-Language" in response.headers["vary"]


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health(client: TestClient, path: str) -> None:
    """No prefix, no cache."""
    response = client.get(path)
    assert (response.status_code, response.json()) == (200, {"status": "ok"})
    assert response.headers["cache-control"] == "no-store"


def test_a_file_that_does_not_run_says_so_at_its_head(client: TestClient) -> None:
    """Whether comments are wanted or not."""
    for comments in ("true", "false"):
        response = client.post("/api/v1/config", params={"comments": comments}, json={"config": QLORA})
        assert "REFUSES this file" in response.text.splitlines()[0]
        assert yaml.safe_load(response.text) == QLORA


def test_a_plan_says_what_axolotl_makes_of_its_file(client: TestClient) -> None:
    """Valid or not, and the gravest effect; clashing keys of the person's own included."""
    asked = {"base_model": "Qwen/Qwen3-4B", "hardware": {"gpu": "rtx-4090"}}
    good = posted(client, "/plan", asked)
    assert (good["valid"], good["verdict"], good["targets"]) == (True, "ok", ["axolotl", "peft", "script"])
    clash = posted(client, "/plan", asked | {"overrides": {"warmup_steps": 5, "warmup_ratio": 0.1}})
    assert (clash["valid"], clash["verdict"]) == (False, "rejected")
    assert "REFUSES" in clash["yaml"].splitlines()[0]


def test_a_plan_for_a_method_of_peft_gives_a_file_that_runs_beside_the_plugin(client: TestClient) -> None:
    """Where there is a plugin; where there is none, the file says so and the targets name what there is."""
    asked = {"base_model": "Qwen/Qwen3-4B", "hardware": {"gpu": "rtx-4090"}}
    plan = posted(client, "/plan", asked | {"overrides": {"adapter": "ia3"}})
    assert (plan["valid"], plan["targets"]) == (True, ["plugin", "peft", "script"])
    file = yaml.safe_load(plan["yaml"])
    assert file["plugins"][-1].startswith("axoplan_peft.")
    assert any("IA" in finding["message"] and "You chose" in finding["message"] for finding in plan["findings"])
    own = posted(client, "/plan", asked | {"overrides": {"adapter": "bottleneck"}})
    assert (own["valid"], own["verdict"], own["targets"]) == (False, "rejected", ["script"])
    assert "REFUSES" in own["yaml"].splitlines()[0]
