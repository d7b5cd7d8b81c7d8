"""What every answer's shape has in common, and the shapes that any route may answer with.

Answers are built as plain dictionaries, for speed, and held to these models by the contract tests.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Answer(BaseModel):
    """Documents what is given. Answers are not built from these, so they are compiled only when asked for."""

    model_config = ConfigDict(defer_build=True)


class ProblemError(Answer):
    """One value that cannot be accepted."""

    pointer: str = Field(description="JSON pointer into the request body; /query/<name> for a query parameter.")
    detail: str
    code: str = Field(description="Stable, the same in every language.")
    nearest: list[str] = Field(description="Names that may have been meant.")


class Problem(Answer):
    """An error, as RFC 9457 has it."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[ProblemError]


class Health(Answer):
    """Whether the service lives."""

    status: Literal["ok"]
