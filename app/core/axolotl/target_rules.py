"""Rules about what an adapter targets: names, patterns, experts, modules to save. One function, one rule.

Sources: Axolotl 0.19.0 ``loaders/adapter.py``; PEFT 0.20.0 ``tuners/tuners_utils.py``. What only shows at run time was
run there.
"""

import re
from collections.abc import Callable, Iterator

from app.core.adapted import is_ending
from app.core.adapter import default_targets, linear_names, resolve_adapter
from app.core.architecture import Architecture, Kind, Module, Part
from app.core.axolotl.reading import as_read
from app.core.axolotl.subject import Rule, Subject, fails, info, misleads, rejected
from app.core.errors import InvalidInput
from app.core.findings import Finding, Fix
from app.core.lora import is_parameter, is_target
from app.core.methods.matching import ALL_LINEAR
from app.core.nearest import nearest
from app.core.shown import listed
from app.core.targets import pattern_layers, safe_pattern

SCORING_HEADS = ("score", "classifier")
"""Heads of a reward model or a classifier, which its architecture here does not name."""
_PLAIN_NAME = re.compile(r"[\w.]*")
MOST_SAVED = 50
"""Modules to save that are looked for; no model has more kinds of them."""
MOST_PATTERNS = 200
"""Targets of a list that are tried as regular expressions; what is no more than a name always is one."""
ATTENTION_TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj")


def usual_targets(subject: Subject, *unset: str) -> Fix:
    """What a plan targets, where the model is known; else every linear."""
    if subject.architecture is None:
        return Fix(set={"lora_target_linear": True}, unset=unset)
    names = default_targets(subject.architecture)
    return Fix(set={"lora_target_modules": names if isinstance(names, str) else list(names)}, unset=unset)


def targets_twice(subject: Subject) -> Iterator[Finding]:
    """Both target keys are legal together: the union is taken."""
    if subject.lora and subject.on("lora_target_linear") and subject.on("lora_target_modules"):
        yield info("targets_twice", "lora_target_linear")


def target_linear(subject: Subject) -> Iterator[Finding]:
    """``lora_target_linear`` takes every nn.Linear of the whole model but the head, by leaf name."""
    architecture = subject.architecture
    if architecture is None or not subject.lora or not subject.on("lora_target_linear"):
        return
    fix = usual_targets(subject, "lora_target_linear")
    if _numbered(subject, architecture):
        model_type = architecture.model_type
        yield fails("targets_numbered", "lora_target_linear", fix=fix, model_type=model_type)
    if architecture.model_type == "gpt_neox":
        yield misleads("targets_head", "lora_target_linear")
    linear = any(module.kind is Kind.LINEAR for module in architecture.modules)
    if not linear and not subject.on("lora_target_modules"):
        yield fails("targets_conv1d", "lora_target_linear", model_type=architecture.model_type)


def target_experts(subject: Subject) -> Iterator[Finding]:
    """PEFT rewrites the names of the feed-forward to the fused parameters that hold all experts.

    Names that ``lora_target_linear`` finds in dense layers and shared experts are among those.
    """
    architecture = subject.architecture
    if architecture is None or not subject.lora:
        return
    names = tuple(name for name in subject.names("lora_target_modules") if name in architecture.expert_names)
    if names:
        attention = [name for name in architecture.module_names if name in ATTENTION_TARGETS]
        fix = Fix(set={"lora_target_modules": attention}) if attention else None
        yield _reaching("experts", "lora_target_modules", fix, names, _trained(subject, _is_expert))
    elif architecture.expert_names:
        for key, said in _all_linears(subject):
            if key == "lora_target_modules" or not architecture.expert_names.keys().isdisjoint(
                linear_names(architecture)
            ):
                count = _trained(subject, _is_expert)
                yield _reaching("experts", key, usual_targets(subject, *_others(key)), (said,), count)


