"""The memory model against the simulated peaks in ``tests/data/memory`` (real Transformers and PEFT, no GPU)."""

import json
import statistics
from pathlib import Path
from typing import Any

import pytest

from app.core.adapter import resolve_adapter
from app.core.architectures import describe, supported_model_types
from app.core.estimate import Memory
from app.core.memory import estimate_memory
from app.core.run import CCE_PLUGIN, LIGER_PLUGIN, Run

PEAKS = [
    json.loads(line)
    for line in (Path(__file__).parents[2] / "data" / "memory" / "peaks.jsonl").read_text("utf-8").splitlines()
]
DENSE = [
    case
    for case in PEAKS
    if case["model"]["model_type"] == "llama"
    and case["config"].get("attn_implementation") == "flash_attention_2"
    and not case["config"].get("peft_use_dora")
    and not case["config"].get("lora_modules_to_save")
    and not case["config"].get("load_in_8bit")
    and "activation_offloading" not in case["config"]
]
"""The dense core: full, LoRA and QLoRA on Llama's shape with FlashAttention, every loss and optimizer recorded."""


def estimated(case: dict[str, Any]) -> Memory:
    """The model's answer for a recorded case."""
    rows, tokens = case["rows"]
    config = case["config"] | {"micro_batch_size": rows, "sequence_len": tokens}
    plugins = []
    if config.get("cut_cross_entropy"):
        plugins.append(CCE_PLUGIN)
    if any(key.startswith("liger") for key in config):
        plugins.append(LIGER_PLUGIN)
    architecture = describe(case["model"])
    run = Run.from_config(config | {"plugins": plugins})
    adapter = resolve_adapter(architecture, run)
    return estimate_memory(architecture, run, adapter, fused_lora=run.fused_lora is not False)


def test_the_dense_core_is_near_its_reference() -> None:
    """Median within 1 %, nine of ten within 5 %, over at least 40 cases."""
    errors = sorted(abs(estimated(c).allocated_peak_bytes / c["allocated_peak_bytes"] - 1) for c in DENSE)
    assert len(errors) >= 40
    assert statistics.median(errors) <= 0.01
    assert errors[int(0.9 * len(errors))] <= 0.05


@pytest.mark.parametrize("case", [c for c in PEAKS if c["case"].startswith("published-")], ids=lambda c: c["case"])
def test_published_setups_are_near_their_simulation(case: dict[str, Any]) -> None:
    """Setups of Axolotl's own examples, within 4 % of what the simulation of each says."""
    assert estimated(case).allocated_peak_bytes == pytest.approx(case["allocated_peak_bytes"], rel=0.04)


def test_every_case_is_estimated() -> None:
    """No recorded case of a described architecture is refused, and each breakdown sums to its total."""
    for case in PEAKS:
        if case["model"]["model_type"] in supported_model_types():
            memory = estimated(case)
            assert sum(term.bytes for term in memory.breakdown) == memory.allocated_peak_bytes
            low, high = memory.range_bytes
            assert memory.allocated_peak_bytes < low <= memory.process_bytes <= high
