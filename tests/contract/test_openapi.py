"""The OpenAPI document holds to the contract's names, and real answers hold to the document."""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from pydantic import BaseModel
from schemathesis.specs.openapi.checks import positive_data_acceptance
from starlette.testclient import TestClient

from app.api.problem import SLUGS
from app.application import create_app
from app.core.plan import Goal, Install, Priority
from app.schemas.answer import Health
from app.schemas.catalogue import GpuList, Method, MethodList, ModelDetail, ModelList
from app.schemas.estimates import Estimate
from app.schemas.planning import Plan
from app.schemas.vocabulary import COMPONENT
from app.settings import Settings

CALLS = {
    ("get", "/api/v1/models"),
    ("get", "/api/v1/models/{id}"),
    ("get", "/api/v1/gpus"),
    ("get", "/api/v1/methods"),
    ("get", "/api/v1/methods/{id}"),
    ("post", "/api/v1/estimate"),
    ("post", "/api/v1/plan"),
    ("post", "/api/v1/config"),
    ("post", "/api/v1/check"),
    ("post", "/api/v1/fit"),
    ("post", "/api/v1/compare"),
    ("get", "/healthz"),
    ("get", "/readyz"),
}

FIELDS = {
    "EstimateRequest": "config model hardware",
    "FitRequest": "config model hardware vary objective grid",
    "CompareRequest": "config model hardware variants",
    "Fit": "config changes estimate grid",
    "Comparison": "items",
    "Compared": "label config estimate",
    "ConfigRequest": "config model",
    "CheckRequest": "yaml config hardware model install",
    "Check": "valid verdict findings config yaml estimate",
    "PlanRequest": "base_model model hardware goal priority sequence_len dataset overrides install",
    "Hardware": "gpu vram_gib count nodes compute_capability",
    "Dataset": "path type rows mean_tokens max_tokens",
    "Finding": "severity code key line message fix",
    "Fix": "set unset safe",
    "Estimate": "model trainable_parameters trainable_percent modules memory fits verdict capacity_bytes headroom_bytes "
    "rule_of_thumb_bytes rule_of_thumb adapter_disk_bytes time knobs findings",
    "RuleOfThumb": "bytes difference_bytes explanation parts",
    "Knobs": "saves_most saves_most_training_the_same items",
    "Knob": "knob label summary set unset trains saves_bytes process_bytes host_bytes fits verdict time_ratio",
    "Time": "step_seconds tokens_per_second total_steps run_seconds energy_kwh price",
    "EstimateModel": "id architecture total_parameters",
    "ModuleCount": "module layers shape trainable_parameters",
    "Memory": "allocated_peak_bytes process_bytes range_bytes peak_phase step_phase load_bytes breakdown host_bytes",
    "Term": "term bytes explanation sharded formula parts source",
    "TermPart": "part label formula bytes",
    "Plan": "outcome method decision config yaml estimate changes alternatives findings",
    "Change": "key from to saves_bytes",
    "Decision": "path leaf",
    "Step": "node question answer reason",
    "Alternative": "method config estimate reason",
    "Problem": "type title status detail errors",
    "ProblemError": "pointer detail",
    "ModelList": "items total",
    "GpuList": "items total",
    "MethodList": "items total",
}
"""The contract's names: more may be there, none may be missing."""

CHOICES = {
    "Goal": "chat instruction completion continued_pretraining dpo orpo kto simpo reward",
    "Priority": "balanced quality memory speed",
    "Install": "docker pip",
    "Outcome": "fits does_not_fit",
    "Severity": "error warning info",
    "Effect": "rejected fails_at_run misleads ok",
    "Verdict": "fits tight does_not_fit unknown",
    "Phase": "load forward backward optimizer evaluation",
}


@cache
def document() -> dict[str, Any]:
    """The OpenAPI document as served."""
    found: dict[str, Any] = json.loads(json.dumps(create_app(Settings(access_log=False)).openapi()))
    return found


