"""The simulator's losses in evaluation against what can be computed by hand; see ``small_llama``."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
for package in ("transformers", "peft", "accelerate", "axolotl"):
    pytest.importorskip(package)

from tests.reference.memory.keys import CCE, FLASH, GC, LIGER  # noqa: E402
from tests.reference.memory.simulator import Simulation  # noqa: E402
from tests.reference.memory.small_llama import run  # noqa: E402

WIDE = {"vocab_size": 65536}
EVALUATED = {"val_set_size": 0.1, "eval_batch_size": 4}
LOGITS = 4 * 512 * 65536  # of four rows
DEEPSEEK = {
    "model_type": "deepseek_v2", "hidden_size": 256, "intermediate_size": 512, "moe_intermediate_size": 128, "num_hidden_layers": 1,
    "num_attention_heads": 4, "num_key_value_heads": 4, "kv_lora_rank": 64, "q_lora_rank": None, "qk_nope_head_dim": 32,
    "qk_rope_head_dim": 16, "v_head_dim": 32, "n_routed_experts": 4, "num_experts_per_tok": 2, "first_k_dense_replace": 1,
    "vocab_size": 65536, "max_position_embeddings": 4096,
}  # fmt: skip


def evaluation(loss):
    return run(WIDE, (1, 512), **FLASH, **GC, **EVALUATED, **loss)["phase_peaks"]["evaluation"]


def test_liger_makes_in_evaluation_what_the_plain_loss_makes():
    """Logits in half precision, in fp32, and their log-softmax: ten bytes; cut cross entropy makes none of them."""
    assert evaluation(LIGER) == evaluation({})
    assert 9.8 * LOGITS < evaluation(LIGER) - evaluation(CCE) < 10 * LOGITS


def test_training_is_what_it_was():
    """Evaluation leaves the phases before it alone."""
    phases = [run(WIDE, (1, 512), **FLASH, **GC, **LIGER, **more)["phase_peaks"] for more in ({}, EVALUATED)]
    assert {name: phases[1][name] for name in phases[0]} == phases[0]


@pytest.mark.parametrize(("rows", "copies"), [(4, 12), (1, 8)])
def test_axolotls_own_forward_copies_logits_of_several_rows(rows, copies):
    """In fp32, then without the last token of each row, then their log-softmax."""
    cfg = FLASH | GC | {"val_set_size": 0.1, "eval_batch_size": rows}
    peaks = [Simulation(DEEPSEEK, cfg | loss, (1, 512)).run()["phase_peaks"]["evaluation"] for loss in (LIGER, CCE)]
    assert copies * 0.99 <= (peaks[0] - peaks[1]) / (rows * 512 * 65536) < copies * 1.01
