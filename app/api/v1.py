"""The REST resources. Each parses, calls one service and renders."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from fastapi import APIRouter, Request, Response

from app.api import rendering
from app.api.body import read
from app.api.describing import gives, problems, reference, takes
from app.api.query import TARGETS, allow, flag, target_and_comments
from app.api.reply import json_reply, language_headers, reader
from app.api.route import Direct
from app.catalog.library import Catalog
from app.core.errors import FieldError, InvalidInput, UnknownName
from app.core.hardware import Hardware
from app.core.messages import message
from app.core.plan import Dataset, Wish
from app.schemas.catalogue import GpuList, Method, MethodList, ModelDetail, ModelList
from app.schemas.estimates import Estimate
from app.schemas.planning import Check, Comparison, Plan
from app.schemas.planning import Fit as FitAnswer
from app.schemas.requests import (
    CheckRequest,
    CompareRequest,
    ConfigRequest,
    EstimateRequest,
    FitRequest,
    GridAxis,
    PlanRequest,
)
from app.schemas.requests import Dataset as DatasetRequest
from app.schemas.requests import Hardware as HardwareRequest
from app.services.checking import check_config, check_text
from app.services.comparing import compare
from app.services.estimating import estimate
from app.services.exporting import export
from app.services.fitting import GRID_BOUNDS, GRID_DEFAULTS, Axis, fit
from app.services.inputs import resolve_hardware, resolve_model
from app.services.planning import plan
from app.services.pricing import price_knobs
from app.services.verdicts import file_of

PREFIX = "/api/v1"

planning = APIRouter(prefix=PREFIX, route_class=Direct)
"""What takes a body. Routes are tried in order, so those that are asked most stand first."""
catalogue = APIRouter(prefix=PREFIX)
ROUTERS = (planning, catalogue)


def _catalog(request: Request) -> Catalog:
    catalog: Catalog = request.app.state.catalog
    return catalog


_KNOBS = {
    "name": "knobs",
    "in": "query",
    "description": "Whether the estimate prices each knob: some twenty estimates more.",
    "schema": {"type": "boolean", "default": False},
}


@planning.post(
    "/estimate",
    tags=["planning"],
    operation_id="estimate",
    summary="Estimate a configuration",
    responses={**gives(Estimate), **problems(400, 413, 415, 422)},
    openapi_extra={**takes(EstimateRequest), "parameters": [dict(_KNOBS)]},
)
async def post_estimate(request: Request) -> Response:
    """Trainable parameters and GPU memory of a configuration, and whether it fits."""
    wants_knobs = flag(request, "knobs")
    asked = await read(request, EstimateRequest)
    catalog = _catalog(request)
    dataset = _dataset(asked.dataset)
    with _pointing({"/base_model": "/config/base_model"}):
        hardware = _hardware(catalog, asked.hardware) if asked.hardware else None
        result = estimate(catalog=catalog, config=asked.config, model=asked.model, hardware=hardware, dataset=dataset)
    knobs = price_knobs(asked.config, result, hardware=hardware, dataset=dataset) if wants_knobs else None
    texts = reader(request)
    return json_reply(texts, rendering.estimate(result, texts, knobs))


@planning.post(
    "/plan",
    tags=["planning"],
    operation_id="plan",
    summary="Plan a fine-tune",
    responses={**gives(Plan), **problems(400, 413, 415, 422)},
    openapi_extra={**takes(PlanRequest), "parameters": [dict(_KNOBS)]},
)
async def post_plan(request: Request) -> Response:
    """The method for a model on a GPU, with the reasons, its memory and a configuration for Axolotl."""
    wants_knobs = flag(request, "knobs")
    asked = await read(request, PlanRequest)
    catalog = _catalog(request)
    wish = Wish(
        goal=asked.goal,
        priority=asked.priority,
        tasks=asked.tasks,
        sequence_len_tokens=asked.sequence_len,
        dataset=_dataset(asked.dataset),
        overrides=asked.overrides,
        install=asked.install,
    )
    with _pointing({f"/config/{key}": f"/overrides/{key}" for key in asked.overrides} | _PLAN_POINTERS):
        hardware = _hardware(catalog, asked.hardware)
        result = plan(catalog=catalog, base_model=asked.base_model, model=asked.model, hardware=hardware, wish=wish)
    knobs = None
    if wants_knobs:
        knobs = price_knobs(
            result.config, result.estimate, hardware=hardware, dataset=wish.dataset, install=wish.install
        )
    texts = reader(request)
    return json_reply(texts, rendering.plan(result, file_of(result.findings, result.config, texts), texts, knobs))


_PLAN_POINTERS = {"/config/base_model": "/base_model", "/config/sequence_len": "/sequence_len"}


@planning.post(
    "/fit",
    tags=["planning"],
    operation_id="fit",
    summary="Fit a configuration to a GPU",
    responses={**gives(FitAnswer), **problems(400, 413, 415, 422)},
    openapi_extra=takes(FitRequest),
)
async def post_fit(request: Request) -> Response:
    """The least change that fits, or the largest micro batch, longest sequence, highest rank or fastest step."""
    allow(request)
    asked = await read(request, FitRequest)
    catalog = _catalog(request)
    with _pointing({"/base_model": "/config/base_model"}):
        result = fit(
            catalog=catalog,
            config=asked.config,
            model=asked.model,
            hardware=_hardware(catalog, asked.hardware),
            vary=asked.vary,
            objective=asked.objective,
            grid=(_axis(asked.grid.x, "/grid/x"), _axis(asked.grid.y, "/grid/y")) if asked.grid else None,
            install=asked.install,
            dataset=_dataset(asked.dataset),
        )
    texts = reader(request)
    return json_reply(texts, rendering.fit(result, texts))


def _axis(asked: GridAxis, pointer: str) -> Axis:
    """An axis as asked for, its values within what the key may be."""
    least, most = GRID_BOUNDS[asked.key]
    values = tuple(asked.values) if asked.values is not None else GRID_DEFAULTS[asked.key]
    errors = [
        FieldError(
            f"{pointer}/values/{position}",
            message("error.config.range", key=asked.key, given=value, least=least, most=most),
        )
        for position, value in enumerate(values)
        if not least <= value <= most
    ]
    if errors:
        raise InvalidInput(*errors)
    return Axis(key=asked.key, values=values)


@planning.post(
    "/compare",
    tags=["planning"],
    operation_id="compare",
    summary="Compare methods or variants",
    responses={**gives(Comparison), **problems(400, 413, 415, 422)},
    openapi_extra=takes(CompareRequest),
)
async def post_compare(request: Request) -> Response:
    """One configuration under each of the guide's methods, or with each of the changes asked for."""
    allow(request)
    asked = await read(request, CompareRequest)
    catalog = _catalog(request)
    with _pointing({"/base_model": "/config/base_model"}):
        found = compare(
            catalog=catalog,
            config=asked.config,
            model=asked.model,
            hardware=_hardware(catalog, asked.hardware) if asked.hardware else None,
            variants=asked.variants,
            dataset=_dataset(asked.dataset),
        )
    texts = reader(request)
    items = [rendering.compared(item, texts) for item in found]
    return json_reply(texts, {"items": items, "total": len(items)})


