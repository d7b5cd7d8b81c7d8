"""What is to be had for a method that Axolotl does not run itself: a plugin, PEFT's configuration, a script."""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from app.catalog.library import Catalog
from app.catalog.methods import MethodRow
from app.core.errors import InvalidInput, UnknownName
from app.core.hardware import Hardware
from app.core.methods.settings import PeftType
from app.services.exporting import Target, export
from app.services.method_cost import method_cost
from app.texts import Texts
from app.web.contexts import Link
from app.web.forms import Asked, Form
from app.web.reference.methods import method_url

TARGETS: Mapping[str, Target] = {
    "plugin.zip": Target.PLUGIN,
    "adapter_config.json": Target.PEFT,
    "train.py": Target.SCRIPT,
}
"""The last part of the address, and what is given there."""


def targets_of(row: MethodRow) -> tuple[str, ...]:
    """What there is for a method; bottleneck adapters are in neither Axolotl nor PEFT."""
    adapter = row.config.get("adapter")
    if adapter not in tuple(PeftType):
        return ()
    return ("train.py",) if adapter == PeftType.BOTTLENECK else tuple(TARGETS)


def downloads_of(request: Request, row: MethodRow, form: Form, texts: Texts) -> tuple[Link, ...]:
    """A link to each file for the model that is chosen."""
    return tuple(
        Link(
            text=texts.text(f"export.download.{TARGETS[name].value}"),
            url=f"{method_url(request, row.id)}/{name}{form.query()}",
        )
        for name in targets_of(row)
    )


def download(
    catalog: Catalog, row: MethodRow, name: str, asked: Asked, hardware: Hardware, texts: Texts
) -> Response | None:
    """The file, or None where there is none for this method and model."""
    target = TARGETS.get(name)
    if target is None or name not in targets_of(row):
        return None
    model: Mapping[str, Any] | None = asked.model
    try:
        cost = method_cost(
            catalog=catalog, row=row, hardware=hardware, overrides=None, base_model=asked.base_model, model=model
        )
        file = export(catalog=catalog, config=cost.config, target=target, texts=texts, model=model)
    except (InvalidInput, UnknownName):
        return None
    disposition = {"Content-Disposition": f'attachment; filename="{file.name}"', "Vary": "Accept-Language"}
    return Response(file.content, media_type=file.media_type, headers=disposition)
