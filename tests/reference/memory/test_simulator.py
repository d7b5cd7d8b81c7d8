"""Whole steps of the simulator against what can be computed by hand.

Needs the recorded stack (see README.md); without it the module is skipped.
"""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
for package in ("transformers", "peft", "accelerate", "axolotl"):
    pytest.importorskip(package)

from tests.reference.memory import fused_lora  # noqa: E402
from tests.reference.memory.preference import simulation  # noqa: E402
from tests.reference.memory.small_llama import FLASH, LINEARS, SEVEN, run  # noqa: E402


def test_static_bytes_of_full_tuning():
    """Weights + two bf16 states + one 512-byte step counter a tensor."""
    record = run(**FLASH)
    parameters = 2 * LINEARS + 2 * 4096 * 512 + 5 * 512
    assert record["parameters"] == {"total": parameters, "trained": parameters}
    tensors = 2 * 9 + 3
    rotary = 2 * 512
    assert record["static_bytes"] == 6 * parameters + 512 * tensors + rotary


def test_static_bytes_with_fp32_embeddings():
    """Under sdpa the norms and embeddings are fp32, and so are their states."""
    record = run()
    assert record["static_bytes"] == 6 * (2 * LINEARS + 2 * 4096 * 512 * 2 + 2 * 5 * 512) + 512 * 21 + 2 * 512


def test_static_bytes_of_lora():
    record = run(adapter="lora", lora_r=8, lora_target_modules=["q_proj"], **FLASH)
    adapter = 2 * 8 * (512 + 512)
    assert record["parameters"]["trained"] == adapter
    base = 2 * (2 * LINEARS + 2 * 4096 * 512 + 5 * 512)
    assert record["static_bytes"] == base + 12 * adapter + 512 * 4 + 2 * 512


def test_gradients_are_there_for_the_second_micro_batch():
    one = run(cut_cross_entropy=True, optimizer="sgd", **FLASH)
    two = run(cut_cross_entropy=True, optimizer="sgd", gradient_accumulation_steps=2, **FLASH)
    assert two["allocated_peak_bytes"] >= one["allocated_peak_bytes"]
    assert two["live_at_peak"]["gradients"] > one["live_at_peak"].get("gradients", 0)


@pytest.mark.parametrize(
    "cfg", [{}, {"adapter": "lora"}, {"adapter": "qlora", "load_in_4bit": True}], ids=["full", "lora", "qlora"]
)
def test_breakdown_sums_to_the_peak(cfg):
    if cfg:
        cfg = cfg | {"lora_r": 8, "lora_target_modules": SEVEN}
    record = run(**cfg, **FLASH)
    assert sum(record["live_at_peak"].values()) == record["allocated_peak_bytes"] == max(record["phase_peaks"].values())


def test_checkpointing_keeps_one_hidden_state_a_layer():
    """What two more layers add to the forward's peak with frozen weights: two bf16 hidden states."""
    cfg = FLASH | {
        "gradient_checkpointing": True,
        "adapter": "lora",
        "lora_r": 8,
        "lora_target_modules": SEVEN,
        "cut_cross_entropy": True,
    }
    peaks = [run({"num_hidden_layers": n}, rows=(1, 4096), **cfg) for n in (4, 6)]
    moving = [p["phase_peaks"]["backward"] - p["static_bytes"] for p in peaks]
    per_layer = 4096 * 512 * 2
    gradients = 4 * 8 * (7 * 512 + 2 * 256 + 3 * 1024 + 2 * 512 - 512)
    assert 2 * per_layer <= moving[1] - moving[0] <= 2 * per_layer + 4 * gradients


def test_fused_kernels_are_axolotls_and_can_be_undone():
    from transformers.models.llama.modeling_llama import LlamaAttention

    fused_lora.restore()
    plain = LlamaAttention.forward
    on = run(adapter="lora", lora_r=8, lora_target_modules=SEVEN, **FLASH)
    assert LlamaAttention.forward is not plain
    off = run(adapter="lora", lora_r=8, lora_target_modules=SEVEN, lora_mlp_kernel=False, **FLASH)
    assert LlamaAttention.forward is plain
    assert on["allocated_peak_bytes"] < off["allocated_peak_bytes"]


def test_a_run_repeats_to_the_byte():
    assert run(**FLASH) == run(**FLASH)


def test_opt_runs_without_a_mask():
    """It makes one of ones itself, which SDPA does without; none of its layers is dropped."""
    opt = {"model_type": "opt", "vocab_size": 4096, "hidden_size": 256, "num_hidden_layers": 2, "num_attention_heads": 4, "ffn_dim": 512,
           "max_position_embeddings": 512, "word_embed_proj_dim": 256}  # fmt: skip
    result = simulation(opt, {"attn_implementation": "sdpa"}, (2, 256)).run()
    assert not any("bool" in key and "dropout" not in key for key in result["live_at_peak"])


def test_a_tables_name_asks_the_embedding_for_a_gradient():
    """``axolotl/train.py``: all layers keep what it is computed with. The same head by another pattern has nothing below it."""
    named = run(**FLASH, unfrozen_parameters=["^lm_head.weight$"])["phase_peaks"]["backward"]
    alone = run(**FLASH, unfrozen_parameters=["^lm_.+weight$"])["phase_peaks"]["backward"]
    kept = 2 * 256 * 2 * (2 * 1024 + 512)  # of each layer: what is multiplied, and the residual stream, at the least
    assert named - alone > kept
