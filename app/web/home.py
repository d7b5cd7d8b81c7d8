"""Puts the start page together: what this is, and three ways to begin."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.datastructures import QueryParams
from starlette.requests import Request

from app.catalog.library import Catalog
from app.services.reading import LONGEST
from app.texts import Texts
from app.web import contexts
from app.web.examples import example_plans
from app.web.field_views import field_views, model_options
from app.web.forms import Asked, Form
from app.web.memory_bar import memory_bar
from app.web.planning import answer
from app.web.presenting import verdict
from app.web.shell import shell
from app.web.templating import path_for, path_if_any

METHODS = ("qlora", "lora", "dora", "full", "ia3", "prefix_tuning", "p_tuning", "relora")
"""Those that people ask about first."""


def home_page(request: Request, texts: Texts, typed: Mapping[str, str]) -> contexts.HomePage:
    """The start page, with what was ``typed`` so far: a model, a card, a file's text."""
    catalog: Catalog = request.app.state.catalog
    form = Form.from_query(request.query_params)
    asked = Form(values={name: typed[name] for name in ("model", "gpu") if typed.get(name)})
    yaml = typed.get("yaml", "")
    path = path_for(request, "plan")
    examples = example_plans(catalog, texts, Form(lang=form.lang), lambda asked: path + asked.query())
    frame = shell(request, texts, here="home", carried={}, form="home-form")
    there = {link.name: link for group in frame.nav.groups for link in group.links}
    return contexts.HomePage(
        shell=frame,
        fields=field_views(asked, Asked(), catalog, texts, lambda asked: path + asked.query(), plan=None),
        model_options=model_options(catalog.models),
        sample=_sample(catalog, texts, examples[0]) if examples else None,
        examples=examples[1:],
        model_count=texts.text("web.number", number=len(catalog.models.rows)),
        gpu_count=texts.text("web.number", number=len(catalog.gpus.rows)),
        methods_url=there["methods"].url if "methods" in there else "",
        methods=_methods(request, catalog, form.lang),
        tree_url=there["tree"].url if "tree" in there else "",
        suggestions={},
        action=path,
        models_url=path_for(request, "model_search"),
        post_url=path_for(request, "plan") + Form(lang=form.lang).query(),
        check_post_url=check + Form(lang=form.lang).query() if (check := path_if_any(request, "check")) else "",
        yaml=yaml,
        problem=texts.text("web.error.long", given=len(yaml), most=LONGEST) if len(yaml) > LONGEST else "",
        lang=form.lang or "",
    )


def _methods(request: Request, catalog: Catalog, lang: str | None) -> tuple[contexts.Link, ...]:
    """Where the methods are taught, if they are; a method's own page has the route ``method``."""
    known = {row.id: row.name for row in catalog.methods.rows}
    links = []
    for name in METHODS:
        path = path_if_any(request, "method", id_=name) if name in known else None
        if path is not None:
            links.append(contexts.Link(text=known[name], url=path + Form(lang=lang).query()))
    return tuple(links)


def _sample(catalog: Catalog, texts: Texts, link: contexts.Link) -> contexts.Sample | None:
    """The first example, planned and drawn."""
    found = answer(Form.from_query(QueryParams(urlsplit(link.url).query)), catalog)
    if found.plan is None or found.hardware is None:
        return None
    return contexts.Sample(
        link=link,
        method=texts.text(f"method.{found.plan.method}"),
        verdict=verdict(found.plan.estimate, found.hardware, texts),
        bar=memory_bar(found.plan.estimate, texts, config=found.plan.config),
        trainable=texts.text("web.percent", share=found.plan.estimate.trainable_percent),
    )
