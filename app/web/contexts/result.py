"""A plan in words and figures: what the result region shows."""

from dataclasses import dataclass
from typing import NamedTuple

from markupsafe import Markup

from app.web.contexts.form import FindingView
from app.web.contexts.frame import Link
from app.web.contexts.time import Beyond


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One part of the memory bar. Percentages are of the bar's width."""

    number: int
    label: str
    value: str
    x_percent: str
    width_percent: str
    middle_percent: str
    labelled: bool
    roomy: bool
    share: str
    explanation: str
    sharded: str
    """That it is, where the run splits over several GPUs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FormulaView:
    """How the bytes of one term come about: products, each with what its numbers are, and what they add up to."""

    label: str
    products: tuple[tuple[str, str], ...]
    total: str
    sharded: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryBar:
    """Memory by part against the card's capacity, as the drawing and its table need it; blank where there is none."""

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
    largest: str
    description: str
    formulas: tuple[FormulaView, ...]


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
    """One key that was changed to fit, and what that saves; ``along`` is what it goes along with, in words."""

    key: str
    before: str
    after: str
    saves: str
    along: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlternativeView:
    """A road not taken; ``changes`` is what of its template was cut to fit."""

    name: str
    verdict: str
    verdict_text: str
    memory: str
    trainable: str
    reason: str
    changes: tuple[ChangeView, ...]
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeAlong:
    """For a method that Axolotl does not run itself: files, the method that is nearest, and the plugin's YAML.

    ``yaml`` is empty where there is no plugin.
    """

    downloads: tuple[Link, ...]
    note: str
    nearest: str
    nearest_verdict: str
    take: Link
    yaml: str


class Slice(NamedTuple):
    """One part of a column: ``y`` and ``height`` in px of the drawing. A tuple: a chart has some fifty."""

    number: int
    y: str
    height: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """Memory at one sequence length, stacked from the bottom. Horizontal measures are per cent of the width."""

    tokens: str
    total: str
    verdict: str
    verdict_text: str
    current: bool
    x_percent: str
    width_percent: str
    middle_percent: str
    total_y: str
    slices: tuple[Slice, ...]
    url: str
    values: tuple[str, ...]
    """A text for each of the chart's parts, blank where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A line of the scale."""

    y: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LengthChart:
    """Memory by part against sequence length, with the card's limit as a line: the drawing and its table.

    ``parts`` are the labels of the table's columns. ``takes`` lead to the longest with headroom and the longest at
    all, each with the verdict that follows.
    """

    columns: tuple[Column, ...]
    ticks: tuple[Tick, ...]
    capacity_y: str
    capacity: str
    description: str
    longest: str
    takes: tuple[Link, ...]
    parts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class KnobView:
    """A change that would save memory, with its price and what becomes of the training."""

    label: str
    price: str
    trains: str
    verdict: str
    verdict_text: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeFact:
    """How long it takes: the figure, what it is of, its band and what is known beside it."""

    figure: str
    of: str
    band: str
    price: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """A file that somebody brought: whether it stands as it is, or what was added to it and the way back.

    ``added`` are keys with their values; ``other`` leads to the one from the other.
    """

    text: str
    added: tuple[str, ...]
    other: Link


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A plan in words and figures. ``refused`` says of the download that the file does not run; blank where it does."""

    verdict: Verdict
    refused: str
    method: str
    method_reason: str
    model: str
    hardware: str
    bar: MemoryBar
    lengths: LengthChart
    time: TimeFact | None
    disk: str
    rule_of_thumb: str
    peak: str
    host: str
    trainable: str
    trainable_share: str
    trainable_of: str
    """Of how many: those that the share is of."""
    modules: tuple[ModuleView, ...]
    steps: tuple[StepView, ...]
    changes: tuple[ChangeView, ...]
    knobs: tuple[KnobView, ...]
    alternatives: tuple[AlternativeView, ...]
    alternatives_note: str
    """What they are that the plan beside them is not, where they differ in more than the method."""
    findings: tuple[FindingView, ...]
    yaml: Markup
    download_url: str
    download_text: str
    file_name: str
    check_url: str
    beyond: Beyond
    take: TakeAlong | None = None
    brought: Brought | None = None
