"""The fit: a ladder of changes that make a configuration smaller, those that lose least quality and speed first.

The order is fixed and stated: evaluation of one row at a time (the same steps; ``eval_loss`` is a mean over batches of
each one's mean over its tokens, Transformers 5.16.1 ``Trainer.evaluation_loop``, so it and the best checkpoint may
change); a loss fused with the head and gradient checkpointing (the same training, some speed); smaller micro batches
made up by accumulation (the same training, some speed); an optimizer whose states take 8 bits, then one that pages them
to the host; shorter sequences; a lower rank; a 4-bit base; activations kept on the host.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

from app.core.architecture import Architecture, Kind
from app.core.axolotl.composing import beside, four_bit_keys, fused_loss, skips_embeddings
from app.core.axolotl.overriding import apply_overrides
from app.core.axolotl.run_reader import read_run
from app.core.hardware import Hardware
from app.core.memory.losses import loss_of
from app.core.memory.optimizer_forms import form_of
from app.core.methods.settings import PeftType
from app.core.plan import Change, Install
from app.core.run import Checkpointing, Loss, Method, Quantization, Run
from app.core.units import ceil_div

SHORTEST_SEQUENCE = 512
SEQUENCE_STEP = 256
LEAST_RANK = 8
LEAST_KTO_BATCH = 2
"""KTO sets answers of a micro batch against each other's prompts, so one alone is refused."""
EIGHT_BIT = "adamw_8bit"
PAGED = "paged_adamw_8bit"

Measure = Callable[[Mapping[str, Any]], int]
"""Bytes that the process of a configuration takes."""


class Rung(StrEnum):
    """One kind of change; the order of the members is the ladder's."""

    EVALUATION = "evaluation"
    LOSS = "loss"
    CHECKPOINTING = "checkpointing"
    MICRO_BATCH = "micro_batch"
    OPTIMIZER = "optimizer"
    SEQUENCE = "sequence"
    RANK = "rank"
    QUANTIZATION = "quantization"
    OFFLOADING = "offloading"


RUNGS = tuple(Rung)
LOSSLESS = (Rung.EVALUATION, Rung.LOSS, Rung.CHECKPOINTING, Rung.MICRO_BATCH, Rung.OPTIMIZER)
"""What leaves the training as it is, but for rounding in the optimizer's states."""

RUNG_KEYS: Mapping[Rung, tuple[str, ...]] = {
    Rung.EVALUATION: ("eval_batch_size",),
    Rung.LOSS: (
        "cut_cross_entropy",
        "liger_fused_linear_cross_entropy",
        "liger_cross_entropy",
        "chunked_cross_entropy",
        "plugins",
    ),
    Rung.CHECKPOINTING: ("gradient_checkpointing",),
    Rung.MICRO_BATCH: ("micro_batch_size",),
    Rung.OPTIMIZER: ("optimizer",),
    Rung.SEQUENCE: ("sequence_len",),
    Rung.RANK: ("lora_r",),
    Rung.QUANTIZATION: ("adapter", "load_in_4bit"),
    Rung.OFFLOADING: ("activation_offloading", "gradient_checkpointing"),
}
"""A rung is left out where a person set one of its keys."""

KEY_RUNGS: Mapping[str, Rung] = {
    "eval_batch_size": Rung.EVALUATION,
    "cut_cross_entropy": Rung.LOSS,
    "gradient_checkpointing": Rung.CHECKPOINTING,
    "micro_batch_size": Rung.MICRO_BATCH,
    "optimizer": Rung.OPTIMIZER,
    "sequence_len": Rung.SEQUENCE,
    "lora_r": Rung.RANK,
    "adapter": Rung.QUANTIZATION,
    "activation_offloading": Rung.OFFLOADING,
}
"""The key that stands for each rung where someone names what may vary."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ladder:
    """What may be changed of one configuration: for each rung its patches, each smaller than the one before.

    A patch is a person's own keys as ``apply_overrides`` takes them.
    """

    config: Mapping[str, Any]
    patches: Mapping[Rung, Sequence[Mapping[str, Any]]]

    @property
    def rungs(self) -> tuple[Rung, ...]:
        """Those that have something to change, in order."""
        return tuple([rung for rung in RUNGS if self.patches.get(rung)])

    def at(self, positions: Mapping[Rung, int]) -> Mapping[str, Any]:
        """The configuration with each rung's patch at its position; position 0 changes nothing."""
        patch: dict[str, Any] = {}
        for rung in self.rungs:
            if positions.get(rung):
                patch |= self.patches[rung][positions[rung] - 1]
        return apply_overrides(self.config, patch) if patch else self.config

    def floor(self) -> dict[Rung, int]:
        """Every rung at its smallest."""
        return {rung: len(self.patches[rung]) for rung in self.rungs}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """What came of fitting. Where nothing fits, ``config`` is the smallest one and ``fits`` False."""

    config: Mapping[str, Any]
    process_bytes: int
    fits: bool
    changes: tuple[Change, ...]


