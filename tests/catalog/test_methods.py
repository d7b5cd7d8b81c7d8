"""The method registry and the table of target modules."""

from pathlib import Path

import pytest

from app.catalog.files import CatalogError
from app.catalog.library import Catalog
from app.catalog.methods import load_methods
from app.catalog.target_modules import load_target_modules
from app.core.adapter import default_targets
from app.core.architectures import describe, supported_model_types
from app.texts import LANGUAGES, texts

GUIDE = (
    "lora qlora dora prompt_tuning prefix_tuning p_tuning_v2 ia3 bottleneck loftq neftune relora".split()
)  # fmt: skip
OTHERS = {"full", "rslora", "adalora", "loha", "lokr", "vera", "oft", "ln_tuning", "trainable_tokens", "unfrozen"}


def test_the_guides_eleven_and_the_others_are_there(catalog: Catalog) -> None:
    """Numbered as the guide numbers them."""
    numbered = sorted((row.number, row.id) for row in catalog.methods.rows if row.number is not None)
    assert [id_ for _, id_ in numbered] == GUIDE
    assert [number for number, _ in numbered] == list(range(1, 12))
    assert {row.id for row in catalog.methods.rows} > OTHERS


def test_what_axolotl_has_not_names_what_it_has(catalog: Catalog) -> None:
    """The nearest is a method of Axolotl's own; a native one needs none. PEFT's types are adapters in lower case."""
    for row in catalog.methods.rows:
        adapter = row.config.get("adapter")
        if row.axolotl.support == "native" or row.id == "loftq":
            assert row.nearest is None, row.id
            assert row.config == row.axolotl.keys, row.id
        else:
            assert row.nearest is not None
            assert catalog.methods.get(row.nearest).axolotl.support == "native", row.id
            assert row.peft is None or adapter == row.peft.lower(), row.id


@pytest.mark.parametrize("language", list(LANGUAGES))
def test_every_code_has_a_text(catalog: Catalog, language: str) -> None:
    """In both languages."""
    known = texts(language)
    for row in catalog.methods.rows:
        for code in (row.summary, row.cost, row.gain, row.when, row.note, row.difference):
            assert code is None or code in known, code
        assert f"methods.support.{row.document.support}" in known
    for target in catalog.target_modules:
        assert target.why is None or target.why in known


def test_the_table_of_targets_is_what_a_plan_writes(catalog: Catalog) -> None:
    """Each model type's description says the same; the guide's rows come first, and Phi-3 is corrected."""
    seen: set[str] = set()
    for row in catalog.target_modules:
        assert not seen & set(row.model_types)
        seen |= set(row.model_types)
        for model_type in row.model_types:
            assert default_targets(describe({"model_type": model_type})) == row.modules, model_type
    assert seen <= set(supported_model_types())
    by_id = {row.id: row for row in catalog.target_modules}
    assert [row.id for row in catalog.target_modules if row.document] == ["llama", "gpt_neox", "phi", "phi3"]
    assert by_id["phi"].document == by_id["phi3"].document == by_id["phi"].modules
    assert by_id["phi3"].modules != by_id["phi3"].document
    assert by_id["phi3"].why


def test_a_slip_in_the_data_is_named(tmp_path: Path) -> None:
    """File, row and field."""
    path = tmp_path / "target_modules.yaml"
    path.write_text("- {id: a, name: A, modules: [x], modles: [y]}\n", "utf-8")
    with pytest.raises(CatalogError, match="modles"):
        load_target_modules(path)
    path = tmp_path / "methods.yaml"
    path.write_text("- {id: a, name: A, number: none}\n", "utf-8")
    with pytest.raises(CatalogError, match="number"):
        load_methods(path)
