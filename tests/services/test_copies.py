"""A model under another publisher's name, or in a directory, is sized as the one that it is called after, everywhere."""

from typing import Any

import pytest

from app.catalog.library import Catalog, load_catalog
from app.core.errors import UnknownName
from app.core.plan import Wish
from app.services.checking import check_config
from app.services.comparing import compare
from app.services.estimating import estimate
from app.services.exporting import Target, export
from app.services.fitting import fit
from app.services.inputs import resolve_hardware, resolve_model
from app.services.planning import plan
from app.texts import texts

KNOWN = "meta-llama/Llama-3.1-8B-Instruct"
COPIES = ("NousResearch/Meta-Llama-3.1-8B-Instruct", "./models/Llama-3.1-8B-Instruct/")
LORA: dict[str, Any] = {"adapter": "lora", "lora_r": 8, "lora_target_modules": ["q_proj"], "sequence_len": 2048}


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    """The real one."""
    return load_catalog()


@pytest.mark.parametrize("name", COPIES)
def test_it_is_priced_as_the_check_does_and_said_to_be(catalog: Catalog, name: str) -> None:
    config = LORA | {"base_model": name}
    found = estimate(catalog=catalog, config=config)
    checked = check_config(catalog=catalog, config=config)
    assert checked.estimate is not None
    assert (
        found.memory == checked.estimate.memory == estimate(catalog=catalog, config=LORA | {"base_model": KNOWN}).memory
    )
    for findings in (found.findings, checked.findings):
        (said,) = (finding for finding in findings if finding.code == "model_namesake")
        assert said.message.params == {"given": name, "id": KNOWN}


@pytest.mark.parametrize("name", COPIES)
def test_a_plan_keeps_the_name_and_takes_all_else_from_the_model(catalog: Catalog, name: str) -> None:
    card = resolve_hardware(catalog=catalog, gpu="rtx-4090")
    assert card is not None
    wish = Wish()
    made, known = (plan(catalog=catalog, base_model=id_, model=None, hardware=card, wish=wish) for id_ in (name, KNOWN))
    assert made.config == {**known.config, "base_model": name}
    assert made.estimate.memory == known.estimate.memory
    assert "model_namesake" in {finding.code for finding in made.findings}


def test_it_is_fitted_compared_and_exported(catalog: Catalog) -> None:
    config = LORA | {"base_model": COPIES[0]}
    card = resolve_hardware(catalog=catalog, gpu="rtx-4090")
    assert card is not None
    assert fit(catalog=catalog, config=config, model=None, hardware=card).config["base_model"] == COPIES[0]
    assert all(one.config["base_model"] == COPIES[0] for one in compare(catalog=catalog, config=config))
    file = export(catalog=catalog, config=config, model=None, target=Target.PEFT, texts=texts("en"))
    assert COPIES[0].encode() in file.content


def test_a_copy_is_not_taken_to_be_stored_as_the_model_is(catalog: Catalog) -> None:
    """Others publish gpt-oss in 16 bits."""
    copy, again = (resolve_model(catalog=catalog, base_model="x/gpt-oss-20b", model=None) for _ in range(2))
    own = resolve_model(catalog=catalog, base_model="openai/gpt-oss-20b", model=None)
    assert copy.architecture is again.architecture
    assert copy.architecture != own.architecture
    assert copy.architecture.model_type == own.architecture.model_type


def test_a_name_like_no_other_is_no_copy(catalog: Catalog) -> None:
    with pytest.raises(UnknownName):
        resolve_model(catalog=catalog, base_model="someone/Nothing-9B", model=None)
