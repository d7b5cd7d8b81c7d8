"""Llama 4: experts that all compute, a shared feed-forward beside them, queries and keys normed where they turn."""

from typing import Any

import pytest

from app.core.architectures import describe
from app.core.errors import InvalidInput
from tests.core.memory.recordings import assert_met, recorded

SHAPE: dict[str, Any] = {"model_type": "llama4_text", "num_hidden_layers": 8, "interleave_moe_layer_step": 2}


def normed(**config: Any) -> set[int]:
    """Layers whose queries and keys are normed."""
    blocks = describe(SHAPE | config).blocks
    return {layer for block in blocks if block.bare_query_key_norm for layer in block.layers}


def test_recorded_peaks_are_met() -> None:
    """Full and LoRA, experts in 16, 8 and 4 bits: none beyond 0.2 %."""
    cases = [case for name in ("traits", "wide", "quantized_experts") for case in recorded(f"{name}.jsonl")]
    assert_met([case for case in cases if case["model"]["model_type"] == "llama4_text"], least=6, worst=0.002)


@pytest.mark.parametrize(
    ("config", "layers"),
    [
        ({}, {0, 1, 2, 4, 5, 6}),
        ({"no_rope_layers": []}, {0, 1, 2, 4, 5, 6}),
        ({"no_rope_layer_interval": 2}, {0, 2, 4, 6}),
        ({"no_rope_layers": [0, 0, 1, 1, 0, 0, 0, 1]}, {2, 3, 7}),
        ({"use_qk_norm": False}, set()),
    ],
)
def test_queries_are_normed_where_they_take_positions(config: dict[str, Any], layers: set[int]) -> None:
    """As ``Llama4TextConfig`` reads it, an empty list as none at all."""
    assert normed(**config) == layers


def test_every_layer_is_in_one_block() -> None:
    """However they are told apart; layers with experts stay such."""
    blocks = describe(SHAPE).blocks
    assert sorted(layer for block in blocks for layer in block.layers) == list(range(8))
    assert {layer for block in blocks if block.experts for layer in block.layers} == {1, 3, 5, 7}


def test_a_list_for_other_layers_is_refused() -> None:
    with pytest.raises(InvalidInput):
        normed(no_rope_layers=[1, 0])
