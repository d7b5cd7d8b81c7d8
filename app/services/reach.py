"""What would do where nothing fits: the smallest GPU for this model, the largest model for this GPU."""

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

from app.catalog.gpus import GpuRow
from app.catalog.library import Catalog
from app.catalog.models import ModelRow
from app.core.axolotl.composing import is_packed
from app.core.errors import InvalidInput
from app.core.fit import build_ladder
from app.core.hardware import Hardware
from app.core.plan import Dataset, Goal, Install, Wish
from app.services.inputs import ResolvedModel
from app.services.measuring import Meter
from app.services.templates import template

SMALLEST_SHARE = 0.75
"""Of what is needed here, another card may need this share at least: its kernels differ, its weights do not."""
LEAST_BYTES_PER_PARAMETER = 0.5
"""Four bits; whatever takes more than a card at that is not worth estimating."""


def least_bytes(
    catalog: Catalog, resolved: ResolvedModel, hardware: Hardware, wish: Wish, method: str, keep: frozenset[str]
) -> int:
    """The process of the smallest configuration of ``method`` on this card, whether it fits or not.

    Raises:
        InvalidInput: the method or the person's keys cannot be on this model.
    """
    config: Mapping[str, Any] = template(catalog, resolved, hardware, wish, method)
    ladder = build_ladder(
        config, architecture=resolved.architecture, hardware=hardware, install=wish.install, keep=keep | {"adapter"}
    )
    return Meter.of(resolved).process_bytes(ladder.at(ladder.floor()))


def generation(hardware: Hardware) -> Hardware:
    """What a card's kernels depend on: cards that differ in size and speed alone share what is found."""
    return replace(
        hardware,
        name="",
        gpu_id=None,
        capacity_bytes=0,
        marketed_memory_gb=0.0,
        count=1,
        nodes=1,
        memory_bandwidth_bytes_s=None,
        bf16_flops=None,
        fp16_flops=None,
        power_watts=None,
        price_per_hour=None,
    )


def smallest_gpu(
    catalog: Catalog, resolved: ResolvedModel, wish: Wish, method: str, *, keep: frozenset[str], need_bytes: int
) -> tuple[GpuRow, int] | None:
    """The card with the least memory that holds the method, and what it needs there.

    Each is composed and estimated for its generation: an older card has other kernels, and so another need.
    """
    needs: dict[Hardware, int] = {}
    rows = sorted(catalog.gpus.rows, key=lambda row: (row.memory_bytes, row.name))
    for row in rows:
        if row.memory_bytes < SMALLEST_SHARE * need_bytes:
            continue
        kind = generation(row.hardware())
        if kind not in needs:
            needs[kind] = least_bytes(catalog, resolved, kind, wish, method, keep)
        need = needs[kind]
        if need <= row.memory_bytes:
            return row, need
    return None


def largest_model(catalog: Catalog, hardware: Hardware, wish: Wish) -> tuple[ModelRow, int] | None:
    """The model with most parameters that QLoRA trains on this card at its smallest, and what that takes."""
    # the kernels depend on the card's generation, not on its size, so cards of one generation share what was found
    card = replace(hardware, name="", gpu_id=None, capacity_bytes=0, marketed_memory_gb=0.0, count=1, nodes=1)
    for parameters, model_id in _by_size(catalog):
        if LEAST_BYTES_PER_PARAMETER * parameters > hardware.capacity_bytes:
            continue
        need = _least_qlora(catalog, model_id, card, wish.goal, wish.install)
        if need is not None and need <= hardware.capacity_bytes:
            return catalog.models.get(model_id), need
    return None


@lru_cache(maxsize=4)
def _by_size(catalog: Catalog) -> tuple[tuple[int, str], ...]:
    """All models with their parameters, the largest first."""
    sized = ((catalog.architecture(row.id).total_parameters, row.id) for row in catalog.models.rows)
    return tuple(sorted(sized, reverse=True))


@lru_cache(maxsize=8192)
def _least_qlora(catalog: Catalog, model_id: str, hardware: Hardware, goal: Goal, install: Install) -> int | None:
    if is_packed(model_id):
        return None
    row = catalog.models.get(model_id)
    resolved = ResolvedModel(id=row.id, row=row, architecture=catalog.architecture(row.id))
    wish = Wish(goal=goal, install=install, dataset=Dataset())
    try:
        return least_bytes(catalog, resolved, hardware, wish, "qlora", frozenset())
    except InvalidInput:
        return None
