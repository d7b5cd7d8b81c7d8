"""The simulator's switches of a step against what can be computed by hand; see ``small_llama``."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
for package in ("transformers", "peft", "accelerate", "axolotl"):
    pytest.importorskip(package)

from tests.reference.memory import tiled  # noqa: E402
from tests.reference.memory.loading import patched  # noqa: E402
from tests.reference.memory.simulator import Simulation  # noqa: E402
from tests.reference.memory.small_llama import FLASH, LLAMA, run  # noqa: E402

GC = {"gradient_checkpointing": True}
NOT_REENTRANT = GC | {"gradient_checkpointing_kwargs": {"use_reentrant": False}}
FOUR = {"num_hidden_layers": 4}


def test_what_autocast_computes_in():
    """The old name of bf16 is bf16 to the Trainer, the old name of fp16 nothing."""
    assert Simulation.compute_dtype({"bf16": False, "bfloat16": True}) == torch.bfloat16
    assert Simulation.compute_dtype({"bf16": False, "float16": True}) is None


def test_a_product_of_two_types_is_refused():
    """Full fine-tuning with SDPA leaves norms in fp32, which nothing casts without autocast."""
    with pytest.raises(RuntimeError, match="same dtype"):
        run(rows=(1, 64), bf16=False, float16=True, attn_implementation="sdpa")


@pytest.mark.parametrize(("every", "which"), [(1, [0, 1, 2, 3]), (2, [0, 2]), (3, [0, 3]), (9, [0])])
def test_every_so_manieth_layer_is_checkpointed(every, which):
    simulation = Simulation(
        LLAMA | FOUR, GC | FLASH | {"gradient_checkpointing_kwargs": {"every_n_layers": every}}, (1, 64)
    )
    with patched(), simulation.fake, simulation.tracker:
        simulation.build()
    layers = simulation.model.model.layers
    assert [place for place, layer in enumerate(layers) if layer.gradient_checkpointing] == which


def test_selective_checkpoints_keep_output_and_sums():
    """Where the loss is the highest moment: two bytes a value and four a head, in every layer."""
    wide = {"vocab_size": 65536}
    kept = run(wide, (1, 512), **NOT_REENTRANT, **FLASH, selective_checkpointing=True)
    plain = run(wide, (1, 512), **NOT_REENTRANT, **FLASH)
    layers, heads = LLAMA["num_hidden_layers"], LLAMA["num_attention_heads"]
    width = LLAMA["head_dim"]
    each = 512 * heads * width * 2 + 512 * heads * 4 + 512  # and a random state in a granule
    assert kept["allocated_peak_bytes"] - plain["allocated_peak_bytes"] == layers * each


def test_of_layers_by_turns_a_few_train_and_all_have_states():
    turns = {"lisa_n_layers": 1, "lisa_step_interval": 20, "lisa_active": [3]}
    some, every = run(FOUR, (1, 64), **FLASH, **turns), run(FOUR, (1, 64), **FLASH)
    assert some["live_at_peak"]["optimizer"] == every["live_at_peak"]["optimizer"]
    total, trained = every["parameters"]["trained"], some["parameters"]["trained"]
    outside = 2 * LLAMA["vocab_size"] * LLAMA["hidden_size"] + LLAMA["hidden_size"]
    assert trained - outside == (total - outside) // 4


def test_tiles_leave_no_class_patched():
    from transformers.models.llama.modeling_llama import LlamaMLP

    before = LlamaMLP.forward
    less = run(rows=(1, 4096), **FLASH, **tiled.tiled(4))["allocated_peak_bytes"]
    tiled.restore()
    assert LlamaMLP.forward is before
    assert less < run(rows=(1, 4096), **FLASH)["allocated_peak_bytes"]
