"""Turns a plan's time into words and figures, with the price typed by the person or a dated one."""

from app.catalog.library import Catalog
from app.catalog.prices import PriceRow
from app.core.estimate import Time
from app.core.hardware import Hardware
from app.core.plan import Plan
from app.texts import Texts
from app.web.contexts import Link
from app.web.contexts.time import TimeDetail, TimePartView
from app.web.durations import duration

PARTS = ("arithmetic", "launching", "moving", "unpacking", "weighing", "offloading", "stepping")
"""The order in which the parts are drawn, and so their fills."""
HOUR = 3600


def time_detail(plan: Plan, hardware: Hardware, catalog: Catalog, texts: Texts) -> TimeDetail | None:
    """Everything about time; None where the card's rates are not known."""
    time = plan.estimate.time
    if time is None:
        return None
    dated = catalog.prices.get(hardware.gpu_id or "")
    low, high = time.step_seconds_range
    slow, fast = time.tokens_per_second_range
    t = texts.text
    return TimeDetail(
        speed=t("time.speed", rate=round(time.tokens_per_second), low=round(slow), high=round(fast)),
        step=t(
            "time.range", value=duration(time.step_seconds, texts), low=duration(low, texts), high=duration(high, texts)
        ),
        run=_run(time, texts),
        steps=t("web.number", number=time.total_steps) if time.total_steps else "",
        price=_price(time, hardware, dated, texts),
        price_source=_source(time, hardware, dated, texts),
        energy=t("time.energy", kwh=time.energy_kwh, most=time.energy_kwh_range[1])
        if time.energy_kwh and time.energy_kwh_range
        else "",
        parts=_parts(time, texts),
        missing="" if time.total_steps else t("time.missing"),
        basis=t("planner.time.basis"),
    )


def _run(time: Time, texts: Texts) -> str:
    if time.run_seconds is None or time.run_seconds_range is None:
        return ""
    low, high = (duration(seconds, texts) for seconds in time.run_seconds_range)
    return texts.text("time.range", value=duration(time.run_seconds, texts), low=low, high=high)


def _price(time: Time, hardware: Hardware, dated: PriceRow | None, texts: Texts) -> str:
    """What the run costs: at the person's price, else at the dated one."""
    if time.price is not None and time.price_range is not None:
        low, high = time.price_range
        return texts.text("time.price", value=time.price, low=low, high=high)
    if dated is None or time.run_seconds is None or time.run_seconds_range is None:
        return ""
    per_second = dated.per_hour / HOUR * hardware.data_parallel
    low, high = (seconds * per_second for seconds in time.run_seconds_range)
    return texts.text("time.price_in", currency=dated.currency, value=time.run_seconds * per_second, low=low, high=high)


def _source(time: Time, hardware: Hardware, dated: PriceRow | None, texts: Texts) -> Link | None:
    if dated is None or hardware.price_per_hour is not None or time.run_seconds is None:
        return None
    text = texts.text(
        "time.price.dated", currency=dated.currency, per_hour=dated.per_hour, seller=dated.seller, date=dated.checked_on
    )
    return Link(text=text, url=dated.source)


def _parts(time: Time, texts: Texts) -> tuple[TimePartView, ...]:
    found = []
    start = 0.0
    for code, seconds in sorted(time.parts, key=lambda part: PARTS.index(part[0])):
        if seconds <= 0:
            continue
        share = 100 * seconds / time.step_seconds
        found.append(
            TimePartView(
                label=texts.text(f"planner.time.{code}"),
                value=duration(seconds, texts),
                x_percent=f"{start:.3f}%",
                width_percent=f"{share:.3f}%",
                number=PARTS.index(code),
            )
        )
        start += share
    return tuple(found)
