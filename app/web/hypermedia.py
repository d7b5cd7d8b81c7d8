"""What htmx says in its requests, and what answers must say to caches. The only place that knows ``HX-`` headers.

Source: htmx 4.0.1, ``createCoreHeaders`` (``HX-Request``), ``issueRequest`` (``HX-Request-Type``: ``full`` where the
whole body is swapped or a part is selected, else ``partial``) and ``restoreHistory`` (the back button asks for the
page again, with ``HX-History-Restore-Request``).
"""

from starlette.requests import Request

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
