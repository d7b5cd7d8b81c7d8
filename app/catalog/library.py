"""The whole catalogue: models, GPUs, methods, the decision tree and what Axolotl knows, loaded once."""

import json
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from app.catalog.files import DATA, CatalogError, read_yaml
from app.catalog.gpus import Gpus, load_gpus
from app.catalog.methods import Methods, load_methods
from app.catalog.models import Models, load_models
from app.catalog.prices import PriceRow, load_prices
from app.catalog.target_modules import TargetRow, load_target_modules
from app.core.advice import Advisor, build_advisor
from app.core.architecture import Architecture
from app.core.architectures import describe
from app.core.axolotl.schema import build_schema
from app.core.decision import Tree, build_tree
from app.core.errors import InvalidInput

SCHEMA_FILE = "axolotl-0.19.0.json"

_Built = TypeVar("_Built")


class Catalog:
    """Everything that is looked up. Cheap to share: nothing in it changes after loading."""

    def __init__(
        self,
        *,
        models: Models,
        gpus: Gpus,
        methods: Methods,
        target_modules: tuple[TargetRow, ...],
        tree: Tree,
        advisor: Advisor,
        prices: Mapping[str, PriceRow],
        schema: Mapping[str, Any],
    ) -> None:
        self.models = models
        self.gpus = gpus
        self.methods = methods
        self.target_modules = target_modules
        self.tree = tree
        self.advisor = advisor
        self.prices = prices
        self.schema = schema
        self.axolotl = build_schema(schema)
        self.known_keys = self.axolotl.known
        self._architectures: dict[str, Architecture] = {}
        self._copied: dict[str, Architecture] = {}

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

    def copied(self, model_id: str) -> Architecture:
        """As ``architecture``, of a copy by another publisher, who may store it in another format."""
        row = self.models.get(model_id)
        if "quantization_config" not in row.config:
            return self.architecture(row.id)
        if row.id not in self._copied:
            plain = {key: value for key, value in row.config.items() if key != "quantization_config"}
            self._copied[row.id] = describe(plain)
        return self._copied[row.id]


@cache
def load_catalog(directory: Path = DATA) -> Catalog:
    """Read and check all data files.

    Raises:
        CatalogError: something in them is not acceptable; the message says where.
    """
    methods = load_methods(directory / "methods.yaml")
    advisor = _built(directory, "advice.yaml", build_advisor)
    tree = _built(directory, "decision_tree.yaml", build_tree)
    _check_leaves(tree, methods, advisor)
    return Catalog(
        models=load_models(directory / "models"),
        gpus=load_gpus(directory / "gpus.yaml"),
        methods=methods,
        target_modules=load_target_modules(directory / "target_modules.yaml"),
        tree=tree,
        advisor=advisor,
        prices=load_prices(directory / "prices.yaml"),
        schema=json.loads((directory / SCHEMA_FILE).read_text(encoding="utf-8")),
    )


def _built(directory: Path, name: str, build: Callable[[Any], _Built]) -> _Built:
    """What ``build`` makes of a data file."""
    try:
        return build(read_yaml(directory / name))
    except (ValueError, KeyError, TypeError) as error:
        raise CatalogError(f"{name}: {error}") from error


def _check_leaves(tree: Tree, methods: Methods, advisor: Advisor) -> None:
    """Every leaf is a method that Axolotl runs, and its knobs are known."""
    native = {row.id for row in methods.rows if row.axolotl.support == "native"}
    for leaf in tree.leaves.values():
        if leaf.method not in native:
            raise CatalogError(f"decision_tree.yaml: {leaf.method} is no method that Axolotl runs")
        unknown = [key for key in leaf.knobs if key not in advisor.knobs]
        if unknown:
            raise CatalogError(f"decision_tree.yaml: no advice on {', '.join(unknown)} of {leaf.method}")
