"""What trains under one of PEFT's methods, row by row."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from app.core.adapted import AdaptedModule, Adapter, own, saved_copies
from app.core.architecture import Architecture, Kind, Module
from app.core.messages import Message, message
from app.core.methods.bottleneck import count_bottleneck
from app.core.methods.decompositions import DECOMPOSITIONS, Shapes, takes
from app.core.methods.defaults import IA3_FEEDFORWARD
from app.core.methods.matching import (
    POINTER,
    Match,
    default_names,
    match,
    no_default,
    paths_of,
    pattern_of,
    peft_fault,
    unmatched,
)
from app.core.methods.settings import (
    Bias,
    Bottleneck,
    Decomposed,
    OwnLayers,
    PeftMethod,
    PeftType,
    Rotation,
    Scaling,
    Targets,
    TokenRows,
    VirtualTokens,
)
from app.core.methods.token_rows import count_token_rows
from app.core.methods.vectors import ia3, oft
from app.core.methods.virtual_tokens import count_virtual_tokens
from app.core.targets import REFUSED_NAMES, REFUSING_TYPES, Layers, ending_layers, leaf_of, pattern_layers, rank_of

FULL = 4
INDEX = 8
IMPORTANCES = 3
"""What AdaLoRA keeps of each value to judge it by: its sensitivity, smoothed, and how uncertain that is."""
OFT_PREFIX = "oft_"


def resolve_peft(architecture: Architecture, method: PeftMethod) -> Adapter:
    """What trains under ``method``.

    Raises:
        InvalidInput: PEFT refuses it on this model, or a name of a person's own reaches nothing.
    """
    match method.settings:
        case VirtualTokens() as settings:
            rows = count_virtual_tokens(architecture, method.type, settings)
            return _adapter(architecture, rows, Targets(save=settings.modules_to_save))
        case Bottleneck() as settings:
            return _adapter(architecture, count_bottleneck(architecture, settings), Targets())
        case TokenRows() as settings:
            return _adapter(architecture, count_token_rows(architecture, settings), Targets())
        case OwnLayers() as settings:
            return _own_layers(architecture, settings)
        case Scaling() as settings:
            return _scaling(architecture, settings)
        case Rotation() as settings:
            return _rotation(architecture, settings)
        case settings:
            return _decomposed(architecture, method.type, settings)


def _adapter(
    architecture: Architecture,
    rows: Sequence[AdaptedModule],
    targets: Targets,
    matches: Iterable[Match] = (),
    *,
    bias: Bias = Bias.NONE,
    frozen: int = 0,
    buffer_bytes: int = 0,
) -> Adapter:
    """Rows, trained copies and biases together; ``frozen`` are added parameters that do not train."""
    matches = tuple(matches)
    saved = saved_copies(architecture, targets.save, paths_of(matches), f"{POINTER}/modules_to_save")
    added = sum(row.trainable_parameters for row in (*rows, *saved))
    return Adapter(
        modules=(*rows, *saved, *_biases(architecture, matches, bias)),
        base_parameters=architecture.total_parameters,
        added_parameters=added + frozen,
        buffer_bytes=buffer_bytes,
        unmatched=unmatched(architecture, targets),
    )


def _biases(architecture: Architecture, matches: Iterable[Match], bias: Bias) -> Iterable[AdaptedModule]:
    """The model's own biases where they train along."""
    if bias is Bias.ONLY:
        for found in matches:
            if found.module.bias_parameters:
                yield own(found.module, found.layers, weight=False)
    elif bias is Bias.ALL:
        for module in architecture.modules:
            if module.is_parameter and "bias" in module.path:
                yield own(module, module.layers or ())
            elif module.bias_parameters:
                yield own(module, module.layers or (), weight=False)


def _taken(architecture: Architecture, type_: PeftType, targets: Targets) -> tuple[Match, ...]:
    """The rows that a method adapts.

    Raises:
        InvalidInput: nothing is reached, or a kind of module that the method is not implemented for.
    """
    default = default_names(architecture, type_) if targets.modules is None else None
    matches, _ = match(architecture, targets, default)
    for found in matches:
        module = found.module
        if type_ is PeftType.ADALORA and _refused(architecture, module):
            model_type = architecture.model_type
            raise peft_fault("target_modules", "error.target_refused", given=module.name, model_type=model_type)
        if not takes(type_, module):
            raise peft_fault("target_modules", "error.peft.unsupported", method=type_.value, module=module.path)
    return matches


def _refused(architecture: Architecture, module: Module) -> bool:
    return architecture.model_type in REFUSING_TYPES and leaf_of(module.path) in REFUSED_NAMES


def _row(found: Match, layers: Layers, counted: tuple[Shapes, Message]) -> AdaptedModule:
    shapes, formula = counted
    return AdaptedModule(module=found.module, layers=layers, tensors=shapes, formula=formula)


