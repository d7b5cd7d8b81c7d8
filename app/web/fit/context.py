"""What ``/fit`` shows."""

from dataclasses import dataclass

from app.web.chooser import Chooser
from app.web.contexts import ChangeView, Link, Option, Shell, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class MostView:
    """One question and its answer: the most of a key, or the fastest. ``why_not`` is set where there is none.

    ``at_most`` is what reaches further without headroom.
    """

    objective: str
    question: str
    value: str
    memory: str
    verdict: str
    verdict_text: str
    speed: str
    changes: tuple[ChangeView, ...]
    url: str
    why_not: str = ""
    at_most: str = ""
    at_most_link: Link | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CellView:
    """One combination on the map; ``share`` is how much of the card it takes, in per cent for the drawing."""

    memory: str
    verdict: str
    verdict_text: str
    share: str
    label: str
    url: str
    current: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RowView:
    """One row of the map."""

    head: str
    cells: tuple[CellView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MapView:
    """Two keys against each other."""

    x_key: str
    y_key: str
    x_values: tuple[str, ...]
    rows: tuple[RowView, ...]
    caption: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VaryView:
    """One thing that may change, as a box to tick."""

    key: str
    text: str
    checked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FitPage:
    """``/fit``."""

    shell: Shell
    chooser: Chooser
    action: str
    verdict: Verdict | None
    method: str
    state: str
    most: tuple[MostView, ...]
    map: MapView | None
    vary: tuple[VaryView, ...]
    axes: tuple[Option, ...]
    x: str
    y: str
    problems: tuple[str, ...]
