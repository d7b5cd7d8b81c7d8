"""Laws that the memory of a run obeys, whatever its size."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.adapter import resolve_adapter
from app.core.architectures import describe
from app.core.axolotl.run_reader import read_run
from app.core.estimate import Memory
from app.core.memory import estimate_memory, peak
from app.core.memory.optimizer_forms import FORMS
from app.core.memory.profile import profile_head, profile_layer
from app.core.optimizer_names import OPTIMIZERS

TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


SMALL: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 512,
    "intermediate_size": 1536,
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
    "vocab_size": 32000,
}


def memory(config: dict[str, Any], **model: int) -> Memory:
    """Memory of ``config`` on a small Llama."""
    architecture = describe(SMALL | model)
    run = read_run(config)
    return estimate_memory(
        architecture, run, resolve_adapter(architecture, run), fused_lora=run.fused_lora is not False
    )


configs = st.fixed_dictionaries(
    {
        "adapter": st.sampled_from([None, "lora", "qlora"]),
        "sequence_len": st.integers(1, 8192),
        "micro_batch_size": st.integers(1, 8),
        "gradient_accumulation_steps": st.integers(1, 4),
        "lora_r": st.integers(1, 256),
        "lora_dropout": st.sampled_from([0.0, 0.05]),
        "peft_use_dora": st.booleans(),
        "gradient_checkpointing": st.booleans(),
        "attn_implementation": st.sampled_from([None, "sdpa", "eager", "flash_attention_2"]),
        "chunked_cross_entropy": st.booleans(),
        "optimizer": st.sampled_from(OPTIMIZERS),
        "lora_mlp_kernel": st.sampled_from([None, False]),
    }
).map(lambda c: c | {"lora_target_modules": TARGETS, "load_in_4bit": c["adapter"] == "qlora"})


@given(configs, st.integers(1, 4096))
def test_more_tokens_never_take_less(config: dict[str, Any], more: int) -> None:
    """A longer sequence."""
    longer = config | {"sequence_len": config["sequence_len"] + more}
    assert memory(longer).allocated_peak_bytes >= memory(config).allocated_peak_bytes


@given(configs)
def test_a_larger_batch_never_takes_less(config: dict[str, Any]) -> None:
    """One more row."""
    larger = config | {"micro_batch_size": config["micro_batch_size"] + 1}
    assert memory(larger).allocated_peak_bytes >= memory(config).allocated_peak_bytes


@given(configs, st.integers(1, 64))
def test_a_higher_rank_never_takes_less(config: dict[str, Any], more: int) -> None:
    """A bigger adapter, host and card together: from 100,000 elements on a paged optimizer keeps its states there.

    Except where an optimizer's 8-bit states begin: at 4,096 elements they shrink.
    """
    if config["lora_r"] * 512 < 4096 or config["optimizer"] not in FORMS:
        config = config | {"lora_r": config["lora_r"] + 8}
    higher = config | {"lora_r": config["lora_r"] + more}
    lower, upper = memory(config), memory(higher)
    assert upper.allocated_peak_bytes + upper.host_bytes >= lower.allocated_peak_bytes + lower.host_bytes


@given(configs, st.sampled_from([None, {"q_proj": 24}]), st.sampled_from([None, ["embed_tokens", "lm_head"]]))
def test_the_rank_as_a_variable_says_the_same(config: dict[str, Any], pattern: Any, saved: Any) -> None:
    """What is worked out once for all ranks is what each rank's own tape says, to the byte."""
    config = config | {"lora_rank_pattern": pattern, "lora_modules_to_save": saved, "val_set_size": 0.1}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(peak, "variable_rank", lambda *_: 0)
        apart = memory(config)
    assert memory(config) == apart


def test_one_outline_serves_a_sweep() -> None:
    """Lengths, batches, ranks and optimizers put numbers in; nothing is recorded again."""
    architecture = describe(SMALL)
    base = {"adapter": "lora", "lora_target_modules": TARGETS, "gradient_checkpointing": True, "sequence_len": 512}
    before = profile_layer.cache_info().misses, profile_head.cache_info().misses
    for number in range(2, 40):
        config = base | {"lora_r": number, "sequence_len": 100 * number, "micro_batch_size": number}
        run = read_run(config | {"optimizer": ["sgd", "adamw_8bit"][number % 2]})
        estimate_memory(architecture, run, resolve_adapter(architecture, run), fused_lora=True)
    after = profile_layer.cache_info().misses, profile_head.cache_info().misses
    assert after[0] - before[0] <= 2
    assert after[1] - before[1] <= 1


@given(configs)
def test_a_larger_vocabulary_or_more_layers_never_take_less(config: dict[str, Any]) -> None:
    """A bigger model."""
    base = memory(config).allocated_peak_bytes
    assert memory(config, vocab_size=64000).allocated_peak_bytes >= base
    assert memory(config, num_hidden_layers=8).allocated_peak_bytes >= base


@given(configs)
def test_checkpointing_never_takes_more(config: dict[str, Any]) -> None:
    """It keeps a part of what is kept without it, plus one layer: from 512 tokens on it pays.

    With a few tokens and a high rank it does not: what is as large as weights and made again with the layer (DoRA's
    norms, copies of A and B) then weighs more than all that the layers keep.
    """
    config = config | {"sequence_len": max(config["sequence_len"], 512)}
    off = memory(config | {"gradient_checkpointing": False}, num_hidden_layers=8)
    on = memory(config | {"gradient_checkpointing": True}, num_hidden_layers=8)
    assert on.allocated_peak_bytes <= off.allocated_peak_bytes


def test_checkpointing_may_take_more_of_a_few_tokens() -> None:
    """The exception to the law above."""
    config = {"adapter": "lora", "lora_r": 256, "peft_use_dora": True, "lora_mlp_kernel": False, "sequence_len": 1}
    config |= {"lora_target_modules": TARGETS, "attn_implementation": "flash_attention_2"}
    off = memory(config | {"gradient_checkpointing": False}, num_hidden_layers=8)
    on = memory(config | {"gradient_checkpointing": True}, num_hidden_layers=8)
    assert on.allocated_peak_bytes > off.allocated_peak_bytes


@given(configs)
def test_the_breakdown_sums_to_the_peak(config: dict[str, Any]) -> None:
    """To the byte, and nothing is negative."""
    found = memory(config)
    assert sum(term.bytes for term in found.breakdown) == found.allocated_peak_bytes
    assert all(term.bytes >= 0 for term in found.breakdown)


def test_paged_states_are_on_the_host() -> None:
    """What pages is counted there and not among the allocator's."""
    plain = memory({"optimizer": "adamw_8bit"})
    paged = memory({"optimizer": "paged_adamw_8bit"})
    assert paged.host_bytes > 0
    assert paged.allocated_peak_bytes < plain.allocated_peak_bytes
