"""Rules about words that YAML takes for text where people mean something else."""

from collections.abc import Iterator, Mapping
from typing import Any

from app.core.axolotl.data_rules import blocks
from app.core.axolotl.subject import Rule, Subject, fails, misleads
from app.core.findings import Finding, Fix

NOTHING = frozenset(("None", "none", "NONE", "nil", "undefined"))
"""What other languages call nothing; YAML leaves the value out, or writes ``null``."""
CURLY = "\u201c\u201d\u201e\u2018\u2019\u00ab\u00bb"
"""Quotes of word processors and pages, which are letters to YAML."""
MOST = 50


def nothing(subject: Subject) -> Iterator[Finding]:
    """``None`` is a word of four letters: a folder, a name, a setting that is called so."""
    found = [(key, value) for key, value in subject.texts() if value in NOTHING]
    for key, given in found[:MOST]:
        known = subject.schema.key(key) if subject.schema is not None and isinstance(key, str) else None
        if known is not None and key != "adapter" and not _chosen(given, known.accepts):
            yield misleads("none_text", key, fix=Fix(unset=(key,), safe=True), key=key, given=given)


def _chosen(given: str, accepts: object) -> bool:
    """Whether the word is one of a key's own values."""
    if isinstance(accepts, Mapping):
        return given in (accepts.get("values") or ()) or any(_chosen(given, part) for part in accepts.values())
    return isinstance(accepts, list | tuple) and any(_chosen(given, part) for part in accepts)


def quotes(subject: Subject) -> Iterator[Finding]:
    """Curly quotes stay in the name of the model or the data set."""
    whole: list[tuple[str, Any]] = [(str(key), value) for key, value in subject.texts()]
    inner = [(f"{path}.{key}", value) for path, item in blocks(subject) for key, value in item.items()]
    found = [(key, value) for key, value in (*whole, *inner) if isinstance(value, str) and value[:1] in (*CURLY,)]
    for key, value in found[:MOST]:
        fix = Fix(set={key: value.strip(CURLY)}, safe=True)
        yield fails("curly_quotes", key, fix=fix, key=key, given=value[:60])


WORD_RULES: tuple[Rule, ...] = (nothing, quotes)