@planning.post(
    "/check",
    tags=["planning"],
    operation_id="check",
    summary="Check a configuration",
    responses={**gives(Check), **problems(400, 413, 415, 422)},
    openapi_extra=takes(CheckRequest),
)
async def post_check(request: Request) -> Response:
    """What Axolotl refuses, what fails at run time and what misleads, with the file mended and its memory."""
    allow(request)
    asked = await read(request, CheckRequest)
    catalog = _catalog(request)
    with _pointing({}):
        hardware = _hardware(catalog, asked.hardware) if asked.hardware else None
        if asked.model is not None:  # a config.json that describes no model is a fault of the request
            resolve_model(catalog=catalog, base_model=None, model=asked.model)
    about: dict[str, Any] = {
        "hardware": hardware,
        "model": asked.model,
        "install": asked.install,
        "dataset": _dataset(asked.dataset),
    }
    if asked.config is not None:
        result = check_config(catalog=catalog, config=asked.config, **about)
    else:
        result = check_text(catalog=catalog, text=asked.yaml or "", **about)
    texts = reader(request)
    return json_reply(texts, rendering.checked(result, texts))


@planning.post(
    "/config",
    tags=["planning"],
    operation_id="writeConfig",
    summary="Write a configuration as a file",
    response_class=Response,
    responses={
        200: {
            "description": "The file, as a download.",
            "content": {
                "application/yaml": {"schema": {"$ref": reference("Config")}},
                "application/json": {"schema": {"type": "object"}},
                "application/zip": {"schema": {"type": "string", "format": "binary"}},
                "text/x-python": {"schema": {"type": "string"}},
            },
            "headers": {"Content-Disposition": {"schema": {"type": "string"}}},
        },
        **problems(400, 413, 415, 422),
    },
    openapi_extra={
        **takes(ConfigRequest),
        "parameters": [
            {
                "name": "target",
                "in": "query",
                "description": "What the file is for: Axolotl's YAML, a plugin with its YAML (zip), PEFT's "
                "adapter_config.json, or a training script.",
                "schema": {"type": "string", "enum": [target.value for target in TARGETS], "default": TARGETS[0].value},
            },
            {
                "name": "comments",
                "in": "query",
                "description": "Whether each choice has its reason beside it.",
                "schema": {"type": "boolean", "default": True},
            },
        ],
    },
)
async def post_config(request: Request) -> Response:
    """A configuration as a file: keys in a human order, each group with its reason."""
    target, comments = target_and_comments(request)
    asked = await read(request, ConfigRequest)
    texts = reader(request)
    with _pointing({"/base_model": "/config/base_model"}):
        file = export(
            catalog=_catalog(request),
            config=asked.config,
            model=asked.model,
            target=target,
            texts=texts,
            comments=comments,
        )
    disposition = {"content-disposition": f'attachment; filename="{file.name}"'}
    return Response(file.content, headers={**language_headers(texts), **disposition}, media_type=file.media_type)


