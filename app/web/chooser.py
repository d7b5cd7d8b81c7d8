"""Model and card as pages beside the wizard ask for them; everything else that it was asked goes along."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from app.catalog.library import Catalog
from app.services.templates import asked_method
from app.texts import Texts
from app.web import own_keys
from app.web.contexts import ErrorSummaryItem, FieldView, Link, Option
from app.web.examples import example_plans
from app.web.field_views import error_summary, field_views, model_options
from app.web.fields import FIELDS, File
from app.web.forms import Form, in_field
from app.web.image_fields import IMAGE_FIELDS
from app.web.planning import Answer
from app.web.templating import path_for

SHOWN = ("model", "gpu", "vram_gib")
BESIDE_A_FILE = frozenset(
    (*SHOWN, "m", "priority", "tasks", "rows", "mean_tokens", "max_tokens", *IMAGE_FIELDS, "price_per_hour", "install")
)
"""What a form says beside a whole file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chooser:
    """The fields, and what goes along unseen."""

    fields: dict[str, FieldView]
    hidden: tuple[tuple[str, str], ...]
    errors: tuple[ErrorSummaryItem, ...]
    model_options: tuple[Option, ...]
    models_url: str
    examples: tuple[Link, ...]
    """Where nothing is chosen yet, or one half of it: choices to look at."""
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
        models_url=path_for(request, "model_search"),
        examples=()
        if found.plan is not None
        else example_plans(catalog, texts, form, lambda other: path + other.query()),
        wishes=", ".join(f"{name}: {value[:40]}" for name, value in others if name != "m"),
        plan=Link(text=texts.text("fit.to_plan"), url=plan_path + form.query()) if found.plan is not None else None,
    )


FITTED = (
    "sequence_len",
    "micro_batch_size",
    "gradient_accumulation_steps",
    "lora_r",
    "lora_alpha",
    "optimizer",
    "gradient_checkpointing",
)
"""What fitting may change of a plan."""


def pinned(form: Form, config: Mapping[str, Any], names: Collection[str] = tuple(FIELDS)) -> Form:
    """The wizard's form for exactly ``config``: its method and every knob that the form has, as they are there.

    With ``names`` only those knobs; the others follow the recommendation still. Where the plan is a file that somebody
    brought, it is that file with what ``config`` changed in it.
    """
    if form["file"] == File.AS_IS:
        wish = {name: text for name, text in form.values.items() if name in BESIDE_A_FILE}
        keys = {key: value for key, value in config.items() if key != "base_model"}
        return Form(values={**wish, "keys": own_keys.write(keys), "file": form["file"]}, lang=form.lang)
    values: dict[str, str | None] = {"method": asked_method(config) or "full"}
    for name, field in FIELDS.items():
        if (field.knob or name == "sequence_len") and name in config and name in names:
            values[name] = in_field(config[name])
    offloaded = config.get("activation_offloading") or config.get("gradient_checkpointing") == "offload"
    checkpointing = "offload" if offloaded else in_field(bool(config.get("gradient_checkpointing")))
    return form.with_values(**values | {"gradient_checkpointing": checkpointing})
