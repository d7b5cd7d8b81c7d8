"""What the driver showed of whole processes beside what the model says: runs on two cards, and contexts on many."""

import json
import statistics
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from app.catalog.library import load_catalog
from app.core.memory.process import Process
from app.core.units import GIB, MIB
from tests.core.memory.recordings import DATA, described, recorded
from tests.reference.memory.evidence import CARD, on_card
from tests.reference.memory.published import T4, on_t4

CONTEXTS = DATA / "contexts.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One run: what the driver said that its process held at the most, what is expected, and the band around it."""

    measured_bytes: int
    estimated_bytes: int
    range_bytes: tuple[int, int]

    @property
    def error(self) -> float:
        """Signed, as a share of what was measured."""
        return self.estimated_bytes / self.measured_bytes - 1

    @property
    def held(self) -> bool:
        """Whether the band holds it."""
        low, high = self.range_bytes
        return low <= self.measured_bytes <= high


@dataclass(frozen=True, slots=True, kw_only=True)
class Contexts:
    """What processes on one kind of card held beside PyTorch's allocator, ascending, and what is expected there."""

    gpu: str
    read_bytes: tuple[int, ...]
    expected_bytes: int
    range_bytes: tuple[int, int]

    @property
    def middle_bytes(self) -> int:
        """The median reading."""
        return round(statistics.median(self.read_bytes))


def on_t4_runs() -> list[Shown]:
    """fitcheck's, whose loop holds the logits through the backward and whose allocator has no segments that grow."""
    card = load_catalog().gpus.get("t4").hardware()
    return list(_t4(card, json.loads(T4.read_text("utf-8"))["runs"]))


def _t4(card: Any, runs: list[Mapping[str, Any]]) -> Iterator[Shown]:
    for row in runs:
        memory, held = on_t4(row, card)
        low, high = memory.range_bytes
        yield Shown(
            measured_bytes=round(row["process_mib"] * MIB),
            estimated_bytes=memory.process_bytes + held,
            range_bytes=(low + held, high + held),
        )


def on_h100_runs() -> list[Shown]:
    """Axolotl's own trainings; what loading took is not in their records."""
    card = load_catalog().gpus.get("h100-sxm").hardware()
    measured = {row["case"]: row for row in recorded(CARD)}
    found = []
    for row in on_card():
        architecture, run = described(dict(row.case))
        process, read = Process.of(architecture, run.on(card)), measured[row.name]
        found.append(
            Shown(
                measured_bytes=read["reserved_peak_bytes"] + read["process_bytes"] - read["reserved_now_bytes"],
                estimated_bytes=process.expected_bytes(row.estimated_bytes),
                range_bytes=process.range_bytes(row.estimated_bytes),
            )
        )
    return found


def read_bytes(reading: Mapping[str, Any]) -> int:
    """What a process held beside what PyTorch's allocator had."""
    return round((reading["in_use_gib"] - reading["allocated_gib"]) * GIB - reading["unallocated_mib"] * MIB)


def contexts() -> list[Contexts]:
    """By card, in the catalogue's order."""
    found: dict[str, list[int]] = defaultdict(list)
    for reading in yaml.safe_load(CONTEXTS.read_text("utf-8"))["readings"]:
        found[reading["gpu"]].append(read_bytes(reading))
    result = []
    for row in load_catalog().gpus.rows:
        if row.id in found:
            context = row.hardware().context
            result.append(
                Contexts(
                    gpu=row.name,
                    read_bytes=tuple(sorted(found[row.id])),
                    expected_bytes=context.expected_bytes,
                    range_bytes=(context.low_bytes, context.high_bytes),
                )
            )
    return result
