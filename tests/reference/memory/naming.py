"""Cases from the rows of a table: the model by its name, its keys put together, and a name of its own for each."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any

import yaml

from .catalogue import CATALOGUE, shrunk


@lru_cache
def _models() -> dict[str, dict[str, Any]]:
    """The catalogue's config.json by id."""
    paths = sorted(CATALOGUE.glob("*.yaml"))
    return {row["id"]: row["config"] for path in paths for row in yaml.safe_load(path.read_text("utf-8"))}


def catalogued(name: str, _keys: dict[str, Any] | None = None) -> dict[str, Any]:
    """A copy of the catalogue's config.json of this id."""
    return json.loads(json.dumps(_models()[name]))


def together(parts: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """One config of several, the later ones winning."""
    config: dict[str, Any] = {}
    for part in parts:
        config |= part
    return config


def named(
    label: str, table: tuple[tuple[Any, ...], ...], model_of: Callable[..., dict[str, Any]] = catalogued
) -> Iterator[tuple[str, dict, dict, tuple[int, int]]]:
    """(name, config.json, keys, [rows, tokens]) of each (model, layers where not all, rows, tokens, *keys).

    A packed batch for attention that takes lengths is one row.
    """
    for index, (model, layers, rows, tokens, *parts) in enumerate(table):
        config = together(parts)
        described = model_of(model, config)
        if layers:
            described = shrunk(described, layers)
        one = config.get("sample_packing") and config.get("attn_implementation") not in (None, "sdpa", "eager")
        yield (
            f"{label}-{index}-{model.rpartition('/')[2].lower()}",
            described,
            config,
            (1, rows * tokens) if one else (rows, tokens),
        )