def build_ladder(
    config: Mapping[str, Any],
    *,
    architecture: Architecture,
    hardware: Hardware | None,
    install: Install,
    keep: frozenset[str] = frozenset(),
    rungs: Sequence[Rung] = RUNGS,
    shortest_sequence: int = SHORTEST_SEQUENCE,
    run: Run | None = None,
) -> Ladder:
    """Every rung that this configuration, model and card have. Keys in ``keep`` were set by a person and stay.

    ``run`` is what ``config`` says, where it has been read before.

    Raises:
        InvalidInput: the configuration holds values that cannot be.
    """
    read = run or read_run(config)
    makers: Mapping[Rung, Callable[[], Sequence[Mapping[str, Any]]]] = {
        Rung.EVALUATION: lambda: _evaluations(read),
        Rung.LOSS: lambda: _losses(config, read, architecture, hardware, install),
        Rung.CHECKPOINTING: lambda: _checkpointing(config, read),
        Rung.MICRO_BATCH: lambda: _micro_batches(read, keep, LEAST_KTO_BATCH if config.get("rl") == "kto" else 1),
        Rung.OPTIMIZER: lambda: _optimizers(read),
        Rung.SEQUENCE: lambda: _sequences(read.sequence_len_tokens, shortest_sequence),
        Rung.RANK: lambda: _ranks(read, keep),
        Rung.QUANTIZATION: lambda: _quantized(config, read, architecture, hardware),
        Rung.OFFLOADING: lambda: _offloading(config, read),
    }
    patches = {rung: makers[rung]() for rung in RUNGS if rung in rungs and not keep.intersection(RUNG_KEYS[rung])}
    return Ladder(config=config, patches=patches)


def _evaluations(run: Run) -> Sequence[Mapping[str, Any]]:
    """One row at a time; unless it is said, as many as a micro batch holds."""
    return ({"eval_batch_size": 1},) if run.evaluates and run.eval_batch_size > 1 else ()


def _losses(
    config: Mapping[str, Any], run: Run, architecture: Architecture, hardware: Hardware | None, install: Install
) -> Sequence[Mapping[str, Any]]:
    """The loss that never makes the logits, else in chunks; preference and reward training compute their own.

    Liger's makes them in evaluation, in more bytes than chunks do.
    """
    if config.get("rl") or config.get("reward_model"):
        return ()
    liger = loss_of(architecture, run) is Loss.LIGER_FUSED_LINEAR
    if run.loss is Loss.CUT_CROSS_ENTROPY or (liger and not run.evaluates):
        return ()
    quantized = run.quantization in (Quantization.NF4, Quantization.INT8)
    found = beside(config, fused_loss(architecture, hardware, install, quantized=quantized))
    keys = {key: value for key, value in found.items() if key != "plugins"}
    if liger and "cut_cross_entropy" not in keys:
        keys = {} if architecture.multimodal else {"chunked_cross_entropy": True}
    return () if not keys or ("chunked_cross_entropy" in keys and run.loss is Loss.CHUNKED) else (keys,)


def _checkpoints(config: Mapping[str, Any], run: Run) -> bool:
    """Whether gradients can be checkpointed: Axolotl refuses where it reads "mpt" in the name, PEFT with prefixes."""
    prefixed = run.peft is not None and run.peft.type is PeftType.PREFIX_TUNING
    return not prefixed and "mpt" not in str(config.get("base_model")).lower()


def _checkpointing(config: Mapping[str, Any], run: Run) -> Sequence[Mapping[str, Any]]:
    if run.checkpointing is not Checkpointing.OFF or not _checkpoints(config, run):
        return ()
    return ({"gradient_checkpointing": True},)


