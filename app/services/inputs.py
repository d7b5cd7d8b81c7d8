"""Who and what a request is about: the model and the hardware it names, looked up and checked."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from app.catalog.gpus import parse_capability
from app.catalog.library import Catalog
from app.catalog.models import ModelRow
from app.core.architecture import Architecture
from app.core.architectures import describe
from app.core.config_json import SIZE_NAMES, unstated_sizes
from app.core.errors import FieldError, InvalidInput
from app.core.hardware import Hardware, Vendor
from app.core.kept import kept
from app.core.messages import Param, message
from app.core.plan import MOST_SIDE, Dataset
from app.core.shown import shown
from app.core.units import gib_to_bytes

ASSUMED_CAPABILITY = (8, 0)
"""What bare ``vram_gib`` is taken to be: Ampere, the oldest generation with bf16."""
MISSING = "error.config_json.missing"
MOST_VRAM_GIB = 1024
MOST_GPUS = 1024
BF16_CAPABILITY = (8, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedModel:
    """A model as asked for. ``row`` is its catalogue row where it has one; a config.json overrides its facts.

    ``copied`` is that row where it is another model's: of the same name, that another publishes or that lies in a
    directory. ``unstated`` names the sizes that a given config.json leaves to the defaults of Transformers;
    ``pasted`` is whether one was given.
    """

    id: str | None
    row: ModelRow | None
    architecture: Architecture
    copied: ModelRow | None = None
    unstated: tuple[str, ...] = ()
    pasted: bool = False


def resolve_model(
    *,
    catalog: Catalog,
    base_model: object,
    model: Mapping[str, Any] | None,
    dataset: Dataset | None = None,
    config: Mapping[str, Any] | None = None,
) -> ResolvedModel:
    """The model that ``base_model`` names, or the one that the config.json ``model`` describes.

    ``dataset`` says how many images a row holds and how large they are; ``config`` may bring them to a size.

    Raises:
        InvalidInput: neither is given, or one of them holds values that cannot be.
        UnknownName: the catalogue holds neither ``base_model`` nor one that it can be a copy of, and no config.json is
            given.
    """
    found = _resolve(catalog, base_model, model)
    images = dataset.images_per_row if dataset else None
    sizes = (image_side((config or {}).get("image_size")), dataset.image_side if dataset else None)
    side = next((size for size in sizes if size is not None), None)
    architecture = found.architecture
    seen = kept(architecture, ("reading", images, side), lambda: architecture.reading(images, side))
    return replace(found, architecture=seen)


def image_side(given: object) -> int | None:
    """Pixels a side of ``image_size``, one number or two, of which as many patches are made as of their square."""
    found = given if isinstance(given, list | tuple) and len(given) == 2 else (given, given)
    sides = [side for side in found if type(side) is int and 0 < side <= MOST_SIDE]
    return round((sides[0] * sides[1]) ** 0.5) if len(sides) == 2 else None


def _resolve(catalog: Catalog, base_model: object, model: Mapping[str, Any] | None) -> ResolvedModel:
    if base_model is not None and not isinstance(base_model, str):
        raise _fault("/base_model", "error.base_model.text", given=shown(base_model))
    name = (base_model or "").strip()
    if model is not None:
        name = name or _own_name(model)
        row = catalog.models.find(name) if name else None
        architecture = describe(model)
        unstated = unstated_sizes(model)
        if len(unstated) == len(SIZE_NAMES):
            raise InvalidInput(*(FieldError(f"/model/{key}", message(MISSING, field=key)) for key in unstated))
        return ResolvedModel(
            id=row.id if row else (name or None), row=row, architecture=architecture, unstated=unstated, pasted=True
        )
    if not name:
        raise _fault("/base_model", "error.base_model.missing")
    copied = None if catalog.models.find(name) else catalog.models.namesake(name)
    if copied is not None:
        return ResolvedModel(id=name, row=copied, architecture=catalog.copied(copied.id), copied=copied)
    row = catalog.models.get(name)
    return ResolvedModel(id=row.id, row=row, architecture=catalog.architecture(row.id))


def resolve_hardware(
    *,
    catalog: Catalog,
    gpu: str | None = None,
    vram_gib: float | None = None,
    count: int = 1,
    nodes: int = 1,
    compute_capability: str | None = None,
    price_per_hour: float | None = None,
) -> Hardware | None:
    """The card that ``gpu`` names, or one with ``vram_gib``; None where neither is given.

    A bare ``vram_gib`` is both the capacity and, as typed, the size that the decision tree reads. Beside ``gpu`` it is
    what there is of that card: less where something else uses it, more where it was rebuilt.

    Raises:
        InvalidInput: a value cannot be.
        UnknownName: no card is called ``gpu``.
    """
    errors = [
        FieldError(f"/hardware/{key}", message("error.hardware.count", key=key, given=_number(given), most=MOST_GPUS))
        for key, given in (("count", count), ("nodes", nodes))
        if not 1 <= given <= MOST_GPUS
    ]
    if vram_gib is not None and not 0 < vram_gib <= MOST_VRAM_GIB:
        errors.append(
            FieldError(
                "/hardware/vram_gib", message("error.hardware.vram", given=_number(vram_gib), most=MOST_VRAM_GIB)
            )
        )
    capability = ASSUMED_CAPABILITY
    if compute_capability is not None:
        parsed = parse_capability(compute_capability)
        if parsed is None:
            where = "/hardware/compute_capability"
            errors.append(FieldError(where, message("error.hardware.capability", given=shown(compute_capability))))
        else:
            capability = parsed
    if errors:
        raise InvalidInput(*errors)
    if gpu is not None:
        card = catalog.gpus.get(gpu).hardware(count, nodes, price_per_hour)
        return card if vram_gib is None else card.with_memory(vram_gib)
    if vram_gib is None:
        return None
    return Hardware(
        name=f"{vram_gib:g}\u00a0GiB",
        gpu_id=None,
        vendor=Vendor.NVIDIA,
        capacity_bytes=gib_to_bytes(vram_gib),
        marketed_memory_gb=float(vram_gib),
        compute_capability=capability,
        bf16=capability >= BF16_CAPABILITY,
        count=count,
        nodes=nodes,
        price_per_hour=price_per_hour,
    )


def _own_name(model: Mapping[str, Any]) -> str:
    """What the config.json calls itself, where it does."""
    name = model.get("_name_or_path")
    return name.strip() if isinstance(name, str) else ""


def _fault(pointer: str, code: str, **params: Param) -> InvalidInput:
    return InvalidInput(FieldError(pointer, message(code, **params)))


def _number(value: float) -> str:
    return f"{value:g}"
