"""Renders templates: strict about names, escaping everything, every address below the path prefix."""

from collections.abc import Hashable
from functools import cache, lru_cache, partial
from weakref import WeakKeyDictionary

from jinja2.runtime import Macro
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import NoMatchFound

from app.assets import static_url
from app.texts import Texts, choose_language, texts
from app.web.compiling import Templates
from app.web.contexts import FieldView, Nav, PageContext
from app.web.hypermedia import VARY

_drawings: WeakKeyDictionary[FieldView | Nav, dict[Hashable, str]] = WeakKeyDictionary()


def _drawn(macro: Macro, view: FieldView | Nav, *args: Hashable, **kwargs: Hashable) -> str:
    """What ``macro`` gives for ``view``, kept as long as that is: most of a form stays as it is between changes."""
    drawings = _drawings.setdefault(view, {})
    key = (macro, args, tuple(kwargs.items()))
    drawing = drawings.get(key)
    if drawing is None:
        drawing = drawings[key] = macro(view, *args, **kwargs)
    return drawing


@cache
def _templates(language: Texts) -> Templates:
    templates = Templates(language)
    templates.globals["drawn"] = _drawn
    return templates


def reader(request: Request) -> Texts:
    """The texts of the language that the request asks for."""
    return texts(choose_language(request.query_params.get("lang"), request.headers.get("accept-language")))


def path_for(request: Request, name: str) -> str:
    """The address of the route ``name``, below the path prefix, without a host: a proxy may call it otherwise.

    Raises:
        NoMatchFound: there is no such route.
    """
    return path_below(request.app, request.scope.get("root_path", ""), name)


def path_if_any(request: Request, name: str, **parts: str) -> str | None:
    """The address of a route that may not be there, with the parts of its path."""
    try:
        path = str(request.app.url_path_for(name, **parts))
    except NoMatchFound:
        return None
    root: str = request.scope.get("root_path", "")
    return root.rstrip("/") + path


@lru_cache(maxsize=64)
def path_below(app: Starlette, root_path: str, name: str) -> str:
    """The address of the route ``name`` below ``root_path``."""
    return root_path.rstrip("/") + str(app.url_path_for(name))


def render(
    request: Request,
    template: str,
    page: PageContext | object,
    language: Texts,
    *,
    status: int = 200,
) -> HTMLResponse:
    """``template`` filled with ``page``, in ``language``; what extends ``base.html`` needs a ``PageContext``."""
    body = (
        _templates(language)
        .get_template(template)
        .render(
            page=page,
            t=language.text,
            static=partial(static_url, request.scope.get("root_path", "")),
            static_root=f"{request.scope.get('root_path', '')}/static",
        )
    )
    return HTMLResponse(body, status, {"Content-Language": language.language, "Vary": VARY})
