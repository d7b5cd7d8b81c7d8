"""What trains: rows of modules with their counts, whichever method trains them; copies that train beside a model."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod
from typing import TypeAlias

from app.core.architecture import Architecture, Kind, Module
from app.core.errors import FieldError, InvalidInput
from app.core.messages import Message, message
from app.core.targets import Layers, ending_layers


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptedModule:
    """One row of modules as trained: all instances together.

    With an adapter the counts are A, B and DoRA's magnitude; in full fine-tuning or of a trained copy
    ``own_parameters`` are the module's own. ``layers`` are the layers adapted, empty for a module that stands
    once. ``tensors`` are the shapes that another method than LoRA trains in one instance, ``formula`` their count with
    this row's numbers; ``on_inputs`` whether an IA³ vector multiplies what goes in; ``rows`` how many rows of a weight
    train by themselves, which are one of the ``tensors``.
    """

    module: Module
    layers: tuple[int, ...] = ()
    rank: int = 0
    lora_a_parameters: int = 0
    lora_b_parameters: int = 0
    magnitude_parameters: int = 0
    own_parameters: int = 0
    tensors: tuple[tuple[int, ...], ...] = ()
    rows: int = 0
    on_inputs: bool = False
    formula: Message | None = field(default=None, compare=False)

    @property
    def copies(self) -> int:
        """How many instances train."""
        return len(self.layers) or 1

    @property
    def trainable_parameters(self) -> int:
        """All that trains in this row."""
        beside = self.copies * sum([prod(shape) for shape in self.tensors]) if self.tensors else 0
        return (
            self.lora_a_parameters + self.lora_b_parameters + self.magnitude_parameters + self.own_parameters + beside
        )


@dataclass(frozen=True, kw_only=True)
class Adapter:
    """What trains in one run.

    ``added_parameters`` are those that the bare model does not have; ``buffer_bytes`` what a method holds beside
    parameters: VeRA's shared matrices, OFT's indices, AdaLoRA's importances.
    """

    modules: tuple[AdaptedModule, ...]
    base_parameters: int
    added_parameters: int
    buffer_bytes: int = 0
    shared_layout: object = None
    """The same object for adapters that differ in nothing but a rank that all of their sizes are multiples of."""
    unmatched: tuple[str, ...] = ()
    """Targets under ``peft_config`` that mean nothing in this model."""

    @property
    def layout(self) -> Hashable:
        """What tells it from other adapters but for that rank."""
        return self.modules if self.shared_layout is None else self.shared_layout

    @cached_property
    def trainable_parameters(self) -> int:
        """What PEFT's ``print_trainable_parameters`` calls trainable."""
        return sum(module.trainable_parameters for module in self.modules)

    @cached_property
    def own_parameters(self) -> int:
        """Of those, the model's own and trained copies of them."""
        return sum([module.own_parameters for module in self.modules])

    @cached_property
    def total_parameters(self) -> int:
        """PEFT's "all params": of base and adapter together."""
        return self.base_parameters + self.added_parameters

    @cached_property
    def trainable_percent(self) -> float:
        """PEFT's: of base and adapter together, unrounded."""
        return 100 * self.trainable_parameters / self.total_parameters


Row: TypeAlias = tuple[str, Layers | None]
"""What tells one row from another: rows of several widths may share a path at different layers."""


def row_of(module: Module) -> Row:
    """The row's identity."""
    return module.path, module.layers


def union(found: Iterable[Layers | None]) -> Layers | None:
    """All layers of several hits; None where there was none."""
    hits = [layers for layers in found if layers is not None]
    return tuple(sorted({layer for layers in hits for layer in layers})) if hits else None


def own(module: Module, layers: Layers, *, weight: bool = True, bias: bool = True) -> AdaptedModule:
    """A row that trains its own parameters, or only its weights or biases, at ``layers``."""
    if not weight:
        module = replace(module, kind=Kind.PARAMETER, shape=(module.bias_parameters,), bias_parameters=0, tied_to=None)
    elif not bias:
        module = replace(module, bias_parameters=0)
    module = module if module.layers in (None, layers) else replace(module, layers=layers)
    return AdaptedModule(module=module, layers=layers, own_parameters=module.parameters)


def token_rows(module: Module, tokens: int, layers: Layers = ()) -> AdaptedModule:
    """So many rows of a table, or of a head, that train while the rest of it is frozen."""
    width = module.shape[1] if module.kind is Kind.EMBEDDING else module.shape[0]
    return AdaptedModule(
        module=replace(module, bias_parameters=0, tied_to=None),
        layers=layers,
        tensors=((tokens, width),),
        rows=tokens,
        formula=message("formula.prompt", tokens=tokens, width=width),
    )


def saved_copies(
    architecture: Architecture, names: Sequence[str], adapted: Mapping[Row, Layers | None], pointer: str
) -> tuple[AdaptedModule, ...]:
    """``modules_to_save``: a trained copy beside the frozen original, of a tied weight too.

    PEFT copies every module whose path ends with a name, wherever in a name that begins, and passes over a name that
    nothing ends with. ``adapted`` are the layers that an adapter is on, None for a parameter; a copy of what is adapted
    cannot be. ``pointer`` says where the names stand.

    Raises:
        InvalidInput: a module is both adapted and copied.
    """
    found: dict[Row, tuple[Module, dict[int, None]]] = {}
    for end in names:
        holders = {
            path: layers
            for path, at in architecture.containers.items()
            if (layers := ending_layers(path, at, end)) is not None
        }
        for module in architecture.modules:
            hit: list[Layers | None] = [
                layers if layers and module.layers is not None else module.layers or ()
                for path, layers in holders.items()
                if module.path.startswith(f"{path}.")
            ]
            if not module.is_parameter:
                hit += [ending_layers(path, module.layers, end) for path in {module.path, module.outer_path}]
            layers = union(hit)
            if layers is None or (module.layers is not None and not layers):
                continue
            at = tuple(layer for layer in layers if module.layers and layer in module.layers)
            found.setdefault(row_of(module), (module, {}))[1].update(dict.fromkeys(at))
    copies = []
    for module, at_layers in found.values():
        row = row_of(module)
        if row in adapted:
            layers = adapted[row]
            if layers is None or not at_layers or at_layers.keys() & dict.fromkeys(layers).keys():
                raise InvalidInput(
                    FieldError(
                        pointer,
                        message("error.saved_and_targeted", key=pointer.rpartition("/")[2], given=module.path),
                    )
                )
        copies.append(own(replace(module, tied_to=None), tuple(sorted(at_layers))))
    return tuple(copies)


def is_ending(architecture: Architecture, end: str) -> bool:
    """Whether a module of the model, or what holds others, ends with ``end``, as ``modules_to_save`` looks for it."""
    modules = [module for module in architecture.modules if not module.is_parameter]
    named = [(path, module.layers) for module in modules for path in (module.path, module.outer_path)]
    paths = (*architecture.containers.items(), *named)
    return any(ending_layers(path, layers, end) is not None for path, layers in paths)
