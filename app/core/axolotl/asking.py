"""Which rules can have something to say of a configuration, found by watching what each of them asks.

A rule depends on nothing but its subject. Watched on a bare configuration it asks for some keys, does not find them
and says nothing. On any other configuration without those keys it asks the same, gets the same answers and says
nothing again, so it need not run there. Most rules ask for the adapter first, and nearly every configuration has one;
so rules are watched once for each.

Watched on a real configuration, a rule that reads no number says what it will say for this model and card wherever
the names and the switches are the same, whatever the numbers (``form``). People turn numbers most.

Nobody has to declare what a rule is about, and nothing can go stale.
"""

from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import NoneType
from typing import Any, TypeAlias, cast

from app.core.axolotl.schema import Schema
from app.core.axolotl.subject import Rule, Subject
from app.core.findings import Finding

_SWITCHES = frozenset((bool, str, NoneType))
LONGEST_TEXT = 200
MOST_KEYS = 100
"""Top-level keys of a form; none of Axolotl's own examples has more than 60."""
MOST_INSIDE = 8
"""Entries of a list or mapping that is taken as a switch, as a whole."""


class _Watched(Mapping[str, Any]):
    """A configuration that notes which keys it is asked for, whose values are read, and whether more is asked for."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.asked: set[str] = set()
        self.read: set[str] = set()
        self.asked_more = False
        self._config = config

    def __contains__(self, key: object) -> bool:
        self.asked.add(str(key))
        return key in self._config

    def __getitem__(self, key: str) -> Any:
        self.asked.add(key)
        self.read.add(key)
        return self._config[key]

    def __iter__(self) -> Iterator[str]:
        self.asked_more = True
        return iter(self._config)

    def __len__(self) -> int:
        self.asked_more = True
        return len(self._config)

    def kinds(self) -> list[tuple[Any, type]]:
        """What each value is, which a form tells too."""
        self.asked_more = True
        return [(key, type(value)) for key, value in self._config.items()]


class _SettlingSubject(Subject):
    """A subject that tells the types of a watched configuration's values without reading them."""

    __slots__ = ()

    def texts(self) -> list[tuple[Any, str]]:
        return [(key, self.config[key]) for key, kind in self.kinds() if issubclass(kind, str)]

    def kinds(self) -> list[tuple[Any, type]]:
        return cast("_Watched", self.config).kinds()


class _WatchedSubject(Subject):
    """A subject whose model and card, which differ by request, count as more than keys."""

    __slots__ = ()

    def __getattribute__(self, name: str) -> Any:
        found = object.__getattribute__(self, name)
        if name in ("architecture", "hardware"):
            object.__getattribute__(self, "config").asked_more = True
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Askers:
    """Rules by the keys that wake them. ``always`` are those that must run on every configuration."""

    rules: tuple[Rule, ...]
    always: frozenset[int]
    woken_by: Mapping[str, tuple[int, ...]]

    def of(self, config: Iterable[str]) -> Iterator[Rule]:
        """The rules that may have something to say of a configuration with these keys, in their order."""
        awake = set(self.always)
        for key in config:
            awake.update(self.woken_by.get(key, ()))
        return map(self.rules.__getitem__, sorted(awake))


def watch(rules: tuple[Rule, ...], bare: Mapping[str, Any], schema: Schema | None) -> Askers:
    """What wakes each rule on configurations that hold ``bare`` and other keys besides."""
    always: set[int] = set()
    woken_by: dict[str, tuple[int, ...]] = {}
    for position, rule in enumerate(rules):
        config = _Watched(bare)
        spoke = any(True for _ in rule(_WatchedSubject(config=config, architecture=None, hardware=None, schema=schema)))
        if spoke or config.asked_more:
            always.add(position)
        for key in config.asked - bare.keys():
            woken_by[key] = (*woken_by.get(key, ()), position)
    return Askers(rules=rules, always=frozenset(always), woken_by=woken_by)


Form: TypeAlias = tuple[tuple[str, Hashable], ...]


def form(config: Mapping[str, Any]) -> Form | None:
    """The names and switches of a configuration; of numbers, long texts and long lists no more than their type.

    None where a key is no name, or where keys are longer or more than anybody's: what is settled at a form is kept,
    and a stranger's thousand keys are not to be.
    """
    if len(config) > MOST_KEYS:
        return None
    found = []
    for key, value in config.items():
        kind = type(value)
        if type(key) is not str or len(key) > LONGEST_TEXT:
            return None
        if kind in _SWITCHES:
            found.append((key, value if kind is not str or len(value) <= LONGEST_TEXT else str))
        elif (kind is list or kind is dict) and len(value) <= MOST_INSIDE and len(text := repr(value)) <= LONGEST_TEXT:
            found.append((key, (kind, text)))
        else:
            found.append((key, kind))
    return tuple(found)


Settled: TypeAlias = tuple[tuple[Finding, ...] | Rule, ...]
"""In the order of the rules: what they say at one form, and those that must run each time."""


def settle(rules: Iterable[Rule], subject: Subject, at: Form) -> Settled:
    """What the rules say wherever the form, the model and the card are this subject's."""
    numbers = {key for key, value in at if isinstance(value, type)}
    found: list[tuple[Finding, ...] | Rule] = []
    for rule in rules:
        config = _Watched(subject.config)
        watched = _SettlingSubject(
            config=config, architecture=subject.architecture, hardware=subject.hardware, schema=subject.schema
        )
        said = tuple(rule(watched))
        if config.read & numbers:
            found.append(rule)
        elif said:
            found.append(said)
    return tuple(found)
