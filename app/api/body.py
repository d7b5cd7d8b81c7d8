"""From the bytes of a request to a checked model, with an error for each value that will not do."""

import math
from enum import Enum
from typing import Any, Literal, TypeVar, get_args, get_origin

from fastapi import Request
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, from_json

from app.api.problem import ProblemException
from app.core.errors import FieldError, InvalidInput
from app.core.messages import Message, message
from app.core.nearest import nearest
from app.core.shown import shown
from app.schemas.requests import CHECK_MISSING, HARDWARE_MISSING, MODEL_MISSING

M = TypeVar("M", bound=BaseModel)

DEEPEST = 32
"""No configuration nests deeper; more would only serve to exhaust whoever walks it."""
LARGEST_WHOLE = (1 << 63) - 1


async def read(request: Request, shape: type[M]) -> M:
    """The request's body as ``shape``.

    Raises:
        ProblemException: the body is no JSON (400), or is said to be something else (415).
        InvalidInput: values that cannot be accepted, all of them.
        BodyTooLarge: more bytes than the limit.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json" and not (
        media_type.startswith("application/") and media_type.endswith("+json")
    ):
        raise ProblemException(415, message("problem.media_type", given=media_type[:100] or "\u2014"))
    return check(parse(await request.body()), shape)


def parse(body: bytes) -> Any:
    """JSON, strictly: no NaN, no half of a surrogate pair, UTF-8 only, and numbers that others can hold.

    Raises:
        ProblemException: 400, it is no JSON; the detail says where it stops being so.
        InvalidInput: it nests too deep or holds a number out of range.
    """
    try:
        data = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        if "recursion limit" in str(error):
            raise InvalidInput(FieldError("", message("error.request.depth", most=DEEPEST))) from None
        raise ProblemException(400, message("problem.no_json", where=str(error))) from None
    _within_bounds(data, "", 0)
    return data


def _within_bounds(value: Any, pointer: str, depth: int) -> None:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if items is None:
        _check_number(value, pointer)
        return
    if depth >= DEEPEST:
        raise InvalidInput(FieldError(pointer, message("error.request.depth", most=DEEPEST)))
    for key, item in items:
        kind = type(item)
        if kind is dict or kind is list:
            _within_bounds(item, f"{pointer}/{escape(str(key))}", depth + 1)
        elif kind is int or kind is float:
            _check_number(item, pointer, key)


def _check_number(value: object, pointer: str, key: object = None) -> None:
    good = math.isfinite(value) if isinstance(value, float) else True
    if isinstance(value, int) and not -LARGEST_WHOLE <= value <= LARGEST_WHOLE:
        good = False
    if not good:
        where = pointer if key is None else f"{pointer}/{escape(str(key))}"
        raise InvalidInput(FieldError(where, message("error.request.number_size")))


def escape(key: str) -> str:
    """``key`` as a part of a JSON pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")


def check(data: Any, shape: type[M]) -> M:
    """``data`` as ``shape``.

    Raises:
        InvalidInput: with one error per value that does not do.
    """
    try:
        return shape.model_validate(data)
    except ValidationError as error:
        raise InvalidInput(*(_field_error(fault, shape) for fault in error.errors(include_url=False))) from None


def _field_error(fault: ErrorDetails, shape: type[BaseModel]) -> FieldError:
    location = fault["loc"]
    if fault["type"] == HARDWARE_MISSING:
        location = (*location, "gpu")
    elif fault["type"] == MODEL_MISSING:
        location = (*location, "base_model")
    elif fault["type"] == CHECK_MISSING:
        location = (*location, "yaml")
    pointer = "".join(f"/{escape(str(part))}" for part in location)
    return FieldError(pointer, _complaint(fault, shape))


