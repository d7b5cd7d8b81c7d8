"""The guide's table of target modules by architecture, completed, and corrected where models have changed."""

from dataclasses import dataclass
from pathlib import Path

from app.catalog.files import DATA
from app.catalog.rows import Row, read_rows


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetRow:
    """What LoRA is put on in models of one shape.

    ``name`` is proper names alone, the same in every language, or the code of a text where it says more.
    ``modules`` are names, or a pattern where the model has other towers too. ``document`` is what the guide has, None
    where it has nothing; ``why`` the code of the reason for a difference.
    """

    id: str
    name: str
    model_types: tuple[str, ...]
    modules: tuple[str, ...] | str
    document: tuple[str, ...] | None
    why: str | None


def build_targets(row: Row) -> TargetRow:
    """One row of the table.

    Raises:
        CatalogError: a field is missing, unknown or nonsense.
    """
    row.only("id", "name", "model_types", "modules", "document", "why")
    pattern = isinstance(row.values.get("modules"), str)
    return TargetRow(
        id=row.text("id"),
        name=row.text("name"),
        model_types=row.texts("model_types"),
        modules=row.text("modules") if pattern else row.texts("modules"),
        document=row.texts("document") if row.values.get("document") is not None else None,
        why=row.optional_text("why"),
    )


def load_target_modules(path: Path = DATA / "target_modules.yaml") -> tuple[TargetRow, ...]:
    """The whole table, the guide's own rows first.

    Raises:
        CatalogError: a row is not acceptable.
    """
    return read_rows((path,), build_targets)
