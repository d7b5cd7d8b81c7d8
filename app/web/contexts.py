"""What each page is made from: one frozen data class per page and per part of it. Templates know nothing else."""

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A text that leads somewhere."""

    text: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Language:
    """One entry of the language switch."""

    code: str
    name: str
    url: str
    current: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One choice of a field, with a line about it where it needs one."""

    value: str
    label: str
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionGroup:
    """Choices that belong together."""

    label: str
    options: tuple[Option, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldError:
    """Why a value cannot be, and what it may have meant."""

    text: str
    links: tuple[Link, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingView:
    """A finding in words. ``field_id`` is the anchor of the field it is about, ``fix`` a link that applies it."""

    severity: str
    text: str
    key: str | None = None
    field_id: str | None = None
    fix: Link | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldView:
    """One field as shown. ``reset_url`` is set where the value differs from what is recommended."""

    name: str
    id: str
    label: str
    hint: str = ""
    value: str = ""
    placeholder: str = ""
    step: str = ""
    least: int | None = None
    list_id: str = ""
    reset_url: str | None = None
    errors: tuple[FieldError, ...] = ()
    findings: tuple[FindingView, ...] = ()
    options: tuple[Option, ...] = ()
    groups: tuple[OptionGroup, ...] = ()

    @property
    def described_by(self) -> str:
        """Ids of what explains the field, for ``aria-describedby``."""
        ids = (
            (f"{self.id}-error", bool(self.errors)),
            (f"{self.id}-finding", bool(self.findings)),
            (f"{self.id}-hint", bool(self.hint)),
        )
        return " ".join(id_ for id_, present in ids if present)


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorSummaryItem:
    """One line of the error summary; ``url`` leads to the field."""

    text: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PastedModel:
    """A config.json in use, in a few words, and the way back."""

    text: str
    remove_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One part of the memory bar. Percentages are of the bar's width."""

    code: str
    number: int
    label: str
    value: str
    x_percent: str
    width_percent: str
    middle_percent: str
    roomy: bool
    share: str
    explanation: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryBar:
    """Memory by part against the card's capacity, as the drawing and its table need it."""

    segments: tuple[Segment, ...]
    process: str
    capacity: str
    capacity_percent: str
    capacity_label_end: bool
    overflow_percent: str
    overflow_x_percent: str
    overflow: bool
    range_x_percent: str
    range_width_percent: str
    range_low: str
    range_high: str
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The answer in one line. ``kind`` chooses colour and shape."""

    kind: str
    headline: str
    detail: str
    range: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleView:
    """Trainable parameters of one kind of module."""

    module: str
    layers: str
    shape: str
    parameters: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepView:
    """One question of the decision tree as answered."""

    question: str
    answer: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeView:
    """One key that was changed to fit, and what that saves; ``saves`` is empty for what goes along with another."""

    key: str
    before: str
    after: str
    saves: str
    field_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AlternativeView:
    """A road not taken."""

    name: str
    verdict: str
    verdict_text: str
    memory: str
    trainable: str
    reason: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A stretch of the file with the kind it is coloured by; an empty kind is left alone."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A plan in words and figures."""

    verdict: Verdict
    method: str
    method_reason: str
    model: str
    hardware: str
    bar: MemoryBar
    rule_of_thumb: str
    peak: str
    host: str
    trainable: str
    trainable_share: str
    total: str
    modules: tuple[ModuleView, ...]
    steps: tuple[StepView, ...]
    changes: tuple[ChangeView, ...]
    alternatives: tuple[AlternativeView, ...]
    findings: tuple[FindingView, ...]
    yaml_lines: tuple[tuple[Token, ...], ...]
    download_url: str
    file_name: str


class State(StrEnum):
    """What the result region has to show."""

    READY = "ready"
    INVALID = "invalid"
    NEEDS_MODEL = "needs_model"
    NEEDS_HARDWARE = "needs_hardware"
    NEEDS_BOTH = "needs_both"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shell:
    """What surrounds every page."""

    title: str
    description: str
    lang: str
    languages: tuple[Language, ...]
    home_url: str
    plan_url: str
    docs_url: str
    here: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One plan at a glance, to show what this is."""

    link: Link
    method: str
    verdict: Verdict
    bar: MemoryBar


@dataclass(frozen=True, slots=True, kw_only=True)
class HomePage:
    """``/``: what this is, and a start."""

    shell: Shell
    fields: dict[str, FieldView]
    model_options: tuple[Option, ...]
    sample: Sample | None
    examples: tuple[Link, ...]
    model_count: str
    gpu_count: str
    suggestions: dict[str, tuple[str, ...]]
    action: str
    lang: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanPage:
    """``/plan``: the form and the result beside it."""

    shell: Shell
    state: State
    fields: dict[str, FieldView]
    pasted: PastedModel | None
    packed_model: str
    model_json: str
    errors: tuple[ErrorSummaryItem, ...]
    presets: tuple[Link, ...]
    examples: tuple[Link, ...]
    result: Result | None
    model_options: tuple[Option, ...]
    suggestions: dict[str, tuple[str, ...]]
    action: str
    reset_url: str
    changed: int
    lang: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorPage:
    """A page that says what went wrong and where to go on."""

    shell: Shell
    status: int
    headline: str
    detail: str
