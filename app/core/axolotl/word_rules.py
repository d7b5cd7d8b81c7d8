"""Rules about words that YAML takes for text where people mean something else."""

from collections.abc import Iterator, Mapping
from typing import Any

from app.core.axolotl.data_rules import blocks
from app.core.axolotl.subject import Rule, Subject, fails, misleads
from app.core.findings import Finding, Fix
from app.core.lookalikes import QUOTES, described, unseen, without_unseen

NOTHING = frozenset(("None", "none", "NONE", "nil", "undefined"))
"""What other languages call nothing; YAML leaves the value out, or writes ``null``."""
MOST = 50
FREE = ("chat_template_jinja", "default_system_message", "format", "no_input_format", "system_prompt")
"""Texts of a person's own, in which any letter may be meant."""


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
    found = [(key, value) for key, value in _all_texts(subject) if value[:1] in (*QUOTES,)]
    for key, value in found[:MOST]:
        signs = tuple(described(sign) for sign in dict.fromkeys(value) if sign in QUOTES)
        fix = Fix(set={key: without_unseen(value.strip(QUOTES))}, safe=True)
        yield fails("curly_quotes", key, fix=fix, key=key, given=value[:60], signs=signs[:4])


def not_to_be_seen(subject: Subject) -> Iterator[Finding]:
    """A zero-width or no-break space that was copied along belongs to the value."""
    found = [(key, value, sign) for key, value in _all_texts(subject) if (sign := unseen(value)) is not None]
    for key, value, sign in found[:MOST]:
        fix = Fix(set={key: without_unseen(value)}, safe=str(key).rpartition(".")[2] not in FREE)
        yield misleads("value_unseen", key, fix=fix, key=key, given=without_unseen(value)[:60], sign=described(sign))


def _all_texts(subject: Subject) -> Iterator[tuple[str, str]]:
    """Every text that is no plain ASCII, of the file and of its data sets."""
    whole: list[tuple[str, Any]] = [(str(key), value) for key, value in subject.texts()]
    inner = [(f"{path}.{key}", value) for path, item in blocks(subject) for key, value in item.items()]
    for key, value in (*whole, *inner):
        if isinstance(value, str) and not value.isascii():
            yield key, value


WORD_RULES: tuple[Rule, ...] = (nothing, quotes, not_to_be_seen)
