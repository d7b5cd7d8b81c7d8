"""Rules about memory by example: what is said of a good configuration with one change."""

from dataclasses import replace
from typing import Any

import pytest

from app.core.axolotl.run_reader import read_run
from app.core.findings import Effect
from app.core.run import LORA_KERNEL_KEYS
from tests.core.axolotl.examples import AMPERE
from tests.core.axolotl.good import FULL, GOOD, MOE, QLORA, findings

SAID: list[tuple[dict[str, Any], str]] = [
    ({"torch_compile": True}, "memory_not_priced"),
    ({"qat": {"weight_dtype": "int8"}}, "memory_not_priced_more"),
    ({"tiled_mlp": True, "tiled_mlp_use_original_mlp": False}, "memory_not_priced_less"),
    ({"torch_compile": True}, "not_priced_compiled"),
    ({"fp8": True}, "not_priced_torchao"),
    ({"rl": "grpo"}, "not_priced_generating"),
    ({"deepspeed": "zero3.json"}, "memory_not_sharded"),
    ({"deepspeed": "ds.json"}, "memory_not_sharded_unknown"),
    ({"fsdp": ["no_shard"]}, "memory_not_sharded_whole"),
    ({"deepspeed": {"zero_optimization": {"stage": 0}}}, "memory_not_sharded_whole"),
    ({"tensor_parallel_size": 2}, "memory_not_sharded_matrices"),
    ({"context_parallel_size": 2, "attn_implementation": "flash_attention_2"}, "memory_not_sharded_tokens"),
    ({"expert_parallel_size": 2}, "memory_not_sharded_experts"),
    ({"rl": "kto", "remove_unused_columns": False}, "kto_batch"),
    ({"rl": "dpo", "lora_qkv_kernel": True}, "kernels_under_trl"),
    ({"reward_model": True}, "kernels_under_reward"),
    ({"rl": "dpo", "chunked_cross_entropy": True}, "loss_under_rl"),
    ({"bf16": False, "attn_implementation": "flash_attention_2"}, "full_precision_flash"),
    ({"optimizer": "flash_adamw"}, "optimizer_full_precision"),
    ({"adapter": None, "optimizer": "galore_adamw"}, "optimizer_targets"),
    ({"optimizer": "galore_adamw_layerwise", "gradient_accumulation_steps": 2}, "optimizer_layerwise"),
    ({**QLORA, "relora": True, "jagged_restart_steps": 9}, "relora_unpacked"),
    ({**QLORA, "relora": True, "lora_mlp_kernel": True}, "relora_packed"),
    ({**QLORA, "relora": True, **dict.fromkeys(LORA_KERNEL_KEYS, False)}, "relora_packed"),
    ({"optimizer": "galore_adafactor_layerwise"}, "optimizer_relative_step"),
    ({"optimizer": "lomo", "bf16": False, "fp16": True}, "optimizer_scaled"),
    ({"optimizer": "adalomo", "bf16": "false", "fp16": True}, "optimizer_scaled"),
    ({"optimizer": "dion"}, "optimizer_dion"),
    ({"optimizer": "dion", "dion_lr": 0.01, "dion_momentum": 0.9, "dion_rank_fraction": 0.5}, "optimizer_dion_rank"),
    ({"optimizer": "adamw_anyprecision"}, "optimizer_anyprecision"),
    ({"adapter": None, "optimizer": "muon"}, "optimizer_muon_norms"),
    ({"activation_offloading": "disk", "gradient_checkpointing": True}, "offloading_disk"),
]
UNSAID: list[tuple[dict[str, Any], str]] = [
    ({}, "memory_not_priced"),
    ({"dense_mixer": True}, "not_priced_compiled"),
    ({"rl": "kto", "remove_unused_columns": False, "micro_batch_size": 2}, "kto_batch"),
    ({"lora_qkv_kernel": True}, "kernels_under_trl"),
    ({"rl": "dpo", "lora_qkv_kernel": False}, "kernels_under_trl"),
    ({"reward_model": True, "lora_mlp_kernel": False}, "kernels_under_reward"),
    ({"chunked_cross_entropy": True}, "loss_under_rl"),
    ({"bf16": False, "fp16": True, "attn_implementation": "flash_attention_2"}, "full_precision_flash"),
    ({"bf16": False, "attn_implementation": "sdpa"}, "full_precision_flash"),
    ({"adapter": None, "optimizer": "flash_adamw"}, "optimizer_full_precision"),
    ({"optimizer": "galore_adamw", "optim_target_modules": ["mlp"]}, "optimizer_targets"),
    ({"optimizer": "galore_adamw_layerwise"}, "optimizer_layerwise"),
    ({"optimizer": "galore_adamw_layerwise"}, "optimizer_relative_step"),
    ({"relora": True, "jagged_restart_steps": 9}, "relora_unpacked"),
    ({"relora": True, "lora_mlp_kernel": True}, "relora_packed"),
    ({**QLORA, "relora": True, **dict.fromkeys(LORA_KERNEL_KEYS, True)}, "relora_packed"),
    ({"optimizer": "galore_adafactor_layerwise", "gradient_accumulation_steps": 2}, "optimizer_layerwise"),
    ({"optimizer": "lomo", "fp16": True}, "optimizer_scaled"),
    ({"optimizer": "adamw_8bit", "bf16": False, "fp16": True}, "optimizer_scaled"),
    ({"optimizer": "adalomo", "adapter": None}, "optimizer_adalomo_matrices"),
]


