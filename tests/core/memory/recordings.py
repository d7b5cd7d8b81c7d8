"""Recorded cases (``tests/data/memory``, simulated by ``tests/reference/memory``) beside what the model says of them."""

import json
import statistics
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from app.core.adapter import resolve_adapter
from app.core.architecture import Architecture
from app.core.architectures import describe
from app.core.axolotl.run_reader import read_run
from app.core.collating import Padding
from app.core.estimate import Memory
from app.core.memory import estimate_memory
from app.core.run import CCE_PLUGIN, LIGER_PLUGIN, Run

DATA = Path(__file__).parents[2] / "data" / "memory"


def recorded(name: str) -> list[dict[str, Any]]:
    """The cases of one file."""
    return [json.loads(line) for line in (DATA / name).read_text("utf-8").splitlines()]


def described(case: dict[str, Any]) -> tuple[Architecture, Run]:
    """The architecture and the run of a recorded case, whose rows are as long as it says, with padding where it says so."""
    rows, tokens = case["rows"]
    config = case["config"] | {"micro_batch_size": rows, "sequence_len": tokens}
    plugins = []
    if config.get("cut_cross_entropy"):
        plugins.append(CCE_PLUGIN)
    if any(key.startswith("liger") for key in config):
        plugins.append(LIGER_PLUGIN)
    run = read_run(config | {"plugins": plugins})
    padding = Padding.ANY_ROW if config.get("padded") else Padding.NEVER
    laid_out = replace(
        run,
        ampere=not config.get("before_ampere"),
        padding=padding,
        evaluation_padding=padding,
        evaluation_packing=True,
        row_multiple=1,
    )
    return describe(case["model"]).reading(config.get("images"), config.get("image_side")), laid_out


def estimated(case: dict[str, Any]) -> Memory:
    """The model's answer for a recorded case."""
    architecture, run = described(case)
    adapter = resolve_adapter(architecture, run)
    return estimate_memory(architecture, run, adapter, fused_lora=run.fused_lora is not False)


def static_bytes(memory: Memory) -> int:
    """What lives between steps."""
    return sum(term.bytes for term in memory.breakdown if term.code in ("weights", "optimizer", "adapter"))


def errors_of(cases: Sequence[dict[str, Any]]) -> list[float]:
    """How far off each estimate of the peak is, ascending; 0.01 is one per cent."""
    return sorted(abs(estimated(c).allocated_peak_bytes / c["allocated_peak_bytes"] - 1) for c in cases)


def assert_met(
    cases: Sequence[dict[str, Any]],
    *,
    worst: float,
    least: int = 1,
    median: float | None = None,
    nineteen_of_twenty: float | None = None,
) -> None:
    """There are ``least`` cases, and the errors of their estimates lie within these bounds."""
    errors = errors_of(cases)
    assert len(errors) >= least, f"{len(errors)} cases"
    if median is not None:
        assert statistics.median(errors) <= median, f"median: {statistics.median(errors)}"
    if nineteen_of_twenty is not None:
        most = errors[int(0.95 * len(errors))]
        assert most <= nineteen_of_twenty, f"nineteen of twenty: {most}"
    assert errors[-1] <= worst, f"the worst: {errors[-1]}"
