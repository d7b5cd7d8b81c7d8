"""Model and card as pages beside the wizard ask for them; everything else that it was asked goes along."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from app.catalog.library import Catalog
from app.services.templates import asked_method
from app.texts import Texts
from app.web.contexts import ErrorSummaryItem, FieldView, Link, Option
from app.web.field_views import error_summary, field_views, model_options
from app.web.fields import FIELDS
from app.web.forms import Form, in_field
from app.web.planning import Answer
from app.web.presenting import model_name, verdict
from app.web.templating import path_for

SHOWN = ("model", "gpu", "vram_gib")


@dataclass(frozen=True, slots=True, kw_only=True)
class Chooser:
    """The fields, and what goes along unseen."""

    fields: dict[str, FieldView]
    hidden: tuple[tuple[str, str], ...]
    errors: tuple[ErrorSummaryItem, ...]
    model_options: tuple[Option, ...]
    wishes: str
    plan: Link | None


def chooser(request: Request, texts: Texts, found: Answer, here: str) -> Chooser:
    """The chooser of the page ``here`` for what was asked."""
    catalog: Catalog = request.app.state.catalog
    form = found.form
    path, plan_path = path_for(request, here), path_for(request, "plan")
    views = field_views(form, found.asked, catalog, texts, lambda other: path + other.query(), plan=found.plan)
    others = [(name, value) for name, value in form.values.items() if name not in SHOWN]
    lang = [("lang", form.lang)] if form.lang else []
    return Chooser(
        fields={name: views[name] for name in SHOWN},
        hidden=(*others, *lang),
        errors=error_summary(found.asked, texts),
        model_options=model_options(catalog.models),
        wishes=", ".join(f"{name}: {value[:40]}" for name, value in others if name != "m"),
        plan=Link(text=texts.text("fit.to_plan"), url=plan_path + form.query()) if found.plan is not None else None,
    )


def preview(texts: Texts, catalog: Catalog, found: Answer, *, title: str, lead: str) -> tuple[str, str]:
    """Title and description of a page about a plan: which model, on what, and how that stands.

    Without a plan they are the page's own.
    """
    plan, hardware = found.plan, found.hardware
    if plan is None or hardware is None:
        return title, lead
    t = texts.text
    model = model_name(plan, catalog, texts)
    said = verdict(plan.estimate, hardware, texts)
    of = t("web.title.plan", model=model, hardware=hardware.name, method=t(f"method.{plan.method}"))
    about = t("web.preview.plan", plan=of, said=said.headline, detail=said.detail)
    return t("web.title.of", page=title, model=model, hardware=hardware.name), f"{about} {lead}"


def pinned(form: Form, config: Mapping[str, Any]) -> Form:
    """The wizard's form for exactly ``config``: its method and every knob that the form has, as they are there."""
    values: dict[str, str | None] = {"method": asked_method(config) or "full"}
    for name, field in FIELDS.items():
        if (field.knob or name == "sequence_len") and name in config:
            values[name] = in_field(config[name])
    offloaded = config.get("activation_offloading") or config.get("gradient_checkpointing") == "offload"
    checkpointing = "offload" if offloaded else in_field(bool(config.get("gradient_checkpointing")))
    return form.with_values(**values | {"gradient_checkpointing": checkpointing})