@pytest.mark.parametrize(("changes", "code"), SAID, ids=[code for _, code in SAID])
def test_said(changes: dict[str, Any], code: str) -> None:
    """And a fix, where there is one, resolves it."""
    found = findings(changes)
    assert code in found
    fix = found[code].fix
    if fix is not None:
        after = {**changes, **fix.set} | dict.fromkeys(fix.unset)
        assert code not in findings(after)


@pytest.mark.parametrize(("changes", "code"), UNSAID, ids=[code for _, code in UNSAID])
def test_unsaid(changes: dict[str, Any], code: str) -> None:
    """Nothing is said of what is well."""
    assert code not in findings(changes)


def test_adalomo_needs_matrices() -> None:
    """Its first step fails at fused experts; adapters and vectors are no matter, nor is a model that nobody knows."""
    whole = {**FULL, "optimizer": "adalomo"}
    found = findings(whole, MOE)["optimizer_adalomo_matrices"]
    assert found.effect is Effect.FAILS_AT_RUN
    assert "optimizer_adalomo_matrices" not in findings({**whole, "optimizer": "lomo"}, MOE)
    assert "optimizer_adalomo_matrices" not in findings({"optimizer": "adalomo"}, MOE)
    assert "optimizer_adalomo_matrices" not in findings(whole, None)


@pytest.mark.parametrize("yes", [True, "true", "yes", "On", 1])
def test_layer_offloading_is_priced_however_it_is_spelled(yes: object) -> None:
    """The finding, the band and the figure ask the same reader."""
    given = {**QLORA, "layer_offloading": yes, "gradient_checkpointing": yes}
    assert "memory_not_priced_less" not in findings(given)
    assert read_run({**GOOD, **given}).room_percent == (0, 0)
    for change in ({"gradient_checkpointing": "False"}, {"activation_offloading": True}, {"rl": "orpo"}):
        assert findings(given | change)["memory_not_priced_less"].key == "layer_offloading"
        assert read_run({**GOOD, **given, **change}).room_percent == (90, 0)


@pytest.mark.parametrize("no", [None, False, "False", "no", "off", 0])
def test_layer_offloading_that_is_off(no: object) -> None:
    """However that is spelled."""
    assert "memory_not_priced_less" not in findings({**FULL, "layer_offloading": no})
    assert read_run({**GOOD, **FULL, "layer_offloading": no}).room_percent == (0, 0)


def test_layer_offloading_of_a_run_that_cannot_be_read() -> None:
    """Nothing is known of it, so it is said."""
    assert "memory_not_priced_less" in findings({**QLORA, "layer_offloading": True, "lora_r": "many"})


EIGHT: dict[str, Any] = {"load_in_8bit": True, "quantize_moe_experts": True, "gradient_checkpointing": True}
KWARGS = "gradient_checkpointing_kwargs"


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({}, False),
        ({KWARGS: {"use_reentrant": False}}, True),
        ({KWARGS: {"every_n_layers": 2}}, True),
        ({KWARGS: {"every_n_layers": 2, "use_reentrant": True}}, False),
        ({"selective_checkpointing": True}, True),
        ({"rl": "orpo"}, True),
        ({"rl": "orpo", KWARGS: {"use_reentrant": True}}, False),
        ({KWARGS: {"use_reentrant": False}, "activation_offloading": True}, True),
        ({KWARGS: {"use_reentrant": False}, "activation_offloading": "legacy"}, False),
        ({KWARGS: {"use_reentrant": False}, "gradient_checkpointing": "false"}, False),
        ({KWARGS: {"use_reentrant": False}, "lora_r": "many"}, False),
    ],
)
def test_experts_are_kept_by_checkpoints_that_are_not_reentrant(changes: dict[str, Any], kept: bool) -> None:
    """Whatever makes them so; what is offered lets go of them."""
    given = {**EIGHT, **changes}
    found = findings(given, MOE)
    assert ("experts_kept" in found) is kept
    if kept:
        fix = found["experts_kept"].fix
        assert fix is not None
        assert fix.set == {f"{KWARGS}.use_reentrant": True}


def test_experts_of_gemma_4_are_kept_whatever_is_set() -> None:
    """So nothing is offered."""
    found = findings(EIGHT, replace(MOE, model_type="gemma4"))
    assert found["experts_kept"].fix is None


def test_one_gpu_alone_holds_everything() -> None:
    """And does not hear that the run is split."""
    config = {"deepspeed": "zero3.json"}
    assert "memory_not_sharded_alone" in findings(config, card=AMPERE)
    for card in (None, replace(AMPERE, count=2)):
        assert {"memory_not_sharded", "memory_not_sharded_alone"} & findings(config, card=card).keys() == {
            "memory_not_sharded"
        }
