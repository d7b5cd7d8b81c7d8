"""What LoRA's keys reach in a model: modules and parameters, at which layers and ranks, as PEFT 0.20 resolves them.

Sources: PEFT 0.20.0 ``tuners/tuners_utils.py`` and ``tuners/lora``, ``utils/transformers_weight_conversion.py``
(experts); Axolotl 0.19.0 ``loaders/adapter.py`` (``find_all_linear_names``).
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import prod

from app.core.adapted import AdaptedModule, Row, row_of
from app.core.architecture import Architecture, Kind, Module
from app.core.errors import FieldError, InvalidInput
from app.core.kept import kept
from app.core.messages import Param, message
from app.core.methods.matching import ALL_LINEAR, LINEARS
from app.core.run import LoraSettings
from app.core.targets import (
    REFUSED_NAMES,
    REFUSING_TYPES,
    Layers,
    found_layers,
    is_whole_path,
    leaf_of,
    parameter_names,
    pattern_layers,
    rank_of,
    safe_pattern,
    suffix_layers,
)

TARGETABLE = frozenset((Kind.LINEAR, Kind.CONV1D, Kind.EMBEDDING, Kind.HEAD, Kind.CONVOLUTION))


def _unsupported(key: str, given: str, path: str) -> InvalidInput:
    return fault(key, "error.target_unsupported", given=given[:200], module=path.replace("{}", "*"))


def fault(key: str, code: str, **params: Param) -> InvalidInput:
    """What is wrong with the value of one key."""
    return InvalidInput(FieldError(f"/config/{key}", message(code, key=key, **params)))


def compiled(key: str, text: str) -> re.Pattern[str]:
    """The pattern that a person gave under ``key``.

    Raises:
        InvalidInput: it is none, or could take for ever.
    """
    try:
        return safe_pattern(text)
    except (re.error, ValueError, OverflowError) as error:
        raise fault(key, "error.target_pattern", given=text[:200], reason=str(error)) from None


@dataclass(slots=True)
class _Hits:
    """The layers at which one row is adapted, and the name that PEFT knows it by."""

    module: Module
    key: str
    layers: dict[int, None] = field(default_factory=dict)


def _reached(
    architecture: Architecture, name: str, *, chosen: bool = False
) -> tuple[tuple[tuple[Module, str, Layers], ...], str | None]:
    """The rows that a target's name means, with path and layers, and a module holding others that it means too.

    Where layers are ``chosen``, a layer itself has no number for PEFT, which looks for one with a name behind it.
    """
    leaf = leaf_of(name)
    ends = (leaf,) if chosen else (leaf, "{}")
    rows = tuple(
        (module, path, layers)
        for module in architecture.by_leaf.get(leaf, ())
        for path in dict.fromkeys((module.outer_path, module.path))
        if (layers := suffix_layers(path, module.layers, name)) is not None
    )
    holders = (
        path
        for path, at in architecture.containers.items()
        if path.endswith(ends) and suffix_layers(path, at, name) is not None
    )
    return rows, next(holders, None)


def _parts(architecture: Architecture) -> frozenset[str]:
    """Every word that stands between the dots of a row's paths."""
    return kept(
        architecture,
        "parts",
        lambda: frozenset(
            part for row in architecture.modules for path in (row.path, row.outer_path) for part in path.split(".")
        ),
    )


