"""``freeze_mm_modules``: what is left to train of the catalogue's models with towers."""

import pytest

from app.catalog.library import Catalog
from app.core.adapter import resolve_adapter
from app.core.axolotl.run_reader import read_run


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


@pytest.mark.parametrize(
    ("model", "targets", "added", "trains"),
    [
        ("google/gemma-3-4b-it", ["q_proj", "k_proj", "v_proj"], 9_392_128, 6_406_144),
        ("Qwen/Qwen2.5-VL-7B-Instruct", ["qkv", "q_proj"], 5_832_704, 3_211_264),
        ("mistralai/Mistral-Small-3.1-24B-Instruct-2503", ["q_proj", "down_proj"], 32_899_072, 30_146_560),
    ],
)
def test_what_an_adapter_has_in_towers_is_frozen(
    catalog: Catalog, model: str, targets: list[str], added: int, trains: int
) -> None:
    """As PEFT 0.20.0 added and Axolotl's ``freeze_mm_modules`` left them; what TRL adds comes after it."""
    architecture = catalog.architecture(model)
    lora = {"adapter": "lora", "lora_r": 16, "lora_target_modules": targets}
    free, frozen, wrapped = (
        resolve_adapter(architecture, read_run(lora | more))
        for more in ({}, {"freeze_mm_modules": True}, {"freeze_mm_modules": True, "rl": "dpo"})
    )
    assert free.trainable_parameters == wrapped.trainable_parameters == added
    assert frozen.trainable_parameters == trains
    assert frozen.added_parameters == free.added_parameters == added
    assert frozen.layout != free.layout


def test_frozen_copies_of_a_tower_are_none_of_what_trains(catalog: Catalog) -> None:
    architecture = catalog.architecture("google/gemma-3-4b-it")
    saved = {"adapter": "lora", "lora_r": 16, "lora_target_modules": ["q_proj"]}
    saved["lora_modules_to_save"] = ["multi_modal_projector"]
    free, frozen = (
        resolve_adapter(architecture, read_run({**saved, "freeze_mm_modules": flag})) for flag in (False, True)
    )
    assert free.own_parameters > frozen.own_parameters == 0
