"""What trains, as the optimizer holds it: gradients, states, and the moment of its own step.

All of it follows from the outline's tensors, a rank and an optimizer, whatever the lengths of a batch.
"""

from dataclasses import dataclass
from functools import lru_cache

from app.core.memory.optimizers import form_of, gradient_bytes, host_bytes, state_bytes, step_temporary_bytes
from app.core.memory.trained import Sizes

KEPT = 4096
"""Some hundred bytes each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stepping:
    """What one optimizer takes: ``gradients`` and ``states`` in bytes, ``on_host`` those of the states that may leave.

    ``used`` and ``scratch`` are the gradients that are there while it steps, and its temporaries.
    """

    parameters: int
    gradients: int
    states: int
    on_host: int
    used: int
    scratch: int


@lru_cache(maxsize=KEPT)
def stepping(trained: Sizes, optimizer: str, *, rank: int, projection_rank: int) -> Stepping:
    """What ``optimizer`` takes of ``trained`` at an adapter's ``rank``; its own projections have theirs."""
    tensors, form = trained.at(rank), form_of(optimizer)
    gradients = gradient_bytes(tensors)
    return Stepping(
        parameters=sum([tensor.elements * tensor.copies for tensor in tensors]),
        gradients=gradients,
        states=state_bytes(tensors, form, rank=projection_rank),
        on_host=host_bytes(tensors, form),
        used=max([each.elements * each.itemsize for each in tensors], default=0) if form.immediate else gradients,
        scratch=step_temporary_bytes(tensors, form),
    )
