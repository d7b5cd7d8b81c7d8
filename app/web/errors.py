"""Errors of pages, as pages. What the JSON surface answers stays its own."""

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from app.web.pages import error_page
from app.web.templating import reader, render


def handle_http(request: Request, error: HTTPException) -> Response:
    """What the framework answers by itself: no such page, no such method, a body over the limit."""
    response = failure(request, error.status_code)
    response.headers.update(error.headers or {})
    return response


def handle_crash(request: Request, _error: Exception) -> Response:
    """A fault of ours. The log has it; the page says no more than that."""
    return failure(request, 500)


def failure(request: Request, status: int) -> Response:
    """The page for ``status``."""
    texts = reader(request)
    return render(request, "errors/failure.html", error_page(request, texts, status), texts, status=status)
