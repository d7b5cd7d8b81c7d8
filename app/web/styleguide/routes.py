"""The style guide's page."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.web.templating import reader, render

router = APIRouter(include_in_schema=False)


@router.api_route("/styleguide", methods=["GET", "HEAD"], name="styleguide")
def styleguide(request: Request) -> Response:
    """Tokens and components."""
    from app.web.styleguide.builder import styleguide_page

    texts = reader(request)
    return render(request, "pages/styleguide.html", styleguide_page(request, texts), texts)
