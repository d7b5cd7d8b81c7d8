"""Which modules a method's targets reach, by PEFT's rules for every tuner but LoRA.

Source: PEFT 0.20.0, ``tuners/tuners_utils.py`` (``check_target_module_exists``, ``_maybe_include_all_linear_layers``).
LoRA's own resolution (``app/core/lora.py``) adds experts, parameters and Axolotl's keys.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from app.core.adapted import Row, row_of, union
from app.core.architecture import Architecture, Kind, Module
from app.core.errors import FieldError, InvalidInput
from app.core.messages import Param, message
from app.core.methods.defaults import TARGETS, Names
from app.core.methods.settings import PeftType, Targets
from app.core.targets import Layers, found_layers, is_whole_path, pattern_layers, safe_pattern, suffix_layers

POINTER = "/config/peft_config"
ALL_LINEAR = "all-linear"
LINEARS = frozenset((Kind.LINEAR, Kind.CONV1D))
UNKNOWN_LAYER = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """One row that is reached, at these layers (none for a row that stands once)."""

    module: Module
    layers: Layers


def peft_fault(key: str, code: str, **params: Param) -> InvalidInput:
    """An error at a setting of ``peft_config``."""
    return InvalidInput(FieldError(f"{POINTER}/{key}", message(code, key=f"peft_config.{key}", **params)))


def pattern_of(key: str, text: str, *, whole: str = "{}") -> re.Pattern[str]:
    """A pattern that a person hands in, set into ``whole``.

    Raises:
        InvalidInput: it is none, or could take for ever.
    """
    try:
        safe_pattern(text)
        return re.compile(whole.format(text) if whole != "{}" else text)
    except (re.error, ValueError, OverflowError) as error:
        raise peft_fault(key, "error.target_pattern", given=text[:200], reason=str(error)) from None


def default_names(architecture: Architecture, type_: PeftType, key: str = "target_modules") -> Names:
    """PEFT's own targets for this model.

    Raises:
        InvalidInput: PEFT has none for it, and asks for them.
    """
    found = TARGETS[type_].get(architecture.model_type)
    if found is None:
        raise no_default(architecture, key)
    return found


def no_default(architecture: Architecture, key: str) -> InvalidInput:
    """What PEFT says where it has no default for a model."""
    allowed = architecture.module_names
    return peft_fault(key, "error.peft.no_default", model_type=architecture.model_type, allowed=allowed)


def match(
    architecture: Architecture, targets: Targets, default: Names | None, *, takes_containers: bool = False
) -> tuple[tuple[Match, ...], tuple[tuple[str, Layers | None], ...]]:
    """The rows that ``targets`` (or ``default`` where it names none) reach, and the modules that hold others.

    A name that reaches nothing is passed over, as PEFT does; ``unmatched`` has those.

    Raises:
        InvalidInput: nothing is reached, or a module that holds others where the method takes none.
    """
    names = targets.modules if targets.modules is not None else default
    finder = _Finder(architecture, targets)
    if isinstance(names, str):
        if names.lower() == ALL_LINEAR:
            finder.take_linears()
        else:
            finder.take_pattern(pattern_of("target_modules", names))
    else:
        for name in names or ():
            finder.take_name(name)
    if finder.containers and not takes_containers:
        path = next(iter(finder.containers))
        raise peft_fault("target_modules", "error.peft.container", module=path, allowed=architecture.module_names)
    rows = tuple(Match(module=module, layers=tuple(sorted(layers))) for module, layers in finder.rows.values())
    containers = tuple(finder.containers.items())
    if not rows and not containers:
        shown = names if isinstance(names, str) else ", ".join(names or ())
        allowed = architecture.module_names
        raise peft_fault("target_modules", "error.target_unmatched", given=shown[:200] or "[]", allowed=allowed)
    order = {row_of(module): place for place, module in enumerate(architecture.modules)}
    return tuple(sorted(rows, key=lambda found: order[row_of(found.module)])), containers


def unmatched(architecture: Architecture, targets: Targets) -> tuple[str, ...]:
    """The names of a person's own that reach nothing."""
    if targets.modules is None or isinstance(targets.modules, str):
        return ()
    finder = _Finder(architecture, targets)
    return tuple(name for name in targets.modules if not finder.take_name(name))


