"""What the style guide shows: the tokens as the stylesheet has them, and components filled with a real plan."""

import re
from dataclasses import dataclass
from functools import cache

from starlette.datastructures import QueryParams
from starlette.requests import Request

from app.assets import STATIC
from app.catalog.library import Catalog
from app.texts import Texts
from app.web import contexts
from app.web.examples import EXAMPLES
from app.web.field_views import field_views
from app.web.forms import Form
from app.web.planning import answer
from app.web.presenting import present
from app.web.shell import shell
from app.web.templating import path_for

COLOURS = ("paper", "surface", "sunken", "ink", "ink-soft", "rule", "control", "accent", "accent-wash", "focus")
VERDICTS = ("fits", "tight", "bad", "info")
SIZES = ("text-s", "text-m", "text-l", "text-xl", "text-xxl")
_TOKEN = re.compile(r"--([\w-]+):\s*([^;]+);")


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenView:
    """One token and its value in the light theme."""

    name: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StyleguidePage:
    """``/styleguide``."""

    shell: contexts.Shell
    colours: tuple[TokenView, ...]
    verdicts: tuple[TokenView, ...]
    sizes: tuple[TokenView, ...]
    spaces: tuple[TokenView, ...]
    parts: tuple[str, ...]
    fields: dict[str, contexts.FieldView]
    result: contexts.Result


def styleguide_page(request: Request, texts: Texts) -> StyleguidePage:
    """Everything at once; the plan is the first of the examples, with a value that cannot be beside it."""
    catalog: Catalog = request.app.state.catalog
    model, gpu = EXAMPLES[0]
    path = path_for(request, "plan")
    found = answer(Form.from_query(QueryParams({"model": model, "gpu": gpu, "lora_r": "24", "rows": "many"})), catalog)
    assert found.plan is not None  # noqa: S101 - the catalogue's own tests hold the examples
    assert found.hardware is not None  # noqa: S101 - the example names a card
    result = present(
        found.plan,
        form=found.form,
        wish=found.asked.wish,
        hardware=found.hardware,
        catalog=catalog,
        texts=texts,
        address=lambda form: path + form.query(),
        download_url=path_for(request, "download") + found.form.query(),
    )
    known = tokens()
    return StyleguidePage(
        shell=shell(request, texts, here="styleguide", title=texts.text("styleguide.title")),
        colours=_named(known, COLOURS),
        verdicts=_named(known, VERDICTS),
        sizes=_named(known, SIZES),
        spaces=tuple(TokenView(name=name, value=value) for name, value in known.items() if name.startswith("space-")),
        parts=tuple(texts.text(f"term.{code}") for code in ("weights", "adapter", "gradients", "optimizer"))
        + tuple(texts.text(f"term.{code}") for code in ("activations", "logits", "loss", "temporaries", "images"))
        + (texts.text("web.bar.overhead"),),
        fields=field_views(found.form, found.asked, catalog, texts, lambda form: path + form.query(), plan=found.plan),
        result=result,
    )


@cache
def tokens() -> dict[str, str]:
    """Every token of the stylesheet with its first value, the light theme's."""
    style = (STATIC / "css" / "axoplan.css").read_text(encoding="utf-8")
    found: dict[str, str] = {}
    for name, value in _TOKEN.findall(style):
        found.setdefault(name, value.strip())
    return found


def _named(known: dict[str, str], names: tuple[str, ...]) -> tuple[TokenView, ...]:
    return tuple(TokenView(name=name, value=known[name]) for name in names)
