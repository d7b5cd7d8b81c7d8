"""Splits a YAML file into stretches to colour. It knows just the YAML that ``app/services/writing.py`` writes."""

import re
from functools import lru_cache

from app.web.contexts import Token

_LINE = re.compile(r"(?P<indent>\s*(?:- )*)(?P<key>[\w.\-/]+)(?P<colon>:)(?P<space> ?)(?P<value>.*)")
_ITEM = re.compile(r"(?P<indent>\s*(?:- )+)(?P<value>.*)")
_NUMBER = re.compile(r"[-+]?\d[\d_]*(\.\d*)?([eE][-+]?\d+)?")
_WORDS = ("true", "false", "null", "auto", "yes", "no")


def highlight(yaml: str) -> tuple[tuple[Token, ...], ...]:
    """One tuple of tokens per line; joined, their texts are the file again."""
    return tuple(_line(line) for line in yaml.splitlines())


@lru_cache(maxsize=4096)
def _line(line: str) -> tuple[Token, ...]:
    return tuple(_tokens(line))


def _tokens(line: str) -> list[Token]:
    if line.lstrip().startswith("#"):
        return [Token(kind="comment", text=line)]
    keyed = _LINE.fullmatch(line)
    if keyed:
        tokens = [
            Token(kind="", text=keyed["indent"]),
            Token(kind="key", text=keyed["key"]),
            Token(kind="", text=keyed["colon"] + keyed["space"]),
            _value(keyed["value"]),
        ]
        return [token for token in tokens if token.text]
    item = _ITEM.fullmatch(line)
    if item:
        return [Token(kind="", text=item["indent"]), _value(item["value"])]
    return [Token(kind="", text=line)] if line else []


def _value(text: str) -> Token:
    if _NUMBER.fullmatch(text):
        return Token(kind="number", text=text)
    return Token(kind="word" if text in _WORDS else "text", text=text)
