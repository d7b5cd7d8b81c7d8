"""Optimizers by Axolotl's names: what each keeps of a parameter between steps, where, and what its step makes.

Sources: torch.optim 2.13; bitsandbytes 0.50.2 ``optim/optimizer.py``; torchao 0.17.0 ``optim/adam.py``; torch-optimi
0.2.1; schedulefree 1.4.1; came_pytorch 0.1.3; galore-torch 1.0; apollo-torch 1.0.3; lomo-optim 0.1.1; flashoptim 0.1.4;
grokadamw 0.1.2; axolotl-contribs-mit 0.0.6 (Muon, Dion); Axolotl 0.19.0 ``utils/optimizers``; Transformers 5.16.1
``trainer_optimizer.py`` for the arguments that they are built with.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from app.core.units import ceil_div

SMALL_TENSOR = 4096
"""bitsandbytes and torchao keep full states for tensors with fewer elements (``min_8bit_size``)."""
BLOCK = 256
"""Values that share a scale: bitsandbytes' own, and what Transformers passes to torchao for 4 bits too."""
FLASH_GROUP = 32
DEFAULT_RANK = 128
"""Of GaLore's and APOLLO's projections, unless ``optim_args`` says otherwise."""
FULL = 4


class Storage(StrEnum):
    """In what an optimizer keeps its states."""

    OWN = "own"
    """The parameter's own type."""
    FULL = "full"
    """fp32."""
    BNB_8BIT = "bnb_8bit"
    """A byte and an fp32 scale per 256; fp32 for small tensors and embeddings."""
    TORCHAO_8BIT = "torchao_8bit"
    """Likewise, but for tensors that 256 does not divide in their own type, and embeddings like all."""
    TORCHAO_4BIT = "torchao_4bit"
    FLASH_8BIT = "flash_8bit"
    """A byte and an fp16 scale per 32."""


class Family(StrEnum):
    """Which tensors an optimizer treats in which way."""

    ALIKE = "alike"
    FACTORED = "factored"
    """Rows and columns of the second moment (Adafactor)."""
    CONFIDENCE = "confidence"
    """CAME: a first moment, and rows and columns of two more."""
    PROJECTED = "projected"
    """GaLore and APOLLO: two states of a gradient of low rank and its projection, for the targets."""
    PROJECTED_FACTORED = "projected_factored"
    """GaLore's Adafactor: fp32 rows and columns of the projected gradient, and the projection."""
    MUON = "muon"
    """Momentum for matrices, AdamW for embeddings and head, nothing for the rest."""
    DION = "dion"
    """Momentum and a square factor for matrices, AdamW for the rest."""
    SINKHORN = "sinkhorn"
    """Nothing for matrices, AdamW in 8 bits for the rest."""
    FUSED = "fused"
    """LOMO: each gradient is used and dropped in the backward."""
    FUSED_FACTORED = "fused_factored"


class Scratch(StrEnum):
    """What the step holds beside states and gradients."""

    NONE = "none"
    FOREACH = "foreach"
    """Copies of a parameter group at a time."""
    EACH = "each"
    """Copies of one tensor at a time, in its own type."""
    EACH_FULL = "each_full"
    """Copies of one tensor at a time, in fp32."""
    COMPILED = "compiled"
    """Likewise, of what torchao keeps in codes, and two scales a block."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """One kind of trained tensor: ``copies`` tensors of ``elements``, stored in ``itemsize`` bytes.

    ``named`` is what Axolotl sets apart by name (``embed_tokens``, ``lm_head``, and what ``lora_modules_to_save``
    trains a copy of); ``targeted`` by ``optim_target_modules``.
    """

    elements: int
    copies: int
    itemsize: int
    shape: tuple[int, ...] = ()
    embedding: bool = False
    wide: bool = False
    """An embedding whose states bitsandbytes keeps in 32 bits, as the Trainer asks."""
    named: bool = False
    untold: bool = True
    """Whether SinkGD balances it where it is a matrix: its own list of names is longer."""
    decays: bool = True
    """Norms and biases stand in a parameter group of their own, without weight decay."""
    targeted: bool = False
    alike: int = 1
    """How many of the model's rows these copies come from: gate and up are two of a layer."""

    @property
    def bytes(self) -> int:
        """Of all copies, which is also what their gradients take."""
        return self.elements * self.copies * self.itemsize

    @property
    def matrix(self) -> bool:
        """Two dimensions and not set apart by name: what Muon and its like treat as one."""
        return len(self.shape) > 1 and not self.named


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizerForm:
    """How an optimizer stores its states and what its step holds.

    ``states``: values per parameter; ``paged``: in unified memory, which the driver moves to the host under pressure
    and the caching allocator does not see; ``on_host``: on the host between steps; ``compensated``: one more value of
    16-bit parameters for Kahan's sum, ``corrected``: one byte of their error; ``immediate``: gradients are used as
    they are made and never add up; ``named_groups``: Axolotl's own three parameter groups; ``mixed``: groups are
    worked on whole, whatever types are in them.
    """

    states: int = 0
    storage: Storage = Storage.OWN
    family: Family = Family.ALIKE
    paged: bool = False
    on_host: bool = False
    compensated: bool = False
    corrected: bool = False
    immediate: bool = False
    named_groups: bool = False
    mixed: bool = False
    scratch: Scratch = Scratch.NONE
    scratch_copies: int = 1
    half_more: int = 0
    """More copies where the parameter is in 16 bits."""
    before: int = 0
    """Copies of the tensor before, whose names the loop has not taken over yet."""

    def value_bytes(self, own: int) -> int:
        """Bytes of one state's value, of parameters of ``own`` bytes, scales apart."""
        if self.eight_bit or self.four_bit:
            return 1
        return FULL if self.storage is Storage.FULL else own

    @property
    def eight_bit(self) -> bool:
        """Whether states take a byte."""
        return self.storage in (Storage.BNB_8BIT, Storage.TORCHAO_8BIT, Storage.FLASH_8BIT)

    @property
    def four_bit(self) -> bool:
        """Whether states take half a byte."""
        return self.storage is Storage.TORCHAO_4BIT


