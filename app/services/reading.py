"""Reads anybody's YAML the way Axolotl does, within bounds, and keeps where everything stands.

PyYAML is the reader that Axolotl uses, so it is the one here: YAML 1.1, safe tags alone. Its C parser gives the events;
they are counted before anything is built, so that aliases, depth and size are bounded first. Nothing is ever executed,
and whatever is wrong becomes a finding at its line.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, NamedTuple

import yaml

from app.core.axolotl.subject import misleads, rejected
from app.core.findings import Finding, gathered
from app.core.lookalikes import HIDDEN, SPACES, described, in_rows, is_bullet, unseen
from app.core.shown import shown

LONGEST = 64 * 1024
"""Characters of a file. The longest of Axolotl's own examples has a tenth of that."""
DEEPEST = 24
MOST_ENTRIES = 1_000
"""Keys and values, those that aliases repeat counted each time: what a bomb of them would unfold to is never built.

Each is looked at by every rule, so this is what bounds the time of an answer. Patterns for each of seven modules in
each of 126 layers are 882; none of Axolotl's own examples has more than 139.
"""
MOST_DIGITS = 400
UTF_16 = (b"\xff\xfe", b"\xfe\xff")
"""How a file says that it is UTF-16; Axolotl's ``load_cfg`` opens each as UTF-8, and stops."""

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_OCTAL = re.compile(r"[-+]?0[0-7_]+")
_SEXAGESIMAL = re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?")
_INT, _FLOAT, _TIME = ("tag:yaml.org,2002:" + name for name in ("int", "float", "timestamp"))
_PROBLEMS = (
    ("cannot start any token", "yaml_character"),
    ("mapping values are not allowed", "yaml_colon"),
    ("could not find expected ':'", "yaml_no_colon"),
    ("did not find expected key", "yaml_indent"),
    ("did not find expected '-' indicator", "yaml_indent"),
    ("did not find expected ',' or", "yaml_bracket"),
    ("unexpected end of stream", "yaml_unclosed"),
    ("duplicate anchor", "yaml_anchor_twice"),
    ("undefined alias", "yaml_alias_unknown"),
    ("expected a single document", "yaml_documents"),
    ("could not determine a constructor", "yaml_tag"),
    ("control characters", "yaml_binary"),
)


_MISREAD = frozenset(
    "yaml_colon yaml_no_colon yaml_indent yaml_syntax yaml_character yaml_unclosed yaml_bracket".split()
)
"""Complaints that a letter may be behind that only looks like one that YAML means something by."""


class Place(NamedTuple):
    """Where an entry stands in the text: indices of its key and its value; a list's item has no key."""

    path: tuple[str | int, ...]
    key: tuple[int, int] | None
    value: tuple[int, int]
    line: int
    flow: bool
    """Whether the value is written between brackets."""
    scalar: bool
    text: str = ""
    """A plain scalar as written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A text and what it says. ``config`` is None where it says nothing that Axolotl could start from."""

    text: str
    config: dict[Any, Any] | None
    findings: tuple[Finding, ...] = ()
    places: Mapping[str, Place] = field(default_factory=lambda: MappingProxyType({}))
    """Entries by their path as findings spell it: ``datasets[0].type``."""

    def line(self, key: str | None) -> int | None:
        """The line of a key, or of the nearest entry around it."""
        while key:
            place = self.places.get(key)
            if place is not None:
                return place.line
            key = key[: max(key.rfind("."), key.rfind("["), 0)]
        return None


def read(given: str | bytes, *, mended: bool = False) -> Reading:
    """What ``given`` says. ``mended`` came of a text that kept the bounds: it is built first and counted then."""
    utf_16 = isinstance(given, bytes) and given[:2] in UTF_16
    text = given if isinstance(given, str) else _decoded(given, "utf-16" if utf_16 else "utf-8")
    if text is None:
        return Reading(text="", config=None, findings=(rejected("yaml_encoding", None),))
    reading = _reading(text, mended=mended)
    if not utf_16:
        return reading
    return replace(reading, findings=(rejected("yaml_utf16", None), *reading.findings))


