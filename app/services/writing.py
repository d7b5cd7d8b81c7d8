"""Writes a configuration as the YAML file that Axolotl reads, with a reason beside each key that needs one."""

import json
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import lru_cache
from math import isfinite
from typing import Any

import yaml
from yaml.reader import Reader

from app.core.axolotl.keys import GROUP_OF, OTHER, in_order
from app.core.methods.settings import VIRTUAL_TOKENS
from app.texts import Texts

WIDTH = 1 << 20
"""Wide enough that no scalar is folded."""

FLOW_WIDTH = 100
"""Characters that a list of plain values may take on one line."""

DEEPEST = 40
"""Levels written by hand; what is nested deeper, or in itself, is left to PyYAML."""

_PLAIN = re.compile(r"(?:\.{0,2}/)?[A-Za-z_][\w./+-]*", re.ASCII)
_WORDS = frozenset("y n yes no on off true false null".split())
"""What YAML 1.1 reads as something else than text, in any case."""


def write_yaml(config: Mapping[str, Any], texts: Texts, *, comments: bool = True, header: tuple[str, ...] = ()) -> str:
    """``config`` as YAML that PyYAML, Axolotl's reader, reads back as the same configuration.

    Keys stand in writing order, in groups; those that no group names come last as they came. With ``comments``,
    groups are titled and keys explained in the reader's language. ``header`` lines stand at the top as comments.
    """
    lines = [_comment(part) for line in header for part in line.splitlines() or [""]]
    group = None
    for key, value in in_order(config).items():
        own_group = GROUP_OF.get(key, OTHER)
        if own_group != group:
            group = own_group
            if lines:
                lines.append("")
            if comments:
                lines.append(_said(f"yaml.group.{group}", texts))
        if comments:
            lines += _reason(key, value, texts, config)
        lines += _entry(key, value, 0)
    return "\n".join(lines or ["{}"]) + "\n"


def flow_text(value: object) -> str:
    """A value on one line, as it may stand behind ``key: ``."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_scalar(key)}: {flow_text(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(flow_text(inner) for inner in value) + "]"
    return _scalar(value)


def _comment(text: str) -> str:
    """A comment line; what YAML may not hold even in a comment is left out."""
    return f"# {Reader.NON_PRINTABLE.sub('', text)}".rstrip()


@lru_cache(maxsize=4096)
def _said(code: str, texts: Texts) -> str:
    """A text of the catalogue as a comment."""
    return _comment(texts.text(code))


def _reason(key: str, value: object, texts: Texts, config: Mapping[str, Any]) -> tuple[str, ...]:
    """The text for this key and value, else for this key, else nothing: most keys speak for themselves."""
    shown = str(value).lower() if isinstance(value, bool | str) else type(value).__name__
    if key == "sample_packing" and value is False:
        shown = f"false.{_why_not_packed(config)}"
    for code in (f"yaml.key.{key}.{shown}", f"yaml.key.{key}"):
        if code in texts:
            return (_said(code, texts),)
    return ()


def _why_not_packed(config: Mapping[str, Any]) -> str:
    """What keeps this configuration from packing, as far as it says so itself."""
    if config.get("rl") or config.get("reward_model"):
        return "preference"
    if config.get("adapter") in VIRTUAL_TOKENS:
        return "virtual"
    return "attention" if config.get("attn_implementation") in (None, "sdpa", "eager", "fp8") else "plain"


def _entry(key: object, value: object, depth: int) -> Iterator[str]:
    """The lines of ``key: value``."""
    indent = "  " * depth
    name = _scalar(key)
    if isinstance(value, Mapping) and value and depth < DEEPEST:
        yield f"{indent}{name}:"
        for inner_key, inner in value.items():
            yield from _entry(inner_key, inner, depth + 1)
    elif isinstance(value, list | tuple) and value and depth < DEEPEST:
        if (flow := _flow(value)) is not None:
            yield f"{indent}{name}: {flow}"
        else:
            yield f"{indent}{name}:"
            yield from _items(value, depth + 1)
    else:
        yield f"{indent}{name}: {_scalar(value)}"


def _items(values: list[object] | tuple[object, ...], depth: int) -> Iterator[str]:
    """The lines of a list; a mapping's first key stands beside the dash."""
    indent = "  " * depth
    for value in values:
        if isinstance(value, Mapping) and value and depth < DEEPEST:
            inner = [line for key, item in value.items() for line in _entry(key, item, depth + 1)]
            yield f"{indent}- {inner[0].removeprefix(indent + '  ')}"
            yield from inner[1:]
        else:
            yield f"{indent}- {_scalar(value)}"


def _flow(values: list[object] | tuple[object, ...]) -> str | None:
    """A list of several plain values on one line where it is short enough."""
    if len(values) < 2 or not all(isinstance(value, str | int | float) for value in values):
        return None
    text = f"[{', '.join(_scalar(value) for value in values)}]"
    return text if len(text) <= FLOW_WIDTH else None


def _scalar(value: object) -> str:
    """Anything on one line."""
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return _number(value)
    text = yaml.safe_dump(_listed(value), default_flow_style=True, width=WIDTH, sort_keys=False)
    return text.removesuffix("...\n").rstrip("\n")


def _listed(value: object) -> object:
    """PyYAML's safe dumper writes tuples only as lists that are said to be tuples."""
    return list(value) if isinstance(value, tuple) else value


def _text(value: str) -> str:
    """A string, quoted where a reader of YAML 1.1 or 1.2 would take it for something else."""
    if _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    if value.isprintable():
        return json.dumps(value, ensure_ascii=False)
    text = yaml.safe_dump(value, default_style='"', width=WIDTH)
    return text.removesuffix("...\n").rstrip("\n")


def _number(value: float) -> str:
    """A float in decimals, or with an exponent that YAML 1.1 reads as a number (``2e-4`` would be text)."""
    if not isfinite(value):
        return str(yaml.safe_dump(value)).splitlines()[0]
    text = format(Decimal(repr(value)), "f")
    if len(text) > 20:
        mantissa, _, exponent = repr(value).partition("e")
        text = mantissa if not exponent else f"{mantissa}{'' if '.' in mantissa else '.0'}e{exponent}"
    return text if "." in text or "e" in text else f"{text}.0"