def _micro_batches(run: Run, keep: frozenset[str], least: int) -> Sequence[Mapping[str, Any]]:
    """Smaller divisors of the effective batch, made up by accumulation; halves where that is the person's own."""
    micro = run.micro_batch_size
    if "gradient_accumulation_steps" in keep:
        halves = []
        while micro // 2 >= least:
            micro //= 2
            halves.append({"micro_batch_size": micro})
        return tuple(halves)
    effective = micro * run.gradient_accumulation_steps
    return tuple(
        {"micro_batch_size": size, "gradient_accumulation_steps": effective // size}
        for size in range(micro - 1, least - 1, -1)
        if effective % size == 0
    )


def _optimizers(run: Run) -> Sequence[Mapping[str, Any]]:
    """AdamW in 8 bits, then paged to the host."""
    form = form_of(run.optimizer)
    if form.paged:
        return ()
    small = form.eight_bit or form.four_bit or form.states == 0
    return tuple({"optimizer": name} for name in ((PAGED,) if small else (EIGHT_BIT, PAGED)))


@dataclass(frozen=True, slots=True)
class _Sequences(Sequence[Mapping[str, Any]]):
    """Lengths from just below the present one down to the shortest, made when asked for."""

    lengths: range

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, index: Any) -> Any:
        return {"sequence_len": self.lengths[index]}


