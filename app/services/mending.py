"""Applies fixes to a text: only the lines concerned change, so order, comments and spelling stay the author's.

Each fix is worked out as edits at the places that ``reading`` found, and the result is read again: where it does not
say exactly what was meant, the whole file is written anew instead. See ``docs/decisions/0005-mend-at-the-line.md``.
"""

from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from app.core.axolotl.fixing import changed, holder_of, steps
from app.core.axolotl.keys import ORDER
from app.core.findings import Fix
from app.services.reading import Place, Reading, read, spelled
from app.services.writing import flow_text, write_yaml
from app.texts import texts

_RANK = {key: position for position, key in enumerate(ORDER)}


class _Layout:
    """A reading's places by what holds them, made once for all fixes."""

    def __init__(self, reading: Reading) -> None:
        self.inside: dict[tuple[str | int, ...], list[Place]] = {}
        for place in reading.places.values():
            self.inside.setdefault(place.path[:-1], []).append(place)
        top = [place for place in self.inside.get((), ()) if place.key is not None]
        self.last = max(top, key=lambda place: place.value[1], default=None)
        self.ranked = sorted((_RANK[str(p.path[0])], i, p) for i, p in enumerate(top) if str(p.path[0]) in _RANK)

    def before(self, name: str) -> Place | None:
        """The top-level entry that a new key ``name`` goes behind: the last that is written before it, or of all."""
        rank = _RANK.get(name)
        earlier = [row for row in self.ranked if rank is not None and row[0] < rank]
        return earlier[-1][2] if earlier else self.last


@dataclass(frozen=True, slots=True)
class _Edit:
    start: int
    end: int
    text: str


class _Unplaced(Exception):
    pass


def apply(reading: Reading, fixes: Iterable[Fix]) -> Reading:
    """``reading`` with every fix applied, those that touch what another one touched left out.

    As it was, where the result would be longer than what is read.
    """
    if reading.config is None:
        return reading
    config = deepcopy(reading.config)
    layout = _Layout(reading)
    edits: list[_Edit] = []
    touched: set[str] = set()
    around: set[str] = set()
    for fix in fixes:
        names = {*fix.set, *fix.unset}
        above = {outer for name in names for outer in _around(name)}
        if names & touched or names & around or above & touched:
            continue
        touched |= names
        around |= above
        if not changed(config, fix):
            continue
        try:
            edits += _edits(reading, layout, fix, config)
        except (_Unplaced, KeyError, IndexError):
            edits.append(_Edit(-1, -1, ""))
    if not edits:
        return reading
    mended = None
    if all(edit.start >= 0 for edit in edits) and not _clash(edits):
        parts: list[str] = []
        end = 0
        for edit in sorted(edits, key=lambda edit: (edit.start, edit.end)):
            parts += (reading.text[end : edit.start], edit.text)
            end = edit.end
        mended = read("".join((*parts, reading.text[end:])), mended=True)
    if mended is None or not _same(mended.config, config):
        named = {str(key): value for key, value in config.items()}
        mended = read(write_yaml(named, texts("en"), comments=False), mended=True)
    return mended if mended.config is not None else reading


def _edits(reading: Reading, layout: _Layout, fix: Fix, config: dict[Any, Any]) -> Iterator[_Edit]:
    """The edits that one fix comes to. ``config`` has it applied already."""
    text = reading.text
    if renamed := _renamed(reading, fix):
        for (start, end), new in renamed:
            yield _Edit(start, end, new)
        return
    fresh: dict[str, Any] = {}
    for name, value in fix.set.items():
        place = reading.places.get(name)
        if place is None:
            fresh[name] = value
        else:
            yield _replacement(text, place, flow_text(value))
    removed = [reading.places[name] for name in fix.unset if name in reading.places]
    top = {name: value for name, value in fresh.items() if len(steps(name)) == 1}
    for name in (name for name in fresh if name not in top):
        yield from _nested(reading, layout, name, config, removed)
    ending = "\r\n" if "\r\n" in text else "\n"
    if len(removed) == len(top) == 1 and removed[0].scalar and len(removed[0].path) == 1 and removed[0].key:
        # One key takes the place of another: what stands behind them on the line stays.
        ((name, value),) = top.items()
        yield _Edit(*removed[0].key, name)
        yield _replacement(text, removed[0], flow_text(value))
        return
    lines = "".join(f"{name}: {flow_text(value)}{ending}" for name, value in top.items())
    emptied = {place.path[:-1] for place in removed if len(place.path) > 1 and _alone(layout, place, removed)}
    for path in emptied:
        yield _replacement(text, reading.places[spelled(path)], "{}")
    for position, place in enumerate(removed):
        if place.path[:-1] in emptied:
            continue
        start, end = _whole(text, place)
        if len(place.path) > 1 and text[start : place.key[0] if place.key else start].strip():
            raise _Unplaced
        yield _Edit(start, end, lines if not position and len(place.path) == 1 else "")
    if lines and not any(len(place.path) == 1 for place in removed[:1]):
        where = _after(reading, layout, next(iter(top)))
        before = "" if not where or text[where - 1 : where] == "\n" else ending
        yield _Edit(where, where, before + lines)


