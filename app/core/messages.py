"""What the core says to people: a stable code and its parameters, never a sentence.

The edge looks the code up in a gettext catalog and formats the parameters for the reader's language
(``app/texts.py``). Parameters keep their types: bytes stay integers of bytes, ratios stay floats.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeAlias

Param: TypeAlias = str | int | float | bool | None | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Message:
    """One translatable statement: ``Message("term.weights", {})``."""

    code: str
    params: Mapping[str, Param] = field(default_factory=lambda: MappingProxyType({}))


def message(code: str, **params: Param) -> Message:
    """Build a message from keyword parameters."""
    return Message(code, MappingProxyType(params))
