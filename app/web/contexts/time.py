"""How long a plan takes and what that costs, and where to look further."""

from dataclasses import dataclass

from app.web.contexts.frame import Link


@dataclass(frozen=True, slots=True, kw_only=True)
class TimePartView:
    """What a step's time goes to; ``share`` is in per cent of the drawing's width."""

    label: str
    value: str
    x_percent: str
    width_percent: str
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeDetail:
    """Time, price and energy, each with its range; ``missing`` says what they wait for."""

    speed: str
    step: str
    run: str
    steps: str
    price: str
    price_source: Link | None
    energy: str
    parts: tuple[TimePartView, ...]
    missing: str
    basis: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Beyond:
    """What follows a plan: its time, and pages that start from it."""

    time: TimeDetail | None
    links: tuple[Link, ...]