def _renamed(reading: Reading, fix: Fix) -> list[tuple[tuple[int, int], str]]:
    """Where a fix only calls keys otherwise, each beside its like: where each key stands and its new name.

    What stands behind a key, and on which lines, stays as the author wrote it.
    """
    found: list[tuple[tuple[int, int], str]] = []
    if len(fix.set) != len(fix.unset):
        return found
    for old, (new, value) in zip(fix.unset, fix.set.items(), strict=True):
        place = reading.places.get(old)
        beside = steps(old)[:-1] == steps(new)[:-1] and new not in reading.places
        if place is None or place.key is None or not beside:
            return []
        holder, key = holder_of(reading.config or {}, old, make=False)
        if not isinstance(holder, dict) or repr(holder.get(key)) != repr(value):
            return []
        found.append((place.key, str(steps(new)[-1])))
    return found


def _alone(layout: _Layout, place: Place, removed: list[Place]) -> bool:
    """Whether nothing stays beside an entry that goes."""
    return all(other in removed for other in layout.inside[place.path[:-1]])


def _nested(
    reading: Reading, layout: _Layout, name: str, config: dict[Any, Any], removed: list[Place]
) -> Iterator[_Edit]:
    """A new key below another: a line of its own at the end of a block, else the whole parent anew."""
    parent_name = name[: max(name.rfind("."), 0)]
    parent = reading.places.get(parent_name)
    while parent is None and parent_name:
        name, parent_name = parent_name, parent_name[: max(parent_name.rfind("."), 0)]
        parent = reading.places.get(parent_name)
    holder, key = holder_of(config, name, make=False)
    if not isinstance(holder, dict) or key not in holder:
        raise _Unplaced
    value: Any = holder[key]
    if parent is None:
        where = _after(reading, layout, str(steps(name)[0]))
        yield _Edit(where, where, f"{name}: {flow_text(value)}\n")
        return
    inside = [place for place in layout.inside.get(parent.path, ()) if place.key and place not in removed]
    if parent.flow or parent.scalar or not inside:
        raise _Unplaced
    last = max(inside, key=lambda place: place.value[1])
    _, end = _whole(reading.text, last)
    first = min(inside, key=lambda place: place.line)
    assert first.key is not None  # noqa: S101 - only those with a key were taken
    column = first.key[0] - (reading.text.rfind("\n", 0, first.key[0]) + 1)
    before = "" if reading.text[end - 1 : end] == "\n" else "\n"
    yield _Edit(end, end, f"{before}{' ' * column}{steps(name)[-1]}: {flow_text(value)}\n")


def _replacement(text: str, place: Place, value: str) -> _Edit:
    """A value exchanged; one that began on a line below its key moves up beside it."""
    start, end = place.value
    if not place.scalar and not place.flow:
        end = _trimmed(text, start, end)
    if place.key is not None:
        between = text[place.key[1] : start]
        if not between.strip(" ").startswith(":"):
            raise _Unplaced
        if start == end or "\n" in between:
            comment = between.partition("\n")[0].partition("#")[2] if "\n" in between else ""
            tail = f"  #{comment.rstrip()}" if comment else ""
            return _Edit(place.key[1], max(end, place.key[1] + 1), f": {value}{tail}")
    return _Edit(start, end, value)


def _whole(text: str, place: Place) -> tuple[int, int]:
    """The lines of an entry, from the start of its first to the start of what follows."""
    first = place.key[0] if place.key is not None else place.value[0]
    start = text.rfind("\n", 0, first) + 1
    end = max(place.value[1], place.key[1] + 1 if place.key is not None else 0)
    if not place.scalar and not place.flow:
        end = _trimmed(text, place.value[0], end)
    if text[end - 1 : end] == "\n":
        return start, end
    newline = text.find("\n", end)
    return start, len(text) if newline < 0 else newline + 1


def _trimmed(text: str, start: int, end: int) -> int:
    """A block's end without the blank lines and comments below it, which belong to what follows."""
    block = text[start:end]
    while True:
        block = block.rstrip()
        line = block.rfind("\n") + 1
        if line == 0 or not block[line:].lstrip().startswith("#"):
            return start + len(block)
        block = block[:line]


def _after(reading: Reading, layout: _Layout, name: str) -> int:
    """Where a new top-level key goes: behind the last one that is written before it, else at the end."""
    best = layout.before(name)
    return _whole(reading.text, best)[1] if best is not None else len(reading.text)


def _clash(edits: list[_Edit]) -> bool:
    ordered = sorted(edits, key=lambda edit: (edit.start, edit.end))
    return any(one.end > other.start for one, other in pairwise(ordered))


def _around(name: str) -> Iterator[str]:
    """Everything that a key stands in: ``datasets[0]`` and ``datasets`` for ``datasets[0].type``."""
    for position, letter in enumerate(name):
        if letter in ".[":
            yield name[:position]


def _same(one: Mapping[Any, Any] | None, other: Mapping[Any, Any]) -> bool:
    """Equal, numbers that are none included."""
    return one is not None and (one == other or repr(one) == repr(other))
