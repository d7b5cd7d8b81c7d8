"""The whole catalogue: models, GPUs, methods, the decision tree and what Axolotl knows, loaded once."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from app.catalog.gpus import Gpus, load_gpus
from app.catalog.methods import Methods, load_methods
from app.catalog.models import Models, load_models
from app.catalog.rows import DATA, CatalogError, read_yaml
from app.core.architecture import Architecture
from app.core.architectures import describe
from app.core.axolotl.schema import build_schema
from app.core.decision import Tree, build_tree
from app.core.errors import InvalidInput

SCHEMA_FILE = "axolotl-0.19.0.json"


class Catalog:
    """Everything that is looked up. Cheap to share: nothing in it changes after loading."""

    def __init__(self, *, models: Models, gpus: Gpus, methods: Methods, tree: Tree, schema: Mapping[str, Any]) -> None:
        self.models = models
        self.gpus = gpus
        self.methods = methods
        self.tree = tree
        self.schema = schema
        self.axolotl = build_schema(schema)
        self.known_keys = self.axolotl.known
        self._architectures: dict[str, Architecture] = {}

    def architecture(self, model_id: str) -> Architecture:
        """What the model is made of, described when first asked for.

        Raises:
            UnknownName: no model has this id.
            CatalogError: the row's config lacks what its description needs.
        """
        row = self.models.get(model_id)
        known = self._architectures.get(row.id)
        if known is None:
            try:
                known = self._architectures[row.id] = describe(row.config)
            except InvalidInput as error:
                raise CatalogError(f"{row.id}: its config cannot be described: {error}") from error
        return known


@cache
def load_catalog(directory: Path = DATA) -> Catalog:
    """Read and check all data files.

    Raises:
        CatalogError: something in them is not acceptable; the message says where.
    """
    try:
        tree = build_tree(read_yaml(directory / "decision_tree.yaml"))
    except (ValueError, KeyError, TypeError) as error:
        raise CatalogError(f"decision_tree.yaml: {error}") from error
    return Catalog(
        models=load_models(directory / "models"),
        gpus=load_gpus(directory / "gpus.yaml"),
        methods=load_methods(directory / "methods.yaml"),
        tree=tree,
        schema=json.loads((directory / SCHEMA_FILE).read_text(encoding="utf-8")),
    )
