"""Prices: what an hour of a GPU cost somewhere on a day, for a first idea where a person has no price of their own."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from app.catalog.files import DATA
from app.catalog.rows import Row, read_rows

_SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceRow:
    """One price: of one GPU for one hour, on demand, in ``currency``, as ``source`` had it on ``checked_on``."""

    gpu: str
    per_hour: float
    currency: str
    seller: str
    source: str
    checked_on: str


def build_price(row: Row) -> PriceRow:
    """One row.

    Raises:
        CatalogError: a field is missing, unknown or nonsense.
    """
    row.only("id", "per_hour", "currency", "seller", "source", "checked_on")
    return PriceRow(
        gpu=row.text("id", _SLUG),
        per_hour=row.number("per_hour"),
        currency=row.text("currency"),
        seller=row.text("seller"),
        source=row.url("source"),
        checked_on=row.date("checked_on"),
    )


def load_prices(path: Path = DATA / "prices.yaml") -> Mapping[str, PriceRow]:
    """All prices by the GPU's id.

    Raises:
        CatalogError: a row is not acceptable.
    """
    return {row.gpu: row for row in read_rows((path,), build_price)}
