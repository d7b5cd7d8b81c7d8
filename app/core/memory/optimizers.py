"""What an optimizer holds of the tensors that train: states on the card or beside it, and the most of its step.

Each name's form, with its source, is in ``optimizer_forms``.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import assert_never

from app.core.memory.optimizer_forms import FULL, Family, OptimizerForm, Scratch, Storage, Trained
from app.core.memory.pieces import Piece, total
from app.core.units import ceil_div

SMALL_TENSOR = 4096
"""bitsandbytes and torchao keep full states for tensors with fewer elements (``min_8bit_size``)."""
BLOCK = 256
"""Values that share a scale: bitsandbytes' own, and what Transformers passes to torchao for 4 bits too."""
FLASH_GROUP = 32
PROJECTION_GROUP = 256
"""Values of Q-GaLore's projection that share a scale and a zero, by default."""
LONGEST_SIDE = 1 << 32
"""Of a matrix; a side beyond it is a polynomial in the adapter's rank (``tape``)."""
DEFAULT_RANK = 128
"""Of GaLore's and APOLLO's projections, unless ``optim_args`` says otherwise."""


def gradient_bytes(trained: Iterable[Trained]) -> int:
    """Gradients have their parameters' dtype: bf16 in full fine-tuning, fp32 for LoRA."""
    return sum(tensor.bytes for tensor in trained)


