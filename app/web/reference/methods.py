"""The methods: families and tables of the guide, a card per method."""

from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import urlencode

from starlette.requests import Request

from app.catalog.library import Catalog
from app.catalog.methods import MethodRow
from app.core.adapter import default_targets
from app.core.estimate import Estimate
from app.core.plan import Wish
from app.services.estimating import estimate_resolved
from app.services.inputs import resolve_model
from app.services.templates import template
from app.services.writing import write_yaml
from app.texts import Texts
from app.web.contexts import Link
from app.web.mathml import typeset
from app.web.memory_bar import gib
from app.web.reference.contexts import FamilyView, MethodCard, MethodsPage, RuleView, SupportView, TargetView
from app.web.reference.filters import Query
from app.web.reference.models import model_url
from app.web.reference.teaching import (
    DRAWINGS,
    FAMILIES,
    FAMILY_DRAWINGS,
    FORMULAS,
    GUIDE_TARGETS,
    RULE_GPU,
    RULE_METHODS,
    RULE_MODEL,
    VERSUS,
)
from app.web.shell import shell
from app.web.templating import path_for


def method_url(request: Request, id_: str, query: Mapping[str, str] | None = None) -> str:
    """The address of a method's page."""
    return f"{path_for(request, 'methods')}/{id_}" + (f"?{urlencode(query)}" if query else "")


def drawing_of(row: MethodRow) -> str:
    """Which drawing shows the method."""
    return DRAWINGS.get(row.id) or FAMILY_DRAWINGS[row.family]


def formula_of(row: MethodRow) -> str:
    """The method's formula, without words."""
    return FORMULAS.get(row.id, row.formula)


def keys_of(keys: Mapping[str, object], texts: Texts) -> tuple[str, ...]:
    """A method's keys as lines of the file."""
    return tuple(write_yaml(keys, texts, comments=False).splitlines()) if keys else ()


def methods_page(request: Request, texts: Texts) -> MethodsPage:
    """All of them."""
    catalog: Catalog = request.app.state.catalog
    t = texts.text
    query = Query(request, "methods", ())
    along = dict(query.carried())
    rows = catalog.methods.rows
    return MethodsPage(
        shell=shell(
            request, texts, here="methods", title=t("reference.methods.title"), description=t("reference.methods.lead")
        ),
        families=tuple(
            FamilyView(
                name=t(f"reference.family.{family}"),
                text=t(f"reference.family.{family}.text"),
                members=tuple(
                    Link(text=row.name, url=method_url(request, row.id, along)) for row in rows if row.family == family
                ),
            )
            for family in FAMILIES
        ),
        versus=tuple(
            (
                t(f"reference.versus.{row}"),
                t(f"reference.versus.{row}.full"),
                t(f"reference.versus.{row}.peft"),
            )
            for row in VERSUS
        ),
        cards=tuple(
            MethodCard(
                name=row.name,
                url=method_url(request, row.id, along),
                family=t(f"reference.family.{row.family}"),
                summary=t(row.summary),
                support=row.axolotl.support,
                support_text=t(f"methods.support.{row.axolotl.support}"),
                formula=typeset(formula_of(row)),
                drawing=drawing_of(row),
            )
            for row in rows
        ),
        supports=tuple(
            SupportView(
                name=row.name,
                url=method_url(request, row.id, along),
                guide=t(f"methods.support.{row.document.support}"),
                guide_keys=keys_of(row.document.keys or row.axolotl.keys, texts)
                if row.document.support != "none"
                else (),
                support=row.axolotl.support,
                truth=t(f"methods.support.{row.axolotl.support}"),
                keys=keys_of(row.axolotl.keys, texts),
                note=t(row.note),
            )
            for row in rows
            if row.id != "full"
        ),
        targets=_targets(request, catalog, query["lang"]),
        rules=tuple(
            RuleView(
                method=t(f"method.{method}"),
                guide=t("reference.rule.gb", rule_bytes=found.rule_of_thumb_bytes),
                weights=gib(next(term.bytes for term in found.memory.breakdown if term.code == "weights"), texts),
                process=gib(found.memory.process_bytes, texts),
            )
            for method, found in _rule_estimates(catalog)
        ),
        rules_about=t("reference.rule.text", model=catalog.models.get(RULE_MODEL).name),
        plan_url=path_for(request, "plan") + (f"?{urlencode(along)}" if along else ""),
    )


def _targets(request: Request, catalog: Catalog, lang: str) -> tuple[TargetView, ...]:
    views = []
    for name, guide, id_ in GUIDE_TARGETS:
        row = catalog.models.get(id_)
        truth = default_targets(catalog.architecture(row.id))
        names = (truth,) if isinstance(truth, str) else truth
        views.append(
            TargetView(
                name=name,
                guide=guide,
                truth=names,
                same=set(guide) == set(names),
                model=Link(text=row.name, url=model_url(request, row.id, lang)),
            )
        )
    return tuple(views)


@lru_cache(maxsize=2)
def _rule_estimates(catalog: Catalog) -> tuple[tuple[str, Estimate], ...]:
    """The guide's smaller template on the guide's 7B model, method by method."""
    resolved = resolve_model(catalog=catalog, base_model=RULE_MODEL, model=None)
    hardware = catalog.gpus.get(RULE_GPU).hardware()
    return tuple(
        (
            method,
            estimate_resolved(
                catalog=catalog,
                resolved=resolved,
                config=template(resolved, hardware, Wish(), method),
                hardware=hardware,
            ),
        )
        for method in RULE_METHODS
    )
