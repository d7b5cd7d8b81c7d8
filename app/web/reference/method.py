"""One method, taught as the guide teaches it, with its cost for the model and card that are chosen."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from markupsafe import Markup
from starlette.requests import Request

from app.catalog.library import Catalog
from app.catalog.methods import MethodRow
from app.core.errors import InvalidInput, UnknownName
from app.core.hardware import Hardware
from app.core.messages import message
from app.services.inputs import resolve_hardware
from app.services.method_cost import method_cost
from app.services.swapping import LORA_DEFAULTS
from app.services.writing import write_yaml
from app.texts import Texts
from app.web.contexts import Link
from app.web.field_views import error_summary, field_views, model_options
from app.web.fields import METHOD_KEYS, NEFTUNE_KEYS
from app.web.forms import Asked, Form, turned, understand
from app.web.highlight import highlight
from app.web.mathml import typeset, with_formulas
from app.web.presenting import verdict
from app.web.reference.contexts import CostView, KnobView, MethodPage, SymbolView
from app.web.reference.downloads import downloads_of
from app.web.reference.methods import drawing_of, formula_of, keys_of, method_url
from app.web.reference.teaching import KNOBS, MOST_LESSONS
from app.web.shell import shell
from app.web.templating import path_for

EXAMPLE = {"model": "meta-llama/Llama-3.1-8B-Instruct", "gpu": "rtx-4090"}
"""What the cost is shown for until something is chosen."""

CHOSEN = ("model", "m", "gpu", "vram_gib")
_SIGN = re.compile(r"(?:Δ[^\W\d_]|[^\W\d_]+\d?)(?:['′]|_[^\W_]+)*")


def method_page(request: Request, texts: Texts, row: MethodRow) -> tuple[MethodPage, int]:
    """The page and its status."""
    catalog: Catalog = request.app.state.catalog
    t = texts.text
    form = chosen(Form.from_query(request.query_params))
    along = dict(form.values) | ({"lang": form.lang} if form.lang else {})
    asked, price = _price(request, row, form, catalog, texts)
    rows = catalog.methods.rows
    place = next(place for place, other in enumerate(rows) if other is row)
    here = method_url(request, row.id)
    page = MethodPage(
        shell=shell(
            request,
            texts,
            here="methods",
            title=f"{row.name}: {t(row.summary)}" if len(t(row.summary)) < 70 else row.name,
            description=f"{row.name}: {t(row.summary)}",
            address=lambda lang: here + form.query(lang),
        ),
        name=row.name,
        family=t(f"reference.family.{row.family}"),
        summary=t(row.summary),
        lessons=_lessons(row, texts),
        formula=typeset(formula_of(row)),
        symbols=_symbols(row, texts),
        drawing=drawing_of(row),
        drawing_text=t(f"reference.drawing.{drawing_of(row)}"),
        trained=_trained(row, texts),
        knobs=tuple(
            KnobView(key=key, meaning=t(f"reference.knob.{key}"), values=values)
            for key, values in KNOBS.get(row.id, ())
        ),
        yaml=highlight(write_yaml(snippet(catalog, row), texts, comments=False)),
        yaml_note=t(f"reference.yaml.{_kind(row)}"),
        support=row.axolotl.support,
        support_text=t(f"methods.support.{row.axolotl.support}"),
        guide_text=t(f"methods.support.{row.document.support}"),
        guide_keys=keys_of(row.document.keys, texts),
        note=t(row.note),
        difference=t(row.difference) if row.difference else "",
        nearest=_link(request, catalog.methods.get(row.nearest), along) if row.nearest else None,
        when=t(row.when),
        cost=t(row.cost),
        gain=t(row.gain),
        paper_url=row.paper or "",
        price=price,
        fields=field_views(form, asked, catalog, texts, lambda other: here + other.query(), plan=None),
        model_options=model_options(catalog.models),
        models_url=path_for(request, "model_search"),
        suggestions={},
        action=here,
        lang=form.lang or "",
        plan_url=_plan_url(request, row, form),
        plan_text=t("reference.method.plan", method=row.name),
        methods_url=path_for(request, "methods") + (f"?{urlencode(along)}" if along else ""),
        previous=_link(request, rows[place - 1], along) if place else None,
        next=_link(request, rows[place + 1], along) if place + 1 < len(rows) else None,
    )
    return page, 422 if error_summary(asked, texts) else 200


def snippet(catalog: Catalog, row: MethodRow) -> dict[str, Any]:
    """The method's keys as they stand in a file, with the guide's values for what it leaves open."""
    keys = dict(row.axolotl.keys or row.config)
    if keys.get("adapter") in ("lora", "qlora"):
        return {**keys, **LORA_DEFAULTS, "lora_target_linear": True}
    if row.id == "full":
        wanted = ("learning_rate", "optimizer")
        return {item.key: item.value for item in catalog.advisor.advise(wanted, {"method": "full"}.get, {})}
    return keys


def _kind(row: MethodRow) -> str:
    """Which remark stands below the keys."""
    if row.id in ("full", "neftune"):
        return row.id
    return "native" if row.axolotl.support in ("native", "peft") else "peft"


def chosen(form: Form) -> Form:
    """A form of model and card alone."""
    return replace(form, values={name: form.values[name] for name in CHOSEN if name in form.values}, model_json="")


def _lessons(row: MethodRow, texts: Texts) -> tuple[str, ...]:
    codes = (f"reference.lesson.{row.id}.{number}" for number in range(1, MOST_LESSONS + 1))
    return tuple(texts.text(code) for code in codes if code in texts)


def _trained(row: MethodRow, texts: Texts) -> Markup:
    code = f"reference.trained.{row.id}"
    return with_formulas(texts.text(code)) if code in texts else typeset(row.trained, display="inline")


def _symbols(row: MethodRow, texts: Texts) -> tuple[SymbolView, ...]:
    """The signs of the formula that need a word, in its order."""
    views = {}
    for sign in _SIGN.findall(formula_of(row)):
        code = next(
            (code for code in (f"reference.symbol.{row.id}.{sign}", f"reference.symbol.{sign}") if code in texts), None
        )
        if code is not None:
            views[sign] = SymbolView(sign=typeset(sign), meaning=texts.text(code))
    return tuple(views.values())


def _plan_url(request: Request, row: MethodRow, form: Form) -> str:
    """The wizard with this method chosen."""
    chosen = form if form.values else form.with_values(**EXAMPLE)
    if row.id in METHOD_KEYS:
        chosen = chosen.with_values(method=row.id)
    elif row.id == "neftune":
        chosen = chosen.with_values(neftune="on")
    else:
        chosen = turned(chosen if "adapter" in row.config else chosen.with_values(method="full"), row.config)
    return path_for(request, "plan") + chosen.query()


def _link(request: Request, row: MethodRow, along: Mapping[str, str]) -> Link:
    return Link(text=row.name, url=method_url(request, row.id, along))


def understood(form: Form, catalog: Catalog) -> tuple[Asked, Hardware | None]:
    """What is chosen, with the guide's own pair where nothing is, and the card."""
    filled = form
    if not form.has_model:
        filled = filled.with_values(model=EXAMPLE["model"])
    if not form.has_hardware:
        filled = filled.with_values(gpu=EXAMPLE["gpu"])
    asked = understand(filled, catalog)
    return asked, _hardware(filled, asked, catalog)


