"""Optimizers by Axolotl's names: what each keeps of a parameter between steps, where, and what its step makes.

Every name that Axolotl takes has a form, those too that it cannot build.

Sources: torch.optim 2.13; bitsandbytes 0.50.2 ``optim/optimizer.py``; torchao 0.17.0 ``optim/adam.py``; torch-optimi
0.2.1; schedulefree 1.4.1; came_pytorch 0.1.3; galore-torch 1.0; apollo-torch 1.0.3; lomo-optim 0.1.1; q-galore-torch
1.0; torchdistx 0.3.0.dev0; polora as ``pairs`` read it; flashoptim 0.1.4; grokadamw 0.1.2; axolotl-contribs-mit 0.0.6
(Muon, Dion); Axolotl 0.19.0 ``utils/optimizers``; Transformers 5.16.1 ``trainer_optimizer.py`` for the arguments that
they are built with.
"""

from dataclasses import dataclass
from enum import StrEnum

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
    PROJECTED_IN_PLACE = "projected_in_place"
    """GaLore in 8 bits: the projected gradient takes the place of the gradient, and the weight waits in a copy."""
    MUON = "muon"
    """Momentum for matrices, AdamW for embeddings and head, nothing for the rest."""
    DION = "dion"
    """Momentum and a square factor for matrices, AdamW for the rest."""
    SINKHORN = "sinkhorn"
    """Nothing for matrices, AdamW in 8 bits for the rest."""
    FUSED = "fused"
    """LOMO: each gradient is used and dropped in the backward."""
    FUSED_FACTORED = "fused_factored"
    PAIRED = "paired"
    """PoLoRA: two factors at a time, all pairs of one shape together (``pairs``)."""


class Scratch(StrEnum):
    """What the step holds beside states and gradients."""

    NONE = "none"
    FOREACH = "foreach"
    """Copies of a parameter group at a time."""
    EACH = "each"
    """Copies of one tensor at a time, in its own type."""
    EACH_FULL = "each_full"
    """Copies of one tensor at a time, in fp32."""
    IN_TURN = "in_turn"
    """Copies of one tensor in fp32, beside one of the tensor before it."""
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
    deferred: bool = False
    """Immediate, but each gradient waits for the next one."""
    narrow: bool = False
    """Does not know that embeddings should have 32 bits."""
    coded_projection: bool = False
    """A byte for each value of the projection."""
    scratch: Scratch = Scratch.NONE
    scratch_copies: int = 1
    spared_copies: int = 0
    """Those that a tensor in fp32 needs not."""
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


def _in_place(*, immediate: bool = False, coded: bool = False) -> OptimizerForm:
    return OptimizerForm(
        states=2,
        storage=Storage.BNB_8BIT,
        family=Family.PROJECTED_IN_PLACE,
        immediate=immediate,
        narrow=True,
        coded_projection=coded,
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
    "adafactor": OptimizerForm(family=Family.FACTORED, scratch=Scratch.IN_TURN, scratch_copies=4, spared_copies=2),
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
    "galore_adamw_8bit": _in_place(),
    "galore_adamw_8bit_layerwise": _in_place(immediate=True),
    "q_galore_adamw8bit": _in_place(coded=True),
    "galore_adafactor_layerwise": OptimizerForm(
        family=Family.PROJECTED_FACTORED, scratch=Scratch.EACH_FULL, scratch_copies=4
    ),
    "galore_adafactor": OptimizerForm(family=Family.PROJECTED_FACTORED, scratch=Scratch.EACH_FULL, scratch_copies=4),
    "apollo_adamw": _projected(2),
    "apollo_adamw_layerwise": _projected(2, immediate=True),
    "lomo": OptimizerForm(family=Family.FUSED, immediate=True, deferred=True),
    "adalomo": OptimizerForm(family=Family.FUSED_FACTORED, immediate=True, deferred=True),
    "polora": OptimizerForm(family=Family.PAIRED),
    "adamw_anyprecision": OptimizerForm(states=2, storage=Storage.FULL, scratch=Scratch.IN_TURN, scratch_copies=2),
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
FUSED_FROM_FULL = frozenset(("flash_adamw", "flash_adam", "flash_lion", "flash_sgd", "flash_sgdw"))
"""flashoptim's classes refuse to be built where every parameter is in fp32, as adapters are."""


def form_of(optimizer: str) -> OptimizerForm:
    """The form of an optimizer name that Axolotl takes."""
    return FORMS[optimizer]
