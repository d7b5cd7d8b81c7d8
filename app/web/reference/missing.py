"""The page for an id that names nothing, with those that it may have meant."""

from collections.abc import Callable, Iterable

from starlette.requests import Request

from app.texts import Texts
from app.web.contexts import Link
from app.web.reference.contexts import NotFoundPage
from app.web.shell import shell


def not_found_page(
    request: Request,
    texts: Texts,
    *,
    here: str,
    given: str,
    nearest: Iterable[str],
    address: Callable[[str], str],
    all_url: str,
) -> NotFoundPage:
    """Say that ``here`` knows no ``given``."""
    headline = texts.text(f"reference.missing.{here}")
    names = tuple(Link(text=name, url=address(name)) for name in nearest)
    return NotFoundPage(
        shell=shell(request, texts, here=here, title=headline),
        status=404,
        headline=headline,
        detail=texts.text(
            "reference.missing.detail.nearest" if names else "reference.missing.detail", given=given[:100]
        ),
        nearest=names,
        all=Link(text=texts.text(f"reference.missing.all.{here}"), url=all_url),
    )
