"""``POST /check``."""

from typing import Any

import pytest
from starlette.testclient import TestClient

from app.schemas.vocabulary import QLORA_EXAMPLE, YAML_EXAMPLE


def check(client: TestClient, **body: Any) -> Any:
    """The answer to one check."""
    response = client.post("/api/v1/check?lang=en", json=body)
    assert response.status_code == 200, response.text
    return response.json()


def test_an_old_file_comes_out_modern(client: TestClient) -> None:
    found = check(client, yaml=YAML_EXAMPLE, hardware={"gpu": "rtx-4090"})
    assert found["valid"] is True
    assert found["verdict"] == "misleads"
    assert "attn_implementation: flash_attention_2  # the old switch" in found["yaml"]
    assert found["config"]["learning_rate"] == 0.0002
    assert found["estimate"]["verdict"] in ("fits", "tight", "does_not_fit")
    by_code = {finding["code"]: finding for finding in found["findings"]}
    assert by_code["ignored_key"]["line"] == 10
    assert by_code["ignored_key"]["effect"] == "misleads"
    assert by_code["ignored_key"]["fix"]["safe"] is False


def test_what_does_not_parse_is_an_answer(client: TestClient) -> None:
    found = check(client, yaml="adapter: lora\n\tlora_r: 5\n")
    assert (found["valid"], found["verdict"], found["config"], found["estimate"]) == (False, "rejected", {}, None)
    (finding,) = found["findings"]
    assert finding["line"] == 2
    assert "column 1" in finding["message"]


def test_a_configuration_will_do_too(client: TestClient) -> None:
    found = check(client, config=QLORA_EXAMPLE)
    assert found["valid"] is True
    assert found["estimate"]["memory"]["process_bytes"] > 0


@pytest.mark.parametrize("body", [{}, {"yaml": "a: 1", "config": {}}, {"yaml": 5}, {"yaml": "a: 1", "hardware": {}}])
def test_a_request_that_is_none_is_refused(client: TestClient, body: dict[str, Any]) -> None:
    assert client.post("/api/v1/check", json=body).status_code == 422


@pytest.mark.parametrize(
    "config", [{"base_model": 5}, {"adapter": []}, {"datasets": {"a": 1}}, {"lora_r": -5, "x": None}]
)
def test_bad_values_are_findings(client: TestClient, config: dict[str, Any]) -> None:
    assert check(client, config=config)["valid"] is False
