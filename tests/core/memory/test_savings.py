"""What is there to save memory never takes more: fused losses, states in 8 bits, a quantised base.

Each law names where it ends; there the simulator itself breaks it (``tests/reference/memory/exceptions.py``).
"""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.memory.recordings import estimated, recorded
from tests.core.memory.test_laws import configs, memory

EXCEPTIONS = {case["case"]: case for case in recorded("exceptions.jsonl")}
OFF: dict[str, Any] = {"lora_mlp_kernel": False, "lora_qkv_kernel": False, "lora_o_kernel": False}
PLAIN: dict[str, Any] = {"chunked_cross_entropy": False}
ADAPTER: dict[str, Any] = {"adapter": "lora", "load_in_4bit": False, "peft_use_dora": False}
FULL_8BIT = {"vocab_size": 1024, "hidden_size": 1024, "intermediate_size": 4096}
"""A model that is layers for the most part, as large ones are."""

WIDE = {"hidden_size": 2048, "intermediate_size": 8192}


def peak(config: dict[str, Any], **model: int) -> int:
    """Bytes of the allocator's peak."""
    return memory(config, **model).allocated_peak_bytes


@given(configs)
def test_losses_without_all_logits_never_take_more(config: dict[str, Any]) -> None:
    """Cut cross entropy and the chunked loss, whatever trains."""
    plain = peak(config | PLAIN)
    assert peak(config | PLAIN | {"cut_cross_entropy": True}) <= plain
    assert peak(config | {"chunked_cross_entropy": True}) <= plain


@given(configs.filter(lambda config: config["adapter"]))
def test_ligers_fused_loss_never_takes_more_of_a_frozen_head(config: dict[str, Any]) -> None:
    """One that trains has its gradient made in the forward already, which few tokens do not make up for."""
    assert peak(config | PLAIN | {"liger_fused_linear_cross_entropy": True}) <= peak(config | PLAIN)


@given(configs, st.sampled_from(["adamw_torch_fused", "adamw_torch"]))
def test_states_in_8_bits_never_take_more(config: dict[str, Any], optimizer: str) -> None:
    """Of a model that is layers for the most part: tables of embeddings keep theirs in 32 bits, where others have 16."""
    wide = peak(config | {"optimizer": optimizer}, **FULL_8BIT)
    assert peak(config | {"optimizer": "adamw_8bit"}, **FULL_8BIT) <= wide


@given(configs)
def test_a_base_in_4_bits_never_takes_more(config: dict[str, Any]) -> None:
    """Without DoRA, whose graph holds the unpacked weight of each linear where no kernel runs."""
    assert peak(config | ADAPTER | {"adapter": "qlora", "load_in_4bit": True}) <= peak(config | ADAPTER)


@given(configs)
def test_a_base_in_8_bits_never_takes_more(config: dict[str, Any]) -> None:
    """Of a model that is not tiny, under checkpoints: a layer that keeps all keeps what its products cast, too.

    Against the same run without Axolotl's kernels, which an 8-bit base does without; DoRA and eager scores apart.
    """
    config = config | ADAPTER | OFF | {"attn_implementation": "flash_attention_2", "gradient_checkpointing": True}
    assert peak(config | {"load_in_8bit": True}, **WIDE) <= peak(config, **WIDE)


@pytest.mark.parametrize("name", sorted({case.rpartition("-")[0] for case in EXCEPTIONS}))
def test_where_the_laws_end(name: str) -> None:
    """The simulator breaks them there, and so does the estimate, by about as much."""
    without, switched = EXCEPTIONS[f"{name}-without"], EXCEPTIONS[f"{name}-with"]
    more = switched["allocated_peak_bytes"] - without["allocated_peak_bytes"]
    ours = estimated(switched).allocated_peak_bytes - estimated(without).allocated_peak_bytes
    assert min(more, ours) > 0
    assert ours == pytest.approx(more, rel=0.02)
