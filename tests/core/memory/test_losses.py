"""Which loss runs, and that it is what is priced."""

from typing import Any

import pytest

from app.core.adapter import resolve_adapter
from app.core.architectures import describe
from app.core.axolotl.run_reader import read_run
from app.core.memory import estimate_memory
from app.core.memory.losses import as_reached, loss_of
from app.core.run import CCE_PLUGIN, LIGER_PLUGIN, Loss

TEXT: dict[str, Any] = {
    "hidden_size": 1024,
    "intermediate_size": 2048,
    "num_hidden_layers": 2,
    "num_attention_heads": 8,
    "num_key_value_heads": 8,
    "vocab_size": 65536,
}
GPT2 = {"model_type": "gpt2", "n_embd": 1024, "n_layer": 2, "n_head": 8, "vocab_size": 65536}
MISTRAL = TEXT | {"model_type": "mistral"}
LLAMA = TEXT | {"model_type": "llama"}
FUSED = {"plugins": [LIGER_PLUGIN], "liger_fused_linear_cross_entropy": True}
LOGITS = {"plugins": [LIGER_PLUGIN], "liger_cross_entropy": True}
CUT = {"plugins": [CCE_PLUGIN], "cut_cross_entropy": True}
RUN: dict[str, Any] = {"gradient_checkpointing": True, "micro_batch_size": 2, "sequence_len": 1024}


def _process(model: dict[str, Any], keys: dict[str, Any]) -> tuple[int, tuple[int, int]]:
    architecture, run = describe(model), read_run(RUN | keys)
    memory = estimate_memory(architecture, run, resolve_adapter(architecture, run), fused_lora=True)
    return memory.allocated_peak_bytes, memory.range_bytes


@pytest.mark.parametrize(
    ("model", "keys", "loss"),
    [
        (GPT2, FUSED, Loss.PLAIN),
        (GPT2, LOGITS, Loss.PLAIN),
        (MISTRAL, FUSED, Loss.LIGER_FUSED_LINEAR),
        (MISTRAL, LOGITS, Loss.PLAIN),
        (LLAMA, LOGITS, Loss.LIGER),
        (LLAMA, CUT, Loss.CUT_CROSS_ENTROPY),
        (LLAMA, {"chunked_cross_entropy": True}, Loss.CHUNKED),
    ],
)
def test_loss_that_runs(model: dict[str, Any], keys: dict[str, Any], loss: Loss) -> None:
    """What Liger does not reach keeps its own; a run with the loss that is set is left as it is."""
    architecture, run = describe(model), read_run(RUN | keys)
    assert loss_of(architecture, run) is loss
    assert (as_reached(architecture, run) is run) == (run.loss is loss)


@pytest.mark.parametrize("keys", [FUSED, LOGITS])
def test_loss_that_is_not_reached_costs_what_the_plain_one_does(keys: dict[str, Any]) -> None:
    """The band too; a model that is reached takes less."""
    assert _process(GPT2, keys) == _process(GPT2, {})
    assert _process(LLAMA, keys)[0] < _process(LLAMA, {})[0]
