"""The core's errors. The edges translate them; nothing below raises HTTP.

AxoplanError
├── InvalidInput      a person's values are not acceptable: one FieldError per value
└── UnknownName       a name that the catalogue does not hold, with the nearest ones
"""

from dataclasses import dataclass

from app.core.messages import Message, message


class AxoplanError(Exception):
    """Base of everything this product raises on purpose."""


@dataclass(frozen=True, slots=True)
class FieldError:
    """One value that cannot be accepted.

    ``pointer`` is a JSON pointer into what was sent (``/config/lora_r``); ``message`` says what was
    given, what is allowed and, where there is one, the nearest right thing.
    """

    pointer: str
    message: Message


class InvalidInput(AxoplanError):
    """Well-formed but not acceptable. Carries every field error found, never just the first."""

    def __init__(self, *errors: FieldError) -> None:
        super().__init__("; ".join(f"{e.pointer}: {e.message.code}" for e in errors))
        self.errors = errors


class UnknownName(AxoplanError):
    """``given`` is no known ``kind`` (``model``, ``gpu``, ``method``); ``nearest`` are the closest ids."""

    def __init__(self, kind: str, given: str, nearest: tuple[str, ...] = ()) -> None:
        super().__init__(f"unknown {kind}: {given}")
        self.kind = kind
        self.given = given
        self.nearest = nearest

    @property
    def message(self) -> Message:
        """What to say of a name that nothing has."""
        if self.nearest:
            return message(f"error.unknown_{self.kind}_nearest", given=self.given, nearest=self.nearest)
        return message(f"error.unknown_{self.kind}", given=self.given)
