"""Every model of the catalogue under every method: an answer, or a refusal that names the field."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from app.catalog.models import load_models
from app.core.adapter import resolve_adapter
from app.core.architecture import Kind
from app.core.architectures import describe, supported_model_types
from app.core.axolotl.run_reader import read_run
from app.core.errors import InvalidInput
from app.core.estimate import Memory
from app.core.memory import confirmed, estimate_memory
from app.core.memory.confirmed import UNRECORDED
from app.core.memory.loading import load_bytes
from app.core.memory.process import Process
from app.core.run import CCE_PLUGIN
from tests.core.memory.test_peaks import DRAWN, EXPERTS, PEAKS, WIDE
from tests.core.memory.test_practice import NEWCOMERS
from tests.core.memory.test_towers import CASES as TOWERS

LORA = {"lora_r": 16, "lora_alpha": 32, "lora_target_linear": True}
OFF = {"lora_mlp_kernel": False, "lora_qkv_kernel": False, "lora_o_kernel": False}
METHODS: Mapping[str, dict[str, Any]] = {
    "full": {"optimizer": "adamw_8bit"},
    "lora": {"adapter": "lora"} | LORA,
    "lora unfused": {"adapter": "lora", "lora_dropout": 0.05} | LORA | OFF,
    "qlora": {"adapter": "qlora", "load_in_4bit": True} | LORA | OFF,
    "int8": {"adapter": "lora", "load_in_8bit": True} | LORA,
    "dora": {"adapter": "lora", "peft_use_dora": True} | LORA,
}
SWITCHES: tuple[dict[str, Any], ...] = (
    {"gradient_checkpointing": True, "cut_cross_entropy": True, "plugins": [CCE_PLUGIN]},
    {"attn_implementation": "eager", "chunked_cross_entropy": True},
    {"attn_implementation": "sdpa", "sample_packing": True, "gradient_accumulation_steps": 4},
    {"attn_implementation": "flash_attention_2", "gradient_checkpointing": True, "val_set_size": 0.1},
)
NO_LINEARS = frozenset(("falcon_h1", "gpt2", "nemotron_h", "qwen2_5_vl", "qwen2_vl"))
"""Types whose linears, all of them, PEFT does not take, or finds none of."""
LARGEST = 2**47
"""More bytes than any of these runs takes: what is above has been miscounted."""


def _memory(config_json: Mapping[str, Any], config: dict[str, Any]) -> Memory | None:
    """The estimate, None where the targets are refused."""
    architecture = describe(config_json)
    run = read_run({"sequence_len": 2048} | config)
    try:
        adapter = resolve_adapter(architecture, run)
    except InvalidInput:
        return None
    return estimate_memory(architecture, run, adapter, fused_lora=run.fused_lora is not False)


CONFIGS = {repr(row.config): (row.id, row.config) for row in load_models().rows}


@pytest.mark.parametrize("method", METHODS)
def test_every_model_is_estimated_under_every_method(method: str) -> None:
    """Each distinct config.json once a method, the switches in turn; no term is negative or absurd.

    Refused is what PEFT refuses alone: DoRA on parameters, which linears named like a part of experts stand for.
    """
    refused, refusable = set(), set()
    for index, (name, config_json) in enumerate(CONFIGS.values()):
        memory = _memory(config_json, METHODS[method] | SWITCHES[index % len(SWITCHES)])
        architecture = describe(config_json)
        parts = {module.name for module in architecture.modules if module.kind is Kind.LINEAR}
        of_experts = method == "dora" and not parts.isdisjoint(architecture.expert_names)
        if method != "full" and (architecture.model_type in NO_LINEARS or of_experts):
            refusable.add(name)
        if memory is None:
            refused.add(name)
            continue
        assert all(term.bytes >= 0 for term in memory.breakdown), name
        assert sum(term.bytes for term in memory.breakdown) == memory.allocated_peak_bytes < LARGEST, name
    assert refused == refusable


def test_architectures_without_a_recorded_peak_are_named() -> None:
    """Every other type has one, or the language model within it, or the wrapper around it."""
    seen = {case["model"]["model_type"] for case in (*PEAKS, *DRAWN, *WIDE, *EXPERTS, *TOWERS, *NEWCOMERS)}
    kin = seen | {kind.removesuffix("_text") for kind in seen} | {f"{kind}_text" for kind in seen}
    missing = {kind for kind in supported_model_types() if kind not in kin}
    assert missing == UNRECORDED


@pytest.mark.parametrize(("model_type", "percent"), [("llama", 0), ("smollm3", 10), ("unheard_of", 30)])
def test_the_band_is_wider_where_no_case_confirms_an_architecture(
    model_type: str, percent: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By so many per cent of the allocator's peak, either way, as long as nothing else widens it."""
    monkeypatch.setattr(confirmed, "UNRECORDED", frozenset(["smollm3"]))
    base = describe(CONFIGS[next(name for name in CONFIGS if "'llama'" in name)][1])
    architecture = replace(base, model_type=model_type, approximate=model_type == "unheard_of")
    run = read_run({"sequence_len": 2048, "adapter": "lora"} | LORA)
    memory = estimate_memory(architecture, run, resolve_adapter(architecture, run), fused_lora=False)
    peak = memory.allocated_peak_bytes
    expected = Process.of(architecture, run).range_bytes(peak, load_bytes(architecture, run), (percent, percent))
    assert memory.range_bytes == expected
