"""Prices of a configuration's knobs: each turned alone, everything else as it is."""

from collections.abc import Mapping
from typing import Any

from app.core.axolotl.overriding import apply_overrides
from app.core.errors import InvalidInput
from app.core.estimate import Estimate
from app.core.hardware import Hardware
from app.core.plan import Dataset, Install
from app.core.prices import SAME_BYTES, Knob, Knobs, Turn, turns
from app.services.estimating import Measured, time_of, verdict
from app.services.measuring import Meter

NEVER_SAVING = frozenset(
    {
        "no_checkpointing",
        "plain_loss",
        "optimizer_unpaged",
        "micro_batch_larger",
        "sequence_longer",
        "rank_higher",
        "dora",
    }
)
"""Knobs that make, keep or move to the card what was not there before: they cost memory or nothing."""


def price_knobs(
    config: Mapping[str, Any],
    estimate: Estimate,
    *,
    hardware: Hardware | None = None,
    dataset: Dataset | None = None,
    install: Install = Install.DOCKER,
    meter: Meter | None = None,
) -> Knobs:
    """The price of each knob of ``config``, which ``estimate`` is of, what saves most first.

    ``meter`` is one that keeps what it measured, where the model is one of the catalogue. A change that this model
    or PEFT refuses has no price and is left out.
    """
    found = []
    meter = meter or Meter(estimate.architecture)
    for turn in turns(config, meter.run(config), estimate.architecture, hardware, install):
        changed = apply_overrides(config, turn.patch)
        try:
            measured = meter.measured(changed)
        except InvalidInput:
            continue
        found.append(_priced(turn, changed, measured, estimate, hardware, dataset))
    return Knobs(items=tuple(sorted(found, key=lambda knob: -knob.saves_bytes)))


def price_saving_knobs(
    config: Mapping[str, Any],
    estimate: Estimate,
    *,
    hardware: Hardware,
    dataset: Dataset | None,
    install: Install,
    meter: Meter,
    most: int,
) -> Knobs:
    """As ``price_knobs``, but just the ``most`` that save most, of those that save anything to speak of."""
    found: list[tuple[int, Turn, Mapping[str, Any], Measured]] = []
    for turn in turns(config, meter.run(config), estimate.architecture, hardware, install):
        if turn.knob in NEVER_SAVING:
            continue
        changed = apply_overrides(config, turn.patch)
        try:
            measured = meter.measured(changed)
        except InvalidInput:
            continue
        saves = estimate.memory.process_bytes - measured.memory.process_bytes
        if saves >= SAME_BYTES:
            found.append((saves, turn, changed, measured))
    found.sort(key=lambda saving: -saving[0])
    return Knobs(
        items=tuple(
            _priced(turn, changed, measured, estimate, hardware, dataset) for _, turn, changed, measured in found[:most]
        )
    )


def _priced(
    turn: Turn,
    changed: Mapping[str, Any],
    measured: Measured,
    estimate: Estimate,
    hardware: Hardware | None,
    dataset: Dataset | None,
) -> Knob:
    memory = measured.memory
    ratio = None
    if estimate.time is not None and hardware is not None:
        time = time_of(estimate.architecture, measured.run, measured.adapter, hardware, changed, dataset)
        ratio = estimate.time.tokens_per_second / time.tokens_per_second if time is not None else None
    capacity = estimate.capacity_bytes
    return Knob(
        turn=turn,
        saves_bytes=estimate.memory.process_bytes - memory.process_bytes,
        process_bytes=memory.process_bytes,
        host_bytes=memory.host_bytes,
        verdict=verdict(memory, capacity),
        fits=memory.process_bytes <= capacity if capacity is not None else None,
        time_ratio=ratio,
    )
