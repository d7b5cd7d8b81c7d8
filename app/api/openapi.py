"""The OpenAPI document: what the framework knows of the routes, completed with what it cannot know."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from app import __version__
from app.api.describing import reference
from app.api.examples import Example, made_examples
from app.schemas.answer import Health, Problem
from app.schemas.catalogue import GpuList, MethodList, ModelDetail, ModelList
from app.schemas.estimates import Estimate
from app.schemas.planning import Check, Comparison, Fit, Plan
from app.schemas.requests import CheckRequest, CompareRequest, ConfigRequest, EstimateRequest, FitRequest, PlanRequest
from app.schemas.vocabulary import COMPONENT, CONFIG_SCHEMA, MODEL_SCHEMA

DESCRIPTION = (
    "Plans LLM fine-tunes for Axolotl: which method, how many trainable parameters, how much GPU memory, "
    "and a YAML file that runs. One vocabulary throughout: a configuration is Axolotl's own keys."
)
LANGUAGE = {
    "name": "lang",
    "in": "query",
    "description": "Language of the texts: `en` or `my`. Without either Accept-Language decides, then English. "
    "Codes, ids and keys never change with it.",
    "schema": {"type": "string"},
}
_METHODS = ("get", "post")
SHAPES: tuple[type[BaseModel], ...] = (
    EstimateRequest,
    PlanRequest,
    ConfigRequest,
    CheckRequest,
    FitRequest,
    CompareRequest,
    Check,
    Fit,
    Comparison,
    ModelList,
    ModelDetail,
    GpuList,
    MethodList,
    Estimate,
    Plan,
    Health,
    Problem,
)
"""What routes refer to by name; shapes within these come along."""


def build_openapi(app: FastAPI) -> dict[str, Any]:
    """The document for ``app``'s routes."""
    document = get_openapi(
        title="Axoplan",
        version=__version__,
        summary="A planner of LLM fine-tunes for Axolotl.",
        description=DESCRIPTION,
        routes=app.routes,
        tags=[
            {"name": "planning", "description": "From a model and a GPU to a configuration that fits."},
            {"name": "catalogue", "description": "What is known of models, GPUs and methods."},
            {"name": "health", "description": "For whoever runs the service."},
        ],
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    _, shapes = models_json_schema([(shape, "validation") for shape in SHAPES], ref_template=reference("{model}"))
    schemas.update(shapes["$defs"])
    schemas.update({"Config": CONFIG_SCHEMA, "Model": MODEL_SCHEMA})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    examples = made_examples(app.state.catalog)
    for path, operations in document["paths"].items():
        for method in _METHODS:
            if method in operations:
                _complete(operations[method], examples[path], speaks=path.startswith("/api/"))
    _refer(document)
    return document


def _refer(value: Any) -> None:
    """Turn marked schemas into references; what else stands beside the mark (a description) stays."""
    if isinstance(value, dict):
        name = value.pop(COMPONENT, None)
        if name:
            value["$ref"] = reference(name)
        for item in value.values():
            _refer(item)
    elif isinstance(value, list):
        for item in value:
            _refer(item)


def _complete(operation: dict[str, Any], example: Example, *, speaks: bool) -> None:
    if speaks:
        operation.setdefault("parameters", []).append(LANGUAGE)
    if "HTTPValidationError" in str(operation["responses"].get("422")):
        del operation["responses"]["422"]  # the framework's guess; a text parameter cannot be invalid
    given = next(iter(operation["responses"]["200"]["content"].values()))
    given["example"] = example.given
    if example.taken:
        (taken,) = operation["requestBody"]["content"].values()
        taken["examples"] = {title: {"summary": title, "value": value} for title, value in example.taken.items()}
    for parameter in operation.get("parameters", ()):
        if parameter["name"] in example.parameters:
            parameter["example"] = example.parameters[parameter["name"]]
