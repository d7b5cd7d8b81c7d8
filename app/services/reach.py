"""What would do where nothing fits: the smallest GPU for this model, the largest model for this GPU."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Any

from app.catalog.gpus import GpuRow
from app.catalog.library import Catalog
from app.catalog.models import ModelRow
from app.catalog.search import tokens
from app.core.errors import InvalidInput
from app.core.fit import SHORTEST_SEQUENCE, Rung, build_ladder
from app.core.hardware import Hardware, Vendor
from app.core.knobs import ROOM_SEQUENCE
from app.core.plan import Dataset, Goal, Install, Wish
from app.services.headroom import PAID_FOR_HEADROOM
from app.services.inputs import ResolvedModel
from app.services.measuring import Meter
from app.services.swapping import KEYS_OF_METHOD
from app.services.templates import is_whole, template

SMALLEST_SHARE = 0.75
"""Of what is needed here, another card may need this share at least: its kernels differ, its weights do not."""
LEAST_BYTES_PER_PARAMETER = 0.5
"""Four bits; whatever takes more than a card at that is not worth estimating."""

ABOUT_AS_LARGE = 0.9
"""Of a model's parameters: what has as many is about as large."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Roomier:
    """Cards that would do: the smallest with headroom and, where that is another one, the smallest at all.

    Each comes with what the method takes there: the first as it is planned, the second at its smallest.
    """

    roomy: tuple[GpuRow, int] | None
    tight: tuple[GpuRow, int] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trainable:
    """A model that a card trains with headroom, what that is expected to take, and at which length."""

    row: ModelRow
    process_bytes: int
    sequence_len_tokens: int


def least_config(
    catalog: Catalog,
    resolved: ResolvedModel,
    hardware: Hardware,
    wish: Wish,
    method: str,
    keep: frozenset[str],
    *,
    paid: bool = False,
) -> Mapping[str, Any]:
    """The smallest configuration of ``method`` on this card; with ``paid``, of what headroom may cost alone.

    Raises:
        InvalidInput: the method or the person's keys cannot be on this model.
    """
    config = template(catalog, resolved, hardware, wish, method)
    if is_whole(wish, method):
        return config
    ladder = build_ladder(
        config,
        architecture=resolved.architecture,
        hardware=hardware,
        install=wish.install,
        keep=keep | {"adapter"},
        rungs=PAID_FOR_HEADROOM if paid else tuple(Rung),
        shortest_sequence=ROOM_SEQUENCE if paid else SHORTEST_SEQUENCE,
    )
    return ladder.at(ladder.floor())


def least_bytes(
    catalog: Catalog, resolved: ResolvedModel, hardware: Hardware, wish: Wish, method: str, keep: frozenset[str]
) -> int:
    """The process of the smallest configuration of ``method`` on this card, whether it fits or not.

    Raises:
        InvalidInput: the method or the person's keys cannot be on this model.
    """
    meter = Meter(resolved.architecture, hardware)
    return meter.process_bytes(least_config(catalog, resolved, hardware, wish, method, keep))


def smallest_gpu(
    catalog: Catalog,
    resolved: ResolvedModel,
    wish: Wish,
    method: str,
    *,
    keep: frozenset[str],
    need_bytes: int,
    vendor: Vendor,
) -> Roomier:
    """The cards with the least memory that hold the method, with headroom and at all.

    Cards of another ``vendor`` than the person's, with another installation, are named only where none of its own do.
    Each is composed and estimated as itself: an older card has other kernels, and so another need.
    """
    own = _smallest_gpu(catalog, resolved, wish, method, keep, need_bytes, {vendor})
    if own.roomy or own.tight:
        return own
    return _smallest_gpu(catalog, resolved, wish, method, keep, need_bytes, set(Vendor) - {vendor})


def _smallest_gpu(
    catalog: Catalog,
    resolved: ResolvedModel,
    wish: Wish,
    method: str,
    keep: frozenset[str],
    need_bytes: int,
    vendors: Collection[Vendor],
) -> Roomier:
    tight: tuple[GpuRow, int] | None = None

    @cache
    def least(card: Hardware) -> int:
        return least_bytes(catalog, resolved, card, wish, method, keep)

    @cache
    def at_room(card: Hardware) -> tuple[int, int]:
        config = least_config(catalog, resolved, card, wish, method, keep, paid=True)
        meter = Meter(resolved.architecture, card)
        return meter.process_bytes(config), meter.most_bytes(config)

    for row in sorted(catalog.gpus.rows, key=lambda row: (row.memory_bytes, row.name)):
        if row.memory_bytes < SMALLEST_SHARE * need_bytes or row.vendor not in vendors:
            continue
        hardware = row.hardware()
        card, (beside, beside_most) = generation(hardware), more_than_generation(hardware)
        if least(card) + beside > row.memory_bytes:
            continue
        takes, most = at_room(card)
        if most + beside_most <= row.memory_bytes:
            return Roomier(roomy=(row, takes + beside), tight=tight)
        tight = tight or (row, least(card) + beside)
    return Roomier(roomy=None, tight=tight)


