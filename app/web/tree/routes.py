"""``/tree``."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.web.forms import Form
from app.web.planning import answer
from app.web.templating import reader, render

router = APIRouter(include_in_schema=False)


@router.api_route("/tree", methods=["GET", "HEAD"], name="tree")
def tree(request: Request) -> Response:
    """The decision tree: walked by the wizard's query where there is one, or by a person's answers."""
    from app.web.tree.builder import Builder

    found = answer(Form.from_query(request.query_params), request.app.state.catalog)
    texts = reader(request)
    return render(request, "pages/tree.html", Builder(request, texts, found).page(), texts, status=found.status)
