"""Prices of a configuration's knobs: each turned alone, everything else as it is."""

from collections.abc import Mapping
from typing import Any

from app.core.axolotl.overriding import apply_overrides
from app.core.errors import InvalidInput
from app.core.estimate import Estimate, Time, Verdict
from app.core.hardware import Hardware
from app.core.plan import Dataset, Install
from app.core.prices import SAME_BYTES, Knob, Knobs, Saving, Turn, turns
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

ONLY_SAVING = frozenset(["eager_attention"])
"""Knobs that are worth a word only where they save memory."""


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
    meter = meter or Meter(estimate.architecture, hardware)
    for turn in turns(config, meter.run(config), estimate.architecture, hardware, install):
        changed = apply_overrides(config, turn.patch)
        try:
            measured = meter.measured(changed)
        except InvalidInput:
            continue
        knob = _priced(turn, changed, measured, estimate, hardware, dataset)
        if turn.knob not in ONLY_SAVING or knob.saves_bytes >= SAME_BYTES:
            found.append(knob)
    return Knobs(items=tuple(sorted(found, key=lambda knob: -knob.saves_bytes)))


def price_savings(
    config: Mapping[str, Any],
    estimate: Estimate,
    *,
    hardware: Hardware,
    dataset: Dataset | None,
    install: Install,
    meter: Meter,
    most: int,
) -> tuple[Saving, ...]:
    """The ``most`` of ``price_knobs`` that save most, of those that save anything to speak of; nothing is itemised."""
    found: list[tuple[int, Turn, Mapping[str, Any]]] = []
    now = estimate.memory.process_bytes
    for turn in turns(config, meter.run(config), estimate.architecture, hardware, install):
        if turn.knob in NEVER_SAVING:
            continue
        changed = apply_overrides(config, turn.patch)
        try:
            saves = now - meter.process_bytes(changed)
        except InvalidInput:
            continue
        if saves >= SAME_BYTES:
            found.append((saves, turn, changed))
    found.sort(key=lambda saving: -saving[0])
    return tuple(
        Saving(
            turn=turn,
            saves_bytes=saves,
            verdict=_badge(now - saves, meter.most_bytes(changed), hardware.capacity_bytes),
            time_ratio=_time_ratio(estimate, meter.time(changed, hardware, dataset)),
        )
        for saves, turn, changed in found[:most]
    )


def _badge(process_bytes: int, most_bytes: int, capacity_bytes: int) -> Verdict:
    """What ``badge`` comes to: no range begins above what is expected."""
    if process_bytes > capacity_bytes:
        return Verdict.DOES_NOT_FIT
    return Verdict.FITS if most_bytes <= capacity_bytes else Verdict.TIGHT


def _time_ratio(estimate: Estimate, changed: Time | None) -> float | None:
    """The time of a token in times of the present one."""
    if estimate.time is None or changed is None:
        return None
    return estimate.time.tokens_per_second / changed.tokens_per_second


def _priced(
    turn: Turn,
    changed: Mapping[str, Any],
    measured: Measured,
    estimate: Estimate,
    hardware: Hardware | None,
    dataset: Dataset | None,
) -> Knob:
    memory = measured.memory
    time = None
    if hardware is not None:
        time = time_of(estimate.architecture, measured.run, measured.adapter, hardware, changed, dataset)
    capacity = estimate.capacity_bytes
    return Knob(
        turn=turn,
        saves_bytes=estimate.memory.process_bytes - memory.process_bytes,
        process_bytes=memory.process_bytes,
        host_bytes=memory.host_bytes,
        verdict=verdict(memory, capacity),
        fits=memory.process_bytes <= capacity if capacity is not None else None,
        time_ratio=_time_ratio(estimate, time),
    )
