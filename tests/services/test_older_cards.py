"""What a card before Ampere does that newer ones do not is said with the estimate."""

from collections.abc import Mapping
from typing import Any

import pytest

from app.catalog.library import Catalog
from app.services.estimating import estimate

GROUPED, WHOLE = "Qwen/Qwen3-0.6B", "microsoft/phi-2"
CONFIG: Mapping[str, Any] = {
    "base_model": GROUPED,
    "adapter": "lora",
    "lora_r": 8,
    "lora_target_linear": True,
    "fp16": True,
    "bf16": False,
    "attn_implementation": "sdpa",
    "sequence_len": 2048,
    "micro_batch_size": 2,
}


def _said(catalog: Catalog, card: str, **changes: Any) -> list[int]:
    """The bytes of each such warning."""
    found = estimate(catalog=catalog, config={**CONFIG, **changes}, hardware=catalog.gpus.get(card).hardware()).findings
    return [f.message.params["scores_bytes"] for f in found if f.code == "scores_before_ampere"]


def test_grouped_keys_make_scores_of_every_pair_there(catalog: Catalog) -> None:
    """In fp32, for each of 16 heads; by the square of the length."""
    assert _said(catalog, "t4") == [4 * 16 * 2 * 2048 * 2048]
    assert _said(catalog, "t4", sequence_len=4096) == [4 * 16 * 2 * 4096 * 4096]


@pytest.mark.parametrize(
    ("card", "changes"),
    [
        ("rtx-4090", {}),
        ("t4", {"attn_implementation": "eager"}),
        ("t4", {"sample_packing": True}),
        ("t4", {"fp16": False}),
        ("t4", {"base_model": WHOLE}),
    ],
    ids=["newer card", "eager", "packed", "fp32, which is priced", "keys of every head"],
)
def test_elsewhere_it_is_not_said(catalog: Catalog, card: str, changes: Mapping[str, Any]) -> None:
    assert _said(catalog, card, **changes) == []