def _stored(tensor: Trained, storage: Storage, times: int) -> tuple[Piece, ...]:
    """So many states of one tensor."""
    n = tensor.elements
    match storage:
        case Storage.OWN:
            return (("states", times, n, tensor.itemsize),)
        case Storage.FULL:
            return (("states", times, n, FULL),)
        case Storage.FLASH_8BIT:
            return ("states", times, n, 1), ("state_scales", times, ceil_div(n, FLASH_GROUP), 2)
        case Storage.BNB_8BIT:
            if tensor.wide or n < SMALL_TENSOR:
                return (("states", times, n, FULL),)
            return ("states", times, n, 1), ("state_scales", times, ceil_div(n, BLOCK), FULL)
        case Storage.TORCHAO_8BIT | Storage.TORCHAO_4BIT:
            if not _coded(n):
                return (("states", times, n, tensor.itemsize),)
            coded = ("states", times, n, 1) if storage is Storage.TORCHAO_8BIT else ("state_halves", times, n // 2, 1)
            return coded, ("state_scales", times, n // BLOCK, FULL)
        case _:
            assert_never(storage)


def _low_rank(tensor: Trained, rank: int) -> tuple[int, int]:
    """Elements of a projected gradient and of its projection: the shorter side is cut to the rank.

    A factor of LoRA is no larger than a projection of it, whatever its own rank.
    """
    short, long = min(tensor.shape), max(tensor.shape)
    if long > LONGEST_SIDE:
        return tensor.elements, tensor.elements
    kept = min(rank, short)
    return kept * long, kept * short


def _of_one(tensor: Trained, form: OptimizerForm, rank: int) -> tuple[Piece, ...]:
    """All states of one tensor."""
    n, shape, own = tensor.elements, tensor.shape, tensor.itemsize
    flat = len(shape) < 2
    match form.family:
        case Family.FACTORED | Family.FUSED_FACTORED:
            return (("states", 1, n, FULL) if flat else ("sides", 1, n // shape[-1] + n // shape[-2], FULL),)
        case Family.PROJECTED_FACTORED:
            if flat or not tensor.targeted:
                return (("states", 1, n, FULL) if flat else ("sides", 1, sum(shape), FULL),)
            short, long = min(shape), max(shape)
            kept = min(rank, short)
            return ("projections", 1, kept * short, FULL), ("sides", 1, kept + long, FULL)
        case Family.CONFIDENCE:
            if flat:
                return (("states", 2, n, FULL),)
            return ("states", 1, n, FULL), ("sides", 2, sum(shape), FULL)
        case Family.FUSED:
            return ()
        case Family.PROJECTED_IN_PLACE if tensor.targeted and not flat:
            low, projection = _low_rank(tensor, rank)
            states = _stored(replace(tensor, elements=low, wide=False), form.storage, form.states)
            if not form.coded_projection:
                return *states, ("projections", 1, projection, own)
            groups = ceil_div(projection, PROJECTION_GROUP)
            return *states, ("projections", 1, projection, 1), ("groups", 1, 2 * groups + min(shape), own)
        case Family.PROJECTED if tensor.targeted and not flat:
            short, long = min(shape), max(shape)
            kept = min(rank, short)
            return ("states", form.states, kept * long, own), ("projections", 1, kept * short, own)
        case Family.MUON if not tensor.matrix:
            return () if flat else (("states", 2, n, own),)
        case Family.DION:
            square = min(shape) ** 2 if tensor.matrix else n
            return ("states", 1, n, own), ("squares" if tensor.matrix else "states", 1, square, own)
        case Family.SINKHORN if len(shape) > 1 and tensor.untold:
            return ()
    pieces = _stored(replace(tensor, wide=False) if form.narrow else tensor, form.storage, form.states)
    if own == 2 and form.compensated:
        pieces += (("compensation", 1, n, own),)
    if own == 2 and form.corrected:
        pieces += (("compensation", 1, n, 1),)
    return pieces


def state_pieces(trained: Iterable[Trained], form: OptimizerForm, *, rank: int = DEFAULT_RANK) -> tuple[Piece, ...]:
    """Optimizer states of all trained tensors, on the device or not, product by product."""
    return tuple(
        [
            (code, times, tensor.copies * count, each)
            for tensor in trained
            for code, times, count, each in _of_one(tensor, form, rank)
        ]
    )


def state_bytes(trained: Iterable[Trained], form: OptimizerForm, *, rank: int = DEFAULT_RANK) -> int:
    """All of them."""
    return total(state_pieces(trained, form, rank=rank))


PAGED_FROM = 100_000
"""Elements from which on bitsandbytes pages a state; its scales stay."""


def host_bytes(trained: Iterable[Trained], form: OptimizerForm) -> int:
    """States that may leave the GPU, or wait beside it."""
    if form.on_host:
        return state_bytes(trained, form)
    if not form.paged:
        return 0
    total = 0
    for tensor in trained:
        if tensor.elements >= PAGED_FROM:
            plain = form.storage is Storage.FULL or tensor.wide
            total += form.states * tensor.copies * tensor.elements * (FULL if plain else 1)
    return total


def step_temporary_bytes(trained: Iterable[Trained], form: OptimizerForm, *, rank: int = DEFAULT_RANK) -> int:
    """What the step holds at its most, beside states and gradients."""
    return total(step_pieces(trained, form, rank=rank))


def step_pieces(trained: Iterable[Trained], form: OptimizerForm, *, rank: int = DEFAULT_RANK) -> tuple[Piece, ...]:
    """The same, product by product.

    Forms that work on a group at once hold copies of it; the others copies of one tensor, and some of the one before.
    """
    tensors = tuple(trained)
    if form.family in (Family.MUON, Family.DION, Family.SINKHORN):
        return (("work", 1, _matrix_scratch(tensors, form.family), 1),)
    if form.family is Family.PROJECTED_IN_PLACE:
        return (("work", 1, _in_place_scratch(tensors, form, rank), 1),)
    if form.scratch is Scratch.NONE:
        return ()
    if form.scratch is Scratch.FOREACH:
        return _foreach(tensors, form)
    if form.scratch is Scratch.COMPILED:
        return max((_compiled(tensor, form.scratch_copies) for tensor in tensors), key=total, default=())
    if form.scratch is Scratch.IN_TURN:
        return _in_turn(tensors, form.scratch_copies, form.spared_copies)
    sizes = sorted(
        ((t.elements, FULL if form.scratch is Scratch.EACH_FULL else t.itemsize, t) for t in tensors),
        key=lambda found: -found[0] * found[1],
    )
    if not sizes:
        return ()
    n, each, tensor = sizes[0]
    following = (n, each) if tensor.copies > 1 else next(((size, of) for size, of, _ in sizes[1:]), (0, each))
    copies = form.scratch_copies + (form.half_more if tensor.itemsize == 2 else 0)
    return ("copies", copies, n, each), ("copies", form.before, *following)


def _foreach(tensors: tuple[Trained, ...], form: OptimizerForm) -> tuple[Piece, ...]:
    """Copies of the parameter group that takes the most.

    One list of the types before is there until the loop's name is bound to the next.
    """
    groups: dict[tuple[bool, bool], dict[int, int]] = {}
    for tensor in tensors:
        types = groups.setdefault((tensor.decays, form.named_groups and tensor.named), {})
        each = 1 if form.mixed else tensor.itemsize
        types[each] = types.get(each, 0) + tensor.bytes // each
    found = []
    for types in groups.values():
        lists = [("copies", 1, values, each) for each, values in types.items()]
        _, _, values, each = max(lists, key=lambda one: one[2] * one[3])
        found.append((*lists, ("copies", form.scratch_copies - 1, values, each)))
    return max(found, key=total, default=())


def step_within(tensor: Trained, form: OptimizerForm, *, rank: int = DEFAULT_RANK) -> tuple[int, int]:
    """What the step of one tensor within the backward makes: beside its gradient, and where that has gone.

    LOMO copies the gradient to fp32, lets go of it and copies the weight; AdaLomo makes two more such copies. A
    gradient in fp32 is its own copy. The layerwise ones hold a quotient and a root; of a projected gradient, two that
    are whole again and three that are not, or a copy of the weight and two.
    """
    n, itemsize = tensor.elements, tensor.itemsize
    full = FULL * n
    match form.family:
        case Family.FUSED:
            return (0, 0) if itemsize == FULL else (full, 2 * full)
        case Family.FUSED_FACTORED:
            return (2 * full, 0) if itemsize == FULL else (full, 3 * full)
    low = _low_rank(tensor, rank)[0] if tensor.targeted and len(tensor.shape) > 1 else 0
    if form.family is Family.PROJECTED_IN_PLACE:
        return (itemsize * (n + 2 * low) if low else 0), 0
    return itemsize * (2 * n + 3 * low), 0


def _in_place_scratch(tensors: tuple[Trained, ...], form: OptimizerForm, rank: int) -> int:
    """A copy of the weight beside its gradient, then two that are whole again; gradients before it are low already.

    Source: galore-torch 1.0 ``adamw8bit.py``, q-galore-torch 1.0 ``q_galore_adamw8bit.py``.
    """
    layers = min((tensor.copies for tensor in tensors if tensor.copies > 1), default=1)
    most = saved = 0
    for tensor in tensors:
        if not tensor.targeted or len(tensor.shape) < 2:
            continue
        low, projection = _low_rank(tensor, rank)
        held = projection if form.coded_projection else 0
        most = max(most, tensor.itemsize * (tensor.elements + 2 * low + held) - saved)
        saved += ceil_div(tensor.copies, layers) * tensor.itemsize * (tensor.elements - low)
    return most


def _coded(elements: int) -> bool:
    """Whether torchao keeps a tensor's states in codes."""
    return elements >= SMALL_TENSOR and elements % BLOCK == 0


def _compiled(tensor: Trained, copies: int) -> tuple[Piece, ...]:
    """What torchao's compiled step holds for one tensor."""
    n = tensor.elements
    return (("copies", copies, n, FULL), ("scales", 2, n // BLOCK, FULL)) if _coded(n) else ()


def _in_turn(tensors: tuple[Trained, ...], copies: int, spared: int) -> tuple[Piece, ...]:
    """Copies in fp32 of one tensor, beside the last one of the tensor before it in the same group.

    Tensors are in the model's order, alike ones merged: those of several rows follow their like.
    Source: Transformers 5.16.1 ``optimization.py``, torchdistx ``anyprecision_optimizer.py``, whose loops' variables
    live until they are bound anew.
    """
    last: dict[bool, int] = {}
    most: tuple[Piece, ...] = ()
    for tensor in tensors:
        n = tensor.elements
        own = copies if tensor.itemsize < FULL else copies - spared
        before = max(last.get(tensor.decays, 0), n if tensor.alike > 1 else 0)
        most = max(most, (("copies", own, n, FULL), ("copies", 1, before, FULL)), key=total)
        last[tensor.decays] = n
    return most


def _matrix_scratch(tensors: tuple[Trained, ...], family: Family) -> int:
    """Of the optimizers that make a matrix orthogonal or balanced, and of AdamW for what is none.

    Muon's Newton-Schulz iteration runs in bf16: four copies of the matrix beside two of its smaller square, and the
    update before it lives until it is there; the last one lives through AdamW's steps, which follow. SinkGD writes one
    iterate while it reads the last, and steps as torchao's 8-bit AdamW does through the rest.
    """
    most = 0
    last = next((tensor.elements for tensor in reversed(tensors) if tensor.matrix), 0)
    for tensor in tensors:
        n, itemsize = tensor.elements, tensor.itemsize
        if not (tensor.untold and len(tensor.shape) > 1 if family is Family.SINKHORN else tensor.matrix):
            size = 0 if len(tensor.shape) < 2 else 2 * n * itemsize
            if family is Family.SINKHORN:
                size = total(_compiled(tensor, 2))
            elif family is Family.MUON and size:
                size += 2 * last
        elif family is Family.MUON:
            size = n * itemsize + 2 * (4 * n + 2 * min(tensor.shape) ** 2) + 2 * n
        elif family is Family.DION:
            square = min(tensor.shape) ** 2
            size = n * (itemsize + 2 * FULL) + 5 * n * itemsize // 4 if n > square else n * (itemsize + 2 * FULL)
        else:
            size = 2 * n * itemsize
        most = max(most, size)
    return most