def _bnb(states: int, *, bits: int = 8, paged: bool = False) -> OptimizerForm:
    return OptimizerForm(states=states, storage=Storage.BNB_8BIT if bits == 8 else Storage.FULL, paged=paged)


def _torchao(storage: Storage, copies: int, *, named_groups: bool = False) -> OptimizerForm:
    """``single_param_adam`` of torchao: what the code holds that inductor makes of it, in copies of 4 bytes a value.

    Looking codes up one by one needs each state in fp32 first, as a run on an H100 showed for 8 bits; 4 bits are packed
    from codes of int64, one state after the other; fp8's codes are a cast. The last two are read in inductor's code for
    a CPU, which for 8 bits makes what the card did.
    """
    return OptimizerForm(
        states=2, storage=storage, named_groups=named_groups, scratch=Scratch.COMPILED, scratch_copies=copies
    )


def _projected(scratch_copies: int, *, immediate: bool = False) -> OptimizerForm:
    return OptimizerForm(
        states=2, family=Family.PROJECTED, scratch=Scratch.EACH, scratch_copies=scratch_copies, immediate=immediate
    )


def _flash(states: int) -> OptimizerForm:
    return OptimizerForm(
        states=states,
        storage=Storage.FLASH_8BIT,
        corrected=True,
        scratch=Scratch.NONE if states else Scratch.EACH_FULL,
        scratch_copies=2,
        half_more=1,
    )