def generation(hardware: Hardware) -> Hardware:
    """What the smallest configuration depends on: cards that differ in size and speed alone share what is found.

    It has no context of its own: ``more_than_generation`` makes up for that.
    """
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
        offered_bytes=None,
        multiprocessors=None,
    )


def more_than_generation(hardware: Hardware) -> tuple[int, int]:
    """What a process takes on a card more than on one of its generation, expected and at the most: its context."""
    own, shared = hardware.context, generation(hardware).context
    return own.beside_bytes - shared.beside_bytes, own.most_bytes - shared.most_bytes


def relative(
    catalog: Catalog, resolved: ResolvedModel, hardware: Hardware, wish: Wish, method: str
) -> Trainable | None:
    """A large model of the same family and kind, about as new, that this card trains with headroom.

    Of those about as large the one whose name is most like the one asked for.
    """
    asked = resolved.row
    if asked is None:
        return None
    since = "" if asked.released is None else f"{int(asked.released[:4]) - 1}{asked.released[4:]}"
    words = frozenset(tokens(asked.name))

    def suits(row: ModelRow) -> bool:
        new = row.released is None or row.released >= since
        return row.family == asked.family and new and _speaks(row) >= _speaks(asked)

    def alike(row: ModelRow) -> float:
        own = frozenset(tokens(row.name))
        return len(words & own) / len(words | own)

    return _largest(catalog, resolved, hardware, wish, method, suits, alike)


def largest_model(
    catalog: Catalog, resolved: ResolvedModel, hardware: Hardware, wish: Wish, method: str
) -> Trainable | None:
    """The largest of all models of the same kind that suit the goal and that this card trains with headroom.

    Of those about as large the newest.
    """
    talking = wish.goal not in (Goal.COMPLETION, Goal.CONTINUED_PRETRAINING)

    def suits(row: ModelRow) -> bool:
        return _speaks(row) or not talking

    return _largest(catalog, resolved, hardware, wish, method, suits, lambda row: row.released or "")


def _speaks(row: ModelRow) -> bool:
    """Whether the model has a chat template that Axolotl knows: it was made to answer."""
    return row.chat_template is not None


def _largest(
    catalog: Catalog,
    resolved: ResolvedModel,
    hardware: Hardware,
    wish: Wish,
    method: str,
    suits: Callable[[ModelRow], bool],
    better: Callable[[ModelRow], Any],
) -> Trainable | None:
    """The best of the largest that fit, smaller than the one asked for and a mixture of experts only where that is."""
    card, (beside, beside_most) = generation(hardware), more_than_generation(hardware)
    found: list[tuple[int, Trainable]] = []
    for parameters, model_id in _by_size(catalog):
        if found and parameters < ABOUT_AS_LARGE * found[0][0]:
            break
        architecture, row = catalog.architecture(model_id), catalog.models.get(model_id)
        alike = architecture.mixture_of_experts == resolved.architecture.mixture_of_experts
        smaller = parameters < resolved.architecture.total_parameters
        light = parameters * LEAST_BYTES_PER_PARAMETER <= hardware.capacity_bytes
        if not (alike and smaller and light and suits(row)):
            continue
        takes = _at_room(catalog, model_id, card, method, wish.goal, wish.install)
        if takes is not None and takes[1] + beside_most <= hardware.capacity_bytes:
            trainable = Trainable(row=row, process_bytes=takes[0] + beside, sequence_len_tokens=takes[2])
            found.append((parameters, trainable))
    return max((trainable for _, trainable in found), key=lambda one: better(one.row), default=None)


@lru_cache(maxsize=4)
def _by_size(catalog: Catalog) -> tuple[tuple[int, str], ...]:
    """All models with their parameters, the largest first."""
    sized = ((catalog.architecture(row.id).total_parameters, row.id) for row in catalog.models.rows)
    return tuple(sorted(sized, reverse=True))


@lru_cache(maxsize=8192)
def _at_room(
    catalog: Catalog, model_id: str, card: Hardware, method: str, goal: Goal, install: Install
) -> tuple[int, int, int] | None:
    """What ``method`` takes by what headroom may cost: expected, at the most, and at which length."""
    row = catalog.models.get(model_id)
    resolved = ResolvedModel(id=row.id, row=row, architecture=catalog.architecture(row.id))
    if resolved.architecture.published_in:
        return None
    wish = Wish(goal=goal, install=install, dataset=Dataset(), overrides=KEYS_OF_METHOD.get(method, {}))
    try:
        config = least_config(catalog, resolved, card, wish, method, frozenset(), paid=True)
        meter = Meter(resolved.architecture, card)
        return meter.process_bytes(config), meter.most_bytes(config), int(config["sequence_len"])
    except InvalidInput:
        return None
