"""Whether pydantic would take a value for a recorded key, coercions included.

Axolotl reads its configuration with pydantic 2.12 in lax mode, so ``"16"`` will do for an integer, ``16.0`` too, and
``16.5`` will not; ``yes`` in text is a boolean; a number is never text. Each function here is one of those rules, held
to pydantic itself by the recorded verdicts of ``tests/data/axolotl``.
Source: https://docs.pydantic.dev/2.12/concepts/conversion_table/
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from operator import ge, gt, le, lt
from typing import Any

from app.core.axolotl.schema import Key, Schema
from app.core.values import FALSE_WORDS, TRUE_WORDS

MOST_FAULTS = 20

SIGNS: Mapping[str, tuple[str, Callable[[float, float], bool]]] = {
    "gt": (">", gt),
    "ge": (">=", ge),
    "lt": ("<", lt),
    "le": ("<=", le),
}

_INTEGER = re.compile(r"\s*[+-]?\d+(?:_\d+)*(?:\.0*)?\s*", re.ASCII)
_NUMBER = re.compile(
    r"\s*[+-]?(?:(?:\d+(?:_\d+)*\.?(?:\d+(?:_\d+)*)?|\.\d+)(?:e[+-]?\d+)?|inf(?:inity)?|nan)\s*",
    re.IGNORECASE | re.ASCII,
)
_LISTS = (list, tuple, AbstractSet)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A value that will not do. ``expected`` says what would, in the words of YAML; ``allowed`` are named values."""

    path: str
    kind: str
    given: object = None
    expected: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()


def judge_key(value: object, key: Key, schema: Schema, path: str) -> tuple[Fault, ...]:
    """Why ``value`` will not do for ``key``; nothing where it will."""
    return () if type(value) in key.plain else judge(value, key.accepts, schema, path, key.bounds)


def judge(
    value: object,
    accepts: Sequence[Any],
    schema: Schema,
    path: str,
    bounds: Mapping[str, float] | None = None,
) -> tuple[Fault, ...]:
    """Why ``value`` is none of ``accepts``; nothing where it is one of them.

    Where it is a mapping or a list, what is wrong inside says more than that the whole will not do.
    """
    best: tuple[Fault, ...] | None = None
    for kind in accepts:
        faults = _against(value, kind, schema, path, bounds or {})
        if not faults:
            return ()
        inside = tuple(fault for fault in faults if fault.path != path or fault.kind not in ("type", "values"))
        if inside and (best is None or len(inside) < len(best)):
            best = inside
    if best is not None:
        return best[:MOST_FAULTS]
    expected = tuple(dict.fromkeys(word for kind in accepts for word in _words(kind)))
    allowed = tuple(
        dict.fromkeys(str(v) for kind in accepts if isinstance(kind, Mapping) for v in kind.get("values", ()))
    )
    kind = "values" if allowed and isinstance(value, str) else "type"
    return (Fault(path=path, kind=kind, given=value, expected=expected, allowed=allowed),)


def _against(value: object, kind: Any, schema: Schema, path: str, bounds: Mapping[str, float]) -> tuple[Fault, ...]:
    """Faults of ``value`` as one kind."""
    wrong = (Fault(path=path, kind="type", given=value),)
    if isinstance(kind, str):
        if not _is(value, kind):
            return wrong
        return _within(value, bounds, path)
    (name, inner), *rest = kind.items()
    match name:
        case "values":
            return () if any(type(value) is type(choice) and value == choice for choice in inner) else wrong
        case "bounded":
            faults = judge(value, inner, schema, path)
            return faults or _within(value, dict(rest), path)
        case "list":
            if not isinstance(value, _LISTS):
                return wrong
            return tuple(_items(list(value), inner, schema, path))
        case "tuple":
            if not isinstance(value, _LISTS) or len(value) != len(inner):
                return wrong
            pairs = enumerate(zip(value, inner, strict=True))
            return tuple(f for i, (v, k) in pairs for f in judge(v, k, schema, f"{path}[{i}]"))
        case "mapping":
            if not isinstance(value, Mapping):
                return wrong
            return tuple(_entries(value, inner, schema, path))
        case _:
            return judge_model(value, inner, schema, path) if isinstance(value, Mapping) else wrong


