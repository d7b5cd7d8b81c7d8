"""What htmx says in its requests, and what answers must say to caches. The only place that knows ``HX-`` headers.

Source: htmx 4.0.1, ``createCoreHeaders`` (``HX-Request``), ``issueRequest`` (``HX-Request-Type``: ``full`` where the
whole body is swapped or a part is selected, else ``partial``) and ``restoreHistory`` (the back button asks for the
page again, with ``HX-History-Restore-Request``).
"""

from urllib.parse import parse_qs, urlsplit

from starlette.requests import Request
from starlette.responses import Response

VARY = "HX-Request, HX-Request-Type, Accept-Language"
"""One address has a page and a fragment, in every language."""


def wants_fragment(request: Request) -> bool:
    """Whether only the changing part of the page is asked for. A restored history entry needs the whole page."""
    headers = request.headers
    return (
        headers.get("HX-Request") == "true"
        and headers.get("HX-Request-Type") == "partial"
        and headers.get("HX-History-Restore-Request") != "true"
    )


def with_address(request: Request, response: Response, address: str, *, typed: tuple[str, ...]) -> Response:
    """``response`` with the address that shows it again, for the browser's bar.

    A choice is a step that Back undoes; where only a field that is typed in differs from the page's address, as
    ``HX-Current-URL`` has it, the new one takes the place of the old.
    """
    before = parse_qs(urlsplit(request.headers.get("HX-Current-URL", "")).query)
    after = parse_qs(urlsplit(address).query)
    differing = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    replaces = differing.issubset(typed)
    response.headers["HX-Replace-Url" if replaces else "HX-Push-Url"] = address
    return response
