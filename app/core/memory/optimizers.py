"""What an optimizer holds of the tensors that train: states on the card or beside it, and the most of its step.

Each name's form, with its source, is in ``optimizer_forms``.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import assert_never

from app.core.memory.optimizer_forms import FULL, Family, OptimizerForm, Scratch, Storage, Trained
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


def _stored(tensor: Trained, storage: Storage) -> int:
    """One state of one tensor."""
    n = tensor.elements
    match storage:
        case Storage.OWN:
            return n * tensor.itemsize
        case Storage.FULL:
            return n * FULL
        case Storage.FLASH_8BIT:
            return n + 2 * ceil_div(n, FLASH_GROUP)
        case Storage.BNB_8BIT:
            plain = tensor.wide or n < SMALL_TENSOR
            return FULL * n if plain else n + FULL * ceil_div(n, BLOCK)
        case Storage.TORCHAO_8BIT | Storage.TORCHAO_4BIT:
            if not _coded(n):
                return n * tensor.itemsize
            return (n if storage is Storage.TORCHAO_8BIT else ceil_div(n, 2)) + FULL * n // BLOCK
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


def _of_one(tensor: Trained, form: OptimizerForm, rank: int) -> int:
    """All states of one tensor."""
    n, shape = tensor.elements, tensor.shape
    flat = len(shape) < 2
    match form.family:
        case Family.FACTORED | Family.FUSED_FACTORED:
            return FULL * (n if flat else n // shape[-1] + n // shape[-2])
        case Family.PROJECTED_FACTORED:
            if flat or not tensor.targeted:
                return FULL * (n if flat else sum(shape))
            short, long = min(shape), max(shape)
            kept = min(rank, short)
            return FULL * (kept * short + kept + long)
        case Family.CONFIDENCE:
            return FULL * (2 * n if flat else n + 2 * sum(shape))
        case Family.FUSED:
            return 0
        case Family.PROJECTED_IN_PLACE if tensor.targeted and not flat:
            low, projection = _low_rank(tensor, rank)
            states = form.states * _stored(replace(tensor, elements=low, wide=False), form.storage)
            if not form.coded_projection:
                return states + projection * tensor.itemsize
            groups = ceil_div(projection, PROJECTION_GROUP)
            return states + projection + tensor.itemsize * (2 * groups + min(shape))
        case Family.PROJECTED if tensor.targeted and not flat:
            short, long = min(shape), max(shape)
            kept = min(rank, short)
            return tensor.itemsize * kept * (form.states * long + short)
        case Family.MUON if not tensor.matrix:
            return 0 if flat else 2 * n * tensor.itemsize
        case Family.DION:
            square = min(shape) ** 2 if tensor.matrix else n
            return (n + square) * tensor.itemsize
        case Family.SINKHORN if len(shape) > 1 and tensor.untold:
            return 0
    more = n * tensor.itemsize if form.compensated and tensor.itemsize == 2 else 0
    more += n if form.corrected and tensor.itemsize == 2 else 0
    stored = replace(tensor, wide=False) if form.narrow else tensor
    return form.states * _stored(stored, form.storage) + more


def state_bytes(trained: Iterable[Trained], form: OptimizerForm, *, rank: int = DEFAULT_RANK) -> int:
    """Optimizer states of all trained tensors, on the device or not."""
    return sum(tensor.copies * _of_one(tensor, form, rank) for tensor in trained)


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
    """What the step holds at its most, beside states and gradients.

    Forms that work on a group at once hold copies of it; the others copies of one tensor, and some of the one before.
    """
    tensors = tuple(trained)
    if form.family in (Family.MUON, Family.DION, Family.SINKHORN):
        return _matrix_scratch(tensors, form.family)
    if form.family is Family.PROJECTED_IN_PLACE:
        return _in_place_scratch(tensors, form, rank)
    if form.scratch is Scratch.NONE:
        return 0
    if form.scratch is Scratch.FOREACH:
        groups: dict[tuple[bool, bool, int], int] = {}
        for tensor in tensors:
            apart = form.named_groups and tensor.named
            key = tensor.decays, apart, 0 if form.mixed else tensor.itemsize
            groups[key] = groups.get(key, 0) + tensor.bytes
        return form.scratch_copies * max(groups.values(), default=0)
    if form.scratch is Scratch.COMPILED:
        return max((_compiled(tensor, form.scratch_copies) for tensor in tensors), default=0)
    if form.scratch is Scratch.IN_TURN:
        return _in_turn(tensors, form.scratch_copies, form.spared_copies)
    sizes = sorted(
        ((t.elements * (FULL if form.scratch is Scratch.EACH_FULL else t.itemsize), t) for t in tensors),
        key=lambda pair: -pair[0],
    )
    if not sizes:
        return 0
    largest, tensor = sizes[0]
    following = largest if tensor.copies > 1 else next((size for size, _ in sizes[1:]), 0)
    copies = form.scratch_copies + (form.half_more if tensor.itemsize == 2 else 0)
    return copies * largest + form.before * following


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


def _compiled(tensor: Trained, copies: int) -> int:
    """What torchao's compiled step holds for one tensor."""
    n = tensor.elements
    return FULL * (copies * n + 2 * n // BLOCK) if _coded(n) else 0


def _in_turn(tensors: tuple[Trained, ...], copies: int, spared: int) -> int:
    """Copies in fp32 of one tensor, beside the last one of the tensor before it in the same group.

    Tensors are in the model's order, alike ones merged: those that come more often than once a layer follow their like.
    Source: Transformers 5.16.1 ``optimization.py``, torchdistx ``anyprecision_optimizer.py``, whose loops' variables
    live until they are bound anew.
    """
    layers = min((tensor.copies for tensor in tensors if tensor.copies > 1), default=1)
    last: dict[bool, int] = {}
    most = 0
    for tensor in tensors:
        size = tensor.elements * FULL
        own = copies if tensor.itemsize < FULL else copies - spared
        before = max(last.get(tensor.decays, 0), size if tensor.copies > layers else 0)
        most = max(most, own * size + before)
        last[tensor.decays] = size
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
                size = _compiled(tensor, 2)
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
