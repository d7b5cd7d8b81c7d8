"""Puts the wizard's context together, and that of a page that says what went wrong."""

from starlette.requests import Request

from app.catalog.library import Catalog
from app.core.plan import Plan
from app.texts import Texts
from app.web import contexts
from app.web.examples import example_plans, preset_plans
from app.web.field_views import DATASET_TYPES, OPTIMIZERS, error_summary, field_views, model_options
from app.web.fields import File
from app.web.forms import Address, Form
from app.web.image_fields import IMAGE_FIELDS, asked_of
from app.web.planning import Answer
from app.web.presenting import model_name, present
from app.web.sections import section_views
from app.web.shell import CARRIED, shell
from app.web.templating import path_for

MOST_MODELS = 8
"""As many models as the list shows while somebody types."""


def plan_page(request: Request, texts: Texts, found: Answer) -> contexts.PlanPage:
    """The wizard."""
    catalog: Catalog = request.app.state.catalog
    form, plan = found.form, found.plan
    path = path_for(request, "plan")

    def address(asked: Form) -> str:
        return path + asked.query()

    result = None
    if plan is not None and found.hardware is not None:
        result = present(
            plan,
            form=form,
            wish=found.asked.wish,
            hardware=found.hardware,
            catalog=catalog,
            texts=texts,
            address=address,
            download_url=path_for(request, "download") + form.query(texts.language),
            export_path=path_for(request, "plan") + "/take",
            check_url=path_for(request, "check") + "?from=plan&" + form.query(texts.language).removeprefix("?"),
            onward=_onward(request, texts, form),
        )
    blank = Form(lang=form.lang)
    fields = field_views(
        form, found.asked, catalog, texts, address, plan=plan, findings=result.findings if result else ()
    )
    return contexts.PlanPage(
        shell=_plan_shell(request, texts, form, result if found.state is contexts.State.READY else None),
        state=found.state,
        fields=fields,
        sections=section_views(form, fields, plan, texts),
        image_fields=_image_fields(form, plan),
        pasted=_pasted(form, plan, catalog, texts, address),
        packed_model=form["m"],
        model_json=form.model_json,
        errors=error_summary(found.asked, texts),
        presets=preset_plans(catalog, texts, form, address),
        examples=() if result else example_plans(catalog, texts, form, address),
        result=result,
        fill=_fill(form, found, texts, address),
        model_options=model_options(catalog.models),
        suggestions={"dataset-types": DATASET_TYPES, "optimizers": OPTIMIZERS},
        action=path,
        models_url=path_for(request, "model_search"),
        reset_url=address(blank),
        changed=sum(name not in ("model", "m", "gpu", "vram_gib", "file") for name in form.values),
        lang=form.lang or "",
    )


def _image_fields(form: Form, plan: Plan | None) -> tuple[str, ...]:
    asked = asked_of(plan.config, plan.estimate.architecture) if plan is not None else ()
    return tuple(name for name in IMAGE_FIELDS if name in asked or name in form.values)


def _fill(form: Form, found: Answer, texts: Texts, address: Address) -> contexts.Link | None:
    if form["file"] != File.AS_IS or not found.asked.errors:
        return None
    text = texts.text("planner.file.to_filled")
    return contexts.Link(text=text, url=address(form.with_values(file=File.FILLED.value)))


def _onward(request: Request, texts: Texts, form: Form) -> tuple[contexts.Link, ...]:
    """The pages that start from a plan, with its query."""
    return tuple(
        contexts.Link(text=texts.text(f"time.to.{name}"), url=path_for(request, name) + form.query())
        for name in ("tree", "fit", "compare")
    )


def model_choices(catalog: Catalog, texts: Texts, query: str) -> contexts.ModelChoices:
    """What the model field's list shows for ``query``."""
    rows = catalog.models.search(query)[:MOST_MODELS]
    return contexts.ModelChoices(
        choices=tuple(
            contexts.ModelChoice(
                id=row.id,
                name=row.name,
                note=texts.text(
                    "web.models.note",
                    parameters=catalog.architecture(row.id).total_parameters / 1e9,
                    context=row.context_tokens,
                ),
            )
            for row in rows
        ),
        none="" if rows else texts.text("web.models.none"),
        said=texts.text("web.models.said", count=len(rows)),
    )


def error_page(request: Request, texts: Texts, status: int) -> contexts.ErrorPage:
    """What to say when there is no page, or none can be made."""
    code = status if f"web.failure.{status}" in texts else (404 if status < 500 else 500)
    home = path_for(request, "home")
    return contexts.ErrorPage(
        shell=shell(
            request,
            texts,
            here="",
            title=texts.text(f"web.failure.{code}"),
            address=lambda lang: f"{home}?lang={lang}",
            carried={},
        ),
        status=status,
        headline=texts.text(f"web.failure.{code}"),
        detail=texts.text(f"web.failure.{code}.detail"),
    )


def _plan_shell(request: Request, texts: Texts, form: Form, result: contexts.Result | None) -> contexts.Shell:
    path = path_for(request, "plan")
    title, about = texts.text("web.plan.title"), ""
    if result is not None:
        title = texts.text("web.title.plan", model=result.model, hardware=result.hardware, method=result.method)
        about = texts.text("web.preview.plan", plan=title, said=result.verdict.headline, detail=result.verdict.detail)
    return shell(
        request,
        texts,
        here="plan",
        title=title,
        description=about,
        address=lambda code: path + form.query(code),
        carried={name: form[name] for name in CARRIED},
    )


def _pasted(
    form: Form, plan: Plan | None, catalog: Catalog, texts: Texts, address: Address
) -> contexts.PastedModel | None:
    if not form["m"]:
        return None
    text = texts.text("web.pasted.unread")
    if plan is not None:
        architecture = plan.estimate.architecture
        text = texts.text(
            "web.pasted.summary",
            model=model_name(plan, catalog, texts),
            model_type=architecture.model_type,
            layers=architecture.num_layers,
            parameters=plan.estimate.total_parameters,
        )
    return contexts.PastedModel(text=text, remove_url=address(form.with_values(m=None)))
