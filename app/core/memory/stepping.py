"""What trains, as the optimizer holds it: gradients, states, and the moment of its own step.

All of it follows from the outline's tensors, a rank and an optimizer, whatever the lengths of a batch.
"""

from dataclasses import dataclass
from functools import lru_cache

from app.core.memory.optimizer_forms import Family, OptimizerForm, Trained, form_of
from app.core.memory.optimizers import (
    gradient_bytes,
    host_bytes,
    state_bytes,
    step_temporary_bytes,
    step_within,
)
from app.core.memory.pairs import step_bytes
from app.core.memory.trained import Sizes

KEPT = 4096
"""Some hundred bytes each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stepping:
    """What one optimizer takes: ``gradients`` and ``states`` in bytes, ``on_host`` those of the states that may leave.

    ``used`` and ``scratch`` are the gradients that are there while it steps, and its temporaries; ``within`` whether it
    steps within the backward.
    """

    parameters: int
    gradients: int
    states: int
    on_host: int
    used: int
    scratch: int
    within: bool = False


@lru_cache(maxsize=KEPT)
def stepping(trained: Sizes, optimizer: str, *, rank: int, projection_rank: int) -> Stepping:
    """What ``optimizer`` takes of ``trained`` at an adapter's ``rank``; its own projections have theirs."""
    tensors, form = trained.at(rank), form_of(optimizer)
    gradients = gradient_bytes(tensors)
    used, scratch = gradients, 0
    states = state_bytes(tensors, form, rank=projection_rank)
    if form.immediate:
        used, scratch = _last(tensors, form, projection_rank)
    elif form.family is Family.PAIRED:
        pairs = trained.pairs_at(rank)
        states, scratch = sum(group.states for group in pairs), step_bytes(pairs)
    else:
        scratch = step_temporary_bytes(tensors, form, rank=projection_rank)
    return Stepping(
        parameters=sum([tensor.elements * tensor.copies for tensor in tensors]),
        gradients=gradients,
        states=states,
        on_host=host_bytes(tensors, form),
        used=used,
        scratch=scratch,
        within=form.immediate,
    )


def _last(tensors: tuple[Trained, ...], form: OptimizerForm, rank: int) -> tuple[int, int]:
    """The largest gradient and its step, as where it comes last: what it finds within the backward is counted there."""
    found = [(0, 0)]
    for tensor in tensors:
        size = tensor.elements * tensor.itemsize
        beside, after = step_within(tensor, form, rank=rank)
        found.append((size, max(beside, after - size)))
    return max(found, key=sum)
