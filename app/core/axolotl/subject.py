"""What a rule looks at: a configuration, the model and card it is for, and the schema it is held to."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from app.core.architecture import Architecture
from app.core.axolotl.schema import Schema
from app.core.findings import Finding, Fix, Severity
from app.core.hardware import Hardware
from app.core.messages import Param, message

LORA_ADAPTERS = ("lora", "qlora")


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One configuration under examination. Its values are a stranger's and may be of any type."""

    config: Mapping[str, Any]
    architecture: Architecture | None
    hardware: Hardware | None
    schema: Schema | None

    def on(self, key: str) -> bool:
        """Whether a key is set to something that counts as yes."""
        return bool(self.config.get(key))

    def text(self, key: str) -> str:
        """A key's value where it is text, else nothing."""
        value = self.config.get(key)
        return value if isinstance(value, str) else ""

    def number(self, key: str) -> float | None:
        """A key's value where it is a number or, as Axolotl takes it, a number in text."""
        value = self.config.get(key)
        try:
            return None if isinstance(value, bool) or not isinstance(value, str | int | float) else float(value)
        except (ValueError, OverflowError):
            return None

    def names(self, key: str) -> tuple[str, ...]:
        """The texts of a list, or a single one."""
        value = self.config.get(key)
        if isinstance(value, str):
            return (value,)
        return tuple(v for v in value if isinstance(v, str)) if isinstance(value, list | tuple) else ()

    @property
    def lora(self) -> bool:
        """Whether one of Axolotl's own LoRA adapters trains."""
        return self.text("adapter") in LORA_ADAPTERS

    @property
    def model_type(self) -> str | None:
        """The architecture's name, where it is known."""
        return self.architecture.model_type if self.architecture is not None else None


Rule: TypeAlias = Callable[[Subject], Iterator[Finding]]


def error(code: str, key: str | None, /, *, fix: Fix | None = None, **params: Param) -> Finding:
    """Axolotl refuses the file, or the run fails."""
    return _finding(Severity.ERROR, code, key, fix, params)


def warning(code: str, key: str | None, /, *, fix: Fix | None = None, **params: Param) -> Finding:
    """The run goes on, but not as meant."""
    return _finding(Severity.WARNING, code, key, fix, params)


def info(code: str, key: str | None, /, *, fix: Fix | None = None, **params: Param) -> Finding:
    """Worth knowing."""
    return _finding(Severity.INFO, code, key, fix, params)


def _finding(severity: Severity, code: str, key: str | None, fix: Fix | None, params: Mapping[str, Param]) -> Finding:
    return Finding(severity=severity, message=message(f"finding.{code}", **params), key=key, fix=fix)