def judge_model(value: Mapping[Any, Any], model: str, schema: Schema, path: str) -> tuple[Fault, ...]:
    """Faults of a mapping as one of the recorded models."""
    keys = schema.models[model]
    faults: list[Fault] = []
    for name, inner in value.items():
        key = keys.get(name) if isinstance(name, str) else None
        where = f"{path}.{name}" if path else str(name)
        if key is not None:
            faults += judge_key(inner, key, schema, where)
        elif model in schema.strict_models:
            faults.append(Fault(path=where, kind="extra", given=name, allowed=tuple(keys)))
    for name, key in keys.items():
        if key.required and key.name == name and not any(spelling in value for spelling in (name, *key.aliases)):
            faults.append(Fault(path=f"{path}.{name}", kind="missing"))
    return tuple(faults)


def _items(values: list[object], inner: Sequence[Any], schema: Schema, path: str) -> Iterator[Fault]:
    found = 0
    for position, item in enumerate(values):
        for fault in judge(item, inner, schema, f"{path}[{position}]"):
            yield fault
            found += 1
        if found >= MOST_FAULTS:
            return


def _entries(value: Mapping[Any, Any], inner: Sequence[Any], schema: Schema, path: str) -> Iterator[Fault]:
    keys, values = inner
    for name, item in value.items():
        if judge(name, keys, schema, path):
            yield Fault(
                path=f"{path}.{name}", kind="key", given=name, expected=tuple(w for k in keys for w in _words(k))
            )
        yield from judge(item, values, schema, f"{path}.{name}")


def _is(value: object, kind: str) -> bool:
    """Whether ``value`` passes for one of the simple kinds."""
    match kind:
        case "any":
            return True
        case "null":
            return value is None
        case "boolean":
            if isinstance(value, str):
                return value.lower() in (*TRUE_WORDS, *FALSE_WORDS)
            return isinstance(value, bool) or (isinstance(value, int | float) and value in (0, 1))
        case "integer":
            if isinstance(value, str):
                return _INTEGER.fullmatch(value) is not None
            return isinstance(value, int) or (isinstance(value, float) and value.is_integer() and abs(value) < 2**63)
        case "number":
            if isinstance(value, str):
                return _NUMBER.fullmatch(value) is not None
            return isinstance(value, int | float)
        case "text":
            return isinstance(value, str) or (isinstance(value, bytes) and _utf8(value))
        case _:
            return isinstance(value, Mapping)


def _utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _within(value: object, bounds: Mapping[str, Any], path: str) -> tuple[Fault, ...]:
    """Faults of a value of the right kind against its limits."""
    if value is None:
        return ()
    least = bounds.get("min_length")
    if least is not None and isinstance(value, Sequence | AbstractSet) and len(value) < least:
        return (Fault(path=path, kind="length", given=len(value), expected=(f">= {least}",)),)
    pattern = bounds.get("pattern")
    if pattern is not None and isinstance(value, str) and re.search(pattern, value) is None:
        return (Fault(path=path, kind="values", given=value),)
    number = _number(value)
    if number is None:
        return ()
    for bound, (sign, holds) in SIGNS.items():
        if bound in bounds and not holds(number, bounds[bound]):
            return (Fault(path=path, kind="bound", given=value, expected=(f"{sign} {bounds[bound]:g}",)),)
    return ()


def _number(value: object) -> float | None:
    try:
        return float(value) if isinstance(value, str | int | float) else None
    except (ValueError, OverflowError):
        return None


def _words(kind: Any) -> Iterator[str]:
    """What a kind is called in YAML's own words, null left out: whoever sets a key does not mean that."""
    if isinstance(kind, str):
        if kind not in ("null", "any"):
            yield {"text": "string", "boolean": "true/false"}.get(kind, kind)
        return
    (name, inner), *_ = kind.items()
    match name:
        case "values":
            yield from (str(choice) for choice in inner)
        case "bounded":
            yield from (word for part in inner for word in _words(part))
        case "list":
            words = list(dict.fromkeys(word for part in inner for word in _words(part)))
            yield f"list of {words[0]}" if len(words) == 1 else "list"
        case "tuple":
            yield f"list of {len(inner)}"
        case _:
            yield "mapping"
