"""The GPU rows: found under every name, and what they say hangs together."""

from pathlib import Path

import pytest

from app.catalog.files import CatalogError
from app.catalog.gpus import GpuRow, load_gpus, parse_capability
from app.catalog.library import Catalog, load_catalog
from app.core.errors import UnknownName
from app.core.hardware import Vendor
from app.core.units import GB, GIB

ROWS = load_catalog().gpus.rows

GOOD = """
- id: rtx-1
  name: GeForce RTX 1
  aliases: ["1"]
  vendor: nvidia
  segment: consumer
  architecture: Some
  marketed_memory_gb: 24
  memory_bytes: 25000000000
  memory_basis: torch_total_memory
  compute_capability: "8.9"
  multiprocessors: 128
  multiprocessors_source: "https://example.org/"
  bf16: true
  memory_bandwidth_gb_s: 1000
  bf16_tflops_dense: 100
  fp16_tflops_dense: 100
  source: https://example.org/
  checked_on: "2026-01-31"
"""


def test_there_is_enough_to_choose_from() -> None:
    """At least 45, of both makers."""
    assert len(ROWS) >= 45
    assert {row.vendor for row in ROWS} == set(Vendor)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_what_a_row_says_hangs_together(row: GpuRow) -> None:
    """The driver never offers more than the chips hold, nor much less; bf16 comes with Ampere and CDNA."""
    assert 0.85 * row.marketed_memory_gb * GB < row.memory_bytes <= row.marketed_memory_gb * GIB
    if row.compute_capability is not None:
        assert row.bf16 == (row.compute_capability >= (8, 0))
    if not row.bf16:
        assert row.bf16_tflops_dense is None


@pytest.mark.parametrize(
    ("name", "id_"),
    [
        ("rtx-4090", "rtx-4090"),
        ("RTX 4090", "rtx-4090"),
        ("4090", "rtx-4090"),
        ("NVIDIA GeForce RTX 4090", "rtx-4090"),
        ("Radeon RX 7900 XTX", "rx-7900-xtx"),
        ("mi300x", "mi300x"),
    ],
)
def test_any_way_to_write_it_finds_it(catalog: Catalog, name: str, id_: str) -> None:
    """Case, spaces, hyphens and the maker do not matter."""
    assert catalog.gpus.get(name).id == id_


def test_an_unknown_name_names_the_nearest(catalog: Catalog) -> None:
    """So that a slip is easily mended."""
    with pytest.raises(UnknownName) as caught:
        catalog.gpus.get("rtx-4091")
    assert "rtx-4090" in caught.value.nearest


def test_hardware_keeps_what_the_card_says(catalog: Catalog) -> None:
    """Units turned, counts kept."""
    row = catalog.gpus.get("rtx-4090")
    hardware = row.hardware(count=2, nodes=3)
    assert (hardware.capacity_bytes, hardware.marketed_memory_gb) == (row.memory_bytes, 24)
    assert (hardware.count, hardware.nodes, hardware.compute_capability) == (2, 3, (8, 9))
    assert hardware.memory_bandwidth_bytes_s == row.memory_bandwidth_gb_s * 1e9


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('compute_capability: "8.9"', "compute_capability: null", "belongs to every NVIDIA card"),
        ('compute_capability: "8.9"', 'compute_capability: "89"', "compute_capability is '89'"),
        ("  multiprocessors: 128\n", "", "multiprocessors and their source belong to every NVIDIA card"),
        ("vendor: nvidia", "vendor: intel", "vendor must be one of nvidia, amd"),
        ("memory_bytes: 25000000000", "memory_bytes: 24", "memory_bytes must be a whole number"),
        ("bf16: true", "bf16: maybe", "bf16 must be true or false"),
        ("memory_bandwidth_gb_s: 1000", "memory_bandwidth_gb_s: .inf", "memory_bandwidth_gb_s must be a number"),
        ("  bf16: true", "  bf17: true", "unknown field 'bf17'; did you mean bf16"),
        ('checked_on: "2026-01-31"', "checked_on: 2026-01-31", "checked_on must be a text"),
    ],
)
def test_a_row_that_will_not_do_is_named(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    """File, row and field."""
    path = tmp_path / "gpus.yaml"
    assert old in GOOD
    path.write_text(GOOD.replace(old, new), "utf-8")
    with pytest.raises(CatalogError, match=complaint):
        load_gpus(path)


def test_no_name_means_two_cards(tmp_path: Path) -> None:
    """An alias that another card has would make the answer a matter of order."""
    path = tmp_path / "gpus.yaml"
    path.write_text(GOOD + GOOD.replace("rtx-1", "rtx-2").replace("RTX 1", "RTX 2"), "utf-8")
    with pytest.raises(CatalogError, match="names both rtx-1 and rtx-2"):
        load_gpus(path)


@pytest.mark.parametrize(
    ("text", "parsed"), [("8.6", (8, 6)), ("12.0", (12, 0)), ("8", None), ("", None), ("a.b", None)]
)
def test_compute_capability(text: str, parsed: tuple[int, int] | None) -> None:
    """Two numbers, not a decimal."""
    assert parse_capability(text) == parsed