class _Finder:
    """Collects what is reached."""

    def __init__(self, architecture: Architecture, targets: Targets) -> None:
        self.architecture, self.targets = architecture, targets
        self.rows: dict[Row, tuple[Module, dict[int, None]]] = {}
        self.containers: dict[str, Layers | None] = {}
        self.saved = [pattern_of("modules_to_save", name, whole=r"(^|.*\.){}($|\..*)") for name in targets.save]
        exclude = targets.exclude
        self.excluded_pattern = pattern_of("exclude_modules", exclude) if isinstance(exclude, str) else None
        self.excluded_names = () if isinstance(exclude, str) else exclude
        self.layer_patterns = [
            pattern_of("layers_pattern", name, whole=r".*?\.{}\.(\d+)\.") for name in targets.layers_pattern
        ] or [re.compile(r".*?\.[^.]*\.(\d+)\.")]

    def take_linears(self) -> None:
        """Every linear but the head, wherever it stands."""
        for module in self.architecture.modules:
            if module.kind in LINEARS:
                self.take(module, module.path, module.layers or (), module.layers)

    def take_pattern(self, pattern: re.Pattern[str]) -> None:
        """What a pattern matches whole. PEFT does not look at layers here."""
        for module, path, at in self.candidates():
            layers = pattern_layers(pattern, path, at)
            if layers is not None:
                self.take(module, path, layers, at)

    def take_name(self, name: str) -> bool:
        """What a name ends; whether it ends anything."""
        found = False
        for module, path, at in self.candidates():
            layers = suffix_layers(path, at, name)
            if layers is not None:
                found = True
                chosen = self.chosen(path, layers, name)
                if chosen is not None:
                    self.take(module, path, chosen, at)
        return found

    def candidates(self) -> Iterator[tuple[Module | None, str, Layers | None]]:
        """Every module by its path and the layers that have it; None for a module that holds others."""
        for module in self.architecture.modules:
            if not module.is_parameter:
                yield module, module.path, module.layers
                if module.wrapped:
                    yield None, module.outer_path, module.layers
        for path, at in self.architecture.containers.items():
            yield None, path, at

    def chosen(self, path: str, layers: Layers, name: str) -> Layers | None:
        """Those of ``layers`` that are asked for; None where a module without layers is left out."""
        wanted = self.targets.layers
        if wanted is None or is_whole_path(path, name):
            return layers
        if "{}" not in path:
            return None
        return tuple(layer for layer in layers if self.number(path.replace("{}", str(layer), 1)) in wanted)

    def number(self, path: str) -> int:
        """The layer that PEFT reads from a path."""
        for pattern in self.layer_patterns:
            hit = pattern.match(path)
            if hit is not None:
                return int(hit.group(1))
        return UNKNOWN_LAYER

    def left_out(self, path: str, at: Layers | None) -> Layers | None:
        """The layers at which a path is excluded or trained as a copy; None where it is not."""
        hits = [suffix_layers(path, at, name) for name in self.excluded_names]
        if self.excluded_pattern is not None:
            hits.append(pattern_layers(self.excluded_pattern, path, at))
        hits += [found_layers(pattern, path, at) for pattern in self.saved]
        return union(hits)

    def take(self, module: Module | None, path: str, layers: Layers, at: Layers | None) -> None:
        """Take a module at ``layers``, less those left out; ``at`` are all that it has."""
        out = self.left_out(path, at)
        if at is None:
            if out is not None:
                return
        else:
            layers = tuple(layer for layer in layers if layer not in (out or ()))
            if not layers:
                return
        if module is None:
            self.containers[path] = None if at is None else layers
        else:
            self.rows.setdefault(row_of(module), (module, {}))[1].update(dict.fromkeys(layers))


def paths_of(matches: Iterable[Match]) -> dict[Row, Layers | None]:
    """Which rows are reached, at which layers."""
    return {row_of(found.module): found.layers for found in matches}
