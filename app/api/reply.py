"""Replies of the JSON surface: the reader's language, and bytes as fast as they can be made."""

from collections.abc import Mapping
from typing import Any

from fastapi import Request, Response
from pydantic_core import to_json

from app.texts import Texts, choose_language, texts

MEDIA_TYPE_JSON = "application/json"
MEDIA_TYPE_PROBLEM = "application/problem+json"


def reader(request: Request) -> Texts:
    """The texts of the language that the request asks for."""
    asked = request.query_params.get("lang") if request.scope["query_string"] else None
    return texts(choose_language(asked, request.headers.get("accept-language")))


def language_headers(language: Texts) -> dict[str, str]:
    """What tells caches and clients about the language."""
    return {"content-language": language.language, "vary": "Accept-Language"}


def json_reply(
    language: Texts,
    content: Any,
    *,
    status: int = 200,
    media_type: str = MEDIA_TYPE_JSON,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """``content`` as JSON. A number that JSON cannot write becomes null."""
    return Response(
        to_json(content, inf_nan_mode="null"),
        status,
        {**language_headers(language), **(headers or {})},
        media_type,
    )
