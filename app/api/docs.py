"""The interactive documentation, from our own files: it works without any network."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from app.assets import TEMPLATES, static_url
from app.middleware import CONTENT_SECURITY_POLICY

router = APIRouter(include_in_schema=False)

_SWAGGER_UI = "vendor/swagger-ui-5.35.0"
_POLICY = f"{CONTENT_SECURITY_POLICY}; img-src 'self' data:"
"""Swagger UI's style sheet carries its icons as data."""

_templates = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined)


@router.get("/docs")
async def docs(request: Request) -> HTMLResponse:
    """Try the API in the browser."""
    root_path = request.scope.get("root_path", "")
    page = _templates.get_template("api_docs.html").render(
        icon_url=static_url(root_path, "css/icon.svg"),
        style_url=static_url(root_path, f"{_SWAGGER_UI}/swagger-ui.css"),
        bundle_url=static_url(root_path, f"{_SWAGGER_UI}/swagger-ui-bundle.js"),
        start_url=static_url(root_path, "js/api-docs.js"),
        openapi_url=f"{root_path}/openapi.json",
    )
    return HTMLResponse(page, headers={"content-security-policy": _POLICY})
