"""`POST /config?target=`: each file by its media type; what cannot be had is said."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.application import create_app
from app.settings import Settings

MODEL = "meta-llama/Llama-3.1-8B"
IA3: dict[str, Any] = {"base_model": MODEL, "adapter": "ia3"}


@pytest.fixture(scope="module")
def client() -> TestClient:
    """The service."""
    return TestClient(create_app(Settings(access_log=False)))


@pytest.mark.parametrize(
    ("target", "media_type", "name"),
    [
        ("plugin", "application/zip", "llama-3.1-8b-ia3-plugin.zip"),
        ("peft", "application/json", "adapter_config.json"),
        ("script", "text/x-python; charset=utf-8", "llama-3.1-8b-ia3.py"),
    ],
)
def test_each_target_is_a_download(client: TestClient, target: str, media_type: str, name: str) -> None:
    """With its name and kind."""
    response = client.post("/api/v1/config", params={"target": target}, json={"config": IA3})
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == media_type
    assert response.headers["content-disposition"] == f'attachment; filename="{name}"'


def test_axolotls_file_is_refused_with_the_way_out(client: TestClient) -> None:
    """At the adapter; an unknown model and a bad setting at theirs."""
    refused = client.post("/api/v1/config", json={"config": IA3})
    assert refused.status_code == 422
    (error,) = refused.json()["errors"]
    assert error["pointer"] == "/config/adapter"
    assert "target=plugin" in error["detail"]
    unknown = client.post("/api/v1/config?target=peft", json={"config": IA3 | {"base_model": "no/such"}})
    assert [error["pointer"] for error in unknown.json()["errors"]] == ["/config/base_model"]
    bad = client.post("/api/v1/config?target=script", json={"config": IA3 | {"peft_config": {"target_module": []}}})
    assert [error["pointer"] for error in bad.json()["errors"]] == ["/config/peft_config/target_module"]


@pytest.mark.parametrize("language", ["en", "my"])
def test_such_a_configuration_is_estimated_like_any_other(client: TestClient, language: str) -> None:
    """Counts with their formula, memory, and where to run it."""
    body = {"config": IA3, "hardware": {"gpu": "rtx-4090"}}
    found = client.post("/api/v1/estimate", params={"lang": language}, json=body).json()
    assert found["trainable_parameters"] == 32 * (1024 + 1024 + 14336) == 524288
    assert [row["formula"] for row in found["modules"]] == ["1,024", "1,024", "14,336"]
    assert {"adapter_not_axolotl", "adapter_by_export"} <= {finding["code"] for finding in found["findings"]}
    assert "unknown_key" not in {finding["code"] for finding in found["findings"]}


def test_such_methods_are_compared(client: TestClient) -> None:
    """Every method of the guide has its estimate, prefix tuning without checkpointing."""
    config = {
        "base_model": MODEL,
        "adapter": "lora",
        "lora_r": 16,
        "lora_target_linear": True,
        "gradient_checkpointing": True,
        "sample_packing": True,
    }
    items = client.post("/api/v1/compare", json={"config": config}).json()["items"]
    by_id = {item["method"]: item for item in items}
    for method in ("prompt_tuning", "prefix_tuning", "p_tuning", "p_tuning_v2", "ia3", "bottleneck"):
        assert by_id[method]["estimate"] is not None, method
        assert "lora_r" not in by_id[method]["config"]
    assert by_id["prompt_tuning"]["estimate"]["trainable_parameters"] == 81920
    assert by_id["prefix_tuning"]["config"]["gradient_checkpointing"] is False
    assert by_id["prompt_tuning"]["config"]["sample_packing"] is False
    assert by_id["ia3"]["config"]["sample_packing"] is True


def test_methods_carry_the_table_of_targets(client: TestClient) -> None:
    """The guide's rows, Phi-3 corrected with the reason."""
    found = client.get("/api/v1/methods").json()
    rows = {row["id"]: row for row in found["target_modules"]}
    assert rows["phi3"]["modules"] == ["o_proj", "down_proj", "qkv_proj", "gate_up_proj"]
    assert rows["phi3"]["document"] == rows["phi"]["modules"]
    assert "qkv_proj" in rows["phi3"]["why"]
