"""Steps under PEFT against what can be computed by hand.

Needs the recorded stack (see README.md); without it the module is skipped.
"""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
for package in ("transformers", "peft", "accelerate", "axolotl"):
    pytest.importorskip(package)

from tests.reference.memory.preference import simulation  # noqa: E402
from tests.reference.memory.small_llama import FLASH, LINEARS, LLAMA, SEVEN, run  # noqa: E402


def peft_run(adapter, rows=(1, 256), **settings):
    """A method beside LoRA on every linear."""
    cfg = FLASH | {"adapter": adapter, "peft_config": settings | {"target_modules": SEVEN}, "cut_cross_entropy": True}
    return simulation(LLAMA, cfg, rows).run()


def test_an_adapter_makes_the_embeddings_output_a_leaf():
    """Axolotl asks for gradients of the inputs whichever the adapter: the output waits for its own through the backward."""
    result = run(adapter="lora", lora_r=8, lora_target_modules=["q_proj"], cut_cross_entropy=True, **FLASH)
    assert result["phase"] == "backward"
    assert result["live_at_peak"]["forward: embedding bfloat16"] == 256 * 512 * 2
    full = run(cut_cross_entropy=True, **FLASH)
    assert "forward: embedding bfloat16" not in full["live_at_peak"]


@pytest.mark.filterwarnings("ignore:Accessing the data pointer of FakeTensor:UserWarning")
def test_a_copied_module_is_counted_once():
    """``deepcopy`` of a fake tensor makes views with storages of their own; a trained head has none."""
    result = run(adapter="lora", lora_r=8, lora_target_modules=["q_proj"], lora_modules_to_save=["lm_head"], **FLASH)
    assert not any(key.startswith("forward: t ") for key in result["live_at_peak"])
    assert result["live_at_peak"]["adapter"] >= 4096 * 512 * 2


def test_loha_saves_an_update_as_large_as_each_weight():
    """In bf16: seven a layer, the last layer's last with two products beside it; nothing of the like with VeRA."""
    made = (
        peft_run("loha", rows=(1, 8), r=4)["phase_peaks"]["forward"]
        - peft_run("vera", rows=(1, 8), r=4)["phase_peaks"]["forward"]
    )
    assert made > 2 * 2 * LINEARS


def test_adalora_keeps_three_importances_of_each_value():
    """Beside AdamW's two states, in fp32."""
    result = peft_run("adalora", init_r=16, total_step=100)
    trained = result["parameters"]["trained"]
    assert result["live_at_peak"]["optimizer"] == pytest.approx(5 * 4 * trained, rel=0.05)


def test_oft_holds_the_indices_of_its_triangles():
    """Two of 64 bits for each value of a module's first block."""
    weights = (
        peft_run("oft", oft_block_size=64)["live_at_peak"]["weights"] - peft_run("vera", r=1)["live_at_peak"]["weights"]
    )
    assert weights == pytest.approx(2 * 7 * 2 * 8 * 64 * 63 // 2, rel=0.1)


def test_trained_tokens_cost_a_table_and_its_gradient():
    """``index_copy`` copies the embedding, whose gradient is as large."""
    cfg = FLASH | {"adapter": "trainable_tokens", "peft_config": {"token_indices": [0, 1]}, "cut_cross_entropy": True}
    result = simulation(LLAMA | {"vocab_size": 65536}, cfg, (1, 64)).run()
    assert result["live_at_peak"]["backward: embedding_dense_backward bfloat16"] == 65536 * 512 * 2
