"""The method registry: what each way to fine-tune is, and whether Axolotl can run it."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.catalog.files import DATA
from app.catalog.rows import Row, read_rows
from app.core.errors import UnknownName
from app.core.nearest import nearest

_SLUG = re.compile(r"[a-z0-9]+(_[a-z0-9]+)*")
_FIELDS = (
    "id",
    "name",
    "number",
    "compared",
    "family",
    "quantised",
    "formula",
    "trained",
    "config",
    "peft",
    "nearest",
    "axolotl",
    "document",
    "difference",
    "paper",
    "summary",
    "cost",
    "gain",
    "when",
    "note",
)
FAMILIES = ("full", "additive", "selective", "reparameterisation", "technique")
AXOLOTL_SUPPORT = ("native", "plugin", "peft", "none")
DOCUMENT_SUPPORT = ("full", "supported", "limited", "none", "absent")
_PEFT_TYPE = re.compile(r"[A-Z][A-Z0-9_]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Support:
    """How far a method is supported, and the configuration keys that ask for it."""

    support: str
    keys: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodRow:
    """One method. ``summary``, ``cost``, ``gain``, ``when`` and ``note`` are codes of texts.

    ``number`` is the guide's. ``config`` is what a configuration says to ask for it, whoever runs it; ``peft`` PEFT's
    type. ``axolotl`` is what Axolotl does with it, ``nearest`` the method that it has itself where this one needs
    another road. ``document`` is what the guide says, ``difference`` the code of what is otherwise today.
    """

    id: str
    name: str
    number: int | None
    compared: bool
    family: str
    quantised: bool
    formula: str
    trained: str
    config: Mapping[str, Any]
    peft: str | None
    nearest: str | None
    axolotl: Support
    document: Support
    difference: str | None
    paper: str | None
    summary: str
    cost: str
    gain: str
    when: str
    note: str


def build_method(row: Row) -> MethodRow:
    """A method from its row.

    Raises:
        CatalogError: a field is missing, unknown or nonsense.
    """
    row.only(*_FIELDS)
    return MethodRow(
        id=row.text("id", _SLUG),
        name=row.text("name"),
        number=row.optional_whole("number"),
        compared=row.flag("compared"),
        family=row.choice("family", FAMILIES),
        quantised=row.flag("quantised"),
        formula=row.text("formula"),
        trained=row.text("trained"),
        config=row.mapping("config"),
        peft=row.optional_text("peft", _PEFT_TYPE),
        nearest=row.optional_text("nearest", _SLUG),
        axolotl=_support(row, "axolotl", AXOLOTL_SUPPORT),
        document=_support(row, "document", DOCUMENT_SUPPORT),
        difference=row.optional_text("difference"),
        paper=None if row.values.get("paper") is None else row.url("paper"),
        summary=row.text("summary"),
        cost=row.text("cost"),
        gain=row.text("gain"),
        when=row.text("when"),
        note=row.text("note"),
    )


def _support(row: Row, key: str, allowed: tuple[str, ...]) -> Support:
    inner = Row(row.file, row.position, {"id": row.values.get("id"), **row.mapping(key)})
    inner.only("id", "support", "keys")
    return Support(support=inner.choice("support", allowed), keys=inner.mapping("keys"))


class Methods:
    """All methods by id, in the order they are taught."""

    def __init__(self, rows: Iterable[MethodRow]) -> None:
        self.rows = tuple(rows)
        self._by_id = {row.id: row for row in self.rows}

    def get(self, id_: str) -> MethodRow:
        """The method with this id, upper and lower case, hyphens and underscores being the same.

        Raises:
            UnknownName: with the nearest ids.
        """
        row = self._by_id.get(id_.strip().lower().replace("-", "_"))
        if row is None:
            raise UnknownName("method", id_[:200], nearest(id_, self._by_id))
        return row


def load_methods(path: Path = DATA / "methods.yaml") -> Methods:
    """Every method of the data file.

    Raises:
        CatalogError: a row is not acceptable.
    """
    return Methods(read_rows((path,), build_method))
