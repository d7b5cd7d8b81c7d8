"""The frame of every page: title, navigation, language switch.

A page that is added under a name of ``PAGES`` appears in the navigation by itself; see ``docs/web.md``.
"""

from collections.abc import Callable
from functools import lru_cache
from urllib.parse import quote, urlencode

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import NoMatchFound

from app import __version__
from app.texts import LANGUAGES, Texts
from app.web.contexts import Language, Nav, NavGroup, NavLink, Shell
from app.web.templating import path_below, path_for

PAGES = {
    "work": ("plan", "check", "compare", "fit"),
    "learn": ("methods", "tree", "models", "gpus"),
    "about": ("accuracy", "about", "docs", "styleguide"),
}
"""The pages by group, as route names, in the order of the navigation. Names without a route are skipped."""

MAIN = frozenset({"plan", "check", "compare", "methods", "models", "gpus"})
"""Those that stand in the header where there is room."""

LONGEST_KEPT = 300
"""Characters of a query whose navigation is kept."""
CARRIED = ("model", "gpu", "vram_gib")
"""What a person chose that goes along from page to page."""


def shell(
    request: Request,
    texts: Texts,
    *,
    here: str,
    title: str = "",
    description: str = "",
    address: Callable[[str], str] | None = None,
    carried: dict[str, str] | None = None,
    form: str = "",
) -> Shell:
    """The frame of a page.

    Args:
        request: what the page answers.
        texts: the reader's language.
        here: the page's name in ``PAGES``, to mark it in the navigation; a page below one names that one.
        title: what the page is; the name of the product is added unless it is empty.
        description: for link previews; the product's by default.
        address: the address of this same page in a language. By default the one asked for, with ``lang`` exchanged.
        carried: model and hardware for links to other pages. By default what the query says.
        form: the id of a form that is posted to this same page where the language is switched.
    """
    asked = request.query_params.get("lang", "")
    lang = {"lang": asked} if asked in LANGUAGES else {}
    chosen = {name: request.query_params.get(name, "") for name in CARRIED} if carried is None else carried
    query = _query({name: value for name, value in chosen.items() if value} | lang)
    navigation = _kept_navigation if len(query) <= LONGEST_KEPT else _navigation
    return Shell(
        title=texts.text("web.title.page", page=title) if title else texts.text("web.title"),
        description=description or texts.text("web.description"),
        lang=texts.language,
        languages=tuple(
            Language(
                code=code,
                name=name,
                url=address(code) if address else same_page(request, code),
                current=code == texts.language,
                post_url=_path(request) + _query({"lang": code}) if form else "",
            )
            for code, name in LANGUAGES.items()
        ),
        nav=navigation(request.app, request.scope.get("root_path", ""), texts, here, query),
        home_url=path_for(request, "home") + _query(lang),
        plan_url=path_for(request, "plan") + query,
        here=here,
        version=__version__,
        form=form,
    )


def same_page(request: Request, lang: str) -> str:
    """The address that was asked for, in another language."""
    pairs = [(name, value) for name, value in request.query_params.multi_items() if name != "lang"]
    return f"{_path(request)}?{urlencode([*pairs, ('lang', lang)])}"


def _path(request: Request) -> str:
    """The path that was asked for; two slashes would lead to another host."""
    return quote("/" + request.scope["path"].lstrip("/"))


def _query(values: dict[str, str]) -> str:
    return f"?{urlencode(values)}" if values else ""


def _navigation(app: Starlette, root_path: str, texts: Texts, here: str, query: str) -> Nav:
    there = _existing(app)
    groups = []
    for group, names in PAGES.items():
        links = tuple(
            NavLink(
                name=name,
                text=texts.text(f"web.nav.{name}"),
                url=path_below(app, root_path, name) + ("" if name == "docs" else query),
                current=name == here,
                main=name in MAIN,
            )
            for name in names
            if name in there
        )
        if links:
            groups.append(NavGroup(label=texts.text(f"web.nav.group.{group}"), links=links))
    return Nav(groups=tuple(groups))


_kept_navigation = lru_cache(maxsize=256)(_navigation)
"""Model and card stay while everything else of a plan changes."""


@lru_cache(maxsize=16)
def _existing(app: Starlette) -> frozenset[str]:
    """Which of ``PAGES`` have a route. Routes are complete before the first request."""
    found = set()
    for name in (name for names in PAGES.values() for name in names):
        try:
            app.url_path_for(name)
        except NoMatchFound:
            continue
        found.add(name)
    return frozenset(found)
