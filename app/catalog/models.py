"""The base models: one row per model, the facts of its config.json with where they were read."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.catalog.files import DATA
from app.catalog.rows import Row, read_rows
from app.catalog.search import Index, closest, entry
from app.core.errors import UnknownName

_ID = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)
_MONTH = re.compile(r"\d{4}-\d{2}")
_FIELDS = (
    "id",
    "name",
    "aliases",
    "family",
    "released",
    "context_tokens",
    "chat_template",
    "only_pretrained",
    "pad_token",
    "published_parameters",
    "published_parameters_source",
    "source",
    "source_note",
    "checked_on",
    "config",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRow:
    """One base model. ``config`` holds the fields of its config.json that matter to counts and memory.

    ``chat_template`` is Axolotl's name for its template, where there is one; ``only_pretrained`` whether it was taught
    no chat, so that its tokenizer mostly has no template of its own.
    """

    id: str
    name: str
    aliases: tuple[str, ...]
    family: str
    released: str | None
    context_tokens: int
    chat_template: str | None
    only_pretrained: bool
    pad_token: str | None
    published_parameters: int | None
    published_parameters_source: str | None
    source: str
    source_note: str | None
    checked_on: str
    config: Mapping[str, Any]

    @property
    def model_type(self) -> str:
        """What Transformers calls the architecture."""
        return str(self.config["model_type"])


def build_model(row: Row) -> ModelRow:
    """A model from its row.

    Raises:
        CatalogError: a field is missing, unknown or nonsense.
    """
    row.only(*_FIELDS)
    config = row.mapping("config")
    if not isinstance(config.get("model_type"), str):
        raise row.fault("config.model_type must be a text")
    published = row.optional_whole("published_parameters")
    if published is not None and row.values.get("published_parameters_source") is None:
        raise row.fault("published_parameters needs a published_parameters_source")
    return ModelRow(
        id=row.text("id", _ID),
        name=row.text("name"),
        aliases=row.texts("aliases"),
        family=row.text("family"),
        released=row.optional_text("released", _MONTH),
        context_tokens=row.whole("context_tokens"),
        chat_template=row.optional_text("chat_template"),
        only_pretrained="only_pretrained" in row.values and row.flag("only_pretrained"),
        pad_token=row.optional_text("pad_token"),
        published_parameters=published,
        published_parameters_source=None if published is None else row.url("published_parameters_source"),
        source=row.url("source"),
        source_note=row.optional_text("source_note"),
        checked_on=row.date("checked_on"),
        config=config,
    )


def _last(id_: str) -> str:
    return id_.strip().rstrip("/").rpartition("/")[2].lower().removeprefix("meta-")


class Models:
    """All base models, by id and by what people call them."""

    def __init__(self, rows: Iterable[ModelRow]) -> None:
        self.rows = tuple(rows)
        self._by_id = {row.id.lower(): row for row in self.rows}
        self._by_name = {_last(row.id): row for row in self.rows}
        self._shared = {name for name, count in Counter(_last(row.id) for row in self.rows).items() if count > 1}
        kin = Counter(row.family for row in self.rows)
        self._index = Index(
            entry(
                row,
                names=(row.id.partition("/")[2], row.name, *row.aliases),
                context=(row.id.partition("/")[0], row.family),
                newness=row.released or "",
                talks=row.chat_template is not None,
                kin=kin[row.family],
            )
            for row in self.rows
        )

    def get(self, id_: str) -> ModelRow:
        """The model with this Hugging Face id, upper and lower case being the same.

        Raises:
            UnknownName: with the nearest ids.
        """
        row = self.find(id_)
        if row is None:
            raise UnknownName("model", id_[:200], self.nearest(id_))
        return row

    def find(self, id_: str) -> ModelRow | None:
        """The model with this id, or None."""
        return self._by_id.get(id_.strip().lower())

    def namesake(self, given: str) -> ModelRow | None:
        """The one model that is called as ``given`` is, whoever publishes it: a copy elsewhere, or a directory.

        Llama's name has been written with and without "Meta-" before it.
        """
        name = _last(given)
        return None if name in self._shared else self._by_name.get(name)

    def nearest(self, given: str, count: int = 3) -> tuple[str, ...]:
        """The ids that ``given`` may mean, by its words as much as by its spelling."""
        return closest(given, {row.id: (row.name, *row.aliases) for row in self.rows}, count)

    def search(self, query: str) -> tuple[ModelRow, ...]:
        """Models that ``query`` describes, best first; all of them, newest first, for a blank one."""
        return self._index.search(query)


def load_models(directory: Path = DATA / "models") -> Models:
    """Every model of the data files.

    Raises:
        CatalogError: a row is not acceptable.
    """
    return Models(read_rows(sorted(directory.glob("*.yaml")), build_model))