def _reading(text: str, *, mended: bool) -> Reading:
    text = text.removeprefix("\ufeff")
    if len(text) > LONGEST:
        finding = rejected("yaml_long", None, given=len(text), most=LONGEST)
        return Reading(text="", config=None, findings=(finding,))
    if "\x00" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
        return Reading(text="", config=None, findings=(rejected("yaml_binary", None),))
    try:
        if not mended:
            _bounded(text)
        return _read(text)
    except _Bound as bound:
        return Reading(text=text, config=None, findings=(_at(rejected(bound.code, None, most=bound.most), bound.line),))
    except yaml.MarkedYAMLError as error:
        return Reading(text=text, config=None, findings=(_syntax(error, text),))
    except (yaml.YAMLError, UnicodeError):
        return Reading(text=text, config=None, findings=(rejected("yaml_binary", None),))
    except (ValueError, OverflowError, TypeError, AttributeError, KeyError, RecursionError):
        # PyYAML's constructors raise these for dates that are none and numbers that are too long.
        return Reading(text=text, config=None, findings=(rejected("yaml_value", None),))


class _Bound(Exception):
    def __init__(self, code: str, most: int, line: int) -> None:
        self.code, self.most, self.line = code, most, line


def _decoded(given: bytes, encoding: str) -> str | None:
    """Text from a file's bytes."""
    try:
        return given[: 4 * LONGEST + 4].decode(encoding)
    except UnicodeDecodeError:
        return None


def _read(text: str) -> Reading:
    loader = _Loader(text)
    try:
        root = loader.get_single_node()
        if root is None or root.tag == "tag:yaml.org,2002:null":
            return Reading(text=text, config=None, findings=(rejected("yaml_empty", None),))
        places: dict[str, Place] = {}
        findings: list[Finding] = []
        entries = 1
        for name, place, node in _walk(root, (), "", findings):
            entries += 1 if place.key is None else 2
            places[name] = place  # of a key that stands twice, where the one that counts does
            if isinstance(node, yaml.ScalarNode):
                findings += (_at(finding, place.line) for finding in _traps(node, name))
        if entries > MOST_ENTRIES:
            raise _Bound("yaml_many", MOST_ENTRIES, place.line)
        config = loader.construct_document(root)
    finally:
        loader.dispose()
    if not isinstance(config, dict):
        finding = rejected("yaml_no_mapping", None, given=shown(config))
        return Reading(text=text, config=None, findings=(_at(finding, 1),))
    return Reading(text=text, config=config, findings=tuple(gathered(findings)), places=places)


def too_many() -> Reading:
    """What has more entries than are read."""
    return Reading(text="", config=None, findings=(rejected("yaml_many", None, most=MOST_ENTRIES),))


def spelled(path: tuple[str | int, ...]) -> str:
    """A path as findings spell it."""
    found = ""
    for part in path:
        found += f"[{part}]" if isinstance(part, int) else f".{part}" if found else part
    return found


def _bounded(text: str) -> None:
    """Count the nodes, those behind aliases as often as they stand, before any is built.

    Raises:
        _Bound: there are too many of them, or too deep.
    """
    sizes: dict[str, int] = {}
    open_: list[tuple[str | None, int]] = []
    total = 0
    events: Iterator[Any] = yaml.parse(text, Loader=_Loader)
    for event in events:
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in sizes and any(anchor == event.anchor for anchor, _ in open_):
                raise _Bound("yaml_itself", 0, line)
            total += sizes.get(str(event.anchor), 1)
        elif isinstance(event, yaml.NodeEvent):
            total += 1
            if isinstance(event, yaml.CollectionStartEvent):
                open_.append((event.anchor, total - 1))
            elif event.anchor:
                sizes[event.anchor] = 1
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_.pop()
            if anchor:
                sizes[anchor] = total - before
        if len(open_) > DEEPEST:
            raise _Bound("yaml_deep", DEEPEST, line)
        if total > MOST_ENTRIES:
            raise _Bound("yaml_many", MOST_ENTRIES, line)