FORMS: dict[str, OptimizerForm] = {
    "adamw_torch": OptimizerForm(states=2, scratch=Scratch.FOREACH),
    "adamw_torch_fused": OptimizerForm(states=2),
    "adamw_torch_8bit": _torchao(Storage.TORCHAO_8BIT, 2),
    "adamw_torch_4bit": _torchao(Storage.TORCHAO_4BIT, 4),
    "ao_adamw_fp8": _torchao(Storage.TORCHAO_8BIT, 0, named_groups=True),
    "adamw_bnb_8bit": _bnb(2),
    "adamw_8bit": _bnb(2),
    "paged_adamw_8bit": _bnb(2, paged=True),
    "paged_adamw_32bit": _bnb(2, bits=32, paged=True),
    "ademamix": _bnb(3, bits=32),
    "ademamix_8bit": _bnb(3),
    "paged_ademamix_32bit": _bnb(3, bits=32, paged=True),
    "paged_ademamix_8bit": _bnb(3, paged=True),
    "lion_32bit": _bnb(1, bits=32),
    "lion_8bit": _bnb(1),
    "paged_lion_32bit": _bnb(1, bits=32, paged=True),
    "paged_lion_8bit": _bnb(1, paged=True),
    "rmsprop_bnb": _bnb(1, bits=32),
    "rmsprop_bnb_32bit": _bnb(1, bits=32),
    "rmsprop_bnb_8bit": _bnb(1),
    "adafactor": OptimizerForm(family=Family.FACTORED, scratch=Scratch.EACH_FULL, scratch_copies=4),
    "sgd": OptimizerForm(),
    "adagrad": OptimizerForm(states=1, scratch=Scratch.FOREACH, scratch_copies=2),
    "rmsprop": OptimizerForm(states=1, scratch=Scratch.FOREACH),
    "optimi_adamw": OptimizerForm(states=2, compensated=True, named_groups=True, scratch=Scratch.EACH),
    "stable_adamw": OptimizerForm(states=2, compensated=True, scratch=Scratch.FOREACH),
    "schedule_free_adamw": OptimizerForm(states=2, scratch=Scratch.FOREACH, mixed=True),
    "schedule_free_radam": OptimizerForm(states=2, scratch=Scratch.FOREACH, mixed=True),
    "schedule_free_sgd": OptimizerForm(states=1),
    "came_pytorch": OptimizerForm(
        family=Family.CONFIDENCE,
        named_groups=True,
        scratch=Scratch.EACH_FULL,
        scratch_copies=3,
        half_more=1,
        before=2,
    ),
    "adopt_adamw": OptimizerForm(states=2, named_groups=True, scratch=Scratch.FOREACH, scratch_copies=2),
    "adamc": OptimizerForm(states=2, named_groups=True, scratch=Scratch.FOREACH),
    "galore_adamw": _projected(2),
    "galore_adamw_layerwise": _projected(2, immediate=True),
    "galore_adafactor": OptimizerForm(family=Family.PROJECTED_FACTORED, scratch=Scratch.EACH_FULL, scratch_copies=4),
    "apollo_adamw": _projected(2),
    "apollo_adamw_layerwise": _projected(2, immediate=True),
    "lomo": OptimizerForm(family=Family.FUSED, immediate=True, scratch=Scratch.EACH_FULL, scratch_copies=2),
    "adalomo": OptimizerForm(family=Family.FUSED_FACTORED, immediate=True, scratch=Scratch.EACH_FULL, scratch_copies=3),
    "grokadamw": OptimizerForm(states=3, on_host=True, scratch=Scratch.EACH, scratch_copies=5),
    "muon": OptimizerForm(states=1, family=Family.MUON),
    "dion": OptimizerForm(states=1, family=Family.DION),
    "sinkgd": OptimizerForm(states=2, storage=Storage.TORCHAO_8BIT, family=Family.SINKHORN),
    "flash_adamw": _flash(2),
    "flash_adam": _flash(2),
    "flash_lion": _flash(1),
    "flash_sgd": _flash(0),
    "flash_sgdw": _flash(0),
}
MODELLED_OPTIMIZERS = tuple(FORMS)
DEFAULT_FORM = OptimizerForm(states=2, storage=Storage.FULL, scratch=Scratch.FOREACH)
"""What a name without a form of its own is counted as, with a finding that says so: two fp32 values."""
FUSED_FROM_FULL = frozenset(("flash_adamw", "flash_adam", "flash_lion", "flash_sgd", "flash_sgdw"))
"""flashoptim's classes refuse to be built where every parameter is in fp32, as adapters are."""


def form_of(optimizer: str) -> OptimizerForm:
    """The form of an optimizer name that Axolotl takes."""
    return FORMS.get(optimizer, DEFAULT_FORM)


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
    return form.states * _stored(tensor, form.storage) + more


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


def step_temporary_bytes(trained: Iterable[Trained], form: OptimizerForm) -> int:
    """What the step holds at its most, beside states and gradients.

    Forms that work on a group at once hold copies of it; the others copies of one tensor, and some of the one before.
    """
    tensors = tuple(trained)
    if form.family in (Family.MUON, Family.DION, Family.SINKHORN):
        return _matrix_scratch(tensors, form.family)
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
    if form.family is Family.FACTORED:
        return _in_turn(tensors, form.scratch_copies)
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


def _coded(elements: int) -> bool:
    """Whether torchao keeps a tensor's states in codes."""
    return elements >= SMALL_TENSOR and elements % BLOCK == 0


def _compiled(tensor: Trained, copies: int) -> int:
    """What torchao's compiled step holds for one tensor."""
    n = tensor.elements
    return FULL * (copies * n + 2 * n // BLOCK) if _coded(n) else 0


def _in_turn(tensors: tuple[Trained, ...], copies: int) -> int:
    """Adafactor's copies in fp32 of one tensor, beside its last update of the one before it in the same group.

    Tensors are in the model's order, alike ones merged: those of several rows follow their like.
    Source: Transformers 5.16.1 ``optimization.py``, whose loop's variables live until they are bound anew.
    """
    last: dict[bool, int] = {}
    most = 0
    for tensor in tensors:
        size = tensor.elements * FULL
        own = copies if tensor.itemsize < FULL else copies - 2  # gradient and weight are in fp32 already
        before = max(last.get(tensor.decays, 0), size if tensor.alike > 1 else 0)
        most = max(most, own * size + before)
        last[tensor.decays] = size
    return most


def _matrix_scratch(tensors: tuple[Trained, ...], family: Family) -> int:
    """Of the optimizers that make a matrix orthogonal or balanced, and of AdamW for what is none.

    Muon's Newton-Schulz iteration runs in bf16: four copies of the matrix beside two of its smaller square, and the
    update before it lives until it is there; the last one lives through AdamW's steps, which follow. SinkGD writes one iterate while it reads the last, and steps as torchao's 8-bit AdamW does through the rest.
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
