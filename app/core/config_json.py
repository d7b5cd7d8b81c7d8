"""Reads a Hugging Face ``config.json`` field by field, naming every fault it meets.

A reader is handed to an architecture's description, which asks for fields by their names and defaults
(the defaults of Transformers 5.16.1's configuration classes, since a config.json leaves them out).
"""

from collections.abc import Collection, Mapping
from typing import Any

from app.core.errors import FieldError, InvalidInput
from app.core.messages import message
from app.core.shown import shown

LARGEST_SIZE = 10**8
"""No width, count or vocabulary of a real model exceeds this; more is nonsense and is refused."""
LARGEST_LAYERS = 2_000


SIZE_NAMES = (
    ("hidden_size", "n_embd", "n_embed", "d_model"),
    ("num_hidden_layers", "n_layer", "n_layers", "num_layers", "layers_block_type", "hybrid_override_pattern"),
    ("num_attention_heads", "n_head", "n_heads"),
    ("vocab_size",),
)
"""The sizes that make a model, each by its names in the config.json of one family or another."""


INNER = ("text_config", "llm_config", "language_config")
"""Where wrappers describe the language model within, those of remote code too."""


def unstated_sizes(values: Mapping[str, Any]) -> tuple[str, ...]:
    """The sizes that a config.json leaves to the defaults of Transformers, by their usual names.

    What stands under ``INNER`` counts as stated: there the language model of a multimodal one is described.
    """
    places = (values, *(inner for key in INNER if isinstance(inner := values.get(key), Mapping)))
    return tuple(
        names[0] for names in SIZE_NAMES if not any(place.get(name) is not None for place in places for name in names)
    )


class ConfigReader:
    """One mapping of a config.json with typed, range-checked access.

    Raises:
        InvalidInput: at the first field that is missing, of the wrong type or out of range; the pointer
            names the field (``/model/text_config/hidden_size``).
    """

    def __init__(self, values: Mapping[str, Any], pointer: str = "/model") -> None:
        self.values = values
        self.pointer = pointer

    def sub(self, key: str) -> "ConfigReader":
        """The nested configuration under ``key``, empty where the file has none."""
        value = self.values.get(key)
        if value is None:
            value = {}
        if not isinstance(value, Mapping):
            raise self.fault(key, "error.config_json.mapping", given=shown(value, quoted=True))
        return ConfigReader(value, f"{self.pointer}/{key}")

    def fault(self, key: str, code: str, **params: str | float) -> InvalidInput:
        """An error that names ``key``."""
        return InvalidInput(FieldError(f"{self.pointer}/{key}", message(code, field=key, **params)))

    def size(self, *keys: str, default: int | None = None, least: int = 1, most: int = LARGEST_SIZE) -> int:
        """A whole number within [least, most] under the first of ``keys`` present (old and new names)."""
        for key in keys:
            value = self.values.get(key)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int):
                raise self.fault(key, "error.config_json.integer", given=shown(value, quoted=True))
            if not least <= value <= most:
                raise self.fault(key, "error.config_json.range", given=value, least=least, most=most)
            return value
        if default is None:
            raise self.fault(keys[0], "error.config_json.missing")
        return default

    def layers(self, *keys: str, default: int | None = None) -> int:
        """A number of layers."""
        return self.size(*keys, default=default, most=LARGEST_LAYERS)

    def sides(self, key: str, default: int) -> tuple[int, int]:
        """Height and width, which a file may write as one number."""
        value = self.values.get(key)
        if not isinstance(value, list | tuple):
            side = self.size(key, default=default)
            return side, side
        if len(value) != 2:
            raise self.fault(key, "error.config_json.integer", given=shown(value, quoted=True))
        high, wide = (ConfigReader({key: side}, self.pointer).size(key) for side in value)
        return high, wide

    def flag(self, *keys: str, default: bool) -> bool:
        """A boolean under the first of ``keys`` present."""
        for key in keys:
            value = self.values.get(key)
            if value is None:
                continue
            if not isinstance(value, bool):
                raise self.fault(key, "error.config_json.boolean", given=shown(value, quoted=True))
            return value
        return default

    def inner_type(self, allowed: Collection[str], *, default: str) -> str:
        """The ``model_type`` of a part, out of those that the whole can have there."""
        kind = self.text("model_type", default=default)
        if kind not in allowed:
            raise self.fault("model_type", "error.config_json.inner_type", given=kind[:60], allowed=", ".join(allowed))
        return kind

    def text(self, *keys: str, default: str) -> str:
        """A string under the first of ``keys`` present."""
        for key in keys:
            value = self.values.get(key)
            if value is None:
                continue
            if not isinstance(value, str):
                raise self.fault(key, "error.config_json.text", given=shown(value, quoted=True))
            return value
        return default

    def items(self, key: str, length: int) -> tuple[Any, ...] | None:
        """A list of ``length`` entries, one per layer, or None where absent."""
        value = self.values.get(key)
        if value is None:
            return None
        if not isinstance(value, list | tuple) or len(value) != length:
            given = len(value) if isinstance(value, list | tuple) else shown(value, quoted=True)
            raise self.fault(key, "error.config_json.per_layer", given=given, length=length)
        return tuple(value)

    def number(self, key: str, default: float) -> float:
        """A number, whole or not."""
        value = self.values.get(key)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.fault(key, "error.config_json.number", given=shown(value, quoted=True))
        return float(value)

    def has(self, key: str) -> bool:
        """Whether the file sets ``key`` to something other than null."""
        return self.values.get(key) is not None
