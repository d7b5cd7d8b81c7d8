"""Letters that look like those that YAML means something by, or like none at all.

Word processors, pages and chats put them in: an en dash for a list's hyphen, a no-break space for indentation, curly
quotes, a minus sign. To YAML each is a letter like any other. Source: YAML 1.2.2, sections 5.3 and 6.1.
"""

import re
import unicodedata
from typing import NamedTuple

BULLETS = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u2022\u2023\u2043\u25e6\u25aa\u25cf\u00b7\u2219"
"""Dashes, and the bullets of pages, where a list's item begins."""
MINUSES = "\u2010\u2011\u2012\u2013\u2014\u2212"
QUOTES = "\u201c\u201d\u201e\u2018\u2019\u00ab\u00bb"
"""Quotes of word processors and pages."""
COLONS = "\uff1a\ufe55\u2236"
HIDDEN = "\u00ad\u200b\u200c\u200d\u2060\ufeff"
"""What is there and not to be seen."""
SPACES = "\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000" + HIDDEN
ROWS_ABOVE = 4
"""A parser often complains only further down."""
_AFTER_COLON = re.compile(rf"[\w.-]+:(?=[{SPACES}])")
_KEY = re.compile(rf"[\w.-]+(?=[{COLONS}])")
_NUMBER = re.compile(r"[-+]?(\d{1,20}\.?\d{0,20}|\.\d{1,20})([eE][-+]?\d{1,3})?")


class Lookalike(NamedTuple):
    """One of them in a text: ``line`` and ``column`` count from 1."""

    kind: str
    """What it is in the place of: ``bullet``, ``space``, ``colon`` or ``quote``."""
    sign: str
    line: int
    column: int


def described(sign: str) -> str:
    """A letter with its name and number, without itself where it is not to be seen."""
    name, number = unicodedata.name(sign, "character").lower(), f"U+{ord(sign):04X}"
    return f"{name} ({number})" if sign in SPACES else f"{sign} ({name}, {number})"


def in_rows(rows: list[str], line: int) -> Lookalike | None:
    """The one that keeps row ``line``, or one shortly above it, from being read."""
    for number in range(min(line, len(rows)), max(0, line - 1 - ROWS_ABOVE), -1):
        found = _in_row(rows[number - 1])
        if found is not None:
            kind, column = found
            return Lookalike(kind, rows[number - 1][column], number, column + 1)
    return None


def _in_row(row: str) -> tuple[str, int] | None:
    """What kind of lookalike, and where."""
    if row.isascii():
        return None
    start = len(row) - len(row.lstrip(f" {SPACES}"))
    odd = next((at for at, letter in enumerate(row[:start]) if letter in SPACES), None)
    if odd is not None:
        return "space", odd
    if is_bullet(row[start:]):
        return "bullet", start
    if colon := _KEY.match(row, start):
        return "colon", colon.end()
    if after := _AFTER_COLON.match(row, start):
        return "space", after.end()
    quote = next((at for at, letter in enumerate(row) if letter in QUOTES), None)
    return None if quote is None else ("quote", quote)


def is_bullet(text: str) -> bool:
    """Whether a text begins like a list's item, with another sign for the hyphen."""
    return text[:1] in set(BULLETS) and text[1:2] in {" ", *SPACES}


def number_of(text: str) -> tuple[float | int, str] | None:
    """The number that a text is once its minus is one, and the sign that stood there; None where it is none."""
    sign = next((letter for letter in text if letter in MINUSES), None)
    if sign is None or text.isascii():
        return None
    plain = text.strip().translate(dict.fromkeys(map(ord, MINUSES), "-"))
    if not _NUMBER.fullmatch(plain):
        return None
    return (int(plain) if plain.lstrip("-+").isdecimal() else float(plain)), sign


def unseen(text: str) -> str | None:
    """The first letter of a text that is not to be seen and belongs to no writing; None where there is none.

    Scripts that are written without spaces use some of these between words, so a text must be of plain letters apart
    from them; at its ends they never mean anything.
    """
    if text.isascii():
        return None
    odd = [letter for letter in text if letter in SPACES]
    plain = "".join(letter for letter in text if letter not in SPACES).isascii()
    edges = text[:1] in SPACES or text[-1:] in SPACES
    return odd[0] if odd and (plain or edges) else None


def without_unseen(text: str) -> str:
    """A text without what is not to be seen; no-break spaces between words become spaces."""
    spaced = "".join(" " if letter in SPACES and letter not in HIDDEN else letter for letter in text)
    return "".join(letter for letter in spaced if letter not in HIDDEN).strip(" ")
