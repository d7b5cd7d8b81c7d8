"""What one release of Axolotl accepts, as recorded from it: every key, its types, values, default and state.

The recording (``app/data/axolotl-<version>.json``) is made by ``tests/reference/axolotl/record_schema.py``:
``keys`` (top level), ``plugins`` (keys by bundled package), ``plugin_classes`` (class path to package), ``models``
(nested ones by name), ``readers`` (classes of its Transformers that a processor is loaded by), ``strict_models``
(those that refuse what they do not know) and ``validators`` (name to a fingerprint of the code, to see what a release
changes). A key's facts: ``accepts``, the alternatives that a value may
be (``boolean``, ``integer``, ``number``, ``text``, ``null``, ``mapping``, ``any``, or an object: ``{"list": [...]}``,
``{"tuple": [[...], ...]}``, ``{"mapping": [[key kinds], [value kinds]]}``, ``{"values": [...]}``, ``{"model": name}``,
``{"bounded": [...], "min_length": 1}``); ``default``; ``required``; ``aliases``; ``deprecated`` and ``successors``;
bounds ``gt``, ``ge``, ``lt``, ``le``.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType, NoneType
from typing import Any, TypeAlias


@dataclass(frozen=True, kw_only=True)
class Key:
    """One key: what it takes. ``default`` is None where there is none; a bound is None where it has none."""

    name: str
    accepts: tuple[Any, ...]
    default: object = None
    required: bool = False
    deprecated: bool = False
    successors: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    gt: float | None = None
    ge: float | None = None
    lt: float | None = None
    le: float | None = None

    @cached_property
    def values(self) -> tuple[Any, ...]:
        """The values that are named, where some are."""
        return tuple(dict.fromkeys(value for part in walk(self.accepts, "values") for value in part))

    @cached_property
    def models(self) -> tuple[str, ...]:
        """The models that describe what is nested."""
        return tuple(dict.fromkeys(walk(self.accepts, "model")))

    @cached_property
    def bounds(self) -> Mapping[str, float]:
        """The limits that it has."""
        limits = {"gt": self.gt, "ge": self.ge, "lt": self.lt, "le": self.le}
        return {name: limit for name, limit in limits.items() if limit is not None}

    @cached_property
    def plain(self) -> frozenset[type]:
        """Python's types of which every value will do, so that nobody need look closer."""
        if self.bounds:
            return frozenset()
        return frozenset(plain for kind in self.accepts if isinstance(kind, str) for plain in _PLAIN[kind])


_PLAIN: Mapping[str, tuple[type, ...]] = {
    "any": (bool, int, float, str, bytes, list, dict, NoneType),
    "null": (NoneType,),
    "boolean": (bool,),
    "integer": (int, bool),
    "number": (int, float, bool),
    "text": (str,),
    "mapping": (dict,),
}


def walk(alternatives: object, kind: str) -> Iterator[Any]:
    """What stands under ``kind`` anywhere in some alternatives."""
    if isinstance(alternatives, list | tuple):
        for part in alternatives:
            yield from walk(part, kind)
    elif isinstance(alternatives, Mapping):
        if kind in alternatives:
            yield alternatives[kind]
        yield from walk([part for part in alternatives.values() if isinstance(part, list)], kind)


Keys: TypeAlias = Mapping[str, Key]
"""Every spelling of every key, aliases included, to the key."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Schema:
    """All keys of one release. There is one object for each, equal to itself alone."""

    version: str
    keys: Keys
    plugins: Mapping[str, Keys]
    plugin_classes: Mapping[str, str]
    models: Mapping[str, Keys]
    strict_models: frozenset[str] = frozenset()
    dataset_types: Mapping[str, frozenset[str]] = field(default_factory=lambda: MappingProxyType({}))
    """What a dataset's ``type`` may name, by the kind of training: ``sft``, ``reward`` or a value of ``rl``."""
    readers: frozenset[str] = frozenset()
    """Classes of its Transformers that ``processor_type`` may name."""

    @cached_property
    def known(self) -> frozenset[str]:
        """Every spelling of every top-level key, the bundled plugins' included."""
        return frozenset(self.keys).union(*self.plugins.values())

    @cached_property
    def plugin_of(self) -> Mapping[str, str]:
        """The package of each key that only a plugin knows."""
        return {name: package for package, keys in self.plugins.items() for name in keys if name not in self.keys}

    @cached_property
    def nested(self) -> frozenset[str]:
        """Top-level keys that hold keys of their own."""
        return frozenset(name for name in self.known if (key := self.key(name)) is not None and key.models)

    @cached_property
    def required(self) -> tuple[Key, ...]:
        """Keys without a default that a configuration must have."""
        return tuple(key for name, key in self.keys.items() if key.required and key.name == name)

    def key(self, name: str) -> Key | None:
        """The top-level key of this name or alias, None where there is none."""
        if name in self.keys:
            return self.keys[name]
        package = self.plugin_of.get(name)
        return self.plugins[package][name] if package else None

    def class_of(self, package: str) -> str | None:
        """What to list under ``plugins`` to get the keys of ``package``."""
        return next((path for path, owner in self.plugin_classes.items() if owner == package), None)

    def unknown_in(
        self, value: object, models: tuple[str, ...], path: str
    ) -> Iterator[tuple[str, str, frozenset[str]]]:
        """Keys below ``value`` that none of ``models`` has: full path, key, and what would have been known.

        Axolotl's models are no deeper than a few levels, so the walk is no deeper either, whatever it is given.
        """
        if isinstance(value, list | tuple):
            for position, item in enumerate(value):
                if isinstance(item, Mapping):
                    yield from self.unknown_in(item, models, f"{path}[{position}]")
        elif isinstance(value, Mapping):
            tables = [self.models[name] for name in models]
            for key, inner in value.items():
                name = str(key)
                found = [table[name] for table in tables if name in table]
                if not found:
                    yield f"{path}.{name}", name, frozenset().union(*tables)
                elif below := tuple(dict.fromkeys(model for field in found for model in field.models)):
                    yield from self.unknown_in(inner, below, f"{path}.{name}")


def build_schema(recording: Mapping[str, Any]) -> Schema:
    """A schema from the parsed recording.

    Raises:
        KeyError, TypeError: it is no such recording.
    """
    return Schema(
        version=str(recording["axolotl"]),
        keys=_keys(recording["keys"]),
        plugins={package: _keys(rows) for package, rows in recording["plugins"].items()},
        plugin_classes=MappingProxyType(dict(recording["plugin_classes"])),
        models={name: _keys(rows) for name, rows in recording["models"].items()},
        strict_models=frozenset(recording["strict_models"]),
        readers=frozenset(recording["readers"]),
        dataset_types=MappingProxyType(
            {kind: frozenset(names) for kind, names in recording.get("dataset_types", {}).items()}
        ),
    )


def _keys(rows: Mapping[str, Mapping[str, Any]]) -> Keys:
    found: dict[str, Key] = {}
    for name, row in rows.items():
        facts: dict[str, Any] = {"name": name, **row}
        facts |= {fact: tuple(row[fact]) for fact in ("accepts", "successors", "aliases") if fact in row}
        key = Key(**facts)
        for spelling in (name, *key.aliases):
            found[spelling] = key
    return MappingProxyType(found)