def _scaling(architecture: Architecture, settings: Scaling) -> Adapter:
    """IA³: a vector each, on the inputs where the module is the feed-forward's."""
    matches = _taken(architecture, PeftType.IA3, settings.targets)
    names = settings.feedforward
    if names is None:
        names = IA3_FEEDFORWARD.get(architecture.model_type)
        if names is None:
            raise no_default(architecture, "feedforward_modules")
    pattern = pattern_of("feedforward_modules", names) if isinstance(names, str) else None
    rows = []
    for found in matches:
        path, at = found.module.path, found.layers or None
        if pattern is not None:
            inside = pattern_layers(pattern, path, at)
        else:
            hits = [ending_layers(path, at, name) for name in names]
            reached = [hit for hit in hits if hit is not None]
            inside = tuple(sorted({layer for hit in reached for layer in hit})) if reached else None
        if inside is None:
            rows.append(_row(found, found.layers, ia3(found.module, feedforward=False)))
            continue
        rows.append(replace(_row(found, inside, ia3(found.module, feedforward=True)), on_inputs=True))
        outside = tuple(layer for layer in found.layers if layer not in inside)
        if outside:
            rows.append(_row(found, outside, ia3(found.module, feedforward=False)))
    return _adapter(architecture, rows, settings.targets, matches)


def _rotation(architecture: Architecture, settings: Rotation) -> Adapter:
    matches = _taken(architecture, PeftType.OFT, settings.targets)
    rows = [_row(found, found.layers, oft(found.module, settings)) for found in matches]
    # rows and columns of the upper triangle, in 64 bits, held beside each module
    indices = sum(2 * INDEX * row.copies * shape[1] for row in rows for shape in row.tensors)
    found = _adapter(architecture, rows, settings.targets, matches, bias=settings.bias, buffer_bytes=indices)
    # PEFT freezes what has not its prefix in its name, and Gemma 3's "soft_emb" has
    taken = {row.module.path for row in found.modules}
    unfrozen = [
        own(module, module.layers or ())
        for module in architecture.modules
        if OFT_PREFIX in module.path and module.path not in taken
    ]
    return replace(found, modules=(*found.modules, *unfrozen)) if unfrozen else found


def _decomposed(architecture: Architecture, type_: PeftType, settings: Decomposed) -> Adapter:
    """One row for each rank; AdaLoRA counts a frozen number a module, VeRA holds its matrices as buffers.

    From its first step until ranks are final, AdaLoRA keeps importances (``RankAllocator``).
    """
    matches = _taken(architecture, type_, settings.targets)
    count = DECOMPOSITIONS[type_]
    ranks = [(pattern_of("rank_pattern", key, whole=r"(.*\.)?({})$"), rank) for key, rank in settings.rank_pattern]
    rows = []
    for found in matches:
        for rank, layers in _by_rank(found, ranks, settings.rank):
            rows.append(_row(found, layers, count(found.module, settings, rank)))
    frozen = sum(row.copies for row in rows) if type_ is PeftType.ADALORA else 0
    shared = IMPORTANCES * FULL * sum(row.trainable_parameters for row in rows) if type_ is PeftType.ADALORA else 0
    if type_ is PeftType.VERA:
        shapes = [found.module.shape for found in matches]
        widest = max(shape[0] for shape in shapes) + max(shape[1] for shape in shapes)
        shared = FULL * settings.rank * widest
    return _adapter(
        architecture, rows, settings.targets, matches, bias=settings.bias, frozen=frozen, buffer_bytes=shared
    )


def _by_rank(found: Match, ranks: Sequence[tuple[re.Pattern[str], int]], default: int) -> Iterable[tuple[int, Layers]]:
    """The layers of a row by the rank that a pattern gives them."""
    path = found.module.path
    if not ranks or not found.layers:
        return ((rank_of(ranks, path, default), found.layers),)
    by_rank: dict[int, list[int]] = {}
    for layer in found.layers:
        by_rank.setdefault(rank_of(ranks, path.replace("{}", str(layer), 1), default), []).append(layer)
    return tuple((rank, tuple(layers)) for rank, layers in by_rank.items())


def _own_layers(architecture: Architecture, settings: OwnLayers) -> Adapter:
    """LN tuning: a trained copy of each target, of everything in it where it holds others."""
    targets = settings.targets
    default = default_names(architecture, PeftType.LN_TUNING) if targets.modules is None else None
    matches, containers = match(architecture, targets, default, takes_containers=True)
    found = {(m.module.path, m.module.layers): (m.module, m.layers) for m in matches}
    for path, layers in containers:
        for module in architecture.modules:
            if module.path.startswith(f"{path}."):
                if (module.path, module.layers) in found:
                    raise peft_fault("target_modules", "error.peft.nested", module=module.path, holder=path)
                at = tuple(layer for layer in module.layers or () if layers is None or layer in layers)
                if module.layers is not None and not at:
                    continue
                found[module.path, module.layers] = (module, at)
    rows = [
        replace(own(replace(module, tied_to=None), layers), formula=_own_formula(module))
        for module, layers in found.values()
    ]
    return _adapter(architecture, rows, targets, matches)


def _own_formula(module: Module) -> Message:
    width = module.weight_parameters
    if module.bias_parameters and module.kind is Kind.NORM:
        return message("formula.norm_bias", width=width)
    return message("formula.own", parameters=width + module.bias_parameters)
