"""What this is: versions, data, licences, privacy."""

from starlette.requests import Request

from app import __version__
from app.assets import STATIC, static_url
from app.catalog.library import Catalog
from app.texts import Texts
from app.web.reference.contexts import AboutPage, Fact, LicenceView
from app.web.shell import shell
from app.web.templating import path_for

HELD_TO = (("Axolotl", "0.19.0"), ("PEFT", "0.20.0"), ("Transformers", "5.16.1"))
"""What the numbers are held to; tests hold this to the recordings."""

VENDORED = (
    ("htmx", "4.0.1", "BSD Zero Clause", "vendor/htmx-4.0.1.LICENSE"),
    ("Swagger UI", "5.35.0", "Apache 2.0", "vendor/swagger-ui-5.35.0/LICENSE"),
    ("Noto Sans Myanmar", "", "SIL Open Font 1.1", "fonts/noto-sans-myanmar.LICENSE"),
)
"""Name, version, licence and where its text lies below ``static``."""


def about_page(request: Request, texts: Texts) -> AboutPage:
    """The page."""
    catalog: Catalog = request.app.state.catalog
    t = texts.text
    root = request.scope.get("root_path", "")
    models, gpus = catalog.models.rows, catalog.gpus.rows
    return AboutPage(
        shell=shell(
            request, texts, here="about", title=t("reference.about.title"), description=t("reference.about.lead")
        ),
        versions=(
            Fact(name="Axoplan", value=__version__),
            *(Fact(name=name, value=version) for name, version in HELD_TO),
        ),
        data=(
            Fact(
                name=t("web.nav.models"),
                value=t("reference.about.rows", count=len(models), date=max(row.checked_on for row in models)),
                url=path_for(request, "models"),
            ),
            Fact(
                name=t("web.nav.gpus"),
                value=t("reference.about.rows", count=len(gpus), date=max(row.checked_on for row in gpus)),
                url=path_for(request, "gpus"),
            ),
            Fact(
                name=t("web.nav.methods"),
                value=t("web.number", number=len(catalog.methods.rows)),
                url=path_for(request, "methods"),
            ),
            Fact(
                name=t("reference.about.architectures"),
                value=t("web.number", number=len({row.model_type for row in models})),
            ),
            Fact(
                name=t("reference.about.keys"),
                value=t("web.number", number=len(catalog.known_keys)),
            ),
        ),
        licences=tuple(
            LicenceView(name=name, version=version, licence=licence, text_url=static_url(root, path))
            for name, version, licence, path in VENDORED
            if (STATIC / path).is_file()
        ),
        docs_url=path_for(request, "docs"),
        openapi_url=f"{root}/openapi.json",
        accuracy_url=path_for(request, "accuracy"),
    )
