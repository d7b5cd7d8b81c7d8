"""LISA: of the layers a few train at a time, and which ones changes every so many steps.

The optimizer is built when all of them train, and a state once made is never let go of, so that after some turns those
of all layers are there; gradients, and what is saved for a weight's, are those of the layers whose turn it is. The
highest moment is where these are the last layers: their gradients come first and stay through the backward of all
below. Sources: Axolotl 0.19.0 ``utils/callbacks/lisa.py``, ``core/builders/causal.py``; arXiv:2403.17919.
"""

from dataclasses import replace

from app.core.adapted import own
from app.core.adapter import AdaptedModule, Adapter
from app.core.architecture import Architecture, Part
from app.core.kept import kept
from app.core.memory.trained import Sizes, merged, trained_tensors
from app.core.run import Run


def awake(architecture: Architecture, run: Run, adapter: Adapter) -> Adapter:
    """What trains in a step whose layers are the last ones."""
    if not run.lisa_layers:
        return adapter
    return kept(architecture, ("awake", run.lisa_layers), lambda: _part(architecture, run, adapter, awake=True))


def resting(architecture: Architecture, run: Run, adapter: Adapter) -> Sizes | None:
    """The tensors whose states wait for their next turn; None where all train all the time."""
    if not run.lisa_layers:
        return None
    key = ("resting", run.switches)
    return kept(architecture, key, lambda: _resting(architecture, run, adapter))


def _resting(architecture: Architecture, run: Run, adapter: Adapter) -> Sizes:
    part = _part(architecture, run, adapter, awake=False)
    return Sizes(merged(trained_tensors(architecture, run, part)))


def _part(architecture: Architecture, run: Run, adapter: Adapter, *, awake: bool) -> Adapter:
    first = max(0, architecture.num_layers - run.lisa_layers)
    rows: list[AdaptedModule] = []
    for row in adapter.modules:
        if row.module.part is not Part.TEXT or not row.layers:
            rows += [row] if awake else []
            continue
        layers = tuple(layer for layer in row.layers if (layer >= first) is awake)
        rows += [own(row.module, layers)] if layers else []
    return replace(adapter, modules=tuple(rows))
