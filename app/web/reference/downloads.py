"""What is to be had for a method that Axolotl does not run itself: a plugin, PEFT's configuration, a script."""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from app.catalog.library import Catalog
from app.catalog.methods import MethodRow
from app.core.errors import InvalidInput, UnknownName
from app.core.hardware import Hardware
from app.services.exporting import export
from app.services.method_cost import method_cost
from app.texts import Texts
from app.web.contexts import Link
from app.web.forms import Asked, Form
from app.web.reference.methods import method_url
from app.web.taking import TARGETS, as_response, links_to, targets_of


def downloads_of(request: Request, row: MethodRow, form: Form, texts: Texts) -> tuple[Link, ...]:
    """A link to each file for the model that is chosen."""
    return links_to(row.config.get("adapter"), method_url(request, row.id), form.query(), texts)


def download(
    catalog: Catalog, row: MethodRow, name: str, asked: Asked, hardware: Hardware, texts: Texts
) -> Response | None:
    """The file, or None where there is none for this method and model."""
    target = TARGETS.get(name)
    if target is None or name not in targets_of(row.config.get("adapter")):
        return None
    model: Mapping[str, Any] | None = asked.model
    try:
        cost = method_cost(
            catalog=catalog, hardware=hardware, overrides=row.config, base_model=asked.base_model, model=model
        )
        file = export(catalog=catalog, config=cost.config, target=target, texts=texts, model=model)
    except (InvalidInput, UnknownName):
        return None
    return as_response(file, texts)
