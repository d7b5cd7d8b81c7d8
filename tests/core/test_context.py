"""What a process holds beside its tensors, against what the driver said on cards of 12 to 180 GB."""

import json
import statistics
from collections import defaultdict
from pathlib import Path

import pytest
import yaml

from app.catalog.library import Catalog
from app.core.context import UNKNOWN, cuda_context
from app.core.units import MIB
from tests.reference.memory.processes import CONTEXTS, read_bytes

DATA = Path(__file__).parents[1] / "data" / "memory"
READINGS = yaml.safe_load(CONTEXTS.read_text("utf-8"))["readings"]
GATED_DELTA = "public-file:56538052785"
"""One process on an A100 holds twice what others do there: a model with Triton's kernels for gated delta rules."""


def test_the_band_holds_every_reading_but_one(catalog: Catalog) -> None:
    outside = []
    for reading in READINGS:
        context = catalog.gpus.get(reading["gpu"]).hardware().context
        if not context.low_bytes <= read_bytes(reading) <= context.high_bytes:
            outside.append(reading["source"])
    assert outside == [GATED_DELTA]


def test_half_of_the_readings_lie_within_a_few_per_cent(catalog: Catalog) -> None:
    """The middle of a card's too, where it has four or more; where it has fewer they are of one kind of process."""
    errors: dict[str, list[float]] = defaultdict(list)
    for reading in READINGS:
        expected = catalog.gpus.get(reading["gpu"]).hardware().context.expected_bytes
        errors[reading["gpu"]].append(expected / read_bytes(reading) - 1)
    assert statistics.median(abs(error) for one in errors.values() for error in one) < 0.06
    for gpu, one in errors.items():
        assert abs(statistics.median(one)) < (0.07 if len(one) >= 4 else 0.45), gpu


def test_a_t4_and_an_h100_hold_what_their_trainings_held(catalog: Catalog) -> None:
    """What fitcheck reads is 140.875 MiB in every run, and most of Axolotl's on an H100 held 742 MiB."""
    h100 = [json.loads(line) for line in (DATA / "gpu" / "h100.jsonl").read_text("utf-8").splitlines()]
    most = statistics.mode(row["process_bytes"] - row["reserved_now_bytes"] for row in h100)
    workspaces = {row["cublas_workspace_bytes"] for row in h100}
    t4, big = (catalog.gpus.get(gpu).hardware().context for gpu in ("t4", "h100-sxm"))
    assert t4.expected_bytes == 141 * MIB
    assert abs(big.expected_bytes - most) < MIB
    assert big.workspace_bytes == min(workspaces)


@pytest.mark.parametrize(
    ("capability", "threads"),
    [
        ((6, 0), 2048),
        ((7, 0), 2048),
        ((7, 5), 1024),
        ((8, 0), 2048),
        ((8, 6), 1536),
        ((8, 9), 1536),
        ((9, 0), 2048),
        ((10, 0), 2048),
        ((10, 3), 2048),
        ((12, 1), 1536),
    ],
)
def test_a_context_grows_with_the_threads_that_a_card_holds(capability: tuple[int, int], threads: int) -> None:
    more = cuda_context(50, capability).expected_bytes - cuda_context(40, capability).expected_bytes
    assert more % (10 * threads) == 0
    assert more // (10 * threads) == {9: 2641, 10: 2304, 12: 2304}.get(capability[0], 2048)


def test_newer_cards_have_larger_workspaces() -> None:
    """From Hopper on cuBLAS wants more."""
    assert cuda_context(100, (8, 9)).workspace_bytes == UNKNOWN.workspace_bytes == 2 * 8519680
    assert cuda_context(100, (9, 0)).workspace_bytes == cuda_context(100, (12, 0)).workspace_bytes == 64 * MIB


def test_what_is_not_known_of_a_card_is_within_what_is(catalog: Catalog) -> None:
    """A size that was typed in, and AMD's."""
    contexts = [row.hardware().context for row in catalog.gpus.rows if row.multiprocessors]
    assert {row.hardware().context for row in catalog.gpus.rows if not row.multiprocessors} == {UNKNOWN}
    assert min(context.expected_bytes for context in contexts) > UNKNOWN.low_bytes
    assert UNKNOWN.low_bytes >= min(context.low_bytes for context in contexts)
    assert max(context.high_bytes for context in contexts) <= UNKNOWN.high_bytes
