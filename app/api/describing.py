"""What routes say of themselves in the OpenAPI document.

Routes check and build their bodies themselves, so the framework is only told names; it would otherwise compile every
shape at the start.
"""

from typing import Any

from pydantic import BaseModel

_DESCRIPTIONS = {
    400: "The body is no JSON.",
    404: "Nothing has this id; `errors` holds the nearest ones.",
    413: "The body exceeds the limit.",
    415: "The body is not said to be JSON.",
    422: "Understood, but not acceptable: one entry in `errors` per value.",
}

Responses = dict[int | str, dict[str, Any]]


def reference(name: str) -> str:
    """Where the document holds the shape called ``name``."""
    return f"#/components/schemas/{name}"


def _content(media_type: str, name: str) -> dict[str, Any]:
    return {media_type: {"schema": {"$ref": reference(name)}}}


def takes(shape: type[BaseModel]) -> dict[str, Any]:
    """A JSON body of ``shape``."""
    return {"requestBody": {"required": True, "content": _content("application/json", shape.__name__)}}


def gives(shape: type[BaseModel]) -> Responses:
    """A JSON answer of ``shape``."""
    return {200: {"description": "As asked.", "content": _content("application/json", shape.__name__)}}


def problems(*statuses: int) -> Responses:
    """Refusals with these statuses."""
    return {
        status: {"description": _DESCRIPTIONS[status], "content": _content("application/problem+json", "Problem")}
        for status in statuses
    }
