"""The table of models and the page of each."""

import json
from collections.abc import Mapping
from urllib.parse import quote, urlencode

from starlette.requests import Request

from app.catalog.library import Catalog
from app.catalog.models import ModelRow
from app.core.adapter import default_targets
from app.core.errors import InvalidInput, UnknownName
from app.core.hardware import Hardware
from app.core.messages import message
from app.services.inputs import resolve_hardware
from app.services.least import METHODS, SMALLEST, fitting_models, least_process_bytes
from app.texts import Texts
from app.web import contexts
from app.web.field_views import SEGMENTS
from app.web.memory_bar import gib
from app.web.reference.contexts import (
    CardView,
    Fact,
    Filter,
    ModelItem,
    ModelPage,
    ModelsPage,
    PartView,
    Room,
    SmallestView,
)
from app.web.reference.filters import ORDERS, Query, options
from app.web.shell import shell
from app.web.templating import path_for

COLUMNS = (
    ("name", False),
    ("family", False),
    ("architecture", False),
    ("parameters", True),
    ("context", True),
    ("released", True),
    ("checked", False),
)
SORTS = tuple(name for name, _ in COLUMNS if name != "checked")
PARAMETERS = ("q", "family", "architecture", "gpu", "vram_gib", "fits", "sort", "order")


def model_url(request: Request, id_: str, lang: str = "") -> str:
    """The address of a model's page."""
    query = f"?{urlencode({'lang': lang})}" if lang else ""
    return f"{path_for(request, 'models')}/{quote(id_)}{query}"


def models_page(request: Request, texts: Texts) -> tuple[ModelsPage, Query]:
    """The table, as the address asks for it."""
    catalog: Catalog = request.app.state.catalog
    query = Query(request, "models", PARAMETERS)
    families = tuple(sorted({row.family for row in catalog.models.rows}))
    architectures = tuple(sorted({row.model_type for row in catalog.models.rows}))
    text = query.text("q")
    family, architecture = query.choice("family", families), query.choice("architecture", architectures)
    only_fitting = query.choice("fits", ("1",))
    sort = query.choice("sort", SORTS)
    descending = query.choice("order", ORDERS, "asc") == "desc"
    hardware = asked_hardware(query, catalog)
    rows = list(catalog.models.search(text))
    rows = [row for row in rows if family in ("", row.family) and architecture in ("", row.model_type)]
    needs = fitting_models(catalog, hardware, rows) if hardware else {}
    if hardware and only_fitting:
        rows = [row for row in rows if row.id in needs]
    if sort:
        rows.sort(key=lambda row: _sort_key(sort, row, catalog), reverse=descending)
    labels = {row.id: row.name for row in catalog.gpus.rows}
    found = texts.text("reference.models.found", count=len(rows), total=len(catalog.models.rows))
    title = texts.text("reference.models.title")
    page = ModelsPage(
        shell=shell(
            request,
            texts,
            here="models",
            title=texts.text("reference.models.title.gpu", hardware=hardware.name) if hardware else title,
            description=texts.text("reference.models.lead", count=len(catalog.models.rows)),
            address=query.in_language,
        ),
        filter=Filter(
            action=query.path,
            fields=(
                query.field("q", texts, label="reference.filter.q"),
                query.field("family", texts, label="reference.filter.family", options=options(families)),
                query.field(
                    "architecture", texts, label="reference.filter.architecture", options=options(architectures)
                ),
                query.field("gpu", texts, label="reference.filter.gpu", groups=gpu_groups(catalog, texts)),
                query.field(
                    "fits",
                    texts,
                    label="reference.filter.fits",
                    options=options(("1",), {"1": texts.text("reference.filter.fits.only")}),
                ),
            ),
            carried=(*query.carried(), *((("vram_gib", query["vram_gib"]),) if query["vram_gib"] else ())),
            sorting=tuple((name, query[name]) for name in ("sort", "order") if query[name]),
            clear_url=query.url(**dict.fromkeys(PARAMETERS)),
            changed=any(query[name] for name in PARAMETERS),
            faults=query.faults(("q", "family", "architecture", "gpu", "fits"), texts),
        ),
        columns=query.columns(COLUMNS, sort, descending=descending, prefix="reference.models.column", texts=texts),
        items=tuple(_item(request, row, catalog, texts, query, hardware, needs) for row in rows),
        found=found,
        hardware=_label(hardware, labels) if hardware else "",
    )
    return page, query


