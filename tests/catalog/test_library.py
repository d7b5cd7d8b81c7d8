"""The catalogue as a whole."""

from pathlib import Path

import pytest

from app.catalog.files import DATA, CatalogError
from app.catalog.library import Catalog, load_catalog
from app.core.errors import UnknownName


def test_it_is_read_once() -> None:
    """Loading again is free."""
    assert load_catalog() is load_catalog()


def test_architectures_are_described_once(catalog: Catalog) -> None:
    """Whatever the case of the id."""
    first = catalog.models.rows[0].id
    assert catalog.architecture(first) is catalog.architecture(first.upper())


def test_every_leaf_of_the_tree_is_a_method(catalog: Catalog) -> None:
    """A plan names its method by an id that the registry holds."""
    for leaf in catalog.tree.leaves:
        assert catalog.methods.get(leaf).id == leaf


def test_methods_are_found_however_written(catalog: Catalog) -> None:
    """Hyphens and case do not matter."""
    assert catalog.methods.get("Prompt-Tuning").id == "prompt_tuning"
    with pytest.raises(UnknownName) as caught:
        catalog.methods.get("lorra")
    assert "lora" in caught.value.nearest


def test_axolotls_keys_are_known(catalog: Catalog) -> None:
    """Its own, their former names, and those of its plugins."""
    assert {"base_model", "lora_r", "type_of_model", "liger_rms_norm"} <= catalog.known_keys
    assert "relora_steps" not in catalog.known_keys


LEAF = """root: a
switch: s
nodes:
  - {id: a, answers: [{id: x, leaf: METHOD}]}
  - {id: s, answers: [{id: x}]}
leaves:
  - {method: METHOD, knobs: [KNOB]}
"""


@pytest.mark.parametrize(
    ("file", "text", "complaint"),
    [
        ("decision_tree.yaml", "root: nowhere\nswitch: nothing\nnodes: []\n", "decision_tree.yaml: no node nowhere"),
        ("decision_tree.yaml", LEAF.replace("METHOD", "ia3"), "ia3 is no method that Axolotl runs"),
        ("decision_tree.yaml", LEAF.replace("METHOD", "lora"), "no advice on KNOB of lora"),
        (
            "advice.yaml",
            "- {key: a, rules: [{id: x, value: 1, source: guide, when: [{fact: rows, below: 1}]}]}",
            "no rule",
        ),
        ("advice.yaml", "- {key: a, rules: [{id: x, value: 1, least: 2, most: 3, source: guide}]}", "its own bounds"),
        ("advice.yaml", "- {key: a, rules: [{id: x, value: 1, least: 0, source: guide}]}", "one bound"),
        ("advice.yaml", "- {key: a, of: b, rules: [{id: x, value: 1, source: guide}]}", "a share of b"),
    ],
)
def test_a_broken_tree_or_advice_is_named(tmp_path: Path, file: str, text: str, complaint: str) -> None:
    """The start stops and says which file and what is wrong with it."""
    for name in ("methods.yaml", "advice.yaml", "decision_tree.yaml"):
        (tmp_path / name).write_text((DATA / name).read_text("utf-8"), "utf-8")
    (tmp_path / file).write_text(text, "utf-8")
    with pytest.raises(CatalogError, match=complaint):
        load_catalog(tmp_path)


def test_data_files_are_where_they_ship() -> None:
    """Inside the package, so that an installed one has them."""
    assert DATA.parent.name == "app"
