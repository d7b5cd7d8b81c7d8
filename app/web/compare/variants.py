"""A person's variants: one line each, ``lora_r: 64, sequence_len: 8192``, read as YAML."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from app.core.messages import Message, message

MOST_VARIANTS = 8
LONGEST = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Typed:
    """One line as typed, with what it says or why it says nothing."""

    text: str
    keys: Mapping[str, Any] | None = None
    error: Message | None = None


def read_variant(text: str) -> Typed:
    """The keys of one line."""
    text = text.strip()
    if len(text) > LONGEST:
        return Typed(text=text[:LONGEST], error=message("web.error.long", given=len(text), most=LONGEST))
    inner = text if text.startswith("{") else f"{{{text}}}"
    try:
        found = yaml.safe_load(inner)
    except (yaml.YAMLError, ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not found or not all(isinstance(key, str) for key in found):
        return Typed(text=text, error=message("compare.error.variant", given=text[:60]))
    bare = [key for key, value in found.items() if value is None and ":" not in text]
    if bare:
        return Typed(text=text, error=message("compare.error.variant", given=text[:60]))
    return Typed(text=text, keys=found)