def _label(hardware: Hardware, labels: Mapping[str, str]) -> str:
    """What the card is called; one whose memory was typed says so itself."""
    typed = hardware.offered_bytes is not None
    return hardware.name if typed else labels.get(hardware.gpu_id or "", hardware.name)


def asked_hardware(query: Query, catalog: Catalog) -> Hardware | None:
    """The card that the address names; a fault is noted at its field."""
    gpu, vram = query.text("gpu"), query.text("vram_gib")
    try:
        size = float(vram) if vram else None
    except ValueError:
        query.errors["vram_gib"] = message("web.error.number", given=vram[:60])
        return None
    try:
        return resolve_hardware(catalog=catalog, gpu=gpu or None, vram_gib=size)
    except UnknownName as error:
        query.links["gpu"] = error.nearest
        query.errors["gpu"] = message("web.error.unknown_gpu", given=gpu[:60], nearest=error.nearest)
    except InvalidInput as error:
        query.errors["vram_gib"] = error.errors[0].message
    return None


def gpu_groups(catalog: Catalog, texts: Texts) -> tuple[contexts.OptionGroup, ...]:
    """All cards by segment."""
    return tuple(
        contexts.OptionGroup(
            label=texts.text(f"web.segment.{segment}"),
            options=tuple(
                contexts.Option(
                    value=row.id,
                    label=texts.text("web.gpu_option", name=row.name, memory_gb=row.marketed_memory_gb),
                )
                for row in catalog.gpus.rows
                if row.segment == segment
            ),
        )
        for segment in SEGMENTS
    )


def _sort_key(sort: str, row: ModelRow, catalog: Catalog) -> tuple[object, str]:
    by: Mapping[str, object] = {
        "name": row.name.lower(),
        "family": row.family,
        "architecture": row.model_type,
        "context": row.context_tokens,
        "released": row.released or "",
    }
    first = catalog.architecture(row.id).total_parameters if sort == "parameters" else by[sort]
    return first, row.name.lower()


def _item(
    request: Request,
    row: ModelRow,
    catalog: Catalog,
    texts: Texts,
    query: Query,
    hardware: Hardware | None,
    needs: Mapping[str, int],
) -> ModelItem:
    room = None
    if hardware is not None:
        need = needs.get(row.id)
        room = Room(
            kind="fits" if need is not None else "does_not_fit",
            text=texts.text("web.verdict.fits.short" if need is not None else "web.verdict.does_not_fit.short"),
            memory=gib(need, texts) if need is not None else "",
        )
    return ModelItem(
        id=row.id,
        name=row.name,
        url=model_url(request, row.id, query["lang"]),
        family=row.family,
        architecture=row.model_type,
        parameters=texts.text("web.number", number=catalog.architecture(row.id).total_parameters),
        context=texts.text("web.number", number=row.context_tokens),
        released=row.released or "–",
        source_url=row.source,
        checked_on=row.checked_on,
        room=room,
    )


