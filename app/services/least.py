"""What fits where, at the least: each method at its smallest, for any model on any card."""

from collections.abc import Iterable, Mapping
from functools import lru_cache

from app.catalog.library import Catalog
from app.catalog.models import ModelRow
from app.core.errors import InvalidInput
from app.core.fit import LEAST_RANK, SHORTEST_SEQUENCE
from app.core.hardware import Hardware
from app.core.plan import Dataset, Goal, Wish
from app.services.inputs import ResolvedModel
from app.services.reach import LEAST_BYTES_PER_PARAMETER, generation, least_bytes, more_than_generation

METHODS = ("qlora", "lora", "full")
"""From the one that takes least memory to the one that takes most."""

SMALLEST: Mapping[str, int] = {
    "sequence_len": SHORTEST_SEQUENCE,
    "lora_r": LEAST_RANK,
    "micro_batch_size": 1,
}
"""What "at its smallest" means, beside checkpointing and an optimizer whose states are paged."""


def least_process_bytes(catalog: Catalog, model_id: str, hardware: Hardware, method: str) -> int | None:
    """What the process of ``method`` takes at its smallest; None where the method cannot be on this model.

    Raises:
        UnknownName: no model has this id.
    """
    need = _least(catalog, catalog.models.get(model_id).id, generation(hardware), method)
    return None if need is None else need + more_than_generation(hardware)[0]


def fitting_models(catalog: Catalog, hardware: Hardware, rows: Iterable[ModelRow]) -> dict[str, int]:
    """Those of ``rows`` that QLoRA trains on one card of this kind, by id, with what that takes at the least."""
    card, room = generation(hardware), hardware.capacity_bytes - more_than_generation(hardware)[0]
    found = {}
    for row in rows:
        if LEAST_BYTES_PER_PARAMETER * catalog.architecture(row.id).total_parameters > hardware.capacity_bytes:
            continue
        need = _least(catalog, row.id, card, METHODS[0])
        if need is not None and need <= room:
            found[row.id] = need + hardware.capacity_bytes - room
    return found


@lru_cache(maxsize=16384)
def _least(catalog: Catalog, model_id: str, card: Hardware, method: str) -> int | None:
    row = catalog.models.get(model_id)
    resolved = ResolvedModel(id=row.id, row=row, architecture=catalog.architecture(row.id))
    try:
        return least_bytes(catalog, resolved, card, Wish(goal=Goal.CHAT, dataset=Dataset()), method, frozenset())
    except InvalidInput:
        return None
