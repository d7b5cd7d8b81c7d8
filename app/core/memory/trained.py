"""What trains, tensor by tensor, and its sizes as multiples of the adapter's rank."""

from collections.abc import Iterable
from dataclasses import fields, replace
from functools import partial
from math import prod

from app.core.adapter import AdaptedModule, Adapter
from app.core.architecture import Architecture, Kind, Module, Part
from app.core.kept import kept
from app.core.memory.optimizer_forms import Trained
from app.core.memory.pairs import Pairs
from app.core.memory.sighted import cut_off
from app.core.memory.tape import RANK
from app.core.memory.weights import Storing, stored
from app.core.run import Run

SEEN = (Part.VISION, Part.PROJECTOR)
"""What images go through."""
HEARD = "model.embed_audio."
"""What stands behind a tower of sound, which no image goes through."""
LAST_NORM = "post_layernorm"
"""Of CLIP's tower: of the whole image's place behind the last layer, which nothing reads."""
COUNTS = ("lora_a_parameters", "lora_b_parameters", "magnitude_parameters", "own_parameters")
"""Of all copies of a row together."""
NAMED = ("embed_tokens", "lm_head")
"""Source: Axolotl 0.19.0, ``core/trainers/mixins/optimizer.py``, and the optimizers of its own."""
UNBALANCED = (*NAMED, "wte", "word_embeddings")
"""What SinkGD leaves to AdamW, ``utils/optimizers/sinkgd.py``."""


