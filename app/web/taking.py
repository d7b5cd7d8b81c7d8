"""What there is to take along for a method that Axolotl does not run itself: a plugin, a PEFT file, a script."""

from collections.abc import Mapping

from starlette.responses import Response

from app.catalog.library import Catalog
from app.core.estimate import badge
from app.core.plan import Plan
from app.services import verdicts
from app.services.exporting import File, Target, plugin_yaml
from app.services.templates import PEFT_METHODS
from app.texts import Texts
from app.web.contexts import Link
from app.web.contexts.result import TakeAlong
from app.web.forms import Address, Form
from app.web.memory_bar import gib

TARGETS: Mapping[str, Target] = {
    "plugin.zip": Target.PLUGIN,
    "adapter_config.json": Target.PEFT,
    "train.py": Target.SCRIPT,
}
"""The last part of the address, and what is given there."""


def targets_of(adapter: object) -> tuple[str, ...]:
    """What there is for an ``adapter`` that Axolotl does not run itself."""
    if adapter not in PEFT_METHODS:
        return ()
    there = verdicts.targets_of({"adapter": adapter})
    return tuple(name for name, target in TARGETS.items() if target in there)


def links_to(adapter: object, path: str, query: str, texts: Texts) -> tuple[Link, ...]:
    """A link to each file, below ``path``."""
    return tuple(
        Link(text=texts.text(f"export.download.{TARGETS[name].value}"), url=f"{path}/{name}{query}")
        for name in targets_of(adapter)
    )


def take_along(
    plan: Plan, *, catalog: Catalog, form: Form, texts: Texts, path: str, address: Address
) -> TakeAlong | None:
    """The files for a plan and the method that is nearest; None where Axolotl runs the plan as it is."""
    adapter = plan.config.get("adapter")
    links = links_to(adapter, path, form.query(texts.language), texts)
    if not links:
        return None
    row = catalog.methods.get(str(adapter))
    near = row.nearest or "lora"
    other = next((found for found in plan.alternatives if found.method == near), None)
    name = texts.text(f"method.{near}")
    nearest = texts.text("export.nearest", method=name)
    if other is not None:
        nearest = texts.text(
            "export.nearest.costs",
            method=name,
            memory=gib(other.estimate.memory.process_bytes, texts),
            share=other.estimate.trainable_percent,
        )
    return TakeAlong(
        downloads=links,
        note=texts.text("export.note.script" if len(links) == 1 else "export.downloads.note"),
        nearest=nearest,
        nearest_verdict=badge(other.estimate).value if other is not None else "unknown",
        take=Link(text=texts.text("export.nearest.take", method=name), url=address(form.with_method(near))),
        yaml=plugin_yaml(plan.config, texts) if len(links) > 1 else "",
    )


def as_response(file: File, texts: Texts) -> Response:
    """A file as a download; what is said in it is in the language of ``texts``."""
    headers = {
        "Content-Disposition": f'attachment; filename="{file.name}"',
        "Content-Language": texts.language,
        "Vary": "Accept-Language",
    }
    return Response(file.content, media_type=file.media_type, headers=headers)
