"""``/fit``."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.web.forms import Form
from app.web.planning import answer
from app.web.templating import reader, render

router = APIRouter(include_in_schema=False)


@router.api_route("/fit", methods=["GET", "HEAD"], name="fit")
def fit(request: Request) -> Response:
    """The most that the card takes of the wizard's plan, and a map of what fits."""
    from app.web.fit.builder import Builder

    found = answer(Form.from_query(request.query_params), request.app.state.catalog)
    texts = reader(request)
    builder = Builder(request, texts, found)
    return render(request, "pages/fit.html", builder.page(), texts, status=builder.status)
