"""Which layers are checkpointed, and how: every one, or every n-th, those of towers counted with them.

Sources: Transformers 5.16.1 ``modeling_utils.py``, ``_set_gradient_checkpointing``, which goes through all modules of a
model in their order; ``trainer.py`` takes ``every_n_layers`` out of ``gradient_checkpointing_kwargs``. Axolotl 0.19.0
``utils/config``, ``normalize_config``, for what Gemma 4 is not asked.
"""

from dataclasses import replace

from app.core.architecture import Architecture, Part
from app.core.run import Checkpointing, Run

TOWERS = (Part.VISION, Part.AUDIO)
NEVER_REENTRANT = ("gemma4", "gemma4_unified")
"""Model types whose checkpoints Axolotl never makes reentrant."""


def as_checkpointed(architecture: Architecture, run: Run) -> Run:
    """The run as Axolotl trains this model: Gemma 4's checkpoints are not reentrant, whatever is set."""
    if architecture.model_type not in NEVER_REENTRANT or not run.reentrant:
        return run
    kept = run.checkpointing is Checkpointing.REENTRANT
    return replace(run, reentrant=False, checkpointing=Checkpointing.NON_REENTRANT if kept else run.checkpointing)


def checkpointed_layers(architecture: Architecture, run: Run) -> tuple[bool, ...]:
    """Whether each layer of the language model that text goes through is made again in the backward."""
    places = [place for place in range(architecture.num_layers) if place not in architecture.passed_by]
    if run.checkpointing is Checkpointing.OFF:
        return (False,) * len(places)
    before = tower_layers(architecture)
    return tuple((before + place) % run.checkpoint_every == 0 for place in places)


def tower_layers(architecture: Architecture) -> int:
    """Layers of the towers, which stand before the language model."""
    found: dict[str, int] = {}
    for module in architecture.modules:
        if module.part in TOWERS and module.layers is not None:
            stack = module.path.partition("{}")[0]
            found[stack] = max(found.get(stack, 0), module.layers[-1] + 1)
    return sum(found.values())
