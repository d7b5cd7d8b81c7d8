"""Rules about what trains in fact: targets that PEFT refuses, names that reach nothing, everything frozen.

Sources: PEFT 0.20.0 ``tuners/tuners_utils.py``, ``tuners/lora/layer.py``; Axolotl 0.19.0 ``loaders/adapter.py``,
``train.py``, ``utils/freeze.py``. All of it was run there on small models.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from math import inf

from app.core.adapted import is_ending
from app.core.adapter import WRAPPING, resolve_adapter, rows_of, unfreezing
from app.core.architecture import Architecture, Kind, Module, Part
from app.core.axolotl.reading import as_read
from app.core.axolotl.schedule_rules import checkpoints
from app.core.axolotl.subject import Rule, Subject, fails, misleads
from app.core.axolotl.target_rules import compiles, usual_targets
from app.core.errors import FieldError, InvalidInput
from app.core.findings import Finding, Fix
from app.core.kept import kept
from app.core.lora import is_parameter
from app.core.memory.sighted import counted, left_out, sees
from app.core.methods.matching import ALL_LINEAR, LINEARS
from app.core.nearest import nearest
from app.core.run import Run
from app.core.shown import listed, shown
from app.core.targets import (
    REFUSING_TYPES,
    ending_layers,
    found_layers,
    leaf_of,
    parameter_names,
)

MOST_PATTERNS = 20
"""Of ``unfrozen_parameters`` that are tried; nothing is said of a longer list."""
REFUSED = frozenset(
    f"error.{code}"
    for code in """target_refused target_unsupported target_grouped target_part_of_fused layers_none
    layers_with_pattern dora_on_parameters""".split()
)
"""What resolving an adapter finds wrong and PEFT raises an error at, as it was run there."""
TARGETS, LINEAR, PARAMETERS = "lora_target_modules", "lora_target_linear", "lora_target_parameters"
UNFROZEN = "unfrozen_parameters"
TOKENS, SAVED = "peft_trainable_token_indices", "lora_modules_to_save"
TABLES = (Kind.EMBEDDING, Kind.HEAD)
ROWED = (*TABLES, Kind.LINEAR)
"""What PEFT trains rows of, whatever they mean."""
GROWING = ("tokens", "special_tokens", "added_tokens_overrides")
"""Keys by which a tokenizer, and the tables with it, may grow."""
MOST_ADDED = 64
"""Rows that Axolotl may add without them: a token for padding, up to a multiple of 32."""
WRAPPED = tuple(
    """weight bias base_layer.weight base_layer.bias lora_A.default.weight lora_B.default.weight lora_B.default.bias
    lora_magnitude_vector.default.weight lora_embedding_A.default lora_embedding_B.default
    modules_to_save.default.weight modules_to_save.default.bias original_module.weight original_module.bias
    token_adapter.base_layer.weight token_adapter.trainable_tokens_delta.default""".split()
)
"""What is below a module, or its adapter, once PEFT 0.20.0 has wrapped the model."""
ADDED = ("lora_", "modules_to_save.", "trainable_tokens_delta")
"""In the names of what an adapter adds."""
NESTED = ("", "base_layer.", "base_layer.base_layer.")
"""A module of which two parameters are adapted is wrapped twice."""


def refused(subject: Subject) -> Iterator[Finding]:
    """Targets that PEFT stops at: what it cannot adapt, or layers that the model does not have."""
    architecture = subject.architecture
    if architecture is None or architecture.approximate or not subject.lora or subject.on("lora_model_dir"):
        return
    if not _refusable(subject, architecture):
        return
    run = as_read(subject)
    try:
        if run is not None:
            resolve_adapter(architecture, run)
    except InvalidInput as error:
        for each in error.errors:
            own = each.message.code == "error.dora_on_parameters" and subject.on(PARAMETERS)  # ``expert_parameters``
            pattern = each.message.code == "error.target_unmatched" and _is_pattern_of_mixture(subject, architecture)
            if (each.message.code in REFUSED or pattern) and not own:
                yield _told(subject, each)
            elif each.message.code == "error.target_none" and subject.on(SAVED):
                yield fails("targets_saved", SAVED, fix=Fix(unset=(SAVED,)), names=listed(subject.names(SAVED)))


def _is_pattern_of_mixture(subject: Subject, architecture: Architecture) -> bool:
    """Whether targets are a regular expression over experts too, of which ``pattern_missing`` says nothing."""
    return bool(subject.text(TARGETS) and architecture.expert_names) and not subject.on(LINEAR)


def _told(subject: Subject, error: FieldError) -> Finding:
    key = error.pointer.rpartition("/")[2]
    if error.message.code == "error.target_refused" and subject.on(LINEAR):
        key = LINEAR
    return replace(fails("refused", key, fix=_way_out(subject, key, error)), message=error.message)


def _way_out(subject: Subject, key: str, error: FieldError) -> Fix:
    """Without what is refused, or with what is missing beside it."""
    if key == LINEAR:
        return usual_targets(subject, LINEAR)
    if key != TARGETS:
        return Fix(unset=(key,))
    if not isinstance(subject.config.get(TARGETS), list):
        return usual_targets(subject)
    given, named = subject.names(TARGETS), str(error.message.params["given"])
    missing = str(error.message.params.get("missing", ""))
    if missing:
        return Fix(set={TARGETS: [*given, *missing.split(", ")]})
    left = [name for name in given if name != named and leaf_of(name) != named]
    return Fix(set={TARGETS: left}) if left else usual_targets(subject)


def _refusable(subject: Subject, architecture: Architecture) -> bool:
    """Whether anything but linears' own names is targeted, which PEFT takes in every model but a few."""
    if architecture.model_type in REFUSING_TYPES or subject.on("peft_layers_to_transform") or subject.on(PARAMETERS):
        return True
    if subject.on("peft_use_dora") and architecture.expert_names:
        return True
    if any(not architecture.by_leaf.get(name) for name in subject.names(SAVED)):  # a block, or nothing
        return True
    given = subject.text(TARGETS)
    if given and not subject.on(LINEAR):
        return given.lower() != ALL_LINEAR or bool(architecture.expert_names)
    plain = kept(architecture, "plain names", lambda: _plain(architecture))
    return any(name not in plain for name in subject.names(TARGETS))


