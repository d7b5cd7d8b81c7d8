"""The table of GPUs."""

from collections.abc import Mapping
from urllib.parse import urlencode

from starlette.requests import Request

from app.catalog.gpus import GpuRow
from app.catalog.library import Catalog
from app.catalog.models import ModelRow
from app.core.messages import message
from app.services.least import METHODS, least_process_bytes
from app.texts import Texts
from app.web.field_views import SEGMENTS
from app.web.forms import find_model
from app.web.memory_bar import gib
from app.web.reference.contexts import Filter, GpuItem, GpusPage, Room
from app.web.reference.filters import ORDERS, Query, options
from app.web.reference.models import model_url, room_for
from app.web.shell import shell
from app.web.templating import path_for

COLUMNS = (
    ("name", False),
    ("memory", True),
    ("capability", True),
    ("bf16", False),
    ("bandwidth", True),
    ("tflops", True),
    ("checked", False),
)
SORTS = tuple(name for name, _ in COLUMNS if name not in ("checked", "bf16"))
PARAMETERS = ("q", "segment", "vendor", "model", "sort", "order")
VENDORS = {"nvidia": "NVIDIA", "amd": "AMD"}


def gpus_page(request: Request, texts: Texts) -> tuple[GpusPage, Query]:
    """The table, as the address asks for it."""
    catalog: Catalog = request.app.state.catalog
    query = Query(request, "gpus", PARAMETERS)
    text = query.text("q")
    segment, vendor = query.choice("segment", SEGMENTS), query.choice("vendor", tuple(VENDORS))
    sort = query.choice("sort", SORTS)
    descending = query.choice("order", ORDERS, "asc") == "desc"
    model = asked_model(query, catalog)
    rows = [
        row
        for row in catalog.gpus.rows
        if segment in ("", row.segment) and vendor in ("", row.vendor.value) and _named(row, text)
    ]
    if sort:
        rows.sort(key=lambda row: _sort_key(sort, row), reverse=descending)
    page = GpusPage(
        shell=shell(
            request,
            texts,
            here="gpus",
            title=texts.text("reference.gpus.title.model", model=model.name)
            if model
            else texts.text("reference.gpus.title"),
            description=texts.text("reference.gpus.lead", count=len(catalog.gpus.rows)),
            address=query.in_language,
        ),
        filter=Filter(
            action=query.path,
            fields=(
                query.field("q", texts, label="reference.filter.gpu_q"),
                query.field(
                    "segment",
                    texts,
                    label="reference.filter.segment",
                    options=options(SEGMENTS, {name: texts.text(f"web.segment.{name}") for name in SEGMENTS}),
                ),
                query.field("vendor", texts, label="reference.filter.vendor", options=options(VENDORS, VENDORS)),
                query.field("model", texts, label="reference.filter.model"),
            ),
            carried=query.carried(),
            sorting=tuple((name, query[name]) for name in ("sort", "order") if query[name]),
            clear_url=query.url(**dict.fromkeys(PARAMETERS)),
            changed=any(query[name] for name in PARAMETERS),
            faults=query.faults(("q", "segment", "vendor", "model"), texts),
        ),
        columns=query.columns(COLUMNS, sort, descending=descending, prefix="reference.gpus.column", texts=texts),
        items=tuple(_item(request, row, catalog, texts, query, model) for row in rows),
        found=texts.text("reference.gpus.found", count=len(rows), total=len(catalog.gpus.rows)),
        model=model.name if model else "",
        model_url=model_url(request, model.id, query["lang"]) if model else "",
    )
    return page, query


def asked_model(query: Query, catalog: Catalog) -> ModelRow | None:
    """The model that the address names in daily speech; a fault is noted at its field."""
    name = query.text("model")
    if not name:
        return None
    row, others = find_model(name, catalog)
    if row is None:
        query.links["model"] = others
        query.errors["model"] = message("web.error.unknown_model" if others else "web.error.no_such_model", given=name)
    return row


def _named(row: GpuRow, text: str) -> bool:
    names = " ".join((row.id, row.name, row.architecture, *row.aliases)).lower()
    return all(word in names for word in text.lower().split())


def _sort_key(sort: str, row: GpuRow) -> tuple[object, str]:
    by: Mapping[str, object] = {
        "name": row.name.lower(),
        "memory": row.memory_bytes,
        "capability": row.compute_capability or (0, 0),
        "bandwidth": row.memory_bandwidth_gb_s,
        "tflops": row.bf16_tflops_dense or row.fp16_tflops_dense or 0,
    }
    return by[sort], row.name.lower()


def _item(
    request: Request, row: GpuRow, catalog: Catalog, texts: Texts, query: Query, model: ModelRow | None
) -> GpuItem:
    t = texts.text
    tflops = row.bf16_tflops_dense if row.bf16 and row.bf16_tflops_dense is not None else row.fp16_tflops_dense
    kind = "bf16" if row.bf16 and row.bf16_tflops_dense is not None else "fp16"
    lang = {"lang": query["lang"]} if query["lang"] else {}
    chosen = {"model": model.id} if model else {}
    return GpuItem(
        id=row.id,
        name=row.name,
        architecture=row.architecture,
        segment=t(f"web.segment.{row.segment}"),
        marketed=t("reference.gb", size_gb=row.marketed_memory_gb),
        memory=gib(row.memory_bytes, texts),
        basis=t(f"reference.gpus.basis.{row.memory_basis}"),
        capability=".".join(map(str, row.compute_capability)) if row.compute_capability else (row.gfx or "–"),
        bf16=t("reference.yes" if row.bf16 else "reference.no"),
        bandwidth=f"{row.memory_bandwidth_gb_s:,.0f}",
        tflops=f"{tflops:,.0f}" if tflops is not None and tflops >= 10 else f"{tflops:.1f}" if tflops else "–",
        tflops_kind=kind if tflops is not None else "",
        source_url=row.source,
        checked_on=row.checked_on,
        fits_url=f"{path_for(request, 'models')}?{urlencode({'gpu': row.id, 'fits': '1'} | lang)}",
        plan_url=f"{path_for(request, 'plan')}?{urlencode(chosen | {'gpu': row.id} | lang)}",
        room=_best_room(row, model, catalog, texts) if model else None,
    )


def _best_room(row: GpuRow, model: ModelRow, catalog: Catalog, texts: Texts) -> Room:
    """The method that keeps most of the model as it is among those that fit, with what it needs at the least."""
    needs = [(method, least_process_bytes(catalog, model.id, row.hardware(), method)) for method in METHODS]
    fitting = [(method, need) for method, need in needs if need is not None and need <= row.memory_bytes]
    if not fitting:
        return room_for(needs[0][1], row.memory_bytes, texts)
    method, need = fitting[-1]
    text = texts.text("reference.up_to", method=texts.text(f"method.{method}"))
    return Room(kind="fits", text=text, memory=gib(need or 0, texts))
