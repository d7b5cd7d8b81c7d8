"""What ``/compare`` shows."""

from dataclasses import dataclass

from app.web.chooser import Chooser
from app.web.contexts import FieldError, Link, Segment, Shell


@dataclass(frozen=True, slots=True, kw_only=True)
class BarView:
    """One configuration in the picture, on the scale that all share."""

    label: str
    value: str
    verdict: str
    y: int
    segments: tuple[Segment, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LegendView:
    """One part of the memory, as the bars are filled."""

    number: int
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureView:
    """Memory by part, all on one scale."""

    bars: tuple[BarView, ...]
    height: int
    capacity: str
    capacity_percent: str
    capacity_label_end: bool
    legend: tuple[LegendView, ...]
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemView:
    """One configuration in the table. ``why_not`` is set where the method cannot be on this model."""

    position: int
    label: str
    trainable: str
    share: str
    verdict: str
    verdict_text: str
    memory: str
    parts: tuple[tuple[str, str], ...]
    time: str
    disk: str
    gives_up: str
    plan: Link | None
    recommended: bool
    why_not: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantView:
    """One line for a variant, as typed."""

    id: str
    value: str
    errors: tuple[FieldError, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DifferenceView:
    """One key that differs."""

    key: str
    left: str
    right: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LineView:
    """One line of a unified difference; ``kind`` is ``added``, ``removed``, ``same`` or ``place``."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffView:
    """Two files against each other."""

    left: str
    right: str
    keys: tuple[DifferenceView, ...]
    lines: tuple[LineView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparePage:
    """``/compare``."""

    shell: Shell
    chooser: Chooser
    action: str
    state: str
    variants: tuple[VariantView, ...]
    settings: str
    recommended: str
    items: tuple[ItemView, ...]
    parts: tuple[str, ...]
    picture: PictureView | None
    downloads: tuple[Link, ...]
    left: int
    right: int
    pasted_left: str
    pasted_right: str
    diff: DiffView | None
    problems: tuple[str, ...]
