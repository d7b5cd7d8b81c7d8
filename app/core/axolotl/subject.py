"""What a rule looks at: a configuration, the model and card it is for, and the schema it is held to."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from math import inf, isfinite
from typing import Any, TypeAlias

from app.core.architecture import Architecture
from app.core.axolotl.schema import Schema
from app.core.findings import SEVERITY_OF, Effect, Finding, Fix, Severity
from app.core.hardware import Hardware
from app.core.messages import Param, message
from app.core.values import TRUE_WORDS

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

    def flag(self, key: str) -> bool:
        """A key's value as a boolean the way Axolotl's types read it: the text ``"false"`` is no yes."""
        value = self.config.get(key)
        return value.strip().lower() in TRUE_WORDS if isinstance(value, str) else bool(value)

    def given(self, key: str) -> bool:
        """Whether a key is set to anything but null."""
        return self.config.get(key) is not None

    def mapping(self, key: str) -> Mapping[str, Any]:
        """A key's value where it is a mapping, else an empty one."""
        value = self.config.get(key)
        return value if value is not None and isinstance(value, Mapping) else {}

    def text(self, key: str) -> str:
        """A key's value where it is text, else nothing."""
        value = self.config.get(key)
        return value if isinstance(value, str) else ""

    def texts(self) -> list[tuple[Any, str]]:
        """The keys whose values are text, and those. A rule that asks for no more reads no number."""
        return [(key, value) for key, value in self.config.items() if isinstance(value, str)]

    def kinds(self) -> list[tuple[Any, type]]:
        """Every key with its value's type. A rule that asks for no more reads no value."""
        return [(key, type(value)) for key, value in self.config.items()]

    def number(self, key: str) -> float | None:
        """A key's value where it is a finite number or, as pydantic takes it, one in text or a boolean."""
        value = self.config.get(key)
        try:
            number = float(value) if isinstance(value, str | int | float) else inf
        except (ValueError, OverflowError):
            return None
        return number if isfinite(number) else None

    def names(self, key: str) -> tuple[str, ...]:
        """The texts of a list, or a single one."""
        value = self.config.get(key)
        if isinstance(value, str):
            return (value,)
        return tuple(v for v in value if isinstance(v, str)) if isinstance(value, list | tuple) else ()

    @property
    def fsdp2(self) -> bool:
        """Whether the configuration asks for FSDP's second version."""
        version = self.config.get("fsdp_version")
        inner = self.mapping("fsdp_config")
        return str(version or inner.get("fsdp_version") or inner.get("version")) == "2"

    @property
    def gpus(self) -> int:
        """Processes of the run, one where no hardware is given."""
        return self.hardware.data_parallel if self.hardware is not None else 1

    @property
    def listed_plugins(self) -> frozenset[str]:
        """The bundled plugins' packages that the file lists."""
        classes = self.schema.plugin_classes if self.schema is not None else {}
        return frozenset(classes[name] for name in self.names("plugins") if name in classes)

    @property
    def own_plugins(self) -> tuple[str, ...]:
        """Plugins that are none of the bundled ones: they may bring any key and any adapter."""
        classes = self.schema.plugin_classes if self.schema is not None else {}
        return tuple(name for name in self.names("plugins") if name not in classes)

    @property
    def lora(self) -> bool:
        """Whether one of Axolotl's own LoRA adapters trains."""
        return self.text("adapter") in LORA_ADAPTERS

    @property
    def model_type(self) -> str | None:
        """The architecture's name, where it is known."""
        return self.architecture.model_type if self.architecture is not None else None

    @property
    def computes_as(self) -> str | None:
        """The type whose code its layers run, where it is known."""
        return self.architecture.computes_as if self.architecture is not None else None


Rule: TypeAlias = Callable[[Subject], Iterator[Finding]]


def rejected(code: str, key: str | None, /, *, fix: Fix | None = None, **params: Param) -> Finding:
    """Axolotl's validator refuses the file."""
    return _finding(Effect.REJECTED, code, key, fix, params)


def fails(code: str, key: str | None, /, *, fix: Fix | None = None, **params: Param) -> Finding:
    """The file passes validation and the run fails."""
    return _finding(Effect.FAILS_AT_RUN, code, key, fix, params)


def misleads(code: str, key: str | None, /, *, fix: Fix | None = None, **params: Param) -> Finding:
    """The run goes on, but not as meant."""
    return _finding(Effect.MISLEADS, code, key, fix, params)


def warning(code: str, key: str | None, /, *, fix: Fix | None = None, **params: Param) -> Finding:
    """It works today as meant, and will not for long."""
    return replace(_finding(Effect.OK, code, key, fix, params), severity=Severity.WARNING)


def info(code: str, key: str | None, /, *, fix: Fix | None = None, **params: Param) -> Finding:
    """Worth knowing."""
    return _finding(Effect.OK, code, key, fix, params)


def _finding(effect: Effect, code: str, key: str | None, fix: Fix | None, params: Mapping[str, Param]) -> Finding:
    return Finding(
        severity=SEVERITY_OF[effect],
        message=message(f"finding.{code}", **params),
        key=key,
        fix=fix,
        effect=effect,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A rule that needs no more than a condition. Called like any other rule."""

    code: str
    key: str
    when: Callable[[Subject], bool]
    effect: Effect = Effect.REJECTED
    fix: Fix | None = None

    def __call__(self, subject: Subject) -> Iterator[Finding]:
        """The finding, where the condition holds."""
        if self.when(subject):
            yield _finding(self.effect, self.code, self.key, self.fix, {})
