"""Comparing: the guide's methods and any variants, side by side."""

from collections.abc import Mapping
from typing import Any

import pytest

from app.catalog.library import Catalog, load_catalog
from app.core.errors import InvalidInput
from app.core.plan import Dataset
from app.services.comparing import compare, label_of
from app.services.estimating import estimate

CONFIG: Mapping[str, Any] = {
    "base_model": "meta-llama/Llama-3.1-8B",
    "adapter": "qlora",
    "load_in_4bit": True,
    "lora_r": 16,
    "lora_alpha": 32,
    "lora_target_linear": True,
    "sequence_len": 2048,
    "gradient_checkpointing": True,
    "neftune_noise_alpha": 5,
}


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    """The product's own."""
    return load_catalog()


@pytest.mark.parametrize("config", [CONFIG, {"base_model": "meta-llama/Llama-3.1-8B", "sequence_len": 1024}])
def test_without_variants_every_method_is_there(catalog: Catalog, config: Mapping[str, Any]) -> None:
    """In the registry's order, each as its keys have it, the person's own rank kept."""
    found = compare(catalog=catalog, config=config, hardware=catalog.gpus.get("rtx-4090").hardware())
    assert [item.method.id for item in found if item.method] == [row.id for row in catalog.methods.rows if row.compared]
    by_id = {item.method.id: item for item in found if item.method}
    for name in ("full", "lora", "qlora", "dora", "qdora", "loftq", "relora"):
        assert by_id[name].estimate is not None, name
        assert bool(by_id[name].config.get("load_in_4bit")) == (name in ("qlora", "qdora")), name
        assert bool(by_id[name].config.get("peft_use_dora")) == (name in ("dora", "qdora")), name
        assert by_id[name].config.get("lora_r") == (None if name == "full" else config.get("lora_r", 32)), name
    assert by_id["neftune"].config["neftune_noise_alpha"] == 5
    assert "neftune_noise_alpha" not in by_id["lora"].config
    for item in found:
        assert (item.estimate is None) == bool(item.reasons)


def test_step_times_are_set_against_the_fastest(catalog: Catalog) -> None:
    """One of those that fit is 1; four bits are slower than sixteen."""
    found = compare(catalog=catalog, config=CONFIG, hardware=catalog.gpus.get("rtx-4090").hardware())
    times = {item.method.id: item.relative_step_time for item in found if item.method and item.relative_step_time}
    fitting = {item.method.id for item in found if item.method and item.estimate is not None and item.estimate.fits}
    assert min(time for method, time in times.items() if method in fitting) == 1
    assert times["lora"] < times["qlora"] < times["qdora"]


def test_the_fastest_is_one_that_fits_where_any_does(catalog: Catalog) -> None:
    """What would be faster and does not fit is below 1; where nothing fits, the fastest of all is 1."""
    variants: list[dict[str, Any]] = [{"gradient_checkpointing": False, "micro_batch_size": 8}, {}]
    config = {**CONFIG, "adapter": "lora", "load_in_4bit": False, "sequence_len": 1024}
    for gpu, fits in (("rtx-4090", [False, True]), ("rtx-4060", [False, False])):
        found = compare(catalog=catalog, config=config, hardware=catalog.gpus.get(gpu).hardware(), variants=variants)
        assert [item.estimate is not None and item.estimate.fits for item in found] == fits
        without, with_checkpoints = (item.relative_step_time or 0 for item in found)
        assert (with_checkpoints == 1) is fits[1]
        assert (without == 1) is not fits[1]
        assert without < with_checkpoints


def test_without_hardware_there_is_memory_and_no_time(catalog: Catalog) -> None:
    """Nothing is made up."""
    found = compare(catalog=catalog, config=CONFIG)
    assert {item.relative_step_time for item in found} == {None}


def test_variants_are_what_they_say(catalog: Catalog) -> None:
    """Each is the configuration with its keys, estimated like any other."""
    variants: list[dict[str, Any]] = [
        {},
        {"lora_r": 64},
        {"adapter": None},
        {"sequence_len": 4096, "sample_packing": True},
    ]
    found = compare(catalog=catalog, config=CONFIG, variants=variants, dataset=Dataset(rows=100))
    assert [item.config.get("lora_r") for item in found] == [16, 64, None, 16]
    assert [item.method for item in found] == [None] * 4
    for item in found:
        assert item.estimate is not None
        assert item.estimate.memory == estimate(catalog=catalog, config=item.config).memory


def test_a_bad_value_is_named_where_it_stands(catalog: Catalog) -> None:
    """In the variant, or in the configuration that all share."""
    with pytest.raises(InvalidInput) as error:
        compare(catalog=catalog, config=CONFIG, variants=[{}, {"lora_r": -1}])
    assert [fault.pointer for fault in error.value.errors] == ["/variants/1/lora_r"]
    with pytest.raises(InvalidInput) as error:
        compare(catalog=catalog, config={**CONFIG, "sequence_len": 0}, variants=[{"lora_r": 8}])
    assert [fault.pointer for fault in error.value.errors] == ["/config/sequence_len"]
    with pytest.raises(InvalidInput) as error:
        compare(catalog=catalog, config={**CONFIG, "sequence_len": 0})
    assert [fault.pointer for fault in error.value.errors] == ["/config/sequence_len"]


def test_a_variant_may_be_of_another_model(catalog: Catalog) -> None:
    """It is estimated as that model, not as the one that all share."""
    small = "Qwen/Qwen3-4B"
    found = compare(catalog=catalog, config=CONFIG, variants=[{}, {"base_model": small}])
    alone = compare(catalog=catalog, config={**CONFIG, "base_model": small}, variants=[{}])
    assert found[1].estimate is not None
    assert found[1].estimate.model_id == small
    assert found[1].estimate == alone[0].estimate
    assert found[0].estimate != found[1].estimate


@pytest.mark.parametrize("name", ["Qwen/Qwen3-4", 3])
def test_a_variant_of_no_known_model_is_refused_where_it_stands(catalog: Catalog, name: object) -> None:
    """Nothing is estimated as something else."""
    with pytest.raises(InvalidInput) as error:
        compare(catalog=catalog, config=CONFIG, variants=[{}, {"base_model": name}])
    assert [fault.pointer for fault in error.value.errors] == ["/variants/1/base_model"]


def test_labels_are_short() -> None:
    """A long list is cut."""
    assert label_of({"lora_r": 8, "relora": False, "peft": None}) == "lora_r: 8, relora: false, peft: –"
    assert len(label_of({"lora_target_modules": ["q_proj"] * 40})) == 120
