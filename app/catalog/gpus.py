"""The GPUs: one row per card, what its driver offers and what it can do, with where that was read."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from app.catalog.files import DATA, CatalogError
from app.catalog.rows import Row, read_rows
from app.catalog.search import closest
from app.core.errors import UnknownName
from app.core.hardware import Hardware, Vendor

_SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_CAPABILITY = re.compile(r"\d{1,2}\.\d")
_FIELDS = (
    "id",
    "name",
    "aliases",
    "vendor",
    "segment",
    "architecture",
    "marketed_memory_gb",
    "memory_bytes",
    "memory_basis",
    "memory_source",
    "memory_note",
    "compute_capability",
    "multiprocessors",
    "multiprocessors_source",
    "gfx",
    "bf16",
    "memory_bandwidth_gb_s",
    "bf16_tflops_dense",
    "fp16_tflops_dense",
    "tflops_note",
    "tdp_watts",
    "source",
    "spec_sources",
    "checked_on",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuRow:
    """One GPU. ``memory_bytes`` is what the driver reports, ``marketed_memory_gb`` the size on the box."""

    id: str
    name: str
    aliases: tuple[str, ...]
    vendor: Vendor
    segment: str
    architecture: str
    marketed_memory_gb: float
    memory_bytes: int
    memory_basis: str
    memory_source: str | None
    memory_note: str | None
    compute_capability: tuple[int, int] | None
    multiprocessors: int | None
    multiprocessors_source: str | None
    gfx: str | None
    bf16: bool
    memory_bandwidth_gb_s: float
    bf16_tflops_dense: float | None
    fp16_tflops_dense: float | None
    tflops_note: str | None
    tdp_watts: float | None
    source: str
    spec_sources: tuple[str, ...]
    checked_on: str

    def hardware(self, count: int = 1, nodes: int = 1, price_per_hour: float | None = None) -> Hardware:
        """``count`` of this card in each of ``nodes`` machines, each at a price where one is given."""
        return Hardware(
            name=self.name,
            gpu_id=self.id,
            vendor=self.vendor,
            capacity_bytes=self.memory_bytes,
            marketed_memory_gb=self.marketed_memory_gb,
            compute_capability=self.compute_capability,
            bf16=self.bf16,
            count=count,
            nodes=nodes,
            memory_bandwidth_bytes_s=round(self.memory_bandwidth_gb_s * 1e9),
            bf16_flops=_flops(self.bf16_tflops_dense),
            fp16_flops=_flops(self.fp16_tflops_dense),
            power_watts=self.tdp_watts,
            price_per_hour=price_per_hour,
            multiprocessors=self.multiprocessors,
        )


def _flops(tera: float | None) -> int | None:
    return None if tera is None else round(tera * 1e12)


def build_gpu(row: Row) -> GpuRow:
    """A GPU from its row.

    Raises:
        CatalogError: a field is missing, unknown or nonsense.
    """
    row.only(*_FIELDS)
    vendor = row.choice("vendor", tuple(known.value for known in Vendor))
    capability = row.optional_text("compute_capability", _CAPABILITY)
    if (capability is None) == (vendor == Vendor.NVIDIA):
        raise row.fault("compute_capability belongs to every NVIDIA card and to no other")
    multiprocessors, read_at = row.optional_whole("multiprocessors"), row.optional_text("multiprocessors_source")
    if (multiprocessors is None or read_at is None) == (vendor == Vendor.NVIDIA):
        raise row.fault("multiprocessors and their source belong to every NVIDIA card")
    return GpuRow(
        id=row.text("id", _SLUG),
        name=row.text("name"),
        aliases=row.texts("aliases"),
        vendor=Vendor(vendor),
        segment=row.text("segment"),
        architecture=row.text("architecture"),
        marketed_memory_gb=row.number("marketed_memory_gb"),
        memory_bytes=row.whole("memory_bytes", least=1 << 30),
        memory_basis=row.text("memory_basis"),
        memory_source=row.optional_text("memory_source"),
        memory_note=row.optional_text("memory_note"),
        compute_capability=None if capability is None else parse_capability(capability),
        multiprocessors=multiprocessors,
        multiprocessors_source=read_at,
        gfx=row.optional_text("gfx"),
        bf16=row.flag("bf16"),
        memory_bandwidth_gb_s=row.number("memory_bandwidth_gb_s"),
        bf16_tflops_dense=row.optional_number("bf16_tflops_dense"),
        fp16_tflops_dense=row.optional_number("fp16_tflops_dense"),
        tflops_note=row.optional_text("tflops_note"),
        tdp_watts=row.optional_number("tdp_watts"),
        source=row.url("source"),
        spec_sources=row.texts("spec_sources"),
        checked_on=row.date("checked_on"),
    )


def parse_capability(text: str) -> tuple[int, int] | None:
    """``"8.6"`` as ``(8, 6)``, None for anything else."""
    if not _CAPABILITY.fullmatch(text):
        return None
    major, _, minor = text.partition(".")
    return int(major), int(minor)


class Gpus:
    """All GPUs, by id and by any way their names are written."""

    def __init__(self, rows: Iterable[GpuRow]) -> None:
        self.rows = tuple(rows)
        self._by_id = {row.id: row for row in self.rows}
        self._by_name: dict[str, GpuRow] = {}
        for row in self.rows:
            for name in (row.id, row.name, *row.aliases):
                other = self._by_name.setdefault(_key(name), row)
                if other is not row:
                    raise CatalogError(f"gpus.yaml: {name!r} names both {other.id} and {row.id}")

    def get(self, name: str) -> GpuRow:
        """The GPU with this id, name or alias: ``rtx-4090``, ``RTX 4090``, ``4090``.

        Raises:
            UnknownName: with the nearest ids.
        """
        row = self._by_id.get(name) or self._by_name.get(_key(name[:200]))
        if row is None:
            raise UnknownName("gpu", name[:200], self.nearest(name))
        return row

    def nearest(self, given: str, count: int = 3) -> tuple[str, ...]:
        """The ids that ``given`` may mean, by its words as much as by its spelling."""
        return closest(given, {row.id: (row.name, *row.aliases) for row in self.rows}, count)


def _key(name: str) -> str:
    """``name`` without what people write differently: case, spaces, hyphens, the maker."""
    key = re.sub(r"[^a-z0-9]", "", name.lower())
    return re.sub(r"^(nvidia|amd)?(geforce|radeon)?(?=.)", "", key)


def load_gpus(path: Path = DATA / "gpus.yaml") -> Gpus:
    """Every GPU of the data file.

    Raises:
        CatalogError: a row is not acceptable.
    """
    return Gpus(read_rows((path,), build_gpu))