def _plain(architecture: Architecture) -> frozenset[str]:
    """Names that mean linears alone."""
    holders = {leaf_of(path) for path in architecture.containers}
    return frozenset(
        name
        for name, rows in architecture.by_leaf.items()
        if name not in holders and all(row.kind in LINEARS for row in rows)
    ).difference(architecture.expert_names)


def missing_parameters(subject: Subject) -> Iterator[Finding]:
    """Parameters that this model has none of: PEFT warns, and stops where nothing else is targeted."""
    architecture = subject.architecture
    given = subject.names(PARAMETERS)
    if architecture is None or architecture.approximate or not given or not subject.lora:
        return
    if subject.on("lora_model_dir"):
        return
    names = tuple(name for name in given if not is_parameter(architecture, name))
    if not names:
        return
    left = [name for name in given if name not in names]
    fix = Fix(set={PARAMETERS: left}) if left else Fix(unset=(PARAMETERS,))
    if not left and not subject.on(TARGETS) and not subject.on(LINEAR):
        yield fails("parameters_none", PARAMETERS, fix=usual_targets(subject, PARAMETERS), names=listed(names))
    else:
        yield misleads("parameters_some", PARAMETERS, fix=fix, names=listed(names))


def unfrozen_patterns(subject: Subject) -> Iterator[Finding]:
    """Each is compiled once the model is there, beside an adapter too: Axolotl stops at one that does not compile."""
    wrong = [text for text in subject.names(UNFROZEN)[:MOST_PATTERNS] if not _unfreezes(text)]
    if wrong:
        yield fails("unfrozen_pattern", UNFROZEN, names=listed(wrong))


def _unfreezes(text: str) -> bool:
    """Whether ``LayerNamePattern`` takes it: a regular expression, and rows that begin before they end."""
    name, rows = rows_of(text)
    if rows is not None and rows[1] is not None and rows[0] >= rows[1]:
        return False
    return compiles(name)


