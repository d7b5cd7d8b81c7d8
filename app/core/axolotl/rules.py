"""What a configuration gets wrong under Axolotl 0.19, or means otherwise than it says."""

from collections.abc import Iterator, Mapping
from typing import Any

from app.core.architecture import Architecture
from app.core.axolotl.adapter_rules import ADAPTER_RULES
from app.core.axolotl.renamed import REMOVED, RENAMED, removed_keys, renamed_keys, renamed_values
from app.core.axolotl.schema import Schema
from app.core.axolotl.subject import Rule, Subject, warning
from app.core.axolotl.training_rules import TRAINING_RULES
from app.core.findings import Finding, Severity
from app.core.hardware import Hardware
from app.core.methods.settings import PeftType
from app.core.nearest import nearest

MOST_SUGGESTIONS = 12
"""Unknown keys for which the nearest known one is looked up; more are typed by nobody."""

RULES: tuple[Rule, ...] = (renamed_keys, removed_keys, renamed_values, *ADAPTER_RULES, *TRAINING_RULES)

EXPLAINED = frozenset((*RENAMED, *REMOVED))
"""Keys that have a finding of their own, known to this Axolotl or not."""

_SEVERITY = {severity: position for position, severity in enumerate(Severity)}


def check(
    config: Mapping[str, Any],
    architecture: Architecture | None,
    hardware: Hardware | None,
    schema: Schema | frozenset[str],
) -> tuple[Finding, ...]:
    """All findings on ``config`` for this model and card, errors first, each kind in the order of the rules.

    Rules that need a model or a card say nothing where it is None. A bare set of top-level names will do for
    ``schema`` where nothing nested and no plugin is to be looked at.
    """
    whole = schema if isinstance(schema, Schema) else None
    subject = Subject(config=config, architecture=architecture, hardware=hardware, schema=whole)
    found = [finding for rule in RULES for finding in rule(subject)]
    found += unknown_keys(config, schema)
    return tuple(sorted(found, key=lambda finding: _SEVERITY[finding.severity]))


def unknown_keys(config: Mapping[str, Any], schema: Schema | frozenset[str]) -> Iterator[Finding]:
    """Keys that Axolotl drops without a word, nested ones too, with the nearest that it knows."""
    known = schema.known if isinstance(schema, Schema) else schema
    explained = EXPLAINED | {"peft_config"} if config.get("adapter") in tuple(PeftType) else EXPLAINED
    unknown = [(str(key), str(key), known) for key in config if key not in known and key not in explained]
    if isinstance(schema, Schema):
        for key in config:
            if key in schema.nested and isinstance(config[key], Mapping | list | tuple):
                unknown += schema.unknown_in(config[key], _models(key, config, schema), key)
    for position, (path, key, allowed) in enumerate(unknown):
        close = nearest(key, allowed, count=1) if position < MOST_SUGGESTIONS else ()
        if close:
            yield warning("unknown_key_nearest", path, key=path, nearest=close[0])
        else:
            yield warning("unknown_key", path, key=path)


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
