"""Errors of the JSON surface as RFC 9457 has them: one shape for all, whatever went wrong."""

from collections.abc import Iterable, Mapping
from typing import Any

from fastapi import Request, Response
from starlette.exceptions import HTTPException

from app.api.reply import MEDIA_TYPE_PROBLEM, json_reply, reader
from app.core.errors import FieldError, InvalidInput, UnknownName
from app.core.messages import Message, message
from app.middleware import BodyTooLarge
from app.texts import Texts

_TYPE = "urn:axoplan:problem:"

SLUGS: Mapping[int, str] = {
    400: "malformed-json",
    404: "not-found",
    405: "method-not-allowed",
    413: "body-too-large",
    415: "unsupported-media-type",
    422: "not-acceptable",
    500: "internal",
}


MOST_ERRORS = 50
"""More than anybody mends at once; the sentence says how many there are."""


class ProblemException(Exception):
    """An answer that is no success. ``errors`` name the values at fault."""

    def __init__(self, status: int, detail: Message, *errors: FieldError) -> None:
        super().__init__(detail.code)
        self.status = status
        self.detail = detail
        self.errors = errors


def problem(
    request: Request,
    status: int,
    detail: Message,
    errors: Iterable[FieldError] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A problem document in the reader's language."""
    texts = reader(request)
    slug = SLUGS.get(status)
    content = {
        "type": _TYPE + slug if slug else "about:blank",
        "title": texts.text(f"problem.{slug}") if slug else str(status),
        "status": status,
        "detail": texts.render(detail),
        "errors": [_error(error, texts) for error in errors],
    }
    return json_reply(texts, content, status=status, media_type=MEDIA_TYPE_PROBLEM, headers=headers)


def _error(error: FieldError, texts: Texts) -> dict[str, Any]:
    nearest = error.message.params.get("nearest", ())
    return {
        "pointer": error.pointer,
        "detail": texts.render(error.message),
        "code": error.message.code.removeprefix("error."),
        "nearest": [nearest] if isinstance(nearest, str) else list(nearest) if isinstance(nearest, tuple) else [],
    }


def invalid(request: Request, errors: Iterable[FieldError]) -> Response:
    """422: understood, but not acceptable."""
    found = tuple(errors)
    detail = found[0].message if len(found) == 1 else message("problem.several", count=len(found))
    return problem(request, 422, detail, found[:MOST_ERRORS])


async def handle_problem(request: Request, error: Exception) -> Response:
    """``ProblemException``."""
    assert isinstance(error, ProblemException)  # noqa: S101 - registered for nothing else
    return problem(request, error.status, error.detail, error.errors)


async def handle_invalid_input(request: Request, error: Exception) -> Response:
    """``InvalidInput`` from the core."""
    assert isinstance(error, InvalidInput)  # noqa: S101 - registered for nothing else
    return invalid(request, error.errors)


async def handle_unknown_name(request: Request, error: Exception) -> Response:
    """``UnknownName`` in a path; in a body it is a field's error, see ``v1``."""
    assert isinstance(error, UnknownName)  # noqa: S101 - registered for nothing else
    return problem(request, 404, error.message, (FieldError("/path/id", error.message),))


def handle_http(request: Request, error: HTTPException) -> Response:
    """What the framework answers by itself: no such route, no such method, and the body limit."""
    match error.status_code:
        case 404:
            detail = message("problem.no_route", path=request.url.path)
        case 405:
            allowed = (error.headers or {}).get("Allow", "")
            detail = message("problem.no_method", method=request.method, path=request.url.path, allowed=allowed)
        case 413:
            most = error.most_bytes if isinstance(error, BodyTooLarge) else 0
            detail = message("problem.body_limit", most_bytes=most)
        case _:
            detail = message("problem.other", reason=str(error.detail))
    return problem(request, error.status_code, detail, headers=error.headers)


def handle_crash(request: Request, _error: Exception) -> Response:
    """A fault of ours. The log has it; the answer says no more than that."""
    return problem(request, 500, message("problem.crash"))
