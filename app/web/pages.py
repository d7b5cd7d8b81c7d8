"""Puts the contexts of the pages together."""

from urllib.parse import urlsplit

from starlette.datastructures import QueryParams
from starlette.requests import Request

from app.catalog.library import Catalog
from app.core.axolotl.presets import PRESETS
from app.core.plan import Plan
from app.texts import Texts
from app.web import contexts
from app.web.field_views import DATASET_TYPES, OPTIMIZERS, error_summary, field_views, model_options
from app.web.fields import FIELDS
from app.web.forms import Asked, Form, in_field
from app.web.memory_bar import memory_bar
from app.web.planning import Answer, answer
from app.web.presenting import Address, model_name, present, verdict
from app.web.shell import CARRIED, shell
from app.web.templating import path_for

EXAMPLES = (
    ("meta-llama/Llama-3.1-8B-Instruct", "rtx-4090"),
    ("Qwen/Qwen3-4B", "rtx-3060-12gb"),
    ("google/gemma-3-12b-it", "a100-40gb-sxm"),
)
"""Model and card of the examples; a pair that the catalogue does not hold is left out."""

PRESET_GPUS = {"lora_24gb": "rtx-4090", "qlora_8gb": "rtx-4060"}


def home_page(request: Request, texts: Texts) -> contexts.HomePage:
    """The start page."""
    catalog: Catalog = request.app.state.catalog
    form = Form.from_query(request.query_params)
    examples = _examples(request, catalog, texts, Form(lang=form.lang))
    return contexts.HomePage(
        shell=shell(request, texts, here="home"),
        fields=field_views(Form(), Asked(), catalog, texts, _address(request), plan=None),
        model_options=model_options(catalog.models),
        sample=_sample(catalog, texts, examples[0]) if examples else None,
        examples=examples[1:],
        model_count=texts.text("web.number", number=len(catalog.models.rows)),
        gpu_count=texts.text("web.number", number=len(catalog.gpus.rows)),
        suggestions={},
        action=path_for(request, "plan"),
        lang=form.lang or "",
    )


def plan_page(request: Request, texts: Texts, found: Answer) -> contexts.PlanPage:
    """The wizard."""
    catalog: Catalog = request.app.state.catalog
    form, plan = found.form, found.plan
    address = _address(request)
    result = None
    if plan is not None and found.hardware is not None:
        download = path_for(request, "download") + form.query(texts.language)
        result = present(
            plan,
            form=form,
            hardware=found.hardware,
            catalog=catalog,
            texts=texts,
            address=address,
            download_url=download,
        )
    blank = Form(lang=form.lang)
    return contexts.PlanPage(
        shell=_plan_shell(request, texts, form, result),
        state=found.state,
        fields=field_views(
            form, found.asked, catalog, texts, address, plan=plan, findings=result.findings if result else ()
        ),
        pasted=_pasted(form, plan, catalog, texts, address),
        packed_model=form["m"],
        model_json=form.model_json,
        errors=error_summary(found.asked, texts),
        presets=_presets(catalog, texts, form, address),
        examples=_examples(request, catalog, texts, blank),
        result=result,
        model_options=model_options(catalog.models),
        suggestions={"dataset-types": DATASET_TYPES, "optimizers": OPTIMIZERS},
        action=path_for(request, "plan"),
        reset_url=address(blank),
        changed=sum(name not in ("model", "m", "gpu", "vram_gib") for name in form.values),
        lang=form.lang or "",
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
        about = f"{title}. {result.verdict.headline} {result.verdict.detail}"
    return shell(
        request,
        texts,
        here="plan",
        title=title,
        description=about,
        address=lambda code: path + form.query(code),
        carried={name: form[name] for name in CARRIED},
    )


def _address(request: Request) -> Address:
    path = path_for(request, "plan")
    return lambda form: path + form.query()


def _sample(catalog: Catalog, texts: Texts, link: contexts.Link) -> contexts.Sample | None:
    """The first example, planned and drawn."""
    found = answer(Form.from_query(QueryParams(urlsplit(link.url).query)), catalog)
    if found.plan is None or found.hardware is None:
        return None
    return contexts.Sample(
        link=link,
        method=texts.text(f"method.{found.plan.method}"),
        verdict=verdict(found.plan.estimate, found.hardware, texts),
        bar=memory_bar(found.plan.estimate, texts),
    )


def _examples(request: Request, catalog: Catalog, texts: Texts, blank: Form) -> tuple[contexts.Link, ...]:
    address = _address(request)
    gpus = {row.id: row for row in catalog.gpus.rows}
    links = []
    for model, gpu in EXAMPLES:
        row = catalog.models.find(model)
        if row is not None and gpu in gpus:
            text = texts.text("web.example", model=row.name, hardware=gpus[gpu].name)
            links.append(contexts.Link(text=text, url=address(blank.with_values(model=row.id, gpu=gpu))))
    return tuple(links)


def _presets(catalog: Catalog, texts: Texts, form: Form, address: Address) -> tuple[contexts.Link, ...]:
    """The guide's two templates: all their values, on the card that is chosen or on one of the size they name."""
    links = []
    for name, keys in PRESETS.items():
        values = {key: in_field(value) for key, value in keys.items() if key in FIELDS}
        values["method"] = str(keys["adapter"])
        values["neftune"] = "on" if keys.get("neftune_noise_alpha") else "off"
        hardware = {"gpu": form["gpu"], "vram_gib": form["vram_gib"]} if form.has_hardware else {}
        if not hardware and any(row.id == PRESET_GPUS[name] for row in catalog.gpus.rows):
            hardware = {"gpu": PRESET_GPUS[name]}
        filled = Form(lang=form.lang).with_values(model=str(keys["base_model"]), **hardware, **values)
        links.append(contexts.Link(text=texts.text(f"web.preset.{name}"), url=address(filled)))
    return tuple(links)


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
