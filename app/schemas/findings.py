"""The shapes of findings: what a person should know about a configuration."""

from typing import Any

from pydantic import Field

from app.core.findings import Effect, Severity
from app.schemas.answer import Answer


class Fix(Answer):
    """A change that resolves a finding."""

    set: dict[str, Any] = Field(description="Keys to set, with their values.")
    unset: list[str] = Field(description="Keys to remove.")
    safe: bool = Field(description="Whether it never changes what a working file trains.")


class Finding(Answer):
    """What a person should know about a configuration."""

    severity: Severity
    code: str = Field(description="Stable, the same in every language.")
    key: str | None = Field(description="Axolotl's key that it concerns.")
    line: int | None = Field(description="Where it stands in the text that was checked.")
    effect: Effect = Field(description="What Axolotl makes of it: `ok` where it runs as meant.")
    message: str
    fix: Fix | None
