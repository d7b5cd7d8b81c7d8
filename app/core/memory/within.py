"""Steps within the backward: what LOMO and the layerwise optimizers make as each gradient comes.

No gradient waits for the end. LOMO's hook on a parameter uses the gradient that came before it, the layerwise ones'
their own. Sources: lomo-optim 0.1.1 ``lomo.py`` and ``adalomo.py``; Transformers 5.16.1
``trainer_optimizer._setup_low_rank_optimizer``.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from app.core.memory.optimizer_forms import Trained, form_of
from app.core.memory.optimizers import step_within


@dataclass(frozen=True, slots=True, kw_only=True)
class Within:
    """``steps``: packed elements and itemsize of each kind of tensor, and what its step makes of each of both kinds.

    ``deferred`` where a gradient waits until the next has come; ``shared`` are the elements of a weight that is the
    embedding's too, whose gradient waits for that.
    """

    deferred: bool
    steps: tuple[tuple[tuple[int, int], tuple[int, int]], ...]
    shared: int = 0

    def of(self, elements: int, itemsize: int) -> tuple[int, int]:
        """What the step of a tensor makes, beside its gradient and after it."""
        return next((step for kind, step in self.steps if kind == (elements, itemsize)), (0, 0))


def within(optimizer: str, trained: Iterable[Trained], rank: int) -> Within | None:
    """How an optimizer steps within the backward, None where it waits for its end."""
    form = form_of(optimizer)
    if not form.immediate:
        return None
    steps: dict[tuple[int, int], tuple[int, int]] = {}
    for tensor in trained:
        kind, step = (tensor.elements, tensor.itemsize), step_within(tensor, form, rank=rank)
        steps[kind] = max(steps.get(kind, step), step)
    return Within(deferred=form.deferred, steps=tuple(sorted(steps.items())))
