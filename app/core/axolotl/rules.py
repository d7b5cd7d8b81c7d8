"""What a configuration gets wrong under Axolotl 0.19, or means otherwise than it says."""

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any

from app.core.architecture import Architecture
from app.core.axolotl.adapter_rules import ADAPTER_RULES
from app.core.axolotl.asking import Askers, Settled, form, settle, watch
from app.core.axolotl.attention_rules import ATTENTION_RULES
from app.core.axolotl.card_rules import CARD_RULES
from app.core.axolotl.data_rules import DATA_RULES
from app.core.axolotl.dataset_rules import DATASET_RULES
from app.core.axolotl.fixing import tried
from app.core.axolotl.gptq_rules import GPTQ_RULES
from app.core.axolotl.memory_rules import MEMORY_RULES
from app.core.axolotl.optimizer_rules import OPTIMIZER_RULES
from app.core.axolotl.peft_rules import PEFT_RULES
from app.core.axolotl.plugin_rules import PLUGIN_RULES
from app.core.axolotl.precision_rules import PRECISION_RULES
from app.core.axolotl.preference_rules import PREFERENCE_RULES
from app.core.axolotl.reach_rules import REACH_RULES
from app.core.axolotl.renamed import (
    NEVER_READ,
    OTHER_TOOLS,
    REMOVED,
    RENAMED,
    never_read,
    removed_keys,
    renamed_keys,
    renamed_values,
    superseded_keys,
)
from app.core.axolotl.schedule_rules import SCHEDULE_RULES
from app.core.axolotl.schema import Schema
from app.core.axolotl.sharding_rules import SHARDING_RULES
from app.core.axolotl.step_rules import STEP_RULES
from app.core.axolotl.subject import LORA_ADAPTERS, Rule, Subject, misleads
from app.core.axolotl.target_rules import TARGET_RULES
from app.core.axolotl.type_rules import TYPE_RULES
from app.core.axolotl.unread_rules import UNREAD_RULES, WITHIN, is_read
from app.core.axolotl.word_rules import WORD_RULES
from app.core.findings import Finding, Fix, Severity, gathered
from app.core.hardware import Hardware
from app.core.kept import kept
from app.core.methods.settings import PeftType
from app.core.nearest import SLIP, akin, likeness, nearest
from app.core.shown import path_shown

MOST_SUGGESTIONS = 12
"""Unknown keys for which the nearest known one is looked up; more are typed by nobody."""

ELSEWHERE = frozenset(("inference", "beta", "mlp_kernel", "lora_exclude_modules"))
"""Keys that some code of Axolotl looks for although no model holds them; each has a rule where it matters."""

EXPLAINED = frozenset((*RENAMED, *REMOVED, *NEVER_READ, *ELSEWHERE))
"""Keys that have a finding of their own, known to this Axolotl or not."""


RULES: tuple[Rule, ...] = (
    *TYPE_RULES,
    renamed_keys,
    removed_keys,
    renamed_values,
    superseded_keys,
    never_read,
    *ADAPTER_RULES,
    *TARGET_RULES,
    *REACH_RULES,
    *PEFT_RULES,
    *DATA_RULES,
    *DATASET_RULES,
    *WORD_RULES,
    *UNREAD_RULES,
    *ATTENTION_RULES,
    *SCHEDULE_RULES,
    *OPTIMIZER_RULES,
    *PRECISION_RULES,
    *PREFERENCE_RULES,
    *SHARDING_RULES,
    *PLUGIN_RULES,
    *MEMORY_RULES,
    *STEP_RULES,
    *GPTQ_RULES,
    *CARD_RULES,
)

UNKNOWN_KEYS = frozenset(("unknown_key", "unknown_key_nearest", "unknown_key_within"))
_PEFT_TYPES = frozenset(PeftType)
_ADAPTERS = _PEFT_TYPES.union(LORA_ADAPTERS)
_SEVERITY = {severity: position for position, severity in enumerate(Severity)}


def check(
    config: Mapping[str, Any],
    architecture: Architecture | None,
    hardware: Hardware | None,
    schema: Schema | frozenset[str],
    *,
    trying: bool = True,
) -> tuple[Finding, ...]:
    """All findings on ``config`` for this model and card, errors first, each kind in the order of the rules.

    Rules that need a model or a card say nothing where it is None. A bare set of top-level names will do for
    ``schema`` where nothing nested and no plugin is to be looked at. A fix that is offered was tried: it settles its
    finding and brings no new refusal or failure; without ``trying`` fixes are as each rule has them.
    """

    def look(at: Mapping[str, Any]) -> list[Finding]:
        return _look(at, architecture, hardware, schema)

    found = tried(config, look(config), look) if trying else gathered(look(config))
    return tuple(sorted(found, key=lambda finding: _SEVERITY[finding.severity]))