def _numbered(subject: Subject, architecture: Architecture) -> bool:
    """Whether names that ``lora_target_linear`` finds are decoder layers' too.

    Where layers are chosen, PEFT takes what has a layer's number before its own name, which a layer has not.
    """
    chosen = subject.on("peft_layers_to_transform")
    return not chosen and any(name.isdecimal() for name in linear_names(architecture))


def target_towers(subject: Subject) -> Iterator[Finding]:
    """Every linear of the whole model is one of its towers' too, and a name is wherever it occurs."""
    architecture = subject.architecture
    if architecture is None or not subject.lora:
        return
    if all(module.part is Part.TEXT for module in architecture.modules):
        return
    for key, said in _all_linears(subject):
        if key == "lora_target_linear" and _numbered(subject, architecture):
            continue  # which fails
        yield from _reaching_towers(subject, key, (said,))
    if isinstance(subject.config.get("lora_target_modules"), list) and not subject.on("lora_target_linear"):
        parts = {name: {row.part is Part.TEXT for row in rows} for name, rows in architecture.by_leaf.items()}
        names = tuple(dict.fromkeys(n for n in subject.names("lora_target_modules") if len(parts.get(n, ())) > 1))
        if names:
            yield from _reaching_towers(subject, "lora_target_modules", listed(names))


def _reaching_towers(subject: Subject, key: str, names: tuple[str, ...]) -> Iterator[Finding]:
    count = _trained(subject, lambda module: module.part is not Part.TEXT)
    if count != 0:
        yield _reaching("towers", key, usual_targets(subject, *_others(key)), names, count)


def _all_linears(subject: Subject) -> Iterator[tuple[str, str]]:
    """The keys that take every linear, and how each is written."""
    if subject.on("lora_target_linear"):
        yield "lora_target_linear", "lora_target_linear"
    elif subject.text("lora_target_modules").lower() == ALL_LINEAR:
        yield "lora_target_modules", ALL_LINEAR


def _others(key: str) -> tuple[str, ...]:
    """What goes where the targets are named."""
    return ("lora_target_linear",) if key == "lora_target_linear" else ()


def _is_expert(module: Module) -> bool:
    return module.kind is Kind.EXPERTS


def _trained(subject: Subject, of: Callable[[Module], bool]) -> int | None:
    """Parameters that LoRA trains on some modules; None where that cannot be told."""
    run = as_read(subject)
    if run is None or subject.architecture is None:
        return None
    try:
        adapter = resolve_adapter(subject.architecture, run)
    except InvalidInput:
        return None
    return sum(row.trainable_parameters for row in adapter.modules if of(row.module))


def _reaching(what: str, key: str, fix: Fix | None, names: tuple[str, ...], count: int | None) -> Finding:
    """A finding on what is reached unasked, with the number of parameters where it is known."""
    if count:
        return misleads(f"targets_{what}_counted", key, fix=fix, names=names, count=count)
    return misleads(f"targets_{what}", key, fix=fix, names=names)


def expert_parameters(subject: Subject) -> Iterator[Finding]:
    """LoRA on bare parameters takes neither dropout nor DoRA."""
    if not subject.on("lora_target_parameters"):
        return
    if subject.number("lora_dropout"):
        yield rejected("parameters_dropout", "lora_dropout", fix=Fix(set={"lora_dropout": 0.0}, safe=True))
    if subject.lora and subject.on("peft_use_dora"):
        yield fails("parameters_dora", "peft_use_dora", fix=Fix(unset=("peft_use_dora",)))


def missing_targets(subject: Subject) -> Iterator[Finding]:
    """Target names that this model has none of; PEFT only fails where no name matches."""
    given = subject.config.get("lora_target_modules")
    if not isinstance(given, list | tuple):
        return
    architecture = subject.architecture
    if architecture is None or not subject.lora or architecture.approximate:
        return
    names = [name for name in subject.names("lora_target_modules") if not is_target(architecture, name)]
    others = subject.on("lora_target_linear") or _parameters(subject, architecture)
    if names and len(names) == len(given) and not others:
        fix = Fix(set={"lora_target_modules": list(_linear(architecture))})
        yield fails("targets_none", "lora_target_modules", fix=fix, names=listed(names), have=_linear(architecture))
    elif names:
        missing = frozenset(names)
        left = [name for name in subject.names("lora_target_modules") if name not in missing]
        fix = Fix(set={"lora_target_modules": left}) if left else Fix(unset=("lora_target_modules",))
        yield misleads("targets_some", "lora_target_modules", fix=fix, names=listed(names), have=_linear(architecture))


