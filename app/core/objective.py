"""What a fit is after: just to fit, the most of one key, or the fastest step."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from enum import StrEnum
from itertools import product
from typing import Any

from app.core.architecture import Architecture
from app.core.axolotl.overriding import apply_overrides
from app.core.axolotl.run_reader import read_run
from app.core.fit import LEAST_RANK, PAGED, Fitted, Ladder, Measure, Rung, climb, fits_somewhere
from app.core.run import Run

LONGEST_SEQUENCE = 1 << 20
MOST_MICRO_BATCH = 1024
HIGHEST_RANK = 1024
SEQUENCE_GRAIN = 64


class Objective(StrEnum):
    """What to look for among what fits."""

    FITS = "fits"
    LARGEST_MICRO_BATCH = "largest_micro_batch"
    LONGEST_SEQUENCE = "longest_sequence"
    HIGHEST_RANK = "highest_rank"
    FASTEST = "fastest"


MOST_OF: Mapping[Objective, tuple[str, Rung]] = {
    Objective.LARGEST_MICRO_BATCH: ("micro_batch_size", Rung.MICRO_BATCH),
    Objective.LONGEST_SEQUENCE: ("sequence_len", Rung.SEQUENCE),
    Objective.HIGHEST_RANK: ("lora_r", Rung.RANK),
}
"""The key that an objective wants most of, and the rung that would take it away."""


def with_value(config: Mapping[str, Any], key: str, value: int) -> dict[str, Any]:
    """``config`` with another micro batch, length or rank, and what goes along.

    Accumulation keeps the effective batch as near as whole numbers allow, alpha the update's scale.
    """
    run = read_run(config)
    patch: dict[str, Any] = {key: value}
    if key == "micro_batch_size":
        effective = run.micro_batch_size * run.gradient_accumulation_steps
        patch["gradient_accumulation_steps"] = max(1, round(effective / value))
    if key == "lora_r" and run.lora is not None:
        patch["lora_alpha"] = max(1, round(run.lora.alpha * value / run.lora.r))
    return apply_overrides(config, patch)


def candidates(key: str, architecture: Architecture, run: Run) -> Sequence[int]:
    """The values that a search for the most goes through, ascending."""
    match key:
        case "sequence_len":
            most = max(architecture.context_tokens or LONGEST_SEQUENCE, run.sequence_len_tokens)
            return range(SEQUENCE_GRAIN, most + 1, SEQUENCE_GRAIN) or (most,)
        case "lora_r":
            return range(LEAST_RANK, min(HIGHEST_RANK, architecture.hidden_size) + 1, 8)
        case _:
            return range(1, MOST_MICRO_BATCH + 1)


def most(
    key: str,
    ladder: Ladder,
    *,
    values: Sequence[int],
    measure: Measure,
    capacity_bytes: int,
    at_most: Measure | None = None,
) -> tuple[int, Fitted] | None:
    """The largest value that fits with everything else as small as the ladder takes it, then the least change else.

    None where not even the smallest value does. ``at_most`` as in ``climb``.
    """
    judged = at_most or measure

    def at(value: int) -> Ladder:
        return Ladder(config=with_value(ladder.config, key, value), patches=ladder.patches)

    if not fits_somewhere(at(values[0]), judged, capacity_bytes):
        return None
    low, high = 0, len(values) - 1
    while low < high:
        middle = (low + high + 1) // 2
        if fits_somewhere(at(values[middle]), judged, capacity_bytes):
            low = middle
        else:
            high = middle - 1
    found = values[low]
    return found, climb(at(found), measure=measure, capacity_bytes=capacity_bytes, at_most=at_most)


def faster(config: Mapping[str, Any], rungs: Collection[Rung], ladder: Ladder) -> Iterator[Mapping[str, Any]]:
    """Every way to run the same training that may be faster or slower: for a search that times each that fits."""
    run = read_run(config)
    effective = run.micro_batch_size * run.gradient_accumulation_steps
    choices: list[Sequence[Mapping[str, Any]]] = []
    if Rung.LOSS in rungs:
        choices.append(({}, *ladder.patches.get(Rung.LOSS, ())))
    if Rung.CHECKPOINTING in rungs:
        checkpointing: list[Mapping[str, Any]] = [{}, {"gradient_checkpointing": False}]
        if ladder.patches.get(Rung.CHECKPOINTING):
            checkpointing = [{}, {"gradient_checkpointing": True}]
        if Rung.OFFLOADING in rungs:
            checkpointing += ladder.patches.get(Rung.OFFLOADING, ())
        choices.append(checkpointing)
    if Rung.MICRO_BATCH in rungs:
        sizes = (size for size in range(1, min(effective, MOST_MICRO_BATCH) + 1) if effective % size == 0)
        choices.append(
            [{"micro_batch_size": size, "gradient_accumulation_steps": effective // size} for size in sizes][-12:]
        )
    if Rung.OPTIMIZER in rungs:
        choices.append(({}, {"optimizer": PAGED}))
    if Rung.QUANTIZATION in rungs:
        choices.append(({}, *ladder.patches.get(Rung.QUANTIZATION, ())))
    for combination in product(*choices):
        patch = {key: value for part in combination for key, value in part.items()}
        yield apply_overrides(config, patch) if patch else config
