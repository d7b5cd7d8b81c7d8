"""Finds catalogue rows by what they are called in daily speech: "llama 3.1 8b", "qwen3 30b", "4090"."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher, get_close_matches
from functools import lru_cache
from typing import Generic, TypeVar

T = TypeVar("T")

_SPACED_UNIT = re.compile(r"(\d)\s+(b|m|billion|million|gb)\b")
_TOKEN = re.compile(r"\d++(?:\.\d++)*+(?:gb|[bmk])?(?![a-z])|\d++(?:\.\d++)*+|[^\W\d_]+")
_WORDS = {"billion": "b", "million": "m"}
UNITS = ("b", "m", "k", "gb")
LONGEST_QUERY = 200
LEAST_LIKENESS = 0.7
"""Of at most 3; "gtp-oss-20b" is 2.4 like "openai/gpt-oss-20b"."""
SWAPPED, ONE_OFF, BEGUN = 0.8, 0.5, 0.4
"""How like two numbers are of the same digits in another order, with one digit wrong, or with the end left out."""


@lru_cache(maxsize=4096)
def tokens(text: str) -> tuple[str, ...]:
    """Words and numbers of ``text``: "Llama-3.1-8B" and "llama3.1 8 billion" are both (llama, 3.1, 8b)."""
    lowered = text[:LONGEST_QUERY].lower()
    lowered = _SPACED_UNIT.sub(lambda match: match[1] + _WORDS.get(match[2], match[2]), lowered)
    return tuple(_TOKEN.findall(lowered))


@dataclass(frozen=True, slots=True)
class Entry(Generic[T]):
    """One thing that can be found. ``names`` identify it, ``context`` (maker, family) merely helps.

    ``kin`` is how many there are of its family, which is how much its family is used; ``talks`` whether it was made to
    answer.
    """

    item: T
    names: frozenset[str]
    context: frozenset[str]
    spoken: frozenset[tuple[str, ...]]
    newness: str
    talks: bool
    kin: int

    def score(self, wanted: tuple[str, ...]) -> float | None:
        """How well ``wanted`` describes this, None where some word of it does not at all.

        Of what several words describe alike, the shorter name is meant; one word alone means no name in full.
        """
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
        return total - (0.1 * len(self.names.difference(wanted)) if len(wanted) > 1 else 0)


def _begins(name: str, word: str) -> bool:
    """Whether ``word`` is the beginning of ``name``: "inst" of "instruct", "3" of "3.1" and "3b" but not of "30b"."""
    if word[0].isdigit():
        return name.startswith(word + ".") or (name.startswith(word) and name[len(word) :] in UNITS)
    return name.startswith(word)


class Index(Generic[T]):
    """Ranked search over entries."""

    def __init__(self, entries: Iterable[Entry[T]]) -> None:
        self.entries = tuple(sorted(entries, key=lambda entry: (entry.newness, entry.talks), reverse=True))
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
        """Best first, of equals the newer; of a size alone ("8b") families that are much used before others."""
        sized = all(word[0].isdigit() for word in wanted)
        scored = ((entry.score(wanted), entry.kin if sized else 0, entry.item) for entry in self.entries)
        found = [(score, kin, item) for score, kin, item in scored if score is not None]
        return tuple(item for _, _, item in sorted(found, key=lambda row: (-row[0], -row[1])))

    def _corrected(self, word: str) -> str:
        if word in self._words or word[0].isdigit():
            return word
        return next(iter(get_close_matches(word, self._words, n=1, cutoff=0.65)), word)


def closest(given: str, names: Mapping[str, Iterable[str]], count: int) -> tuple[str, ...]:
    """Up to ``count`` ids that ``given`` may have meant: ``names`` are the ways in which each is written.

    Shared words count as much as spelling, and as much as its numbers: of "rtx 4900" the digits say most. Spelling
    takes long to compare; its letters alone say what it comes to at most, so the likeliest names are compared first.
    """
    query = _seen(given[:LONGEST_QUERY])
    likely = []
    for position, (id_, written) in enumerate(names.items()):
        for name in (id_, *written):
            seen = _seen(name)
            shared = _shared(query, seen)
            most = shared + _spelling_at_most(query, seen)
            if most >= LEAST_LIKENESS:
                likely.append((most, position, shared, seen.spelt, id_))
    likely.sort(key=lambda row: (-row[0], row[1]))
    found: dict[str, tuple[float, int]] = {}
    for most, position, shared, spelt, id_ in likely:
        if len(found) >= count and most < sorted(found.values(), key=lambda pair: -pair[0])[count - 1][0]:
            break
        likeness = shared + SequenceMatcher(None, query.spelt, spelt).ratio()
        if likeness >= LEAST_LIKENESS and likeness > found.get(id_, (0.0, 0))[0]:
            found[id_] = likeness, position
    return tuple(sorted(found, key=lambda id_: (-found[id_][0], found[id_][1]))[:count])


@dataclass(frozen=True, slots=True)
class _Seen:
    """What is compared of a name."""

    spelt: str
    words: frozenset[str]
    numbers: tuple[str, ...]
    letters: Mapping[str, int]


@lru_cache(maxsize=4096)
def _seen(name: str) -> _Seen:
    words = frozenset(tokens(name))
    numbers = tuple(sorted(word for word in words if word[0].isdigit()))
    return _Seen(spelt=name.lower(), words=words, numbers=numbers, letters=Counter(name.lower()))


def _shared(query: _Seen, seen: _Seen) -> float:
    """How much of words and numbers agrees, of at most 2."""
    words = len(query.words & seen.words) / max(1, len(query.words | seen.words))
    near = sum(max((_near(number, other) for other in seen.numbers), default=0.0) for number in query.numbers)
    return words + near / max(1, len(query.numbers))


def _spelling_at_most(query: _Seen, seen: _Seen) -> float:
    """The likeness of two spellings if their letters stood in the same order (``SequenceMatcher.quick_ratio``)."""
    mine = query.letters
    both = sum(min(number, mine.get(letter, 0)) for letter, number in seen.letters.items())
    return 2 * both / max(1, len(query.spelt) + len(seen.spelt))


def _near(number: str, other: str) -> float:
    """How like two numbers are: 1 for the same, 0 for nothing in common."""
    if number == other:
        return 1.0
    if len(number) == len(other):
        if sorted(number) == sorted(other):
            return SWAPPED
        return ONE_OFF if sum(a != b for a, b in zip(number, other, strict=True)) == 1 else 0.0
    return BEGUN if len(number) > 1 and other.startswith(number) else 0.0


def entry(
    item: T,
    *,
    names: Iterable[str],
    context: Iterable[str] = (),
    newness: str = "",
    talks: bool = False,
    kin: int = 0,
) -> Entry[T]:
    """An entry from the ways a thing is written."""
    spoken = frozenset(tokens(name) for name in names)
    own = frozenset(word for words in spoken for word in words)
    return Entry(
        item=item,
        names=own,
        context=frozenset(word for text in context for word in tokens(text)) - own,
        spoken=spoken,
        newness=newness,
        talks=talks,
        kin=kin,
    )
