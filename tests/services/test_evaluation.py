"""Where Liger's fused loss makes memory highest in evaluation, the estimate says so."""

from collections.abc import Mapping
from typing import Any

import pytest

from app.catalog.library import Catalog
from app.core.run import CCE_PLUGIN, LIGER_PLUGIN
from app.services.estimating import estimate

LIGER: Mapping[str, Any] = {
    "base_model": "meta-llama/Llama-3.1-8B",
    "adapter": "qlora",
    "load_in_4bit": True,
    "lora_r": 8,
    "lora_target_linear": True,
    "gradient_checkpointing": True,
    "plugins": [LIGER_PLUGIN],
    "liger_fused_linear_cross_entropy": True,
    "sequence_len": 4096,
    "micro_batch_size": 2,
    "val_set_size": 0.05,
}
CODES = ("liger_evaluates_row", "liger_evaluates_rows")


def said(catalog: Catalog, **changes: Any) -> dict[str, Mapping[str, Any]]:
    """The findings about evaluation by their codes."""
    found = estimate(catalog=catalog, config={**LIGER, **changes}, hardware=None)
    return {finding.code: finding.message.params for finding in found.findings if finding.code in CODES}


def test_how_much_more_evaluation_takes_is_said(catalog: Catalog) -> None:
    """Of several rows at a time with their number, for which one is the remedy."""
    several = said(catalog)["liger_evaluates_rows"]
    one = said(catalog, micro_batch_size=1)["liger_evaluates_row"]
    assert several["rows"] == 2
    assert several["more_bytes"] > one["more_bytes"] > 0


@pytest.mark.parametrize(
    "changes",
    [
        {"val_set_size": 0},
        {"plugins": [CCE_PLUGIN]},
        {"rl": "dpo"},
        {"liger_fused_linear_cross_entropy": False},
        {"sequence_len": 16, "micro_batch_size": 1},
    ],
    ids=["not evaluated", "cut cross entropy", "preferences", "plain", "little"],
)
def test_nothing_is_said_where_liger_does_not_decide(catalog: Catalog, changes: dict[str, Any]) -> None:
    """No evaluation, no logits, logits in any case, or few."""
    assert said(catalog, **changes) == {}
