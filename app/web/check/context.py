"""What ``/check`` shows."""

from dataclasses import dataclass

from app.web.contexts import ChangeView, FieldView, Link, MemoryBar, Option, OptionGroup, Shell, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class FixView:
    """A button that applies a fix; ``name`` finds it again."""

    name: str
    text: str
    safe: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundView:
    """One finding in words."""

    severity: str
    effect: str
    effect_text: str
    code: str
    key: str | None
    line: int | None
    text: str
    fix: FixView | None
    choices: tuple[FixView, ...] = ()
    """Values to choose one from: the names that an unknown model may have meant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SavingView:
    """A change that saves memory, with its price; ``name`` applies it to the text."""

    name: str
    label: str
    price: str
    trains: str
    verdict: str
    verdict_text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FitView:
    """The least changes that make it fit, all together.

    Where none does that keeps the method, ``why_not`` says so; ``changes`` are then those by another method, which
    ``other_method`` introduces, or none.
    """

    name: str
    changes: tuple[ChangeView, ...]
    memory: str
    why_not: str
    other_method: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LineView:
    """One line of the file, with what stands out in it."""

    number: int
    text: str
    worst: str
    found: tuple[FoundView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffLine:
    """One line of the difference: kept, added or taken out."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryView:
    """The estimate of the mended file."""

    verdict: Verdict | None
    bar: MemoryBar
    peak: str
    host: str
    rule_of_thumb: str
    savings: tuple[SavingView, ...] = ()
    fit: FitView | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """Everything found out about one file."""

    verdict: str
    icon: str
    headline: str
    detail: str
    counts: str
    lines: tuple[LineView, ...]
    general: tuple[FoundView, ...]
    safe_count: int
    diff: tuple[DiffLine, ...]
    mended: str
    memory: MemoryView | None
    no_memory: str
    wizard: bool
    """Whether the wizard can take the file along."""
    runs: bool
    """Whether nothing refuses the file or makes it fail."""
    shared: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckPage:
    """``/check``."""

    shell: Shell
    action: str
    file_action: str
    plan_action: str
    yaml: str
    model_json: str
    packed_model: str
    pasted: str
    asks_model: bool
    gpu_groups: tuple[OptionGroup, ...]
    gpu: str
    vram_gib: str
    count: str
    installs: tuple[Option, ...]
    install: str
    image_fields: tuple[FieldView, ...]
    """What of the images is asked, or was said."""
    problems: tuple[str, ...]
    result: CheckResult | None
    from_plan: Link | None
    sample: Link
    lang: str
