"""Findings: what a person should know about a configuration, with a fix where one is safe."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from app.core.messages import Message


class Severity(StrEnum):
    """How much a finding matters."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fix:
    """A change that resolves a finding. ``safe`` fixes never change what a working file trains."""

    set: Mapping[str, object] = field(default_factory=dict)
    unset: tuple[str, ...] = ()
    safe: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One finding. ``key`` is the Axolotl key it concerns, dotted where nested, or None."""

    severity: Severity
    message: Message
    key: str | None = None
    line: int | None = None
    fix: Fix | None = None

    @property
    def code(self) -> str:
        """The message's code without its ``finding.`` prefix: stable, the API's ``code``."""
        return self.message.code.removeprefix("finding.")
