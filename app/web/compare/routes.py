"""``/compare`` and its downloads."""

from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.web.forms import Form
from app.web.hypermedia import VARY
from app.web.planning import answer
from app.web.templating import reader, render

if TYPE_CHECKING:
    from app.web.compare.builder import Builder

router = APIRouter(include_in_schema=False)

_READ = ["GET", "HEAD"]


def _builder(request: Request) -> "Builder":
    from app.web.compare.builder import Builder

    found = answer(Form.from_query(request.query_params), request.app.state.catalog)
    return Builder(request, reader(request), found)


@router.api_route("/compare", methods=_READ, name="compare")
def compare(request: Request) -> Response:
    """The guide's methods for the wizard's plan, or a person's variants of it."""
    return _page(request, _builder(request))


@router.api_route("/compare.csv", methods=_READ, name="compare_csv")
def compare_csv(request: Request) -> Response:
    """The same as a table for spreadsheets. Where there is none to be had, the page says why."""
    return _file(request, "csv")


@router.api_route("/compare.json", methods=_READ, name="compare_json")
def compare_json(request: Request) -> Response:
    """The same for programs, each row with its configuration."""
    return _file(request, "json")


def _page(request: Request, builder: "Builder", status: int | None = None) -> Response:
    page = builder.page()
    return render(request, "pages/compare.html", page, builder.texts, status=status or builder.status)


def _file(request: Request, kind: str) -> Response:
    from app.web.compare.builder import labelled
    from app.web.compare.table import as_csv, as_json

    builder = _builder(request)
    if not builder.items:
        return _page(request, builder, 422)
    items = labelled(builder.items, builder.t("compare.planned"))
    body = as_csv(items, builder.texts) if kind == "csv" else as_json(items, builder.texts)
    return Response(
        body,
        headers={
            "Content-Disposition": f'attachment; filename="comparison.{kind}"',
            "Content-Language": builder.texts.language,
            "Vary": VARY,
        },
        media_type="text/csv; charset=utf-8" if kind == "csv" else "application/json",
    )