def _walk(
    node: Any, path: tuple[str | int, ...], spelling: str, findings: list[Finding]
) -> Iterator[tuple[str, Place, Any]]:
    """Every entry below ``node``: its path as spelled, its place, anchors where they are written, and the node.

    Keys that stand twice are noted.
    """
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else "?"
            line = key.start_mark.line + 1
            here, whole = (*path, name), f"{spelling}.{name}" if spelling else name
            if name in seen and name != "<<":
                findings.append(_at(misleads("duplicate_key", whole, key=whole, first=seen[name]), line))
            seen[name] = line
            if not name.isascii():
                findings += (_at(finding, line) for finding in _odd_key(name, whole))
            yield whole, _place(here, key, value), value
            if not isinstance(value, yaml.ScalarNode):
                yield from _walk(value, here, whole, findings)
    elif isinstance(node, yaml.SequenceNode):
        for position, value in enumerate(node.value):
            here, whole = (*path, position), f"{spelling}[{position}]"
            yield whole, _place(here, None, value), value
            if not isinstance(value, yaml.ScalarNode):
                yield from _walk(value, here, whole, findings)


def _odd_key(name: str, path: str) -> Iterator[Finding]:
    """A key that begins like a list's item or like indentation, or holds what is not to be seen."""
    if is_bullet(name):
        yield misleads("key_bullet", path, key=name[1:].strip(f" {SPACES}"), sign=described(name[0]))
    elif name[0] in SPACES and name[0] not in HIDDEN:
        yield misleads("key_space", path, key=name.strip(SPACES), sign=described(name[0]))
    elif (sign := unseen(name)) is not None:
        yield misleads("key_unseen", path, key=name.strip(SPACES), sign=described(sign))


def _place(path: tuple[str | int, ...], key: Any, value: Any) -> Place:
    scalar = isinstance(value, yaml.ScalarNode)
    return Place(
        path=path,
        key=(key.start_mark.index, key.end_mark.index) if key is not None else None,
        value=(value.start_mark.index, value.end_mark.index),
        line=(key or value).start_mark.line + 1,
        flow=bool(getattr(value, "flow_style", False)),
        scalar=scalar,
        text=value.value if scalar and not value.style else "",
    )


def _traps(node: yaml.ScalarNode, path: str) -> Iterator[Finding]:
    """What YAML 1.1 reads as something else than people do.

    Raises:
        _Bound: a number with more digits than anybody means.
    """
    if node.tag in (_INT, _FLOAT) and len(node.value) > MOST_DIGITS:
        raise _Bound("yaml_digits", MOST_DIGITS, node.start_mark.line + 1)
    shown = node.value[:40]
    if node.style:  # only plain scalars are guessed at; the C parser's plain style is an empty text
        return
    if node.tag == _INT and _OCTAL.fullmatch(node.value):
        yield misleads("octal", path, key=path, given=shown, read=int(node.value.replace("_", ""), 8))
    elif node.tag in (_INT, _FLOAT) and _SEXAGESIMAL.fullmatch(node.value):
        yield misleads("sexagesimal", path, key=path, given=shown)
    elif node.tag == _TIME:
        yield misleads("date", path, key=path, given=shown)


def _syntax(error: yaml.MarkedYAMLError, text: str) -> Finding:
    """A parser's complaint at its line and column."""
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
    problem = f"{error.problem or ''} {error.context or ''}"
    code = next((code for words, code in _PROBLEMS if words in problem), "yaml_syntax")
    rows = text.splitlines()
    if code in _MISREAD and (odd := in_rows(rows, line)) is not None:
        said = rejected(f"yaml_odd_{odd.kind}", None, line=odd.line, column=odd.column, sign=described(odd.sign))
        return _at(said, odd.line)
    row = rows[line - 1] if line <= len(rows) else ""
    if code == "yaml_character" and row.lstrip().startswith("```"):
        code = "yaml_fence"
    if code == "yaml_bracket" and line > len(rows):
        code = "yaml_unclosed"
    if (
        code in ("yaml_character", "yaml_syntax", "yaml_indent", "yaml_colon")
        and "\t" in row[: len(row) - len(row.lstrip())]
    ):
        code = "yaml_tab"
    return _at(rejected(code, None, line=line, column=column), line)


def _at(finding: Finding, line: int) -> Finding:
    return Finding(
        severity=finding.severity,
        message=finding.message,
        key=finding.key,
        line=line,
        fix=finding.fix,
        effect=finding.effect,
    )