class LoraTargets:
    """Collects what the targets of one configuration reach."""

    def __init__(self, architecture: Architecture, lora: LoraSettings) -> None:
        self.architecture = architecture
        self.lora = lora
        self.modules: dict[Row, _Hits] = {}
        self.parameters: dict[Row, tuple[Module, str, Layers, tuple[int, ...]]] = {}
        self.parameter_targets = dict.fromkeys(lora.target_parameters)
        self.unmatched: list[FieldError] = []
        """What matches nothing here. PEFT passes over that, and stops only where nothing is left to adapt."""
        self.chosen_layers = frozenset(lora.layers_to_transform or ()) or None
        self.ranks = [
            (compiled("lora_rank_pattern", rf"(.*\.)?({key})$"), rank) for key, rank in lora.rank_pattern.items()
        ]
        self.excluded = [
            compiled("lora_modules_to_save", rf"(^|.*\.){name}($|\..*)")
            for name in lora.modules_to_save
            if not name.isidentifier() or name in _parts(architecture)  # a word that is none of them matches nothing
        ]

    def take_modules(self) -> None:
        """Resolve ``lora_target_modules`` and ``lora_target_linear``."""
        given = self.lora.target_modules
        if isinstance(given, str) and not self.lora.target_linear:
            self._take_text(given)
            return
        names = dict.fromkeys((given,) if isinstance(given, str) else given or ())
        if self.lora.target_linear:
            names |= dict.fromkeys(linear_names(self.architecture))
        self._take_names(self._without_experts(names))

    def _take_text(self, text: str) -> None:
        if self.chosen_layers is not None:
            raise fault("peft_layers_to_transform", "error.layers_with_pattern", given=text[:200])
        pattern = None if text.lower() == ALL_LINEAR else compiled("lora_target_modules", text)
        if self.architecture.expert_names:
            names = self._every_linear_name() if pattern is None else self._names_reached(pattern)
            if names:
                self._take_names(self._without_experts(names), strict=False)
                return
        if pattern is None:
            for module in self.architecture.modules:
                if module.kind in LINEARS:
                    self._add(module, module.path, module.layers or ())
        else:
            self._take_pattern(pattern, text)

    def _every_linear_name(self) -> dict[str, None]:
        linears = (leaf_of(m.path) for m in self.architecture.modules if m.kind in LINEARS)
        return dict.fromkeys((*linears, *self.architecture.expert_names))

    def _names_reached(self, pattern: re.Pattern[str]) -> dict[str, None]:
        """The last names of all that the pattern reaches, single experts' names of old included."""
        found: dict[str, None] = {}
        for module in self.architecture.modules:
            for path in {module.path, module.outer_path}:
                if pattern_layers(pattern, path, module.layers) is not None:
                    found[leaf_of(path)] = None
            if module.kind is Kind.EXPERTS:
                container, _, leaf = module.path.rpartition(".")
                for old, new in self.architecture.expert_names.items():
                    if new == leaf and pattern_layers(pattern, f"{container}.{old}", module.layers) is not None:
                        found[old] = None
        for path, layers in self.architecture.containers.items():
            if pattern_layers(pattern, path, layers) is not None:
                found[leaf_of(path)] = None
        return found

    def _without_experts(self, names: Mapping[str, None]) -> dict[str, None]:
        """Turn old names of experts into the fused parameters, at r for each part, as PEFT does."""
        renamed = self.architecture.expert_names
        kept: dict[str, None] = {}
        parts: dict[str, dict[str, None]] = {}
        for name in names:
            new = renamed.get(leaf_of(name))
            if new is None:
                kept[name] = None
            else:
                parts.setdefault(new, {})[leaf_of(name)] = None
        for new, present in parts.items():
            needed = tuple(old for old, target in renamed.items() if target == new)
            if len(present) < len(needed):
                missing = ", ".join(old for old in needed if old not in present)
                raise fault(
                    "lora_target_modules",
                    "error.target_part_of_fused",
                    given=", ".join(present),
                    missing=missing,
                    fused=new,
                )
            if len(needed) > 1:
                rank = self.lora.r * len(needed)
                self.ranks.append((re.compile(rf"(.*\.)?(.*\.{re.escape(new)})$"), rank))
            self.parameter_targets[new] = None
        return kept

    def _take_names(self, names: Iterable[str], *, strict: bool = True) -> None:
        for name in names:
            if not self._take_name(name) and strict:
                self._miss("lora_target_modules", name, self.architecture.module_names)

    def _miss(self, key: str, name: str, allowed: tuple[str, ...]) -> None:
        code = "error.target_unmatched" if allowed else "error.target_no_experts"
        self.unmatched += fault(key, code, given=name[:200], allowed=allowed).errors

    def _take_name(self, name: str) -> bool:
        reached, container = _reached(self.architecture, name, chosen=self.chosen_layers is not None)
        for module, path, layers in reached:
            self._add(module, path, layers, name, exact=is_whole_path(path, name))
        if container is not None:
            raise _unsupported("lora_target_modules", name, container)
        return bool(reached)

    def _take_pattern(self, pattern: re.Pattern[str], text: str) -> None:
        for module in self.architecture.modules:
            if module.is_parameter:
                continue
            for path in dict.fromkeys((module.outer_path, module.path)):
                layers = pattern_layers(pattern, path, module.layers)
                if layers is not None:
                    self._add(module, path, layers, text)
        for path, at in self.architecture.containers.items():
            if pattern_layers(pattern, path, at) is not None:
                raise _unsupported("lora_target_modules", text, path)
        if not self.modules:
            self._miss("lora_target_modules", text, self.architecture.module_names)

    def _add(self, module: Module, key: str, layers: Layers, given: str = ALL_LINEAR, *, exact: bool = False) -> None:
        """Adapt ``module`` at ``layers``, less those that are not asked for or are trained as a copy."""
        if self.chosen_layers is not None and not exact:
            if "{}" not in key:
                return
            layers = tuple(layer for layer in layers if layer in self.chosen_layers)
        if self.excluded:
            once = module.layers is None
            if once and any(pattern.match(key) for pattern in self.excluded):
                return
            out = {layer for pattern in self.excluded for layer in found_layers(pattern, key, layers or None) or ()}
            layers = tuple(layer for layer in layers if layer not in out)
        if not layers and module.layers is not None:
            return
        if module.kind not in TARGETABLE:
            raise _unsupported("lora_target_modules", given, key)
        if self.architecture.model_type in REFUSING_TYPES and leaf_of(key) in REFUSED_NAMES:
            model_type = self.architecture.model_type
            raise fault("lora_target_modules", "error.target_refused", given=leaf_of(key), model_type=model_type)
        hits = self.modules.setdefault(row_of(module), _Hits(module, key))
        hits.key = key
        hits.layers |= dict.fromkeys(layers)

    def take_parameters(self) -> None:
        """Resolve ``lora_target_parameters`` and what the experts' names became."""
        for target in self.parameter_targets:
            matched = False
            for module in self.architecture.modules:
                for path, shape in parameter_names(module):
                    if not path.endswith(leaf_of(target)):
                        continue
                    layers = suffix_layers(path, module.layers, target)
                    if layers is None:
                        continue
                    if len(shape) not in {2, 3} or row_of(module) in self.modules:
                        raise _unsupported("lora_target_parameters", target, path)
                    matched = True
                    self.parameters[path, module.layers] = (module, path, layers, shape)
            if not matched and target in self.lora.target_parameters:
                allowed = tuple(dict.fromkeys(m.path.partition("{}.")[2] for m in self._experts()))
                self._miss("lora_target_parameters", target, allowed)
        if self.parameters and self.lora.dora:
            names = ", ".join(dict.fromkeys(leaf_of(path) for path, _ in self.parameters))
            raise fault("peft_use_dora", "error.dora_on_parameters", given=names)

    def _experts(self) -> tuple[Module, ...]:
        return tuple(module for module in self.architecture.modules if module.kind is Kind.EXPERTS)

    def taken(self) -> dict[Row, Layers | None]:
        """Which rows are adapted, at which layers; None for parameters."""
        parameters = {row_of(module): None for module, *_ in self.parameters.values()}
        return parameters | {row: tuple(hits.layers) for row, hits in self.modules.items()}

    def adapted(self) -> Iterable[AdaptedModule]:
        """What was taken, in the model's order."""
        for module in self.architecture.modules:
            hits = self.modules.get(row_of(module))
            if hits is not None:
                for rank, layers in self._by_rank(hits.key, tuple(sorted(hits.layers))):
                    yield _adapt(module, layers, rank, dora=self.lora.dora)
        for module, path, layers, shape in self.parameters.values():
            for rank, at in self._by_rank(path, layers):
                yield _adapt_parameter(replace(module, shape=shape, bias_parameters=0), at, rank)

    def _by_rank(self, key: str, layers: Layers) -> Iterable[tuple[int, Layers]]:
        if not self.ranks or not layers:
            return ((rank_of(self.ranks, key, self.lora.r), layers),)
        found: dict[int, list[int]] = {}
        for layer in layers:
            rank = rank_of(self.ranks, key.replace("{}", str(layer), 1), self.lora.r)
            found.setdefault(rank, []).append(layer)
        return tuple((rank, tuple(at)) for rank, at in found.items())


