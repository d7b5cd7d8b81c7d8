"""One model's variants, measured: a configuration that says the same is the same."""

from collections.abc import Mapping
from datetime import date
from types import MappingProxyType
from typing import Any

import pytest

from app.catalog.library import load_catalog
from app.core.run import Run
from app.core.run_reader import read_run
from app.services import measuring
from app.services.measuring import Meter

CATALOG = load_catalog()
CONFIG: dict[str, Any] = {"adapter": "lora", "lora_r": 16, "lora_alpha": 32, "lora_target_modules": ["q_proj"]}


@pytest.mark.parametrize("more", [{}, {"wandb_name": date(2026, 1, 1)}, {"datasets": [{"path": "a"}]}])
def test_a_configuration_is_read_once(more: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever its mapping and its values are made of."""
    read: list[Mapping[str, Any]] = []
    usual = read_run

    def counted(config: Mapping[str, Any]) -> Run:
        read.append(config)
        return usual(config)

    monkeypatch.setattr(measuring, "read_run", counted)
    meter = Meter(CATALOG.architecture("Qwen/Qwen3-8B"))
    config = {**CONFIG, **more}
    sizes = {meter.process_bytes(one) for one in (config, MappingProxyType(dict(config)), dict(config))}
    assert (len(sizes), len(read)) == (1, 1)
    assert meter.process_bytes({**config, "lora_r": 17}) > sizes.pop()
    assert len(read) == 2
