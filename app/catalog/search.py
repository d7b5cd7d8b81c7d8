"""Finds catalogue rows by what they are called in daily speech: "llama 3.1 8b", "qwen3 30b", "4090"."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import SequenceMatcher, get_close_matches
from typing import Generic, TypeVar

T = TypeVar("T")

_SPACED_UNIT = re.compile(r"(\d)\s+(b|m|billion|million|gb)\b")
_TOKEN = re.compile(r"\d+(?:\.\d+)*(?:gb|[bmk])?(?![a-z])|\d+(?:\.\d+)*|[^\W\d_]+")
_WORDS = {"billion": "b", "million": "m"}
LONGEST_QUERY = 200
LEAST_LIKENESS = 0.7
"""Of at most 2; "gtp-oss-20b" is 1.4 like "openai/gpt-oss-20b"."""


def tokens(text: str) -> tuple[str, ...]:
    """Words and numbers of ``text``: "Llama-3.1-8B" and "llama3.1 8 billion" are both (llama, 3.1, 8b)."""
    lowered = text[:LONGEST_QUERY].lower()
    lowered = _SPACED_UNIT.sub(lambda match: match[1] + _WORDS.get(match[2], match[2]), lowered)
    return tuple(_TOKEN.findall(lowered))


@dataclass(frozen=True, slots=True)
class Entry(Generic[T]):
    """One thing that can be found. ``names`` identify it, ``context`` (maker, family) merely helps."""

    item: T
    names: frozenset[str]
    context: frozenset[str]
    spoken: frozenset[tuple[str, ...]]
    newness: str

    def score(self, wanted: tuple[str, ...]) -> float | None:
        """How well ``wanted`` describes this, None where some word of it does not at all."""
        total = 0.0
        for word in wanted:
            if word in self.names:
                total += 3
            elif word in self.context:
                total += 2
            elif any(_begins(name, word) for name in self.names):
                total += 1
            else:
                return None
        if wanted in self.spoken:
            total += 3
        return total - 0.1 * len(self.names.difference(wanted))


def _begins(name: str, word: str) -> bool:
    """Whether ``word`` is the beginning of ``name``: "inst" of "instruct", "3" of "3.1" but not of "30b"."""
    if word[0].isdigit():
        return name.startswith(word + ".")
    return name.startswith(word)


class Index(Generic[T]):
    """Ranked search over entries."""

    def __init__(self, entries: Iterable[Entry[T]]) -> None:
        self.entries = tuple(sorted(entries, key=lambda entry: entry.newness, reverse=True))
        self._words = {word for entry in self.entries for word in entry.names | entry.context}

    def search(self, query: str) -> tuple[T, ...]:
        """Everything that all words of ``query`` describe, best first; everything for a blank query.

        A word that nothing is called stands for the one that looks most like it ("lama", "mistal").
        """
        wanted = tokens(query)
        if not wanted:
            return tuple(entry.item for entry in self.entries) if not query.strip() else ()
        return self._ranked(wanted) or self._ranked(tuple(self._corrected(word) for word in wanted))

    def _ranked(self, wanted: tuple[str, ...]) -> tuple[T, ...]:
        scored = ((entry.score(wanted), entry.item) for entry in self.entries)
        found = [(score, item) for score, item in scored if score is not None]
        return tuple(item for _, item in sorted(found, key=lambda pair: -pair[0]))

    def _corrected(self, word: str) -> str:
        if word in self._words or word[0].isdigit():
            return word
        return next(iter(get_close_matches(word, self._words, n=1, cutoff=0.65)), word)


def closest(given: str, names: Iterable[str], count: int) -> tuple[str, ...]:
    """Up to ``count`` of ``names`` that ``given`` may have meant, by shared words as much as by spelling."""
    words, spelt = frozenset(tokens(given)), given[:LONGEST_QUERY].lower()
    scored = []
    for name in names:
        own = frozenset(tokens(name))
        shared = len(words & own) / max(1, len(words | own))
        alike = SequenceMatcher(None, spelt, name.lower()).ratio()
        if shared + alike >= LEAST_LIKENESS:
            scored.append((shared + alike, name))
    return tuple(name for _, name in sorted(scored, key=lambda pair: -pair[0])[:count])


def entry(item: T, *, names: Iterable[str], context: Iterable[str] = (), newness: str = "") -> Entry[T]:
    """An entry from the ways a thing is written."""
    spoken = frozenset(tokens(name) for name in names)
    own = frozenset(word for words in spoken for word in words)
    return Entry(
        item=item,
        names=own,
        context=frozenset(word for text in context for word in tokens(text)) - own,
        spoken=spoken,
        newness=newness,
    )
