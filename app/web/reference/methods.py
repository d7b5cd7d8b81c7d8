"""The methods: families and tables of the guide, a card per method."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from urllib.parse import urlencode

from starlette.requests import Request

from app.catalog.library import Catalog
from app.catalog.methods import MethodRow
from app.core.estimate import Estimate
from app.core.plan import Wish
from app.services.estimating import estimate_resolved
from app.services.inputs import resolve_model
from app.services.templates import template
from app.services.writing import write_yaml
from app.texts import LANGUAGES, Texts
from app.web.contexts import Link
from app.web.memory_bar import gib
from app.web.reference.contexts import FamilyView, MethodCard, MethodsPage, RuleView, SupportView, TargetView
from app.web.reference.filters import Query
from app.web.reference.teaching import (
    DRAWINGS,
    FAMILIES,
    FAMILY_DRAWINGS,
    FORMULAS,
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
        cards=_cards([row for row in rows if _taught(row)], request, along, texts),
        more=_cards([row for row in rows if not _taught(row)], request, along, texts),
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
                note=t(row.difference or row.note),
            )
            for row in rows
            if _taught(row) and row.id != "full"
        ),
        targets=_targets(request, catalog, texts),
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


def _taught(row: MethodRow) -> bool:
    """Whether the guide teaches it."""
    return row.number is not None or row.family == "full"


def _cards(
    rows: Iterable[MethodRow], request: Request, along: Mapping[str, str], texts: Texts
) -> tuple[MethodCard, ...]:
    return tuple(
        MethodCard(
            name=row.name,
            url=method_url(request, row.id, along),
            family=texts.text(f"reference.family.{row.family}"),
            summary=texts.text(row.summary),
            support=row.axolotl.support,
            support_text=texts.text(f"methods.support.{row.axolotl.support}"),
            drawing=drawing_of(row),
        )
        for row in rows
    )


def _targets(request: Request, catalog: Catalog, texts: Texts) -> tuple[TargetView, ...]:
    models = path_for(request, "models")
    lang = {"lang": request.query_params["lang"]} if request.query_params.get("lang") in LANGUAGES else {}
    views = []
    for row in catalog.target_modules:
        names = (row.modules,) if isinstance(row.modules, str) else row.modules
        has = {model.model_type for model in catalog.models.rows}
        same = row.document is not None and set(row.document) == set(names)
        remark = "same" if same else "absent" if row.document is None else ""
        why = texts.text(row.why) if row.why else ""
        views.append(
            TargetView(
                name=texts.text(row.name),
                guide=() if row.document is None or same else row.document,
                modules=names,
                remark=texts.text(f"reference.targets.{remark}") if remark and not (why and same) else "",
                why=why,
                types=tuple(
                    Link(text=name, url=f"{models}?{urlencode({'architecture': name} | lang)}" if name in has else "")
                    for name in row.model_types
                ),
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
                config=template(catalog, resolved, hardware, Wish(), method),
                hardware=hardware,
            ),
        )
        for method in RULE_METHODS
    )