def _look(
    config: Mapping[str, Any],
    architecture: Architecture | None,
    hardware: Hardware | None,
    schema: Schema | frozenset[str],
) -> list[Finding]:
    """What the rules say, fixes as each rule has them."""
    whole = schema if isinstance(schema, Schema) else None
    subject = Subject(config=config, architecture=architecture, hardware=hardware, schema=whole)
    found: list[Finding] = []
    for part in _awake(subject, schema):
        found += part if isinstance(part, tuple) else part(subject)
    spoken_of = {finding.key for finding in found if finding.code not in UNKNOWN_KEYS}
    return [finding for finding in found if finding.code not in UNKNOWN_KEYS or finding.key not in spoken_of]


def _awake(subject: Subject, schema: Schema | frozenset[str]) -> Iterable[tuple[Finding, ...] | Rule]:
    """The rules that may have something to say, or what they say; settled once for a model, a card and a form."""
    config, architecture = subject.config, subject.architecture

    def rules() -> Iterator[Rule]:
        yield from _watched(_known_adapter(config), subject.schema).of(config)
        yield lambda subject: unknown_keys(subject.config, schema)

    at = form(config) if architecture is not None else None
    if architecture is None or at is None:
        return rules()
    settled: Settled = kept(architecture, ("rules", at, subject.hardware, schema), lambda: settle(rules(), subject, at))
    return settled


def _known_adapter(config: Mapping[str, Any]) -> str | None:
    adapter = config.get("adapter")
    return adapter if isinstance(adapter, str) and adapter in _ADAPTERS else None


@cache
def _watched(adapter: str | None, schema: Schema | None) -> Askers:
    return watch(RULES, {} if adapter is None else {"adapter": adapter}, schema)


def unknown_keys(config: Mapping[str, Any], schema: Schema | frozenset[str]) -> Iterator[Finding]:
    """Keys that Axolotl drops without a word, nested ones too, with the nearest that it knows."""
    known = schema.known if isinstance(schema, Schema) else schema
    explained = EXPLAINED | {"peft_config"} if _known_adapter(config) in _PEFT_TYPES else EXPLAINED
    unknown = [(str(key), str(key), known) for key in config if key not in known and key not in explained]
    if isinstance(schema, Schema):
        for key in config:
            if key in schema.nested and isinstance(config[key], Mapping | list | tuple):
                inside = schema.unknown_in(config[key], _models(key, config, schema), key)
                unknown += (found for found in inside if not _prefixed(*found))
    # A plugin that is none of Axolotl's own may know any top-level key.
    foreign = isinstance(schema, Schema) and any(name not in schema.plugin_classes for name in _plugins(config))
    for position, (path, key, allowed) in enumerate(unknown):
        if foreign and path == key:
            continue
        if path == key and key in WITHIN:
            yield _within(key, config)
            continue
        close = nearest(key, allowed, count=1) if position < MOST_SUGGESTIONS else ()
        slip = bool(close) and likeness(key, close[0]) >= SLIP
        if path == key and key in OTHER_TOOLS:
            close, slip = (OTHER_TOOLS[key],), True
        elif close and not akin(key, close[0]):
            close = ()
        if close:
            top = slip and path == key and key in config and close[0] not in config
            fix = Fix(set={close[0]: config[key]}, unset=(key,)) if top else None
            yield misleads("unknown_key_nearest", path, fix=fix, key=path_shown(path), nearest=close[0])
        else:
            yield misleads("unknown_key", path, key=path_shown(path))


def _within(key: str, config: Mapping[str, Any]) -> Finding:
    """A key that is read one level further down."""
    holder = WITHIN[key]
    there = config.get(holder)
    free = there is None or (isinstance(there, Mapping) and key not in there)
    free = free and is_read(holder, Subject(config=config, architecture=None, hardware=None, schema=None))
    fix = Fix(set={holder: {**(there or {}), key: config[key]}}, unset=(key,)) if free else None
    return misleads("unknown_key_within", key, fix=fix, key=key, holder=holder)


def _prefixed(path: str, key: str, allowed: frozenset[str]) -> bool:
    """Whether this is FSDP's old spelling, which is read (``check_fsdp_config_kwargs_prefix``)."""
    return path.startswith("fsdp_config.") and key.startswith("fsdp_") and key.replace("fsdp_", "") in allowed


def _plugins(config: Mapping[str, Any]) -> tuple[str, ...]:
    given = config.get("plugins")
    return tuple(name for name in given if isinstance(name, str)) if isinstance(given, list | tuple) else ()


def _models(key: str, config: Mapping[str, Any], schema: Schema) -> tuple[str, ...]:
    """What may stand below ``key``.

    Axolotl reads each dataset as the kind that ``rl`` calls for, and drops what only other kinds know.
    """
    if key == "datasets":
        rl = config.get("rl")
        if rl in ("dpo", "ipo", "simpo"):
            return ("DPODataset",)
        return ("KTODataset",) if rl == "kto" else ("SFTDataset", "SyntheticDataset")
    found = schema.key(key)
    return found.models if found is not None else ()