def _adapt(module: Module, layers: Layers, rank: int, *, dora: bool) -> AdaptedModule:
    """A and B beside one row; DoRA's magnitude has one entry for each output (an embedding's: for each width)."""
    copies = len(layers) or 1
    if module.kind is Kind.CONVOLUTION:
        outputs, inputs, *kernel = module.shape
        inputs *= module.groups * prod(kernel)
        if rank % module.groups:
            groups = module.groups
            raise fault("lora_target_modules", "error.target_grouped", given=module.path, groups=groups, rank=rank)
    else:
        inputs, outputs = module.shape
    return AdaptedModule(
        module=module,
        layers=layers,
        rank=rank,
        lora_a_parameters=copies * inputs * rank,
        lora_b_parameters=copies * rank * outputs // module.groups,
        magnitude_parameters=copies * outputs if dora else 0,
    )


def _adapt_parameter(module: Module, layers: Layers, rank: int) -> AdaptedModule:
    """PEFT's ``ParamWrapper``: one pair of matrices that holds ``rank`` for each expert."""
    *experts, inputs, outputs = module.shape
    each = rank * (experts[0] if experts else 1) * (len(layers) or 1)
    return AdaptedModule(
        module=module, layers=layers, rank=rank, lora_a_parameters=inputs * each, lora_b_parameters=outputs * each
    )


def is_target(architecture: Architecture, name: str) -> bool:
    """Whether a target's name means anything in this model, by the names that its experts had of old too."""
    reached, container = _reached(architecture, name)
    return bool(reached) or container is not None or leaf_of(name) in architecture.expert_names


def is_parameter(architecture: Architecture, name: str) -> bool:
    """Whether a name of ``lora_target_parameters`` means any parameter of this model."""
    return any(
        path.endswith(leaf_of(name)) and suffix_layers(path, module.layers, name) is not None
        for module in architecture.modules
        for path, _ in parameter_names(module)
    )


def linear_names(architecture: Architecture) -> tuple[str, ...]:
    """What ``lora_target_linear: true`` targets: every linear's last name, vision towers included, but the head.

    GPT-NeoX keeps its head, which Axolotl knows by its name of before Transformers 5.
    """
    keeps_head = architecture.model_type == "gpt_neox"
    names: dict[str, None] = {}
    for module in architecture.modules:
        if module.kind is Kind.LINEAR:
            names |= dict.fromkeys((module.name, leaf_of(module.path)))
        elif module.kind is Kind.HEAD and keeps_head:
            names[module.name] = None
    return tuple(names)