def _sequences(present: int, shortest: int) -> Sequence[Mapping[str, Any]]:
    step = SEQUENCE_STEP * max(1, ceil_div(present, 1 << 16))
    first = max(shortest, (present - 1) // step * step)
    return _Sequences(range(first, shortest - 1, -step)) if present > shortest else ()


def _ranks(run: Run, keep: frozenset[str]) -> Sequence[Mapping[str, Any]]:
    """Halves down to the least, alpha along with the rank so that the update keeps its scale."""
    if run.lora is None:
        return ()
    found = []
    rank = run.lora.r
    while rank > LEAST_RANK:
        rank = max(LEAST_RANK, rank // 2)
        patch = {"lora_r": rank}
        if "lora_alpha" not in keep:
            patch["lora_alpha"] = max(1, run.lora.alpha * rank // run.lora.r)
        found.append(patch)
    return tuple(found)


def _quantized(
    config: Mapping[str, Any], run: Run, architecture: Architecture, hardware: Hardware | None
) -> Sequence[Mapping[str, Any]]:
    """The base in 4 bits under the same adapter; LoftQ's start and bitsandbytes know only some.

    A base that is in 4 bits already can still keep its embeddings in 16 while it loads.
    """
    if run.quantization is Quantization.NF4 and not run.embeddings_skip_upcast:
        return ({"embeddings_skip_upcast": True},) if skips_embeddings(architecture) else ()
    packed = run.quantization in (Quantization.NF4, Quantization.GPTQ)
    if run.method is not Method.LORA or packed or config.get("peft"):
        return ()
    if not any(module.kind is Kind.LINEAR for module in architecture.modules):
        return ()
    return ({"adapter": "qlora", **four_bit_keys(architecture, hardware, config)},)


def _offloading(config: Mapping[str, Any], run: Run) -> Sequence[Mapping[str, Any]]:
    """Checkpoints on the host."""
    if run.checkpointing is Checkpointing.OFFLOAD or not _checkpoints(config, run):
        return ()
    return ({"gradient_checkpointing": True, "activation_offloading": True},)


def climb(
    ladder: Ladder,
    *,
    measure: Measure,
    capacity_bytes: int,
    at_most: Measure | None = None,
    reserved_bytes: int = 0,
) -> Fitted:
    """The least change that fits: down the ladder to the first rung where it does, then back up as far as it may.

    Each rung's patches shrink, so a bisection finds the first that fits. ``at_most`` is what a configuration may take
    at the most, where that must fit and not only what it is expected to take (``measure``). ``reserved_bytes`` are left
    over where that can be.
    """
    search = _Search(ladder, measure, at_most or measure)
    limits = (capacity_bytes - reserved_bytes, capacity_bytes) if reserved_bytes else (capacity_bytes,)
    found = next((place for limit in limits if (place := search.least(limit)) is not None), None)
    return search.fitted(search.smallest(), fits=False) if found is None else search.fitted(found, fits=True)


def reach(ladder: Ladder, *, measure: Measure, at_most: Measure, capacity_bytes: int) -> Fitted | None:
    """As ``climb``, but None where nothing fits: what is smallest then is of no use."""
    search = _Search(ladder, measure, at_most)
    found = search.least(capacity_bytes)
    return None if found is None else search.fitted(found, fits=True)


def fits_somewhere(ladder: Ladder, measure: Measure, capacity_bytes: int) -> bool:
    """Whether anything on the ladder fits."""
    return _Search(ladder, measure, measure).fits_somewhere(capacity_bytes)


Place: TypeAlias = tuple[int, ...]
"""A position on each rung that a ladder has; 0 changes nothing."""


class _Search:
    """Places on one ladder, each put together and measured once."""

    def __init__(self, ladder: Ladder, measure: Measure, at_most: Measure) -> None:
        self.ladder = ladder
        self.rungs = ladder.rungs
        self.measure = measure
        self.at_most = at_most
        self.top: Place = (0,) * len(self.rungs)
        self.floor: Place = tuple([len(ladder.patches[rung]) for rung in self.rungs])
        self.configs: dict[Place, Mapping[str, Any]] = {}
        self.sizes: dict[Place, int] = {}
        self.most: dict[Place, int] = self.sizes if at_most is measure else {}

    def at(self, place: Place) -> Mapping[str, Any]:
        found = self.configs.get(place)
        if found is None:
            found = self.configs[place] = self.ladder.at(dict(zip(self.rungs, place, strict=True)))
        return found

    def bytes(self, place: Place) -> int:
        found = self.sizes.get(place)
        if found is None:
            found = self.sizes[place] = self.measure(self.at(place))
        return found

    def fits(self, place: Place, capacity_bytes: int) -> bool:
        found = self.most.get(place)
        if found is None:
            found = self.most[place] = self.at_most(self.at(place))
        return found <= capacity_bytes

    def least(self, capacity_bytes: int) -> Place | None:
        """The least change that fits, None where nothing does."""
        if self.fits(self.top, capacity_bytes):
            return self.top
        if not self.fits_somewhere(capacity_bytes):
            return None
        place = self.descend(capacity_bytes)
        for rung in reversed(range(len(place))):
            if place[rung]:
                place = self.first(place, rung, place[rung], capacity_bytes)
        return place

    def fits_somewhere(self, capacity_bytes: int) -> bool:
        """With every rung at its smallest, or without those that cost memory here: transfers to the host may."""
        return self.fits(self.floor, capacity_bytes) or self.fits(self.smallest(), capacity_bytes)

    def descend(self, capacity_bytes: int) -> Place:
        """Rung by rung to its smallest, until one fits; there, to the first patch that does."""
        place = self.top
        for rung, last in enumerate(self.floor):
            below = _with(place, rung, last)
            if self.fits(below, capacity_bytes):
                return self.first(place, rung, last, capacity_bytes)
            if self.bytes(below) < self.bytes(place):
                place = below
        return self.floor if self.fits(self.floor, capacity_bytes) else self.smallest()

    def first(self, place: Place, rung: int, last: int, capacity_bytes: int) -> Place:
        """The first position on ``rung`` that fits, ``last`` being known to."""
        low, high = 0, last
        while low < high:
            middle = (low + high) // 2
            if self.fits(_with(place, rung, middle), capacity_bytes):
                high = middle
            else:
                low = middle + 1
        return _with(place, rung, low)

    def smallest(self) -> Place:
        """Every rung at its smallest where that saves anything: after a rung below it one may that did not before."""
        place, before = self.top, None
        while place != before:
            before = place
            for rung, last in enumerate(self.floor):
                below = _with(place, rung, last)
                if self.bytes(below) < self.bytes(place):
                    place = below
        return place

    def fitted(self, place: Place, *, fits: bool) -> Fitted:
        return Fitted(config=self.at(place), process_bytes=self.bytes(place), fits=fits, changes=self.changes(place))

    def changes(self, place: Place) -> tuple[Change, ...]:
        """Each key that differs, with what its rung saves after those before it; keys that go along save nothing."""
        found: list[Change] = []
        reached = self.top
        for rung, position in enumerate(place):
            if not position:
                continue
            before, size = self.at(reached), self.bytes(reached)
            reached = _with(reached, rung, position)
            after = self.at(reached)
            saves = size - self.bytes(reached)
            patch = self.ladder.patches[self.rungs[rung]][position - 1]
            own: str | None = None
            for key in (*patch, *(key for key in before if key not in after and key not in patch)):
                if before.get(key) != after.get(key) and key != "plugins":
                    made = Change(key=key, before=before.get(key), after=after.get(key), saves_bytes=saves, along=own)
                    found.append(made)
                    own, saves = own or key, 0
        return tuple(found)


def _with(place: Place, rung: int, position: int) -> Place:
    return (*place[:rung], position, *place[rung + 1 :])
