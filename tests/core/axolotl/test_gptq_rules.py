"""Rules about GPTQ checkpoints by example."""

from dataclasses import replace
from typing import Any

import pytest

from app.core.architecture import Architecture, Packing
from app.core.axolotl.rules import check
from app.core.findings import Effect
from app.core.run import LORA_KERNEL_KEYS
from tests.core.axolotl.examples import AMPERE, INSTINCT, SEVEN, schema
from tests.core.axolotl.good import FULL, GOOD, LLAMA, MOE, QLORA, findings

PACKED = replace(LLAMA, packing=Packing(backend="auto_trainable"))
FAST = replace(LLAMA, packing=Packing())
OFF = dict.fromkeys(LORA_KERNEL_KEYS, False)
GPTQ = {"gptq": True}
CHECKED = {"gradient_checkpointing": True}
ALL = {"lora_target_modules": list(SEVEN)}

SAID: list[tuple[dict[str, Any], Architecture, str, Effect]] = [
    ({}, PACKED, "gptq_unsaid", Effect.MISLEADS),
    (QLORA, PACKED, "gptq_unsaid", Effect.MISLEADS),
    (FULL | GPTQ, LLAMA, "gptq_full", Effect.FAILS_AT_RUN),
    (FULL, PACKED, "gptq_full", Effect.FAILS_AT_RUN),
    (GPTQ, LLAMA, "gptq_assumed", Effect.OK),
    (GPTQ | ALL, PACKED, "gptq_kernels", Effect.FAILS_AT_RUN),
    (GPTQ | {"lora_target_linear": True, "lora_target_modules": None}, PACKED, "gptq_kernels", Effect.FAILS_AT_RUN),
    (GPTQ | {"lora_target_modules": ["o_proj"], "lora_o_kernel": True}, PACKED, "gptq_kernels", Effect.FAILS_AT_RUN),
    (GPTQ | {"peft_use_dora": True}, PACKED, "gptq_dora", Effect.FAILS_AT_RUN),
    (GPTQ, FAST, "gptq_backend", Effect.FAILS_AT_RUN),
    (GPTQ, LLAMA, "gptq_backend", Effect.FAILS_AT_RUN),
    (GPTQ, PACKED, "gptq_packages", Effect.OK),
    (GPTQ, PACKED, "gptq_unchecked", Effect.OK),
    (QLORA | ALL, FAST, "gptq_kernels", Effect.FAILS_AT_RUN),
    ({}, FAST, "gptq_backend", Effect.FAILS_AT_RUN),
    (GPTQ, replace(LLAMA, packing=Packing(symmetric=False)), "gptq_backend", Effect.FAILS_AT_RUN),
    (GPTQ, replace(LLAMA, packing=Packing(bits=8)), "gptq_backend", Effect.FAILS_AT_RUN),
    (GPTQ, MOE, "gptq_experts", Effect.MISLEADS),
]
UNSAID: list[tuple[dict[str, Any], Architecture, str]] = [
    ({}, LLAMA, "gptq_unsaid"),
    (GPTQ, PACKED, "gptq_unsaid"),
    (FULL, LLAMA, "gptq_full"),
    (GPTQ, PACKED, "gptq_assumed"),
    (GPTQ | ALL | OFF, PACKED, "gptq_kernels"),
    (GPTQ, PACKED, "gptq_kernels"),
    (GPTQ | ALL | {"load_in_8bit": True}, PACKED, "gptq_kernels"),
    (GPTQ | ALL | {"lora_o_kernel": False}, PACKED, "gptq_kernels"),
    (ALL, LLAMA, "gptq_kernels"),
    (GPTQ, PACKED, "gptq_dora"),
    ({"peft_use_dora": True}, LLAMA, "gptq_dora"),
    (GPTQ, PACKED, "gptq_backend"),
    (GPTQ, replace(LLAMA, packing=Packing(bits=3)), "gptq_backend"),
    (GPTQ, replace(LLAMA, packing=Packing(bits=8, symmetric=False)), "gptq_backend"),
    (GPTQ, replace(LLAMA, packing=Packing(group_size=256)), "gptq_backend"),
    ({}, LLAMA, "gptq_packages"),
    (GPTQ | CHECKED, PACKED, "gptq_unchecked"),
    (GPTQ, PACKED, "gptq_experts"),
    ({}, MOE, "gptq_experts"),
]


@pytest.mark.parametrize(("changes", "model", "code", "effect"), SAID)
def test_said(changes: dict[str, Any], model: Architecture, code: str, effect: Effect) -> None:
    """With what becomes of the run; a fix, where there is one, resolves it."""
    found = findings(changes, model)[code]
    assert found.effect is effect
    if found.fix is not None:
        after = {**changes, **found.fix.set} | dict.fromkeys(found.fix.unset)
        assert code not in findings(after, model)


@pytest.mark.parametrize(("changes", "model", "code"), UNSAID)
def test_unsaid(changes: dict[str, Any], model: Architecture, code: str) -> None:
    """Nothing is said of what is well."""
    assert code not in findings(changes, model)


def test_a_name_says_that_a_model_which_is_not_known_is_packed() -> None:
    """Of one that is known, its description says so."""
    named = {"base_model": "TheBloke/Mistral-7B-Instruct-v0.2-GPTQ"}
    found = findings(named, model=None)
    assert found["gptq_by_name"].key == "gptq"
    assert found["gptq_by_name"].fix is not None
    assert "gptq_by_name" not in findings(named | {"gptq": True}, model=None)
    assert "gptq_by_name" not in findings(named)
    assert "gptq_by_name" not in findings({"base_model": "gptq-lab/Model-8B"}, model=None)


def test_the_faster_kernels_are_nvidias() -> None:
    """Nothing is known to fail on another card, and a known NVIDIA card changes nothing."""
    assert "gptq_backend" not in findings(GPTQ, FAST, INSTINCT)
    assert "gptq_backend" in findings(GPTQ, FAST, AMPERE)


def test_what_is_unsaid_can_be_mended_in_one_step() -> None:
    """What fails does so already, so that saying it brings nothing new."""
    fix = findings(QLORA | ALL, FAST)["gptq_unsaid"].fix
    assert fix is not None
    assert fix.set == {"gptq": True, "adapter": "lora"}
    assert set(fix.unset) == {"load_in_4bit", "load_in_8bit"}


def test_another_backend_can_be_asked_for_in_the_configuration() -> None:
    """``overrides_of_model_config`` replaces the checkpoint's own description."""
    asked = {"quant_method": "gptq", "bits": 4, "group_size": 128, "backend": "auto_trainable"}
    assert "gptq_backend" not in findings(GPTQ | {"overrides_of_model_config": {"quantization_config": asked}}, FAST)
    asked.pop("backend")
    assert "gptq_backend" in findings(GPTQ | {"overrides_of_model_config": {"quantization_config": asked}}, PACKED)


def test_a_file_that_runs_says_what_it_needs_and_nothing_else_of_gptq() -> None:
    """With the kernels off, checkpointing on and a kernel that can train."""
    good = {**GOOD, **GPTQ, **ALL, **OFF, **CHECKED}
    codes = {finding.code for finding in check(good, PACKED, None, schema())}
    assert {code for code in codes if code.startswith("gptq")} == {"gptq_packages"}
