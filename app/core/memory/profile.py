"""Profiles: one layer's and the head's lives, recorded once and evaluated for any length.

A profile holds the moments that could be the largest of each stage as packed polynomials; ``functools.lru_cache``
keeps them by what decides them, so that a sweep over lengths, batches, ranks and optimizers records each layer once.
"""

from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache, partial

from app.core.memory.layers import LayerSpec, run_layer
from app.core.memory.loss import HeadSpec, run_head
from app.core.memory.offloading import OffloadingTape
from app.core.memory.tape import (
    GRADIENTS,
    LOSS,
    TEMPORARIES,
    TOKEN,
    WEIGHTS,
    Leaf,
    Moment,
    Recomputed,
    Tape,
    Tensor,
    prune,
)
from app.core.memory.within import Within
from app.core.run import Offloading

CACHED = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """The largest moments of one stage."""

    moments: tuple[Moment, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerProfile:
    """One layer: ``kept`` of its own between its forward and its backward, and the stages.

    ``copies`` are autocast's copies that stay until its region ends though nothing saves them; ``output`` the itemsize
    of what it returns.
    """

    kept: int
    copies: int
    output: int
    differentiable: bool
    """Whether its output takes a gradient: below the first trained weight none does, and nothing is kept."""
    saves_input: bool
    """Whether what it keeps is its input itself, of which its norm needs no copy."""
    gradients: int
    quiet: Stage
    forward: Stage
    backward: Stage
    pinned: int
    """What came back from the host for this layer and stays through the next one's backward (``offloading``)."""
    moved: int
    """What it sends there of its own."""
    lets_go: bool
    """Whether what came back for the layer above is counted in its own moments."""
    pending: tuple[int, int]
    """Elements and itemsize of the gradient that waits for the next one when its backward is over (``within``)."""
    stuck: int
    """What its nodes hold as long as the graph is there: a checkpoint that is not reentrant does not drop it."""
    results: int = 0
    """What a checkpoint keeps of it beside its input."""
    lingering: int = 0
    """What the nodes behind what it handed on saved when it was made again, which no backward runs; and experts in 8
    bits whose forward, made again, did not come to the end at which their cache lets go of them (``experts``)."""
    remaining: int = 0
    """Copies of its weights that are there through the next one's backward too (``layer_offloading``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadProfile:
    """Final norm, head and loss.

    ``casting`` are the moments of ``forward`` within the autocast region, whose copies of the layers' weights still
    live; ``quiet`` those of evaluation, ``quiet_casting`` of them those within the region.
    """

    quiet: Stage
    quiet_casting: Stage
    forward: Stage
    casting: Stage
    backward: Stage
    gradients: int
    moved: int = 0
    """What it sends to the host."""


@lru_cache(maxsize=CACHED)
def profile_layer(
    spec: LayerSpec,
    *,
    stream: int,
    compute: int,
    checkpointed: bool,
    keeping_input: bool,
    holding: bool,
    gradients_present: bool,
    needs_input: bool,
    positions: int,
    offloading: Offloading = Offloading.NONE,
    waiting: int = -1,
    fetched: int = 0,
    within: Within | None = None,
    copied: int = 0,
    pending: tuple[int, int] = (0, 0),
    autocast: bool = True,
) -> LayerProfile:
    """Record one layer.

    ``stream`` is the residual stream's itemsize; ``checkpointed`` records the recomputation with the incoming gradient
    alive; ``keeping_input`` where the checkpoint holds its input to the end, unless it waits on the host; ``holding``
    where a reentrant checkpoint holds output and gradient to the end. Under ``offloading``, ``waiting`` is what came
    back for the layer above where this one is the last of the backward, whose own nodes let go of it and of each
    other's. ``fetched`` are bytes of weights that come when the layer has been made again, ``copied`` of those that are
    there before and go as its linears run. ``within`` is how an optimizer steps within the backward, ``pending`` the
    gradient that waits there from the layer above.
    """
    width = spec.hidden * TOKEN
    quiet, output, copies = _quiet(
        spec, stream=stream, compute=compute, positions=positions, autocast=autocast, copied=copied
    )
    tape = partial(
        Tape,
        compute=compute,
        gradients_present=gradients_present,
        positions=positions,
        autocast=autocast,
        normed=checkpointed,
    )
    t = tape(reentrant=holding, fetched=copied if holding else 0)
    if offloading is not Offloading.NONE:
        streams = offloading is Offloading.ALL
        t = OffloadingTape(
            streams=streams,
            compute=compute,
            gradients_present=gradients_present,
            positions=positions,
            autocast=autocast,
            normed=checkpointed,
        )
        t.found_waiting(waiting)
    t.replaces = made_again = checkpointed and not holding and offloading is Offloading.NONE
    incoming: Tensor | None = t.fresh(width, output, TEMPORARIES) if checkpointed else None
    source = Leaf(parameter=False)
    x = t.fresh(width, stream)
    x.node = source if needs_input else None
    out = run_layer(t, spec, x)
    differentiable = out.node is not None
    saves_input = t.saves(x)
    given = x.storage if keeping_input else None
    del x
    forward = Stage(moments=t.moments())
    t.end_autocast()
    t.handed_on = ()
    kept = t.now - out.bytes
    mark = len(t.log)
    t.steps(within, pending)
    results = [(x.elements, x.itemsize) for x in t.attended]
    stuck = sum(storage.bytes for storage in t.stuck if all(x.storage is not storage for x in t.attended))
    t.attended.clear()
    grad = incoming or t.fresh(width, output, TEMPORARIES)
    weights = t.fresh(fetched, 1, WEIGHTS) if fetched else None
    held = [out.storage, grad] if holding else None
    if t.handed_out is not None and held:
        held += (t.fresh(t.handed_out.elements, t.handed_out.itemsize, TEMPORARIES), t.handed_out.storage)
        t.log.insert(0, t.log.pop())  # its gradient's zeros are there before the layer is made again
    incoming = None
    ends = [out, grad]
    del out, grad
    if made_again:
        again = tape(fetched=copied)
        again.given = [again.fresh(*size) for size in results]
        moments, lingering, remaining = _not_reentrant(t, again, spec, ends, (width, stream), needs_input=needs_input)
    else:
        t.backward(ends.pop(0), ends.pop(0))
        moments, lingering, remaining = t.moments() if checkpointed else moments_from(t, mark), 0, 0
    backward = Stage(moments=moments)
    t.handed_out = None
    del held, given, weights
    gradients = sum(_live(t, GRADIENTS))
    waits = t.forget(source)
    pinned, moved = t.let_go() if isinstance(t, OffloadingTape) else (0, 0)
    return LayerProfile(
        pinned=pinned,
        moved=moved,
        lets_go=waiting >= 0,
        pending=waits,
        stuck=stuck,
        results=sum(elements * itemsize for elements, itemsize in results),
        lingering=lingering,
        remaining=remaining,
        kept=kept,
        copies=copies,
        output=output,
        differentiable=differentiable,
        saves_input=saves_input,
        gradients=gradients,
        quiet=quiet,
        forward=forward,
        backward=backward,
    )


def _quiet(
    spec: LayerSpec, *, stream: int, compute: int, positions: int, autocast: bool, copied: int
) -> tuple[Stage, int, int]:
    """One layer without a graph: its moments, its output's itemsize, and the bytes that its autocast copies hold."""
    t = Tape(compute=compute, recording=False, positions=positions, autocast=autocast, fetched=copied)
    x = t.fresh(spec.hidden * TOKEN, stream)
    out = run_layer(t, spec, x)
    stage, output = Stage(moments=t.moments()), out.itemsize
    t.handed_on = ()
    t.attended.clear()
    t.fetched = None
    del x, out
    copies = t.now
    t.end_autocast()
    return stage, output, copies


@lru_cache(maxsize=CACHED)
def profile_evaluation(
    spec: LayerSpec, *, stream: int, compute: int, positions: int, autocast: bool = True, copied: int = 0
) -> Stage:
    """One layer's forward in evaluation: nothing is recorded, nothing dropped."""
    t = Tape(compute=compute, recording=False, positions=positions, training=False, autocast=autocast, fetched=copied)
    x = t.fresh(spec.hidden * TOKEN, stream)
    out = run_layer(t, spec, x)
    stage = Stage(moments=t.moments())
    del x, out
    return stage


def _not_reentrant(
    t: Tape, again: Tape, spec: LayerSpec, ends: list[Tensor], x_size: tuple[int, int], *, needs_input: bool
) -> tuple[tuple[Moment, ...], int, int]:
    """The backward whose layer is recomputed on another tape, as soon as something that it saved is read.

    With it what is left behind there: by the nodes behind tensors that the layer hands on, and experts in a cache; and
    copies of weights, by linears that the recomputation does not come to.
    """
    t.stuck.clear()  # of the first forward, which the stack counts
    mark, before = len(t.log), t.now - ends[0].bytes - ends[1].bytes
    read: list[tuple[int, int]] = []
    t.unpacking = True
    t.backward(ends.pop(0), ends.pop(0), reading=lambda: read.append((len(t.log), t.now)))
    mark, now = read[0] if read else (mark, before)
    made = recompute(again, spec, now - before, x_size=x_size, needs_input=needs_input, nodes=t.saving)
    remaining = 0 if again.fetched is None else again.fetched.bytes
    t.log.insert(mark, (WEIGHTS, remaining))
    lingering = again.unpacked
    if again.handed_on:
        again.end_autocast()
        again.beside = None
        lingering += again.now
        again.handed_on = ()
    return prune((*made, *moments_from(t, mark))), lingering, remaining


def recompute(
    t: Tape, spec: LayerSpec, gradients: int, *, x_size: tuple[int, int], needs_input: bool, nodes: int
) -> tuple[Moment, ...]:
    """A checkpoint that is not reentrant runs its layer again when the first saved tensor is read.

    By then the nodes before that one have left ``gradients``; it stops when ``nodes`` have saved what they save.
    """
    waiting = t.fresh(gradients, 1, TEMPORARIES)
    x = t.fresh(*x_size)
    x.node = Leaf(parameter=False) if needs_input else None
    t.stops_at, t.replaces = nodes, True
    with suppress(Recomputed):
        run_layer(t, spec, x)
    moments = t.moments()
    del waiting
    return moments


@lru_cache(maxsize=CACHED)
def profile_head(
    spec: HeadSpec,
    *,
    stream: int,
    compute: int,
    gradients_present: bool,
    needs_input: bool,
    offloading: Offloading = Offloading.NONE,
    labels_stay: bool = False,
    within: Within | None = None,
    autocast: bool = True,
) -> HeadProfile:
    """Record final norm, head and loss; under ``offloading`` hooks take what they save."""
    width = spec.hidden * TOKEN
    quiet = Tape(compute=compute, recording=False, training=False, autocast=autocast)
    loss = run_head(quiet, spec, quiet.fresh(width, stream))
    quiet_stage, quiet_casting = Stage(moments=quiet.moments()), Stage(moments=quiet.moments(quiet.left))
    del loss

    t = Tape(compute=compute, gradients_present=gradients_present, autocast=autocast)
    if offloading is not Offloading.NONE:
        streams = offloading is Offloading.ALL
        t = OffloadingTape(streams=streams, compute=compute, gradients_present=gradients_present, autocast=autocast)
        t.outer, t.labels_leave = True, not labels_stay
    t.steps(within)
    source = Leaf(parameter=False)
    x = t.fresh(width, stream)
    x.node = source if needs_input else None
    given = [x]
    del x
    loss = run_head(t, spec, given.pop())
    forward, casting = Stage(moments=t.moments()), Stage(moments=t.moments(t.left))
    mark = len(t.log)
    t.backward(loss, t.fresh(1, 4, LOSS))
    del loss
    backward = Stage(moments=moments_from(t, mark))
    gradients = sum(_live(t, GRADIENTS))
    t.forget(source)
    _, moved = t.let_go() if isinstance(t, OffloadingTape) else (0, 0)
    return HeadProfile(
        moved=moved,
        quiet=quiet_stage,
        quiet_casting=quiet_casting,
        forward=forward,
        casting=casting,
        backward=backward,
        gradients=gradients,
    )


def _live(t: Tape, slot: int) -> list[int]:
    return [size for at, size in t.log if at == slot]


def moments_from(t: Tape, mark: int) -> tuple[Moment, ...]:
    """The moments of the log behind ``mark``, with what lived before."""
    before: dict[int, int] = {}
    for slot, size in t.log[:mark]:
        before[slot] = before.get(slot, 0) + size
    t.log[:mark] = list(before.items())
    return t.moments()
