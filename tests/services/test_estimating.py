"""What an estimate says of itself."""

from typing import Any

import pytest

from app.catalog.library import Catalog, load_catalog
from app.core.errors import InvalidInput
from app.services.estimating import estimate

BASE: dict[str, Any] = {"base_model": "meta-llama/Llama-3.1-8B", "sequence_len": 2048, "micro_batch_size": 1}
IA3: dict[str, Any] = {"adapter": "ia3"}


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    """The real one."""
    return load_catalog()


@pytest.mark.parametrize(
    ("some", "one", "key"),
    [
        (
            {"adapter": "lora", "lora_r": 8, "lora_target_modules": ["q_proj", "c_attn"]},
            {"adapter": "lora", "lora_r": 8, "lora_target_modules": ["q_proj"]},
            "lora_target_modules",
        ),
        (
            IA3 | {"peft_config": {"target_modules": ["k_proj", "c_attn"], "feedforward_modules": []}},
            IA3 | {"peft_config": {"target_modules": ["k_proj"], "feedforward_modules": []}},
            "peft_config.target_modules",
        ),
    ],
)
def test_what_matches_is_priced_and_what_does_not_is_told(
    catalog: Catalog, some: dict[str, Any], one: dict[str, Any], key: str
) -> None:
    found = estimate(catalog=catalog, config=BASE | some)
    assert found.memory == estimate(catalog=catalog, config=BASE | one).memory
    (said,) = (finding for finding in found.findings if finding.code == "targets_some")
    assert (said.key, said.message.params["names"]) == (key, ("c_attn",))


def test_what_matches_nothing_at_all_has_no_estimate(catalog: Catalog) -> None:
    with pytest.raises(InvalidInput):
        estimate(catalog=catalog, config=BASE | {"adapter": "lora", "lora_target_modules": ["c_attn", "Wqkv"]})
