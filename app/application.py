"""The application: the only place where everything is put together."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.middleware.cors import CORSMiddleware
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Scope

from app import __version__
from app.api import docs, health, problem, v1
from app.api.openapi import build_openapi
from app.assets import STATIC
from app.catalog.library import load_catalog
from app.core.errors import InvalidInput, UnknownName
from app.middleware import AccessLog, BodyLimit, RootPath, SecurityHeaders
from app.settings import Settings
from app.web import errors as pages
from app.web.site import ROUTERS

_API_PATHS = ("/api", "/healthz", "/readyz", "/openapi.json")

_FOREVER = "public, max-age=31536000, immutable"
_BRIEFLY = "public, max-age=300"


def create_app(settings: Settings) -> FastAPI:
    """The whole service, its catalogue loaded.

    Raises:
        CatalogError: a data file is not acceptable.
    """
    app = Axoplan(
        title="Axoplan",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=_lifespan,
        # Taken as they are: an included router is asked twice for every request, whether it has the path and which of
        # its routes has it.
        routes=[route for router in (*v1.ROUTERS, health.router, docs.router, *ROUTERS) for route in router.routes],
    )
    app.state.settings = settings
    app.state.catalog = load_catalog()
    app.mount("/static", Static(directory=STATIC), name="static")
    _handle_errors(app)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["Content-Type"],
            expose_headers=["Content-Disposition"],
        )
    app.add_middleware(GZipMiddleware, minimum_size=1024, compresslevel=5)
    app.add_middleware(BodyLimit, most_bytes=settings.max_body_bytes)
    return app


class Axoplan(FastAPI):
    """FastAPI with the complete OpenAPI document, and with what must hold for every answer, a crash's too."""

    def build_middleware_stack(self) -> ASGIApp:
        """The framework's own, inside of ours."""
        settings: Settings = self.state.settings
        stack: ASGIApp = SecurityHeaders(super().build_middleware_stack())
        if settings.access_log:
            stack = AccessLog(stack)
        return RootPath(stack, settings.root_path) if settings.root_path else stack

    def openapi(self) -> dict[str, Any]:
        """The document, built when first asked for."""
        if not self.openapi_schema:
            self.openapi_schema = build_openapi(self)
        return self.openapi_schema


class Static(StaticFiles):
    """Static files; those asked for by content are kept for ever, others briefly."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """The file, with how long it keeps."""
        response = await super().get_response(path, scope)
        if response.status_code in (200, 304):
            response.headers["cache-control"] = _FOREVER if scope["query_string"].startswith(b"v=") else _BRIEFLY
        return response


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    if app.state.settings.access_log:  # ours takes the place of Uvicorn's, which would say the same again
        uvicorn = logging.getLogger("uvicorn.access")
        uvicorn.handlers.clear()
        uvicorn.propagate = False
    yield


def _handle_errors(app: FastAPI) -> None:
    """Each surface words its own errors: problems as documents below ``/api``, pages elsewhere."""
    app.add_exception_handler(problem.ProblemException, problem.handle_problem)
    app.add_exception_handler(InvalidInput, problem.handle_invalid_input)
    app.add_exception_handler(UnknownName, problem.handle_unknown_name)
    app.add_exception_handler(HTTPException, _handle_http)
    app.add_exception_handler(Exception, _handle_crash)


async def _handle_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for nothing else
    if _is_api(request):
        return problem.handle_http(request, error)
    return pages.handle_http(request, error)


async def _handle_crash(request: Request, error: Exception) -> Response:
    return problem.handle_crash(request, error) if _is_api(request) else pages.handle_crash(request, error)


def _is_api(request: Request) -> bool:
    path: str = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
    return path.startswith(_API_PATHS)
