"""One model's variants, measured: a configuration that says the same is the same."""

from datetime import date
from types import MappingProxyType
from typing import Any

import pytest

from app.catalog.library import load_catalog
from app.core.adapter import resolve_adapter
from app.core.axolotl.run_reader import read_run
from app.core.errors import InvalidInput
from app.services.estimating import memory_of
from app.services.measuring import Meter

CATALOG = load_catalog()
QWEN = CATALOG.architecture("Qwen/Qwen3-8B")
CONFIG: dict[str, Any] = {
    "adapter": "lora",
    "lora_r": 16,
    "lora_alpha": 32,
    "lora_target_modules": ["q_proj"],
    "output_dir": "./measured",
}


@pytest.mark.parametrize("more", [{}, {"wandb_name": date(2026, 1, 1)}, {"datasets": [{"path": "a"}]}])
def test_a_configuration_is_measured_once(more: dict[str, Any]) -> None:
    """Whatever its mapping and its values are made of."""
    meter = Meter(QWEN, None)
    config = {**CONFIG, **more}
    found = [meter.measured(one) for one in (config, MappingProxyType(dict(config)), dict(config))]
    assert all(one is found[0] for one in found)
    assert meter.memory(config) is found[0].memory
    assert meter.process_bytes({**config, "lora_r": 17}) > meter.process_bytes(config)


@pytest.mark.parametrize("more", [{}, {"sequence_len": 4096}, {"lora_rank_pattern": {"q_proj": 8}}, {"adapter": None}])
def test_what_is_measured_is_the_estimate(more: dict[str, Any]) -> None:
    """Of what is asked for, though more was asked for before."""
    meter, config = Meter(QWEN, None), {**CONFIG, **more}
    meter.process_bytes(CONFIG)
    run = read_run(config)
    memory = memory_of(QWEN, run, resolve_adapter(QWEN, run))
    assert (meter.run(config), meter.memory(config)) == (run, memory)
    assert (meter.process_bytes(config), meter.most_bytes(config)) == (memory.process_bytes, memory.range_bytes[1])


def test_what_cannot_be_is_refused_each_time() -> None:
    meter = Meter(QWEN, None)
    for _ in range(2):
        with pytest.raises(InvalidInput):
            meter.process_bytes({**CONFIG, "sequence_len": 0})
