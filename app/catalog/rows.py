"""Reads rows of the data files, naming file and row in every complaint.

The data is part of the product, so a fault in it is a programming error: it stops the start with a message that
tells the person who added the row where to look.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from app.catalog.files import CatalogError, read_yaml
from app.core.nearest import nearest

T = TypeVar("T")

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_URL = re.compile(r"https://\S+")


@dataclass(frozen=True, slots=True)
class Row:
    """One mapping of a data file and where it stands."""

    file: str
    position: int
    values: Mapping[str, Any]

    def fault(self, complaint: str) -> CatalogError:
        """An error that says where the row is."""
        return CatalogError(f"{self.file}, row {self.position} ({self.values.get('id', 'no id')}): {complaint}")

    def only(self, *allowed: str) -> None:
        """Refuse fields that nothing reads: a typing slip would otherwise never show."""
        for key in self.values:
            if key not in allowed:
                close = nearest(str(key), allowed, count=1)
                hint = f"; did you mean {close[0]}?" if close else ""
                raise self.fault(f"unknown field {key!r}{hint}")

    def text(self, key: str, pattern: re.Pattern[str] | None = None) -> str:
        """A non-empty string."""
        value = self.values.get(key)
        if not isinstance(value, str) or not value:
            raise self.fault(f"{key} must be a text, not {value!r}")
        if pattern is not None and not pattern.fullmatch(value):
            raise self.fault(f"{key} is {value!r}, which does not look like {pattern.pattern}")
        return value

    def optional_text(self, key: str, pattern: re.Pattern[str] | None = None) -> str | None:
        """A string, or None where the row has none."""
        return None if self.values.get(key) is None else self.text(key, pattern)

    def choice(self, key: str, allowed: tuple[str, ...]) -> str:
        """One of ``allowed``."""
        value = self.values.get(key)
        if not isinstance(value, str) or value not in allowed:
            raise self.fault(f"{key} must be one of {', '.join(allowed)}, not {value!r}")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of strings, empty where absent."""
        value = self.values.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
            raise self.fault(f"{key} must be a list of texts, not {value!r}")
        return tuple(value)

    def whole(self, key: str, least: int = 1) -> int:
        """A whole number."""
        value = self.values.get(key)
        if type(value) is not int or value < least:
            raise self.fault(f"{key} must be a whole number of at least {least}, not {value!r}")
        return value

    def optional_whole(self, key: str, least: int = 1) -> int | None:
        """A whole number, or None where the row has none."""
        return None if self.values.get(key) is None else self.whole(key, least)

    def number(self, key: str) -> float:
        """A number above 0."""
        value = self.values.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
            raise self.fault(f"{key} must be a number above 0, not {value!r}")
        return float(value)

    def optional_number(self, key: str) -> float | None:
        """A number above 0, or None where the row has none."""
        return None if self.values.get(key) is None else self.number(key)

    def flag(self, key: str) -> bool:
        """True or false."""
        value = self.values.get(key)
        if not isinstance(value, bool):
            raise self.fault(f"{key} must be true or false, not {value!r}")
        return value

    def mapping(self, key: str) -> Mapping[str, Any]:
        """A mapping with text keys."""
        value = self.values.get(key)
        if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
            raise self.fault(f"{key} must be a mapping, not {value!r}")
        return value

    def url(self, key: str) -> str:
        """An https address."""
        return self.text(key, _URL)

    def date(self, key: str) -> str:
        """A date as year-month-day."""
        return self.text(key, _DATE)


def read_rows(paths: Iterable[Path], build: Callable[[Row], T]) -> tuple[T, ...]:
    """Every row of ``paths`` through ``build``, in file order.

    Raises:
        CatalogError: a file holds no list of mappings, two rows share an id (case ignored), or a row is refused.
    """
    seen: dict[str, str] = {}
    built = []
    for path in paths:
        data = read_yaml(path)
        if not isinstance(data, list) or not all(isinstance(values, dict) for values in data):
            raise CatalogError(f"{path.name}: expected a list of rows")
        for position, values in enumerate(data, start=1):
            row = Row(path.name, position, values)
            id_ = row.text("id").lower()
            if id_ in seen:
                raise row.fault(f"the id is already in {seen[id_]}")
            seen[id_] = path.name
            built.append(build(row))
    return tuple(built)
