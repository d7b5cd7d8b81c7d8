"""Colours a YAML file. It knows just the YAML that ``app/services/writing.py`` writes."""

import re
from functools import lru_cache

from markupsafe import Markup, escape

_LINE = re.compile(r"(?P<indent>\s*(?:- )*)(?P<key>[\w.\-/]+)(?P<colon>:)(?P<space> ?)(?P<value>.*)")
_ITEM = re.compile(r"(?P<indent>\s*(?:- )+)(?P<value>.*)")
_NUMBER = re.compile(r"[-+]?\d[\d_]*(\.\d*)?([eE][-+]?\d+)?")
_WORDS = ("true", "false", "null", "auto", "yes", "no")


def highlight(yaml: str) -> Markup:
    """The file with each stretch that has a colour in a ``span`` of its own, a line each."""
    return Markup("".join(map(_line, yaml.splitlines())))  # noqa: S704 - each line is escaped; joined once, not again


@lru_cache(maxsize=4096)
def _line(line: str) -> Markup:
    return Markup("").join(_spans(line)) + "\n"


def _spans(line: str) -> tuple[Markup, ...]:
    if line.lstrip().startswith("#"):
        return (_span("comment", line),)
    keyed = _LINE.fullmatch(line)
    if keyed:
        key, between = _span("key", keyed["key"]), escape(keyed["colon"] + keyed["space"])
        return (escape(keyed["indent"]), key, between, _value(keyed["value"]))
    item = _ITEM.fullmatch(line)
    return (escape(item["indent"]), _value(item["value"])) if item else (escape(line),)


def _value(text: str) -> Markup:
    if _NUMBER.fullmatch(text):
        return _span("number", text)
    return _span("word" if text in _WORDS else "text", text)


def _span(kind: str, text: str) -> Markup:
    return Markup('<span class="y-{}">{}</span>').format(kind, text) if text else Markup("")