def _price(
    request: Request, row: MethodRow, form: Form, catalog: Catalog, texts: Texts
) -> tuple[Asked, CostView | None]:
    """What it costs on what is chosen; the guide's own pair where nothing is."""
    example = not form.has_model and not form.has_hardware
    asked, hardware = understood(form, catalog)
    if asked.errors or hardware is None:
        return asked, None
    keys = METHOD_KEYS.get(row.id) or (NEFTUNE_KEYS["on"] if row.id == "neftune" else asking(row))
    try:
        found = method_cost(
            catalog=catalog,
            hardware=hardware,
            overrides=keys,
            base_model=asked.base_model,
            model=asked.model,
        )
    except UnknownName as error:
        asked.suggestions = error.nearest
        asked.fault("model", message("web.error.unknown_model", given=error.given))
        return asked, None
    except InvalidInput as error:
        asked.fault("model", error.errors[0].message)
        return asked, None
    named = catalog.models.find(asked.base_model or "")
    model = named.name if named else asked.base_model or texts.text("web.field.m")
    reasons = tuple(dict.fromkeys(texts.render(reason) for reason in found.reasons))
    if found.estimate is None:
        return asked, CostView(model=model, hardware=hardware.name, reasons=reasons, example=example)
    t = texts.text
    estimate = found.estimate
    return asked, CostView(
        model=model,
        hardware=hardware.name,
        trainable=t("web.number", number=estimate.trainable_parameters),
        share=t("reference.cost.share", share=_share(estimate.trainable_percent)),
        memory=t("web.gib", size_bytes=estimate.memory.process_bytes),
        disk=t("reference.mb", size_mb=estimate.adapter_disk_bytes / 1e6),
        at=t(
            "reference.cost.at",
            sequence_len=found.config.get("sequence_len", 0),
            micro_batch_size=found.config.get("micro_batch_size", 1),
        ),
        verdict=verdict(estimate, hardware, texts),
        example=example,
        downloads=downloads_of(request, row, form, texts),
    )


def asking(row: MethodRow) -> Mapping[str, Any]:
    """The keys with which the wizard is asked for a method; one without an adapter trains the model's own weights."""
    return row.config if "adapter" in row.config else {"adapter": None, **row.config}


def _share(percent: float) -> str:
    """A percentage, with the digits that a very small one needs."""
    return f"{percent:.2f}" if percent >= 0.1 else f"{percent:.4f}"


def _hardware(form: Form, asked: Asked, catalog: Catalog) -> Hardware | None:
    try:
        return resolve_hardware(catalog=catalog, gpu=asked.gpu, vram_gib=asked.vram_gib)
    except UnknownName as error:
        asked.fault("gpu", message("web.error.unknown_gpu", given=form["gpu"][:60], nearest=error.nearest))
    except InvalidInput as error:
        asked.fault("vram_gib", error.errors[0].message)
    return None
