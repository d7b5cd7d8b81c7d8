"""``/plan``: the form and the result beside it."""

from dataclasses import dataclass
from enum import StrEnum

from app.web.contexts.form import ErrorSummaryItem, FieldView, Option, PastedModel
from app.web.contexts.frame import Link, Shell
from app.web.contexts.result import Result


class State(StrEnum):
    """What the result region has to show."""

    READY = "ready"
    INVALID = "invalid"
    NEEDS_MODEL = "needs_model"
    NEEDS_HARDWARE = "needs_hardware"
    NEEDS_BOTH = "needs_both"


@dataclass(frozen=True, slots=True, kw_only=True)
class SectionView:
    """A part of the form that is folded. ``worst`` is the gravest severity of the findings in it, or blank."""

    id: str
    summary: str
    changed: str
    invalid: bool
    worst: str
    open: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanPage:
    """``/plan``: the form and the result beside it."""

    shell: Shell
    state: State
    fields: dict[str, FieldView]
    sections: dict[str, SectionView]
    image_fields: tuple[str, ...]
    """Those of the images' fields that the plan asks, or that something was typed into."""
    pasted: PastedModel | None
    packed_model: str
    model_json: str
    errors: tuple[ErrorSummaryItem, ...]
    presets: tuple[Link, ...]
    examples: tuple[Link, ...]
    result: Result | None
    fill: Link | None
    """For a brought file that cannot be taken as it stands: the same with what it leaves open."""
    model_options: tuple[Option, ...]
    suggestions: dict[str, tuple[str, ...]]
    action: str
    models_url: str
    reset_url: str
    changed: int
    lang: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelChoice:
    """One model that a search found."""

    id: str
    name: str
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelChoices:
    """What the model field's list shows while somebody types."""

    choices: tuple[ModelChoice, ...]
    none: str
    said: str