@catalogue.get(
    "/models",
    tags=["catalogue"],
    operation_id="listModels",
    summary="Find base models",
    responses={**gives(ModelList), **problems(422)},
)
async def list_models(request: Request, q: str = "") -> Response:
    """Base models; with `q`, those it describes in everyday words ("llama 3.1 8b"), best match first."""
    allow(request, "q")
    catalog = _catalog(request)
    rows = catalog.models.search(q)
    items = [rendering.model_summary(row, catalog) for row in rows]
    return json_reply(reader(request), {"items": items, "total": len(items)})


@catalogue.get(
    "/models/{id:path}",
    tags=["catalogue"],
    operation_id="getModel",
    summary="One base model",
    responses={**gives(ModelDetail), **problems(404, 422)},
)
async def get_model(request: Request, id: str) -> Response:  # noqa: A002 - the contract's name
    """One base model: the facts of its config.json, where they were read and when. Case does not matter."""
    allow(request)
    catalog = _catalog(request)
    return json_reply(reader(request), rendering.model_detail(catalog.models.get(id), catalog))


@catalogue.get(
    "/gpus",
    tags=["catalogue"],
    operation_id="listGpus",
    summary="List GPUs",
    responses={**gives(GpuList), **problems(422)},
)
async def list_gpus(request: Request) -> Response:
    """GPUs: what their drivers offer and what they can do."""
    allow(request)
    items = [rendering.gpu(row) for row in _catalog(request).gpus.rows]
    return json_reply(reader(request), {"items": items, "total": len(items)})


@catalogue.get(
    "/methods",
    tags=["catalogue"],
    operation_id="listMethods",
    summary="List methods",
    responses={**gives(MethodList), **problems(422)},
)
async def list_methods(request: Request) -> Response:
    """Ways to fine-tune: family, formula, what Axolotl makes of each, its keys and when to use it."""
    allow(request)
    texts = reader(request)
    catalog = _catalog(request)
    items = [rendering.method(row, texts) for row in catalog.methods.rows]
    targets = [rendering.target_modules(row, texts) for row in catalog.target_modules]
    return json_reply(texts, {"items": items, "total": len(items), "target_modules": targets})


@catalogue.get(
    "/methods/{id}",
    tags=["catalogue"],
    operation_id="getMethod",
    summary="One method",
    responses={**gives(Method), **problems(404, 422)},
)
async def get_method(request: Request, id: str) -> Response:  # noqa: A002 - the contract's name
    """One way to fine-tune."""
    allow(request)
    texts = reader(request)
    return json_reply(texts, rendering.method(_catalog(request).methods.get(id), texts))


def _dataset(asked: DatasetRequest) -> Dataset:
    return Dataset(
        path=asked.path,
        type=asked.type,
        rows=asked.rows,
        mean_tokens=asked.mean_tokens,
        max_tokens=asked.max_tokens,
        images_per_row=asked.images_per_row,
        image_side=asked.image_side,
    )


def _hardware(catalog: Catalog, asked: HardwareRequest) -> Hardware:
    hardware = resolve_hardware(
        catalog=catalog,
        gpu=asked.gpu,
        vram_gib=asked.vram_gib,
        count=asked.count,
        nodes=asked.nodes,
        compute_capability=asked.compute_capability,
        price_per_hour=asked.price_per_hour,
    )
    if hardware is None:
        raise InvalidInput(FieldError("/hardware/gpu", message("error.hardware.missing")))
    return hardware


@contextmanager
def _pointing(moves: Mapping[str, str]) -> Iterator[None]:
    """Errors name values by where the service knows them; say where this request holds them."""
    try:
        yield
    except UnknownName as error:
        own = {"model": "/base_model", "gpu": "/hardware/gpu"}.get(error.kind, f"/{error.kind}")
        raise InvalidInput(FieldError(moves.get(own, own), error.message)) from error
    except InvalidInput as error:
        raise InvalidInput(*(FieldError(_moved(e.pointer, moves), e.message) for e in error.errors)) from error


def _moved(pointer: str, moves: Mapping[str, str]) -> str:
    for old, new in moves.items():
        if pointer == old or pointer.startswith(old + "/"):
            return new + pointer.removeprefix(old)
    return pointer