@cache
def service() -> TestClient:
    """The service; a fault of ours is an answer."""
    return TestClient(create_app(Settings(access_log=False)), raise_server_exceptions=False)


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every documented call."""
    for path, item in document()["paths"].items():
        for method, operation in item.items():
            yield method, path, operation


def test_every_call_is_documented() -> None:
    """These, and no others."""
    assert {(method, path) for method, path, _ in operations()} == CALLS


@pytest.mark.parametrize(("shape", "names"), FIELDS.items(), ids=FIELDS)
def test_shapes_keep_their_names(shape: str, names: str) -> None:
    """Other tools call them by these."""
    properties = set(document()["components"]["schemas"][shape]["properties"])
    assert set(names.split()) <= properties


@pytest.mark.parametrize(("shape", "values"), CHOICES.items(), ids=CHOICES)
def test_choices_keep_their_values(shape: str, values: str) -> None:
    """Codes never change."""
    assert document()["components"]["schemas"][shape]["enum"] == values.split()


def test_defaults() -> None:
    """What a request that leaves a choice out asks for."""
    properties = document()["components"]["schemas"]["PlanRequest"]["properties"]
    for name, default in (("goal", Goal.CHAT), ("priority", Priority.BALANCED), ("install", Install.DOCKER)):
        assert properties[name]["default"] == default


def test_open_mappings_stay_open() -> None:
    """A configuration takes any key, a config.json any field; a request takes only its own."""
    shapes = document()["components"]["schemas"]
    assert shapes["Config"]["additionalProperties"] is True
    assert shapes["Model"]["additionalProperties"] is True
    for request in ("EstimateRequest", "PlanRequest", "ConfigRequest", "Hardware", "Dataset"):
        assert shapes[request]["additionalProperties"] is False


def test_errors_are_documented_as_problems() -> None:
    """Every call with a body says how it refuses one."""
    for method, path, operation in operations():
        statuses = set(operation["responses"])
        if method == "post":
            assert {"400", "413", "415", "422"} <= statuses, path
        for status, response in operation["responses"].items():
            if int(status) >= 400:
                assert list(response["content"]) == ["application/problem+json"], path


def test_every_call_says_what_it_does_in_words_and_by_example() -> None:
    """Summary, description, an example of what it gives, and of what it takes."""
    for method, path, operation in operations():
        assert operation["summary"], path
        assert operation["description"], path
        content, *_ = operation["responses"]["200"]["content"].values()
        assert content.get("examples") or content.get("example") is not None, path
        if method == "post":
            (taken,) = operation["requestBody"]["content"].values()
            assert taken["examples"], path
        if path.startswith("/api/"):
            assert "lang" in [parameter["name"] for parameter in operation["parameters"]], path


def test_every_reference_leads_somewhere() -> None:
    """And nothing is left of the framework's own error shapes."""
    text = json.dumps(document())
    names = {part.partition('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert names <= set(document()["components"]["schemas"])
    assert "HTTPValidationError" not in text
    assert COMPONENT not in text


def post_examples() -> Iterator[tuple[str, Any]]:
    """Every documented request body."""
    for method, path, operation in operations():
        if method == "post":
            (taken,) = operation["requestBody"]["content"].values()
            for example in taken["examples"].values():
                yield path, example["value"]


SHAPES: dict[str, type[BaseModel]] = {
    "/api/v1/models": ModelList,
    "/api/v1/models/meta-llama/Llama-3.1-8B": ModelDetail,
    "/api/v1/gpus": GpuList,
    "/api/v1/methods": MethodList,
    "/api/v1/methods/lora": Method,
    "/api/v1/estimate": Estimate,
    "/api/v1/plan": Plan,
    "/healthz": Health,
    "/readyz": Health,
}


def exactly(shape: type[BaseModel], data: Any) -> None:
    """``data`` is of the shape, and holds nothing that the shape does not name."""
    assert json.loads(shape.model_validate_json(json.dumps(data)).model_dump_json(by_alias=True)) == data


@pytest.mark.parametrize("path", [path for path in SHAPES if path not in ("/api/v1/estimate", "/api/v1/plan")])
def test_catalogue_answers_are_of_the_documented_shape(path: str) -> None:
    """Responses are built by hand, for speed; this holds them to their models."""
    exactly(SHAPES[path], service().get(path).json())


@pytest.mark.parametrize(("path", "body"), list(post_examples()))
def test_documented_examples_work(path: str, body: Any) -> None:
    """What the documentation says to send is answered, in the documented shape."""
    response = service().post(path, json=body)
    assert response.status_code == 200, response.text
    if path in SHAPES:
        exactly(SHAPES[path], response.json())


def test_documented_answers_are_real() -> None:
    """The example of an estimate is the estimate of the example."""
    operation = document()["paths"]["/api/v1/estimate"]["post"]
    (taken,) = operation["requestBody"]["content"].values()
    (given,) = operation["responses"]["200"]["content"].values()
    first = next(iter(taken["examples"].values()))["value"]
    assert service().post("/api/v1/estimate?knobs=true", json=first).json() == given["example"]


def test_the_words_cover_every_call_and_every_problem() -> None:
    """docs/api.md leaves nothing out."""
    words = (Path(__file__).parents[2] / "docs" / "api.md").read_text("utf-8")
    for _, path, _ in operations():
        assert path.removeprefix("/api/v1") in words
    for slug in SLUGS.values():
        assert f"`{slug}`" in words


schema = schemathesis.openapi.from_asgi("/openapi.json", create_app(Settings(access_log=False)))


@schema.parametrize()
@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_anything_that_the_document_allows_is_answered_as_it_says(case: schemathesis.Case) -> None:
    """Status, media type and shape, whatever is sent; schemathesis makes it up.

    What the document allows may still be refused: no schema knows which models and GPUs there are.
    """
    case.call_and_validate(excluded_checks=[positive_data_acceptance])