def pattern_missing(subject: Subject) -> Iterator[Finding]:
    """A text is one regular expression over whole paths; PEFT stops where it matches none."""
    given = subject.text("lora_target_modules")
    architecture = subject.architecture
    if not given or given.lower() == ALL_LINEAR or subject.on("lora_target_linear") or not subject.lora:
        return
    if architecture is None or architecture.approximate or architecture.expert_names:
        return
    try:
        pattern = safe_pattern(given)
    except (re.error, ValueError, RecursionError, OverflowError):
        return
    reached = (
        pattern_layers(pattern, path, module.layers) is not None
        for module in architecture.modules
        for path in {module.path, module.outer_path}
        if not module.is_parameter
    )
    if any(reached):
        return
    if _parameters(subject, architecture):
        fix, have = Fix(unset=("lora_target_modules",)), _linear(architecture)
        yield misleads("targets_some", "lora_target_modules", fix=fix, names=(given[:120],), have=have)
    else:
        yield fails("targets_pattern", "lora_target_modules", fix=usual_targets(subject), given=given[:120])


def missing_saved_modules(subject: Subject) -> Iterator[Finding]:
    """Names of modules to save that nothing in this model ends with; PEFT passes over them."""
    architecture = subject.architecture
    given = subject.names("lora_modules_to_save")[:MOST_SAVED]
    if architecture is None or not given or not subject.lora or architecture.approximate:
        return
    names = tuple(name for name in given if name not in SCORING_HEADS and not is_ending(architecture, name))
    if names:
        close = {name: nearest(name, architecture.module_names, count=1) for name in names}
        meant = dict.fromkeys(other for name in given for other in close.get(name, (name,)))
        fix = Fix(set={"lora_modules_to_save": list(meant)}) if meant else Fix(unset=("lora_modules_to_save",))
        yield misleads(
            "saved_modules_missing",
            "lora_modules_to_save",
            fix=fix,
            names=listed(names),
            have=architecture.module_names,
        )


def _parameters(subject: Subject, architecture: Architecture) -> tuple[str, ...]:
    """The parameters named that this model has."""
    return tuple(name for name in subject.names("lora_target_parameters") if is_parameter(architecture, name))


def _linear(architecture: Architecture) -> tuple[str, ...]:
    kinds = (Kind.LINEAR, Kind.CONV1D)
    return tuple(dict.fromkeys(m.name for m in architecture.modules if m.kind in kinds and m.part is Part.TEXT))


def regexes(subject: Subject) -> Iterator[Finding]:
    """Each target of a list is held to be a regular expression."""
    given = subject.config.get("lora_target_modules")
    if isinstance(given, list):
        patterns = [name for name in given if isinstance(name, str) and _PLAIN_NAME.fullmatch(name) is None]
        wrong = [name for name in patterns[:MOST_PATTERNS] if not compiles(name)]
        if len(patterns) > MOST_PATTERNS:
            yield info("partly_read", "lora_target_modules", key="lora_target_modules", most=MOST_PATTERNS)
        if wrong:
            yield rejected("targets_regex", "lora_target_modules", names=listed(wrong[:9]))


def compiles(pattern: str) -> bool:
    """Whether Python takes it for a regular expression."""
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError):
        return False
    return True


TARGET_RULES: tuple[Rule, ...] = (
    targets_twice,
    target_linear,
    target_experts,
    target_towers,
    expert_parameters,
    missing_targets,
    pattern_missing,
    missing_saved_modules,
    regexes,
)
