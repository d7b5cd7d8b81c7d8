"""POST /fit and POST /compare: what they take, what they give, what they refuse."""

from typing import Any

import pytest
from starlette.testclient import TestClient

from app.application import create_app
from app.core.fit import KEY_RUNGS
from app.schemas.planning import Comparison, Fit
from app.schemas.vocabulary import QLORA_EXAMPLE
from app.settings import Settings


@pytest.fixture(scope="module")
def client() -> TestClient:
    """The service."""
    return TestClient(create_app(Settings(access_log=False)))


def test_fit_gives_changes_that_save(client: TestClient) -> None:
    """On a smaller card than the configuration was made for."""
    body = {"config": QLORA_EXAMPLE, "hardware": {"gpu": "rtx-4060"}, "grid": {}}
    answer = client.post("/api/v1/fit", json=body)
    assert answer.status_code == 200
    found = answer.json()
    Fit.model_validate(found)
    assert found["outcome"] == "fits"
    assert found["changes"][0].keys() == {"key", "from", "to", "saves_bytes", "along"}
    assert found["estimate"]["fits"] is True
    assert [len(row) for row in found["grid"]["rows"]] == [7] * 5


def test_fit_says_why_nothing_fits(client: TestClient) -> None:
    """In the reader's language."""
    body = {"config": QLORA_EXAMPLE, "hardware": {"vram_gib": 2}, "vary": ["sequence_len"]}
    found = client.post("/api/v1/fit?lang=my", json=body).json()
    assert found["outcome"] == "does_not_fit"
    assert found["findings"][0]["code"] == "smallest_gpu_kept"


@pytest.mark.parametrize(
    ("own", "pointer"),
    [
        ({"vary": ["lora_rank"]}, "/vary/0"),
        ({"objective": "quickest"}, "/objective"),
        ({"objective": "fastest", "hardware": {"vram_gib": 24}}, "/objective"),
        ({"config": {"base_model": "openai-community/gpt2"}, "objective": "highest_rank"}, "/objective"),
        ({"grid": {"x": {"key": "sequence_len", "values": [0]}}}, "/grid/x/values/0"),
        ({"grid": {"y": {"key": "batch"}}}, "/grid/y/key"),
        ({"grid": {"y": {"key": "lora_r", "values": []}}}, "/grid/y/values"),
        ({"config": {**QLORA_EXAMPLE, "lora_r": -1}}, "/config/lora_r"),
        ({"config": {"base_model": "no/such"}}, "/config/base_model"),
        ({"hardware": {"gpu": "rtx-9999"}}, "/hardware/gpu"),
        ({"hardware": {"gpu": "rtx-4090", "price_per_hour": -1}}, "/hardware/price_per_hour"),
    ],
)
def test_fit_refuses_what_cannot_be(client: TestClient, own: dict[str, Any], pointer: str) -> None:
    """Naming the value."""
    answer = client.post("/api/v1/fit", json={"config": QLORA_EXAMPLE, "hardware": {"gpu": "rtx-4090"}, **own})
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


@pytest.mark.parametrize(
    ("own", "name", "given", "nearest"),
    [
        ({"vary": ["optimizer", "sequence_length"]}, "vary", "sequence_length", "sequence_len"),
        ({"objective": "fast"}, "objective", "fast", "fastest"),
        ({"grid": {"x": {"key": "micro_batch"}}}, "key", "micro_batch", "micro_batch_size"),
    ],
)
def test_a_choice_that_is_none_names_field_given_allowed_and_nearest(
    client: TestClient, own: dict[str, Any], name: str, given: str, nearest: str
) -> None:
    """In a list and deep in the request too."""
    body = {"config": QLORA_EXAMPLE, "hardware": {"gpu": "rtx-4090"}, **own}
    (error,) = client.post("/api/v1/fit", json=body).json()["errors"]
    assert all(part in error["detail"] for part in (f"{name} cannot be {given}", f"mean {nearest}?", "Allowed: "))
    assert error["nearest"] == [nearest]


def test_a_choice_that_looks_like_nothing_names_what_is_allowed(client: TestClient) -> None:
    """Every one."""
    body = {"config": QLORA_EXAMPLE, "hardware": {"gpu": "rtx-4090"}, "vary": ["foo"]}
    (error,) = client.post("/api/v1/fit", json=body).json()["errors"]
    assert error["pointer"] == "/vary/0"
    assert error["detail"].startswith("vary cannot be foo")
    assert all(key in error["detail"] for key in KEY_RUNGS)


def test_fit_shows_what_reaches_further_beside_what_has_headroom(client: TestClient) -> None:
    """Both verdicts said."""
    body = {"config": QLORA_EXAMPLE, "hardware": {"gpu": "rtx-4090"}, "objective": "longest_sequence"}
    found = client.post("/api/v1/fit", json=body).json()
    assert found["estimate"]["verdict"] == "fits"
    assert found["at_most"]["estimate"]["verdict"] == "tight"
    assert found["at_most"]["config"]["sequence_len"] > found["config"]["sequence_len"]


def test_compare_gives_every_method(client: TestClient) -> None:
    """With what each gives up."""
    answer = client.post("/api/v1/compare", json={"config": QLORA_EXAMPLE, "hardware": {"gpu": "rtx-4090"}})
    found = answer.json()
    Comparison.model_validate(found)
    assert found["total"] == len(found["items"]) == 14
    assert all(item["gives_up"] for item in found["items"])


def test_compare_prices_variants(client: TestClient) -> None:
    """With the data's size and an hour's price."""
    body = {
        "config": QLORA_EXAMPLE,
        "hardware": {"gpu": "rtx-4090", "price_per_hour": 0.5},
        "dataset": {"rows": 1000, "mean_tokens": 300},
        "variants": [{}, {"num_epochs": 6}],
    }
    once, twice = client.post("/api/v1/compare", json=body).json()["items"]
    assert (once["label"], twice["label"]) == ("As given", "num_epochs: 6")
    assert twice["estimate"]["time"]["price"] == pytest.approx(2 * once["estimate"]["time"]["price"], rel=0.05)


@pytest.mark.parametrize(
    ("own", "pointer"),
    [
        ({"variants": []}, "/variants"),
        ({"variants": [{}] * 25}, "/variants"),
        ({"variants": [{"sequence_len": "long"}]}, "/variants/0/sequence_len"),
        ({"variants": [{"base_model": "no/such"}]}, "/variants/0/base_model"),
        ({"config": {**QLORA_EXAMPLE, "micro_batch_size": 0}}, "/config/micro_batch_size"),
    ],
)
def test_compare_refuses_what_cannot_be(client: TestClient, own: dict[str, Any], pointer: str) -> None:
    """Naming the value."""
    answer = client.post("/api/v1/compare", json={"config": QLORA_EXAMPLE, "hardware": {"gpu": "rtx-4090"}, **own})
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


@pytest.mark.parametrize(
    ("variants", "said"),
    [
        ([], "variants has 0 entries; their number must be ≥ 1."),
        ([{}] * 25, "variants has 25 entries; their number must be ≤ 24."),
        ({}, "variants must be a list, not {}."),
    ],
)
def test_a_list_that_is_none_or_of_the_wrong_length_says_so(client: TestClient, variants: object, said: str) -> None:
    """With what was given and what would do."""
    answer = client.post("/api/v1/compare", json={"config": QLORA_EXAMPLE, "variants": variants})
    assert answer.json()["detail"] == said
