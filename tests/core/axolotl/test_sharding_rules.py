"""FSDP's blocks as people write them: what is still read, what is dropped, and what one GPU makes of it."""

from dataclasses import replace
from typing import Any

import pytest

from app.core.axolotl.unmodelled import spreads
from app.core.findings import Effect
from tests.core.axolotl.examples import AMPERE
from tests.core.axolotl.good import findings

OLD: dict[str, Any] = {
    "fsdp_version": 1,
    "fsdp_config": {
        "fsdp_limit_all_gathers": True,
        "fsdp_offload_params": False,
        "fsdp_transformer_layer_cls_to_wrap": "LlamaDecoderLayer",
        "sharding_strategy": "FULL_SHARD",
    },
}
TWO = replace(AMPERE, count=2)


def test_the_old_prefix_comes_off_what_is_read_and_off_nothing_else() -> None:
    fix = findings(OLD)["fsdp_prefix"].fix
    assert fix is not None
    assert fix.safe
    assert fix.unset == ("fsdp_config.fsdp_offload_params", "fsdp_config.fsdp_transformer_layer_cls_to_wrap")
    assert list(fix.set) == ["fsdp_config.offload_params", "fsdp_config.transformer_layer_cls_to_wrap"]


def test_an_old_key_beside_its_new_one_is_not_renamed_over_it() -> None:
    both = {"fsdp_config": {"fsdp_offload_params": True, "offload_params": False}}
    assert findings(both)["fsdp_prefix"].fix is None


@pytest.mark.parametrize("key", ["fsdp_limit_all_gathers", "limit_all_gathers", "backward_prefetch"])
def test_what_axolotl_drops_is_told_and_taken_out(key: str) -> None:
    found = findings({"fsdp_config": {"offload_params": False, key: True}})
    assert found["fsdp_dropped"].key == f"fsdp_config.{key}"
    assert found["fsdp_dropped"].effect is Effect.MISLEADS
    fix = found["fsdp_dropped"].fix
    assert fix is not None
    assert (fix.safe, fix.unset) == (True, (f"fsdp_config.{key}",))
    assert "unknown_key" not in found


@pytest.mark.parametrize("key", ["fsdp_config", "fsdp"])
def test_fsdp_fails_in_one_process(key: str) -> None:
    """Transformers raises ``Using fsdp only works in distributed training``."""
    value = {"offload_params": False} if key == "fsdp_config" else ["full_shard"]
    found = findings({key: value}, card=AMPERE)
    assert (found["fsdp_one_gpu"].key, found["fsdp_one_gpu"].effect) == (key, Effect.FAILS_AT_RUN)
    fix = found["fsdp_one_gpu"].fix
    assert fix is not None
    assert (fix.safe, fix.unset) == (False, (key,))


def test_fsdp_on_two_gpus_or_unknown_ones_is_left_in_peace() -> None:
    given = {"fsdp_config": {"offload_params": False}}
    assert "fsdp_one_gpu" not in findings(given, card=TWO)
    assert "fsdp_one_gpu" not in findings(given, card=None)
    assert "fsdp_one_gpu" not in findings({"deepspeed": "zero2.json"}, card=AMPERE)


def test_what_is_spread_over_gpus_is_known() -> None:
    assert spreads({"deepspeed": "deepspeed_configs/zero2.json"})
    assert spreads(OLD)
    assert not spreads({"torch_compile": True, "tensor_parallel_size": 1})
