"""The reference pages: read the address, build, render."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.catalog.library import Catalog
from app.core.errors import UnknownName
from app.web.forms import Form
from app.web.hypermedia import wants_fragment, with_address
from app.web.templating import path_for, reader, render

router = APIRouter(include_in_schema=False)

_READ = ["GET", "HEAD"]


@router.api_route("/methods", methods=_READ, name="methods")
def methods(request: Request) -> Response:
    """Families, tables and a card per method."""
    from app.web.reference.methods import methods_page

    texts = reader(request)
    return render(request, "pages/methods.html", methods_page(request, texts), texts)


@router.api_route("/methods/{id_}", methods=_READ, name="method")
def method(request: Request, id_: str) -> Response:
    """One method; what it costs on a model and a card is the part that changes."""
    from app.web.reference.method import method_page
    from app.web.reference.methods import method_url
    from app.web.reference.missing import not_found_page

    catalog: Catalog = request.app.state.catalog
    texts = reader(request)
    try:
        row = catalog.methods.get(id_)
    except UnknownName as error:
        page = not_found_page(
            request,
            texts,
            here="methods",
            given=id_,
            nearest=error.nearest,
            address=lambda name: method_url(request, name),
            all_url=path_for(request, "methods"),
        )
        return render(request, "pages/missing.html", page, texts, status=404)
    found, status = method_page(request, texts, row)
    template = "partials/_method_update.html" if wants_fragment(request) else "pages/method.html"
    return render(request, template, found, texts, status=status)


@router.api_route("/methods/{id_}/{file}", methods=_READ, name="method_export")
def method_export(request: Request, id_: str, file: str) -> Response:
    """What Axolotl does not run itself, as a file."""
    from app.web.reference.downloads import download
    from app.web.reference.method import chosen, understood
    from app.web.reference.methods import method_url
    from app.web.reference.missing import not_found_page

    catalog: Catalog = request.app.state.catalog
    texts = reader(request)
    try:
        row = catalog.methods.get(id_)
    except UnknownName:
        return method(request, id_)
    asked, hardware = understood(chosen(Form.from_query(request.query_params)), catalog)
    found = download(catalog, row, file, asked, hardware, texts) if hardware and not asked.errors else None
    if found is not None:
        return found
    page = not_found_page(
        request,
        texts,
        here="methods",
        given=file[:60],
        nearest=(row.id,),
        address=lambda other: method_url(request, other),
        all_url=path_for(request, "methods"),
    )
    return render(request, "pages/missing.html", page, texts, status=404)


@router.api_route("/models", methods=_READ, name="models")
def models(request: Request) -> Response:
    """The table of models."""
    from app.web.reference.models import models_page

    texts = reader(request)
    page, query = models_page(request, texts)
    if not wants_fragment(request):
        return render(request, "pages/models.html", page, texts, status=query.status)
    answer = render(request, "partials/_models_update.html", page, texts, status=query.status)
    return with_address(request, answer, query.url(), typed=("q",))


@router.api_route("/models/{id_:path}", methods=_READ, name="model")
def model(request: Request, id_: str) -> Response:
    """One model; its id holds a slash."""
    from app.web.reference.missing import not_found_page
    from app.web.reference.models import model_page, model_url

    catalog: Catalog = request.app.state.catalog
    texts = reader(request)
    try:
        row = catalog.models.get(id_)
    except UnknownName as error:
        page = not_found_page(
            request,
            texts,
            here="models",
            given=id_,
            nearest=error.nearest,
            address=lambda name: model_url(request, name),
            all_url=path_for(request, "models"),
        )
        return render(request, "pages/missing.html", page, texts, status=404)
    return render(request, "pages/model.html", model_page(request, texts, row), texts)


@router.api_route("/gpus", methods=_READ, name="gpus")
def gpus(request: Request) -> Response:
    """The table of GPUs."""
    from app.web.reference.gpus import gpus_page

    texts = reader(request)
    page, query = gpus_page(request, texts)
    if not wants_fragment(request):
        return render(request, "pages/gpus.html", page, texts, status=query.status)
    answer = render(request, "partials/_gpus_update.html", page, texts, status=query.status)
    return with_address(request, answer, query.url(), typed=("q", "model"))


@router.api_route("/about", methods=_READ, name="about")
def about(request: Request) -> Response:
    """What this is."""
    from app.web.reference.about import about_page

    texts = reader(request)
    return render(request, "pages/about.html", about_page(request, texts), texts)


@router.api_route("/accuracy", methods=_READ, name="accuracy")
def accuracy(request: Request) -> Response:
    """How near the memory estimate comes."""
    from app.web.reference.accuracy import accuracy_page

    texts = reader(request)
    return render(request, "pages/accuracy.html", accuracy_page(request, texts), texts)