def unfrozen(subject: Subject) -> Iterator[Finding]:
    """``unfrozen_parameters`` freezes all else, an adapter too, and is no more than a warning where that is all."""
    architecture = subject.architecture
    given = subject.names(UNFROZEN)
    if architecture is None or architecture.approximate or not 0 < len(given) <= MOST_PATTERNS:
        return
    wraps_later = subject.text("rl") in WRAPPING
    if subject.on("adapter") and (not subject.lora or wraps_later or subject.on("lora_model_dir")):
        return
    try:
        patterns = [unfreezing(text) for text in given]
    except InvalidInput:
        return
    names = _adapted_names if subject.lora else _own_names
    hit = [
        (module, path)
        for module in architecture.modules
        for path in names(module)
        if any(found_layers(one, path, module.layers) is not None for one in patterns)
    ]
    fix = Fix(unset=(UNFROZEN,))
    if hit:
        if subject.lora and not _means_adapter(subject, architecture, hit):
            yield misleads("unfrozen_base", UNFROZEN, fix=fix, names=listed(given))
    elif subject.lora:
        yield misleads("unfrozen_adapter", UNFROZEN, fix=fix, names=listed(given))
    elif checkpoints(subject):
        yield misleads("unfrozen_none", UNFROZEN, fix=fix, names=listed(given))
    else:
        yield fails("unfrozen_none_fails", UNFROZEN, fix=fix, names=listed(given))


def _means_adapter(subject: Subject, architecture: Architecture, hit: Iterable[tuple[Module, str]]) -> bool:
    """Whether what is left to train is of the adapter, where that can be resolved."""
    added = [module.path for module, path in hit if any(part in path for part in ADDED)]
    run = as_read(subject)
    if not added or run is None:
        return bool(added)
    try:
        adapted = {row.module.path for row in resolve_adapter(architecture, run).modules}
    except InvalidInput:
        return True
    return not adapted.isdisjoint(added)


def trained_tokens(subject: Subject) -> Iterator[Finding]:
    """Rows of tables that PEFT does not find or cannot train: a table, or a row, that this model has not."""
    architecture, given = subject.architecture, subject.config.get(TOKENS)
    if architecture is None or architecture.approximate or not subject.lora or not given:
        return
    if subject.on("lora_model_dir"):
        return
    sources = [m for m in architecture.modules if m.kind is Kind.EMBEDDING and m.part is Part.TEXT][:1]
    if isinstance(given, Mapping):
        tables = {name: rows for name, rows in given.items() if isinstance(name, str)}
        yield from _no_tables(architecture, tables)
    else:
        tables = {leaf_of(source.path): given for source in sources}
    empty = tuple(name for name, rows in tables.items() if rows == [])
    if empty:
        yield fails("tokens_empty", TOKENS, names=listed(empty))
    heads = [module for module in architecture.modules if module.kind is Kind.HEAD]
    hit = {name: [m for m in (*heads, *architecture.modules) if m.kind in ROWED and _ends(m, name)] for name in tables}
    whole = {module.path for modules in hit.values() for module in modules}
    both = sorted(whole & _with_factors(subject, architecture)) if whole else []
    if both:
        yield fails("tokens_adapted", TOKENS, fix=Fix(unset=(TOKENS,)), names=tuple(both))
    whole.update(head.path for head in heads if head.tied_to in whole)  # PEFT wraps the tied head as well
    saved = [name for name in subject.names(SAVED) if any(path.endswith(name) for path in whole)]
    if saved:
        yield fails("tokens_saved", TOKENS, fix=Fix(unset=(TOKENS,)), names=listed(saved))
    wrong: dict[int, dict[str, None]] = {}
    for name, modules in hit.items():
        numbers = tables[name] if isinstance(tables[name], list) else []
        for module in modules:
            last = module.shape[module.kind is not Kind.EMBEDDING] - 1
            grows = module in sources or module.kind is Kind.HEAD
            most = last if not grows else inf if any(map(subject.on, GROWING)) else last + MOST_ADDED
            outside = (shown(row) for row in numbers if type(row) is int and not 0 <= row <= most)
            wrong.setdefault(last, {}).update(dict.fromkeys(outside))
    for last, rows in wrong.items():
        if rows:
            yield fails("tokens_row", TOKENS, given=listed(rows), last=last)


def _ends(module: Module, end: str) -> bool:
    """Whether a module's name, in some layer, ends so."""
    return any(ending_layers(path, module.layers, end) is not None for path in (module.path, module.outer_path))