def model_page(request: Request, texts: Texts, row: ModelRow) -> ModelPage:
    """Everything that is known of one model."""
    catalog: Catalog = request.app.state.catalog
    t = texts.text
    architecture = catalog.architecture(row.id)
    query = Query(request, "models", ())
    lang = query["lang"]
    total = t("web.number", number=architecture.total_parameters)
    plan = path_for(request, "plan")
    pairs = {"model": row.id} | ({"lang": lang} if lang else {})
    targets = default_targets(architecture)
    lead = t("reference.model.lead", model_type=row.model_type, parameters=total, context=row.context_tokens)
    facts = [
        Fact(name=t("reference.model.id"), value=row.id, code=True),
        Fact(name=t("reference.models.column.family"), value=row.family),
        Fact(name=t("reference.models.column.architecture"), value=row.model_type, code=True),
        Fact(name=t("reference.models.column.parameters"), value=total),
        Fact(name=t("reference.models.column.context"), value=t("web.number", number=row.context_tokens)),
    ]
    if row.published_parameters is not None:
        facts.append(
            Fact(
                name=t("reference.model.published"),
                value=t("web.number", number=row.published_parameters),
                url=row.published_parameters_source or "",
            )
        )
    if row.released:
        facts.append(Fact(name=t("reference.models.column.released"), value=row.released))
    facts.append(Fact(name=t("reference.source"), value=_host(row.source), url=row.source))
    facts.append(Fact(name=t("reference.checked_on"), value=row.checked_on))
    needs = _needs(row, catalog)
    return ModelPage(
        shell=shell(
            request, texts, here="models", title=row.name, description=f"{row.name}: {lead}", carried={"model": row.id}
        ),
        name=row.name,
        lead=lead,
        facts=tuple(facts),
        config=tuple(Fact(name=key, value=_shown(value), code=True) for key, value in row.config.items()),
        targets=(targets,) if isinstance(targets, str) else targets,
        modules=tuple(
            PartView(
                path=module.path.replace("{}", "*"),
                kind=module.kind.value,
                shape=" × ".join(t("web.number", number=size) for size in module.shape),
                copies=t("web.number", number=module.copies),
                parameters=t("web.number", number=module.parameters),
            )
            for module in architecture.modules
        ),
        smallest=_smallest(request, needs, catalog, texts, lang),
        methods=tuple(t(f"method.{method}") for method in METHODS),
        cards=tuple(
            CardView(
                name=gpu.name,
                segment=t(f"web.segment.{gpu.segment}"),
                memory=gib(gpu.memory_bytes, texts),
                rooms=tuple(room_for(needs[gpu.id][method], gpu.memory_bytes, texts) for method in METHODS),
                plan_url=f"{plan}?{urlencode({'model': row.id, 'gpu': gpu.id} | ({'lang': lang} if lang else {}))}",
            )
            for gpu in sorted(catalog.gpus.rows, key=lambda gpu: (gpu.memory_bytes, gpu.name))
        ),
        least=t(
            "reference.least",
            sequence_len=SMALLEST["sequence_len"],
            lora_r=SMALLEST["lora_r"],
            micro_batch_size=SMALLEST["micro_batch_size"],
        ),
        plan_url=f"{plan}?{urlencode(pairs)}",
        models_url=query.url(),
    )


def room_for(need_bytes: int | None, capacity_bytes: int, texts: Texts) -> Room:
    """Whether a method that needs so much fits a card; a method that cannot be on the model needs None."""
    if need_bytes is None:
        return Room(kind="unknown", text=texts.text("reference.not_possible"), memory="")
    kind = "fits" if need_bytes <= capacity_bytes else "does_not_fit"
    return Room(kind=kind, text=texts.text(f"web.verdict.{kind}.short"), memory=gib(need_bytes, texts))


def _needs(row: ModelRow, catalog: Catalog) -> dict[str, dict[str, int | None]]:
    """What each method takes at the least, by card."""
    return {
        gpu.id: {method: least_process_bytes(catalog, row.id, gpu.hardware(), method) for method in METHODS}
        for gpu in catalog.gpus.rows
    }


def _smallest(
    request: Request, needs: Mapping[str, Mapping[str, int | None]], catalog: Catalog, texts: Texts, lang: str
) -> tuple[SmallestView, ...]:
    views = []
    for method in METHODS:
        fitting = [
            (gpu.memory_bytes, gpu.name, need)
            for gpu in catalog.gpus.rows
            if (need := needs[gpu.id][method]) is not None and need <= gpu.memory_bytes
        ]
        least = min(fitting, default=None)
        views.append(
            SmallestView(
                method=texts.text(f"method.{method}"),
                method_url=f"{path_for(request, 'methods')}/{method}" + (f"?lang={lang}" if lang else ""),
                memory=gib(least[2], texts) if least else "",
                card=least[1] if least else texts.text("reference.no_card"),
            )
        )
    return tuple(views)


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _host(url: str) -> str:
    """An address in a few words: who holds it."""
    parts = url.removeprefix("https://").split("/")
    return "/".join(parts[:3])
