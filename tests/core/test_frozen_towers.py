"""``freeze_mm_modules``: what is left to train of the catalogue's models with towers."""

import pytest

from app.catalog.library import Catalog
from app.core.adapter import resolve_adapter
from app.core.run_reader import read_run


@pytest.mark.parametrize(
    ("model", "trains"),
    [
        ("google/gemma-3-4b-it", 3_880_263_168),
        ("google/gemma-4-26B-A4B", 25_233_141_760),
        ("meta-llama/Llama-4-Scout-17B-16E-Instruct", 107_769_861_120),
        ("mistralai/Mistral-Small-3.1-24B-Instruct-2503", 23_572_403_200),
        ("Qwen/Qwen3.5-27B", 26_895_998_464),
        ("Qwen/Qwen3.5-35B-A3B", 34_660_610_688),
    ],
)
def test_towers_and_projectors_are_frozen(catalog: Catalog, model: str, trains: int) -> None:
    """Axolotl's ``freeze_mm_modules`` left as many on each of these models of Transformers 5.16.1, without weights."""
    architecture = catalog.architecture(model)
    assert resolve_adapter(architecture, read_run({"freeze_mm_modules": True})).trainable_parameters == trains
    assert resolve_adapter(architecture, read_run({})).trainable_parameters > trains
    assert resolve_adapter(architecture, read_run({})).total_parameters == architecture.total_parameters
