"""What padding takes is said where it is much, and how long rows become where it is longer than was asked."""

from collections.abc import Mapping
from typing import Any

import pytest

from app.catalog.library import Catalog
from app.core.estimate import Estimate
from app.services.estimating import estimate

CONFIG: Mapping[str, Any] = {
    "base_model": "meta-llama/Llama-3.1-8B",
    "adapter": "qlora",
    "load_in_4bit": True,
    "lora_r": 8,
    "lora_target_linear": True,
    "plugins": ["axolotl.integrations.cut_cross_entropy.CutCrossEntropyPlugin"],
    "sequence_len": 2048,
    "micro_batch_size": 2,
}
CODES = ("padding_masked", "padding_copied", "rows_filled_up")


def _of(catalog: Catalog, **changes: Any) -> Estimate:
    return estimate(catalog=catalog, config={**CONFIG, **changes}, hardware=catalog.gpus.get("h100-80gb").hardware())


def _said(found: Estimate) -> dict[str, Mapping[str, Any]]:
    return {finding.code: finding.message.params for finding in found.findings if finding.code in CODES}


@pytest.mark.parametrize(("attention", "code"), [("sdpa", "padding_masked"), ("flash_attention_2", "padding_copied")])
def test_what_padding_takes_is_said(catalog: Catalog, attention: str, code: str) -> None:
    """By how much the figure is above that of rows which need none."""
    padded = _of(catalog, attn_implementation=attention)
    (more,) = [params["more_bytes"] for name, params in _said(padded).items() if name == code]
    assert more > 0
    assert _said(_of(catalog, attn_implementation=attention, sample_packing=True)) == {}
    alone = _of(catalog, attn_implementation=attention, pad_to_sequence_len=False, micro_batch_size=1)
    assert _said(alone) == {}


def test_a_mask_of_documents_is_not_called_padding(catalog: Catalog) -> None:
    """Packed rows keep one where no attention is named; packing would take nothing of it away."""
    assert _said(_of(catalog, sample_packing=True)) == {}
    named = _of(catalog, sample_packing=True, attn_implementation="sdpa")
    assert _of(catalog, sample_packing=True).memory.allocated_peak_bytes > named.memory.allocated_peak_bytes


def test_little_is_not_said(catalog: Catalog) -> None:
    """Under checkpoints FlashAttention's copies are those of one layer, and eager attention has its mask in any case."""
    checkpointed = {"gradient_checkpointing": True}
    for attention in ("flash_attention_2", "eager", "flex_attention"):
        assert _said(_of(catalog, attn_implementation=attention, **checkpointed)) == {}


def test_rows_that_are_filled_up_are_said(catalog: Catalog) -> None:
    """1,000 tokens become 1,024, as the terms say too."""
    found = _of(catalog, attn_implementation="flex_attention", sequence_len=1000)
    assert _said(found) == {"rows_filled_up": {"multiple": 64, "given": 1000, "tokens": 1024}}
    same = _of(catalog, attn_implementation="flex_attention", sequence_len=1024)
    assert found.memory.allocated_peak_bytes == same.memory.allocated_peak_bytes
    assert _said(same) == {}