def trained_tensors(
    architecture: Architecture, run: Run, adapter: Adapter, *, towers: bool = False
) -> tuple[Trained, ...]:
    """Every kind of tensor that the optimizer holds: A, B and magnitudes in fp32, or the model's own.

    Batches of text do not reach what trains in the towers of a multimodal model, and an optimizer makes states where
    gradients are; ``towers`` is whether there are images.
    """
    rows: list[Trained] = []
    storing = Storing.of(run)
    lora_itemsize = factor_itemsize(run)
    for row in adapter.modules:
        module, adapted = row.module, read_part(architecture, row)
        if adapted is None or row.frozen or not reached(architecture, run, adapter, module, towers=towers):
            continue
        copies = adapted.copies
        if adapted.own_parameters:
            itemsize = stored(architecture, module, storing)
            embedding = module.kind is Kind.EMBEDDING
            decays = module.kind is not Kind.NORM
            if not module.tied_to:
                linear = module.kind in (Kind.LINEAR, Kind.HEAD)
                one = Trained(
                    elements=module.weight_parameters,
                    copies=copies,
                    itemsize=itemsize,
                    shape=module.shape,
                    embedding=embedding,
                    wide=embedding and not run.own_rates,
                    named=any(name in module.path for name in NAMED),
                    untold=not any(name in module.path for name in UNBALANCED),
                    decays=decays,
                )
                rows += _projected(one, run.targets_optimizer(module.path, adapted.layers) if linear else 0)
            if module.bias_parameters:
                rows.append(Trained(elements=module.bias_parameters, copies=copies, itemsize=itemsize, decays=False))
            continue
        if adapted.tensors:
            rows += [
                Trained(
                    elements=prod(shape),
                    copies=copies,
                    itemsize=lora_itemsize,
                    shape=shape,
                    embedding=module.kind is Kind.EMBEDDING,
                    named=any(name in module.path for name in NAMED),
                    untold=not any(name in module.path for name in UNBALANCED),
                    decays=len(shape) > 1,
                )
                for shape in adapted.tensors
            ]
            continue
        for letter, total in (("A", adapted.lora_a_parameters), ("B", adapted.lora_b_parameters)):
            each = total // copies
            one = Trained(
                elements=each, copies=copies, itemsize=lora_itemsize, shape=(adapted.rank, each // adapted.rank)
            )
            path = f"base_model.model.{module.path}.lora_{letter}.default"
            rows += _projected(one, run.targets_optimizer(path, adapted.layers))
        if adapted.magnitude_parameters:
            each = adapted.magnitude_parameters // copies
            rows.append(Trained(elements=each, copies=copies, itemsize=lora_itemsize, decays=False))
    return tuple(rows)


def reached(architecture: Architecture, run: Run, adapter: Adapter, module: Module, *, towers: bool) -> bool:
    """Whether a batch brings this module a gradient."""
    if module.part is Part.VISION and module.layers is not None and cut_off(architecture, run, adapter):
        return False
    return module.part is Part.TEXT or (towers and module.part in SEEN and not module.path.startswith(HEARD))


def read_part(architecture: Architecture, row: AdaptedModule) -> AdaptedModule | None:
    """Of a row those layers of a tower that stand before what is read of it, which images bring a gradient."""
    sight = architecture.sight
    if sight is None or not sight.read_layers or row.module.part is not Part.VISION:
        return row
    if row.module.layers is None:
        return None if row.module.name == LAST_NORM else row
    layers = tuple([layer for layer in row.layers if layer < sight.read_layers])
    if not layers or layers == row.layers:
        return row if layers else None
    return replace(
        row,
        layers=layers,
        **{name: getattr(row, name) // row.copies * len(layers) for name in COUNTS},
    )


def idle_bytes(architecture: Architecture, run: Run, adapter: Adapter, *, towers: bool = False) -> int:
    """Factors and copies within towers that are there although nothing is made for them: frozen, or without images."""
    if not architecture.multimodal:
        return 0
    storing, factor = Storing.of(run), factor_itemsize(run)

    def idle(row: AdaptedModule) -> int:
        if row.frozen or not reached(architecture, run, adapter, row.module, towers=towers):
            return row.parameters
        read = read_part(architecture, row)
        return row.parameters - (read.parameters if read is not None else 0)

    return sum(
        idle(row) * (stored(architecture, row.module, storing) if row.own_parameters else factor)
        for row in adapter.modules
    )


def factor_itemsize(run: Run) -> int:
    """Bytes of a value of an adapter's factors."""
    return 4 if run.adapter_fp32 else run.itemsize


def _projected(tensor: Trained, copies: int) -> list[Trained]:
    """A tensor of which so many copies are the targets of a low-rank optimizer."""
    found = [replace(tensor, copies=copies, targeted=True)] if copies else []
    return found if copies == tensor.copies else [*found, replace(tensor, copies=tensor.copies - copies)]


def merged(trained: Iterable[Trained]) -> tuple[Trained, ...]:
    """Like tensors as one with more copies: what is asked of them is a sum over copies, or how many rows it was."""
    copies: dict[Trained, tuple[int, int]] = {}
    for tensor in trained:
        one = replace(tensor, copies=1)
        count, alike = copies.get(one, (0, 0))
        copies[one] = count + tensor.copies, alike + 1
    return tuple(replace(one, copies=count, alike=alike) for one, (count, alike) in copies.items())


_STAYING = tuple(each.name for each in fields(Trained) if each.name not in {"elements", "shape"})


class Sizes:
    """Tensors whose packed elements a rank is put into; those without it stay as they are."""

    def __init__(self, trained: Iterable[Trained], pairs: Iterable[Pairs] = ()) -> None:
        found = tuple(trained)
        self.pairs = tuple(pairs)
        self.fixed = tuple(tensor for tensor in found if tensor.elements < RANK)
        self.growing = [
            (
                partial(Trained, **{name: getattr(tensor, name) for name in _STAYING}),
                tensor.elements // RANK,
                tuple((side // RANK, side % RANK) for side in tensor.shape),
            )
            for tensor in found
            if tensor.elements >= RANK
        ]

    def at(self, rank: int) -> tuple[Trained, ...]:
        """At one rank."""
        return (
            *self.fixed,
            *[
                make(elements=each * rank, shape=tuple([part * rank + rest for part, rest in shape]))
                for make, each, shape in self.growing
            ],
        )

    def pairs_at(self, rank: int) -> tuple[Pairs, ...]:
        """Factors of an adapter, at one rank."""
        return tuple([replace(each, rank=each.rank // RANK * rank + each.rank % RANK) for each in self.pairs])


def sizes_of(architecture: Architecture, trained: tuple[Trained, ...], pairs: tuple[Pairs, ...]) -> Sizes:
    """One object for the same tensors, whatever else differs: what an optimizer takes of them is kept by it."""
    return kept(architecture, ("sizes", trained, pairs), lambda: Sizes(trained, pairs))


def variable_rank(run: Run) -> int:
    """The rank that all of an adapter's sizes are multiples of; 0 without one, or where modules have their own."""
    return 0 if run.lora is None or run.lora.rank_pattern else run.lora.r


def by_rank(adapter: Adapter, rank: int) -> Adapter:
    """The adapter with its sizes as polynomials in ``rank``."""
    return replace(
        adapter,
        modules=tuple(
            replace(
                module,
                rank=module.rank // rank * RANK,
                lora_a_parameters=module.lora_a_parameters // rank * RANK,
                lora_b_parameters=module.lora_b_parameters // rank * RANK,
            )
            for module in adapter.modules
        ),
    )