_TYPES = {
    "dict_type": "error.request.object",
    "model_type": "error.request.object",
    "model_attributes_type": "error.request.object",
    "string_type": "error.request.text",
    "int_type": "error.request.whole",
    "int_from_float": "error.request.whole",
    "float_type": "error.request.number",
    "bool_type": "error.request.flag",
    "list_type": "error.request.list",
    "tuple_type": "error.request.list",
    "string_pattern_mismatch": "error.hardware.capability",
}
_BOUNDS = ("greater_than", "greater_than_equal", "less_than", "less_than_equal")


def _complaint(fault: ErrorDetails, shape: type[BaseModel]) -> Message:
    kind, location = fault["type"], fault["loc"]
    name = str(next((part for part in reversed(location) if isinstance(part, str)), ""))[:100]
    given = shown(fault["input"])
    match kind:
        case "missing":
            return message("error.request.missing", field=name)
        case "extra_forbidden":
            return _unknown(name, _fields(shape, location[:-1]))
        case "enum" | "literal_error":
            return no_choice(name, given, _choices(shape, location))
        case "check_missing":
            return message("error.check.missing")
        case "hardware_missing":
            return message("error.hardware.missing")
        case "model_missing":
            return message("error.base_model.missing")
    if name == "model" and isinstance(fault["input"], str):
        return message("error.request.model_as_text", given=given)
    if kind in _BOUNDS:
        context = fault.get("ctx", {})
        sign = {"greater_than": ">", "greater_than_equal": "≥", "less_than": "<", "less_than_equal": "≤"}[kind]
        bound = next(iter(context.values()), "")
        return message("error.request.bound", field=name, given=given, bound=f"{sign} {bound}")
    if kind in ("too_short", "too_long"):
        context = fault.get("ctx", {})
        bound = f"≥ {context['min_length']}" if kind == "too_short" else f"≤ {context['max_length']}"
        return message("error.request.length", field=name, given=context["actual_length"], bound=bound)
    return message(_TYPES.get(kind, "error.request.other"), field=name or "body", given=given)


def _fields(shape: type[BaseModel], location: tuple[int | str, ...]) -> tuple[str, ...]:
    """The fields that the object at ``location`` may have."""
    for part in location:
        inner = _model_of(shape, str(part))
        if inner is None:
            return ()
        shape = inner
    return tuple(shape.model_fields)


def _model_of(shape: type[BaseModel], name: str) -> type[BaseModel] | None:
    field = shape.model_fields.get(name)
    kinds = (field.annotation, *getattr(field.annotation, "__args__", ())) if field else ()
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)


def _choices(shape: type[BaseModel], location: tuple[int | str, ...]) -> tuple[str, ...]:
    """The values that the field at ``location``, or an item of its list, may have."""
    names = [part for part in location if isinstance(part, str)]
    for part in names[:-1]:
        inner = _model_of(shape, part)
        if inner is None:
            return ()
        shape = inner
    field = shape.model_fields.get(names[-1]) if names else None
    return _values(field.annotation) if field else ()


def _values(annotation: Any) -> tuple[str, ...]:
    """What an annotation allows: the members of an enumeration or a literal, wherever it stands in it."""
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return tuple(str(choice.value) for choice in annotation)
    inner = get_args(annotation)
    if get_origin(annotation) is Literal:
        return tuple(str(choice) for choice in inner)
    return tuple(value for part in inner for value in _values(part))


def _unknown(name: str, allowed: tuple[str, ...]) -> Message:
    close = nearest(name, allowed, count=1)
    if close:
        return message("error.request.unknown_nearest", field=name, nearest=close[0], allowed=allowed)
    return message("error.request.unknown", field=name, allowed=allowed)


def no_choice(name: str, given: str, allowed: tuple[str, ...]) -> Message:
    """What to say of a value that is none of ``allowed``."""
    given = shown(given)
    close = nearest(given, allowed, count=1)
    if close:
        return message("error.request.choice_nearest", field=name, given=given, nearest=close[0], allowed=allowed)
    return message("error.request.choice", field=name, given=given, allowed=allowed)
