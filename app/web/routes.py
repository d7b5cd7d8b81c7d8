"""The pages: read the form, ask the services, render."""

from urllib.parse import urlencode

from fastapi import APIRouter, Request
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from app.catalog.library import Catalog
from app.core.errors import InvalidInput
from app.services.exporting import export
from app.services.templates import PEFT_METHODS
from app.web.contexts import State
from app.web.fields import File
from app.web.forms import Form
from app.web.home import home_page
from app.web.hypermedia import VARY, wants_fragment
from app.web.image_fields import IMAGE_FIELDS
from app.web.pages import model_choices, plan_page
from app.web.planning import answer, refuse
from app.web.presenting import file_name, yaml_file
from app.web.sharing import pack, posted, text_of, unpack
from app.web.taking import TARGETS, as_response
from app.web.templating import path_for, reader, render

router = APIRouter(include_in_schema=False)

LONGEST_ADDRESS = 8_000
"""Characters that servers and proxies take."""
TAKEN_ALONG = ("gpu", "vram_gib", "install", "m", "model_json", *IMAGE_FIELDS)
"""What may stand beside a brought file."""
_READ = ["GET", "HEAD"]
"""What link previews ask with, too."""


@router.api_route("/", methods=_READ, name="home")
def home(request: Request) -> Response:
    """What this is, and a start."""
    texts = reader(request)
    query = request.query_params
    typed = {name: query.get(name, "").strip()[:200] for name in ("model", "gpu")}
    text = unpack(query.get("c", ""))
    return render(request, "pages/home.html", home_page(request, texts, {**typed, "yaml": text or ""}), texts)


@router.post("/", name="home_post")
async def home_post(request: Request) -> Response:
    """The same page in another language, with what was typed: by an address of its own where that holds it."""
    fields = posted(await request.body(), request.headers.get("content-type", ""))
    typed = {name: text for name in ("model", "gpu", "yaml") if isinstance(text := fields.get(name), str) and text}
    packed = pack(typed.get("yaml", ""))
    if packed is not None:
        lang = request.query_params.get("lang", "")
        pairs = {"model": typed.get("model", "")[:200], "gpu": typed.get("gpu", "")[:200], "lang": lang}
        found = {"c": packed} if typed.get("yaml") else {}
        found |= {name: text for name, text in pairs.items() if text}
        return RedirectResponse(
            path_for(request, "home") + (f"?{urlencode(found)}" if found else ""), 303, {"Vary": VARY}
        )
    texts = reader(request)
    return render(request, "pages/home.html", home_page(request, texts, typed), texts)


@router.api_route("/plan", methods=_READ, name="plan")
def plan(request: Request) -> Response:
    """The wizard: a form and the plan that it comes to.

    A page whose address could be shorter is sent on to the short one, so that what people copy is the canonical
    address; a fragment is only where it still holds a pasted file.
    """
    catalog: Catalog = request.app.state.catalog
    form = Form.from_query(request.query_params, catalog.known_keys)
    found = answer(form, catalog)
    fragment = wants_fragment(request)
    if found.status == 200 and _could_be_shorter(request, form, found.form, fragment=fragment):
        address = path_for(request, "plan") + found.form.query()
        return RedirectResponse(address, 303, {"Vary": VARY})
    texts = reader(request)
    template = "partials/_update.html" if fragment else "pages/plan.html"
    return render(request, template, plan_page(request, texts, found), texts, status=found.status)


@router.post("/plan", name="plan_post")
async def plan_post(request: Request) -> Response:
    """A file that somebody brings: on to the address that says the same, where one can hold it.

    It is taken as it stands, but where that is no configuration yet and becomes one once what it lacks is filled in.
    """
    catalog: Catalog = request.app.state.catalog
    fields = posted(await request.body(), request.headers.get("content-type", ""))
    text = text_of(fields)
    pairs = [("file", File.AS_IS.value), ("keys", text if isinstance(text, str) else "")]
    pairs += [(name, value) for name in TAKEN_ALONG if isinstance(value := fields.get(name), str)]
    pairs += [(name, value) for name, value in request.query_params.multi_items() if name == "lang"]
    form = Form.from_query(QueryParams(pairs), catalog.known_keys)
    form = form if _stands(form, catalog) else form.with_values(file=File.FILLED.value)
    found = answer(form, catalog)
    address = path_for(request, "plan") + found.form.query()
    if len(address) <= LONGEST_ADDRESS and not any(error.pointer == "/form/keys" for error in found.asked.errors):
        return RedirectResponse(address, 303, {"Vary": VARY})
    texts = reader(request)
    return render(request, "pages/plan.html", plan_page(request, texts, found), texts, status=found.status)


@router.api_route("/plan/config.yaml", methods=_READ, name="download")
def download(request: Request) -> Response:
    """The file, for the same query as the page. Where there is none to be had, the page says why."""
    catalog: Catalog = request.app.state.catalog
    found = answer(Form.from_query(request.query_params, catalog.known_keys), catalog)
    texts = reader(request)
    plan = found.plan
    ready = found.state is State.READY and plan is not None and plan.config.get("adapter") not in PEFT_METHODS
    if not ready or plan is None or found.hardware is None:
        return render(request, "pages/plan.html", plan_page(request, texts, found), texts, status=422)
    return Response(
        yaml_file(plan, found.hardware, catalog, texts),
        headers={
            "Content-Disposition": f'attachment; filename="{file_name(plan)}"',
            "Content-Language": texts.language,
            "Vary": VARY,
        },
        media_type="application/yaml",
    )


@router.api_route("/plan/take/{file}", methods=_READ, name="plan_export")
def take(request: Request, file: str) -> Response:
    """What there is for a method that Axolotl does not run itself. Where there is none, the page says why."""
    catalog: Catalog = request.app.state.catalog
    target = TARGETS.get(file)
    if target is None:
        raise HTTPException(404)
    found = answer(Form.from_query(request.query_params, catalog.known_keys), catalog)
    texts = reader(request)
    if found.state is State.READY and found.plan is not None:
        try:
            made = export(
                catalog=catalog, config=found.plan.config, target=target, texts=texts, model=found.asked.model
            )
            return as_response(made)
        except InvalidInput as error:
            found = refuse(found, error)
    return render(request, "pages/plan.html", plan_page(request, texts, found), texts, status=422)


@router.api_route("/plan/models", methods=_READ, name="model_search")
def model_search(request: Request) -> Response:
    """What the model field lists while somebody types."""
    texts = reader(request)
    found = model_choices(request.app.state.catalog, texts, request.query_params.get("q", ""))
    return render(request, "partials/_model_choices.html", found, texts)


def _stands(form: Form, catalog: Catalog) -> bool:
    """Whether a brought file is one to plan as it stands, or would be none filled in either."""
    whole = form if form.has_hardware else form.with_values(vram_gib="24")
    if not answer(whole, catalog).asked.errors:
        return True
    return bool(answer(whole.with_values(file=File.FILLED.value), catalog).asked.errors)


def _could_be_shorter(request: Request, form: Form, canonical: Form, *, fragment: bool) -> bool:
    asked = request.query_params
    if fragment:
        return bool(form.model_json) or asked.get("keys", "").strip() != canonical["keys"]
    own = {"lang", "model_json", *canonical.values}
    other = any(not value.strip() or name not in own for name, value in asked.multi_items())
    respelt = any(asked.get(name, "").strip() != value for name, value in canonical.values.items())
    return bool(form.model_json) or other or respelt
