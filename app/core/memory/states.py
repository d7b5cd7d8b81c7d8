"""Gradients and optimizer states: what every trained tensor carries between and during steps."""

from collections.abc import Iterable
from dataclasses import dataclass

from app.core.units import ceil_div

SMALL_TENSOR = 4096
"""bitsandbytes keeps 32-bit states for tensors with fewer elements (``min_8bit_size``)."""
ABSMAX_BLOCK = 256
CODE_BYTES = 2 * 256 * 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """One kind of trained tensor: ``copies`` tensors of ``elements``, stored in ``itemsize`` bytes."""

    elements: int
    copies: int
    itemsize: int
    shape: tuple[int, ...] = ()
    embedding: bool = False
    decays: bool = True
    """Norms and biases stand in a parameter group of their own, without weight decay."""

    @property
    def bytes(self) -> int:
        """Of all copies, which is also what their gradients take."""
        return self.elements * self.copies * self.itemsize


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizerForm:
    """How an optimizer stores its states.

    ``states``: how many values per parameter; ``eight_bit``: as bytes with a fp32 absmax per block of 256;
    ``itemsize``: bytes per value, None for the parameter's own dtype; ``paged``: in unified memory, which the
    driver moves to the host under pressure and the caching allocator does not see; ``foreach``: the step's
    temporaries are ``step_copies`` times as large as the parameters.
    """

    states: int
    itemsize: int | None = None
    eight_bit: bool = False
    four_bit: bool = False
    paged: bool = False
    foreach: bool = False
    step_copies: int = 1
    factored: bool = False


FORMS: dict[str, OptimizerForm] = {
    "adamw_torch": OptimizerForm(states=2, foreach=True),
    "adamw_torch_fused": OptimizerForm(states=2),
    "adamw_anyprecision": OptimizerForm(states=2, itemsize=2),
    "adamw_torch_8bit": OptimizerForm(states=2, eight_bit=True),
    "adamw_torch_4bit": OptimizerForm(states=2, four_bit=True),
    "adamw_bnb_8bit": OptimizerForm(states=2, eight_bit=True),
    "adamw_8bit": OptimizerForm(states=2, eight_bit=True),
    "paged_adamw_8bit": OptimizerForm(states=2, eight_bit=True, paged=True),
    "paged_adamw_32bit": OptimizerForm(states=2, itemsize=4, paged=True),
    "ademamix": OptimizerForm(states=3, itemsize=4),
    "ademamix_8bit": OptimizerForm(states=3, eight_bit=True),
    "paged_ademamix_32bit": OptimizerForm(states=3, itemsize=4, paged=True),
    "paged_ademamix_8bit": OptimizerForm(states=3, eight_bit=True, paged=True),
    "lion_32bit": OptimizerForm(states=1, itemsize=4),
    "lion_8bit": OptimizerForm(states=1, eight_bit=True),
    "paged_lion_32bit": OptimizerForm(states=1, itemsize=4, paged=True),
    "paged_lion_8bit": OptimizerForm(states=1, eight_bit=True, paged=True),
    "adafactor": OptimizerForm(states=0, itemsize=4, factored=True),
    "sgd": OptimizerForm(states=0),
    "adagrad": OptimizerForm(states=1, foreach=True, step_copies=2),
    "rmsprop": OptimizerForm(states=1, foreach=True),
    "rmsprop_bnb": OptimizerForm(states=1, itemsize=4),
    "rmsprop_bnb_32bit": OptimizerForm(states=1, itemsize=4),
    "rmsprop_bnb_8bit": OptimizerForm(states=1, eight_bit=True),
}
MODELLED_OPTIMIZERS = tuple(FORMS)
DEFAULT_FORM = OptimizerForm(states=2, itemsize=4, foreach=True)
"""What a name without a form of its own is counted as, with a finding that says so: two fp32 values."""


def form_of(optimizer: str) -> OptimizerForm:
    """The form of an optimizer name that Axolotl takes."""
    return FORMS.get(optimizer, DEFAULT_FORM)


def gradient_bytes(trained: Iterable[Trained]) -> int:
    """Gradients have their parameters' dtype: bf16 in full fine-tuning, fp32 for LoRA."""
    return sum(tensor.bytes for tensor in trained)


def state_bytes(trained: Iterable[Trained], form: OptimizerForm) -> int:
    """Optimizer states of all trained tensors.

    Sources: torch.optim 2.13; bitsandbytes 0.50 ``optim/optimizer.py`` (``init_state``), where the Trainer
    registers embeddings for 32-bit states; Adafactor, arXiv:1804.04235.
    """
    total = 0
    for tensor in trained:
        if form.factored:
            each = 4 * (sum(tensor.shape) if len(tensor.shape) > 1 else tensor.elements)
        elif form.eight_bit and not tensor.embedding and tensor.elements >= SMALL_TENSOR:
            each = form.states * (tensor.elements + 4 * ceil_div(tensor.elements, ABSMAX_BLOCK))
        elif form.four_bit and not tensor.embedding and tensor.elements >= SMALL_TENSOR:
            each = form.states * (ceil_div(tensor.elements, 2) + 4 * ceil_div(tensor.elements, 128))
        elif form.eight_bit or form.four_bit:
            each = form.states * tensor.elements * 4
        else:
            each = form.states * tensor.elements * (form.itemsize or tensor.itemsize)
        total += tensor.copies * each
    return total


PAGED_FROM = 100_000
"""Elements from which on bitsandbytes pages a state."""


def host_bytes(trained: Iterable[Trained], form: OptimizerForm) -> int:
    """States that may leave the GPU."""
    if not form.paged:
        return 0
    return state_bytes((tensor for tensor in trained if tensor.elements >= PAGED_FROM), form)


def step_temporary_bytes(trained: Iterable[Trained], form: OptimizerForm) -> int:
    """Temporaries of the optimizer's step.

    Foreach forms hold a copy of every parameter's update; Adafactor four fp32 values for one tensor at a time.
    """
    if form.foreach:
        groups: dict[tuple[bool, int], int] = {}
        for tensor in trained:
            key = tensor.decays, tensor.itemsize
            groups[key] = groups.get(key, 0) + tensor.bytes
        return form.step_copies * max(groups.values(), default=0)
    return max((tensor.elements * 16 for tensor in trained if form.factored), default=0)
