"""Values of a configuration, each held to what its key may be; what cannot be is noted as a fault."""

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from app.core.errors import FieldError
from app.core.messages import message
from app.core.nearest import nearest
from app.core.shown import shown

LONGEST_SEQUENCE = 1 << 24
"""Tokens that ``sequence_len`` may be at most."""
MOST_STEPS = 1 << 40
"""Steps of a run that ``max_steps`` may name; none or less than none is no limit to Transformers."""

WHOLE: Mapping[str, range] = {
    "sequence_len": range(1, LONGEST_SEQUENCE + 1),
    "micro_batch_size": range(1, (1 << 16) + 1),
    "eval_batch_size": range(1, (1 << 16) + 1),
    "gradient_accumulation_steps": range(1, (1 << 20) + 1),
    "lora_r": range(1, (1 << 16) + 1),
    "lora_alpha": range(1, (1 << 20) + 1),
    "max_steps": range(-MOST_STEPS, MOST_STEPS + 1),
}
"""Keys of whole numbers, which nothing but themselves is read from, and what they may be."""

TRUE_WORDS = ("1", "on", "t", "true", "y", "yes")
FALSE_WORDS = ("0", "off", "f", "false", "n", "no")
"""Texts that pydantic takes for a switch, in capitals too."""

_WHOLE_TEXT = re.compile(r"\s*[+-]?\d{1,18}\s*")


def limit_of_steps(config: Mapping[str, Any]) -> int | None:
    """``max_steps`` where it limits a run; ``config`` has been read as a run before."""
    steps = Values(config).whole("max_steps", 0)
    return steps if steps > 0 else None


def says_no(value: object) -> bool:
    """Whether a value switches nothing on, also of a key that takes more than yes and no."""
    if isinstance(value, str):
        return not value or value.strip().lower() in FALSE_WORDS
    return not value


def whole_number(value: object) -> int | None:
    """A whole number as pydantic reads one, in text too; None for anything else, switches included."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return int(value) if isinstance(value, str) and _WHOLE_TEXT.fullmatch(value) else None


class Values:
    """A configuration as given. What is left out or cannot be reads as the default; ``errors`` holds every fault."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.config = config
        self.given = {key for key, value in config.items() if value is not None}
        self.errors: list[FieldError] = []

    def fault(self, key: str, code: str, **params: Any) -> None:
        """Note that a key's value cannot be; a dot leads below a key."""
        self.errors.append(FieldError(f"/config/{key.replace('.', '/')}", message(code, key=key, **params)))

    def whole(self, key: str, default: int) -> int:
        """A whole number, in text too, within what ``WHOLE`` allows."""
        least, most = WHOLE[key][0], WHOLE[key][-1]
        value = self.config.get(key)
        if value is None:
            return default
        number = whole_number(value)
        if number is None:
            self.fault(key, "error.config.integer", given=shown(value), least=least, most=most)
            return default
        if not least <= number <= most:
            self.fault(key, "error.config.range", given=number, least=least, most=most)
            return default
        return number

    def number(self, key: str, default: float, least: float, most: float) -> float:
        """A number, in text too, within both bounds."""
        value = self.config.get(key)
        if value is None:
            return default
        try:
            if isinstance(value, bool):
                raise ValueError
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            self.fault(key, "error.config.number", given=shown(value), least=least, most=most)
            return default
        if not least <= number <= most:
            self.fault(key, "error.config.range", given=number, least=least, most=most)
            return default
        return number

    def flag(self, key: str, default: bool = False) -> bool:
        """A switch, as pydantic reads one."""
        value = self.config.get(key)
        if value is None:
            return default
        if isinstance(value, bool):
            return value
        if value in (0, 1):
            return bool(value)
        if isinstance(value, str) and value.lower() in (*TRUE_WORDS, *FALSE_WORDS):
            return value.lower() in TRUE_WORDS
        self.fault(key, "error.config.boolean", given=shown(value))
        return default

    def those_on(self, keys: Collection[str]) -> tuple[str, ...]:
        """Those of some switches that are on."""
        return () if self.given.isdisjoint(keys) else tuple([key for key in keys if self.flag(key)])

    def names(self, key: str) -> tuple[str, ...]:
        """A list of texts, or a single one."""
        value = self.config.get(key)
        if value is None:
            return ()
        if isinstance(value, str):
            return (value,)
        if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
            return tuple(value)
        self.fault(key, "error.config.names", given=shown(value))
        return ()

    def choice(
        self, key: str, default: str, allowed: tuple[str, ...], meant: Callable[[str], str | None] | None = None
    ) -> str:
        """One of some texts; the fault names what is ``meant`` by another one, or the nearest."""
        value = self.config.get(key)
        if value is None:
            return default
        if isinstance(value, str) and value in allowed:
            return value
        allowed = tuple(name for name in allowed if name)
        close = meant(str(value)) if meant else next(iter(nearest(str(value), allowed, count=1)), None)
        if close:
            self.fault(key, "error.config.choice_nearest", given=shown(value), allowed=allowed, nearest=close)
        else:
            self.fault(key, "error.config.choice", given=shown(value), allowed=allowed)
        return default