def _no_tables(architecture: Architecture, tables: Mapping[str, object]) -> Iterator[Finding]:
    """Names of what is no table: PEFT takes rows of a linear's weight as well, and stops at what has no such weight."""
    own = tuple(dict.fromkeys(module.name for module in architecture.modules if module.kind in TABLES))
    missing = tuple(name for name in tables if not is_ending(architecture, name))
    if missing:
        close = {name: near[0] for name in missing if (near := nearest(name, own, count=1))}
        meant = {close.get(name, name): rows for name, rows in tables.items()}
        fix = Fix(set={TOKENS: meant}) if close and len(meant) == len(tables) else None
        if fix is not None:
            near = tuple(dict.fromkeys(close.values()))
            yield fails("tokens_table_nearest", TOKENS, fix=fix, names=listed(missing), nearest=near)
        else:
            yield fails("tokens_table", TOKENS, names=listed(missing), have=own)
    for name, rows in tables.items():
        kinds = {module.kind for module in architecture.modules if _ends(module, name)}
        if name in missing or not kinds.isdisjoint(TABLES):
            continue
        fix = Fix(set={TOKENS: rows}) if len(tables) == 1 else None
        if kinds == {Kind.LINEAR}:
            yield misleads("tokens_linear", TOKENS, fix=fix, given=shown(name), have=own)
        elif kinds <= {Kind.NORM}:
            yield fails("tokens_rowless", TOKENS, fix=fix, given=shown(name), have=own)


def _with_factors(subject: Subject, architecture: Architecture) -> set[str]:
    """Paths of what LoRA adapts, where that can be resolved."""
    run = as_read(subject)
    if run is None or run.lora is None:
        return set()
    try:
        adapter = resolve_adapter(architecture, replace(run, lora=replace(run.lora, token_rows=())))
    except InvalidInput:
        return set()
    return {row.module.path for row in adapter.modules if row.rank}


def frozen_towers(subject: Subject) -> Iterator[Finding]:
    """``freeze_mm_modules`` freezes what an adapter, or ``unfrozen_parameters``, has in towers: here, all there is."""
    architecture, key = subject.architecture, "freeze_mm_modules"
    if architecture is None or architecture.approximate or not subject.flag(key) or subject.on("lora_model_dir"):
        return
    run = as_read(subject)
    if run is None or not _all_in_towers(architecture, run):
        return
    fix = Fix(unset=(key,))
    if checkpoints(subject):
        yield misleads("frozen_all", key, fix=fix)
    else:
        yield fails("frozen_all_fails", key, fix=fix)


def cut_off_tower(subject: Subject) -> Iterator[Finding]:
    """What an adapter has in a tower learns nothing where nothing that enters its checkpoints asks for a gradient."""
    architecture, run = subject.architecture, as_read(subject)
    if architecture is None or run is None:
        return
    run = counted(architecture, run)
    if not sees(architecture, run):
        return
    try:
        adapter = resolve_adapter(architecture, run)
    except InvalidInput:
        return
    if any(left_out(architecture, run, adapter)):
        key = "gradient_checkpointing_kwargs"
        yield misleads("tower_cut_off", key, fix=Fix(set={key: {**subject.mapping(key), "use_reentrant": False}}))


def _all_in_towers(architecture: Architecture, run: Run) -> bool:
    """Whether nothing trains, and something would without that key."""
    try:
        left, there = (resolve_adapter(architecture, replace(run, frozen_towers=each)) for each in (True, False))
    except InvalidInput:
        return False
    return there.trainable_parameters > left.trainable_parameters == 0


def _own_names(module: Module) -> Iterable[str]:
    """Without a weight that is another module's; a bias stays its own."""
    own = parameter_names(module)[1:] if module.tied_to else parameter_names(module)
    return (path for path, _ in own)


def _adapted_names(module: Module) -> Iterable[str]:
    if module.is_parameter:
        holder, _, leaf = module.path.rpartition(".")
        paths: Iterable[str] = [f"{holder}.{nested}".removesuffix(".") for nested in NESTED]
        ends: Iterable[str] = (leaf, f"{leaf}_bias", "lora_A.default.weight", "lora_B.default.weight")
    else:
        paths, ends = dict.fromkeys((module.path, module.outer_path)), WRAPPED
    return (f"base_model.model.{path}.{end}" for path in paths for end in ends)


REACH_RULES: tuple[Rule, ...] = (
    refused,
    missing_parameters,
    unfrozen_patterns,
    unfrozen,
    trained_tokens,
    frozen_towers,
    cut_off_tower,
)
