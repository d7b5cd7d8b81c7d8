"""Gemma 4's small embeddings: one more table, whose rows every layer takes a part of, beside the projected embedding.

The model makes them once for all its layers and holds them; each layer's share of their gradient is gathered until the
first layer has run backwards. Source: Transformers 5.16.1, ``Gemma4TextModel.project_per_layer_inputs``.
"""

from dataclasses import dataclass

from app.core.adapter import Adapter
from app.core.architecture import Architecture, Kind, Module
from app.core.memory.linears import linear
from app.core.memory.norms import NormSpec, normalise
from app.core.memory.operations import add, scale
from app.core.memory.profile import moments_from
from app.core.memory.rows import linear_spec, norm_form
from app.core.memory.tape import TEMPORARIES, TOKEN, Leaf, Moment, Tape, Tensor
from app.core.memory.weights import Storing, stored
from app.core.run import Run

PROJECTION, NORM, TABLE = "per_layer_model_projection", "per_layer_projection_norm", "embed_tokens_per_layer"


@dataclass(frozen=True, slots=True, kw_only=True)
class SmallInputs:
    """Packed bytes: ``given`` to the layers, ``held`` in all, and the ``gradient`` that waits for the first layer's.

    ``moments`` are those of its own backward, with what is held; ``trained`` the bytes of gradients made there.
    """

    given: int
    held: int
    gradient: int
    moments: tuple[Moment, ...]
    trained: int


def small_inputs(
    architecture: Architecture, run: Run, adapter: Adapter, *, itemsize: int, needs_input: bool
) -> SmallInputs | None:
    """What they take, of a model that has them; ``itemsize`` is the embedding's, ``needs_input`` its gradient."""
    rows = {row.name: row for row in architecture.modules if row.name in (PROJECTION, NORM, TABLE)}
    if PROJECTION not in rows:
        return None
    own = {adapted.module.path: adapted for adapted in adapter.modules if not adapted.layers}

    def trained(row: Module) -> bool:
        return row.path in own and bool(own[row.path].own_parameters)

    width, small = rows[PROJECTION].shape[1], rows[NORM].shape[0]
    spec = linear_spec(architecture, run, rows[PROJECTION], own.get(rows[PROJECTION].path))
    norm = NormSpec(
        form=norm_form(architecture, architecture.blocks[0]),
        width=width,
        groups=width // small,
        itemsize=stored(architecture, rows[NORM], Storing.of(run)),
        trained=trained(rows[NORM]),
        bias=False,
    )
    t = Tape(compute=run.itemsize, gradients_present=True)
    leaf = Leaf(parameter=False)
    embedded = Tensor(None, architecture.hidden_size * TOKEN, itemsize, leaf if needs_input else None)
    table = t.fresh(width * TOKEN, itemsize)
    table.node = Leaf(parameter=False) if trained(rows[TABLE]) else None
    projected = normalise(t, norm, scale(t, linear(t, spec, embedded)))
    made = [scale(t, add(t, projected, table))]
    del projected, table
    t.end_autocast()
    held, given, mark = t.now, made[0].bytes, len(t.log)
    differentiable = made[0].node is not None
    t.backward(made.pop(), t.fresh(width * TOKEN, given // (width * TOKEN), TEMPORARIES))
    weights = [row for row in rows.values() if row.kind is not Kind.EMBEDDING and trained(row)]
    return SmallInputs(
        given=given,
        held=held,
        gradient=given if differentiable else 0,
        moments=moments_from(t, mark) if differentiable else (),
        trained=sum(row.weight_parameters * stored(architecture, row, Storing.of(run)) for row in weights),
    )
