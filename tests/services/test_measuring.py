"""One model's variants, measured: a configuration that says the same is the same."""

from collections.abc import Mapping
from datetime import date
from types import MappingProxyType
from typing import Any

import pytest

from app.catalog.library import load_catalog
from app.core.errors import InvalidInput
from app.core.run import Run
from app.core.run_reader import LONGEST_SEQUENCE, read_run
from app.services import measuring
from app.services.measuring import Meter

CATALOG = load_catalog()
CONFIG: dict[str, Any] = {
    "adapter": "lora",
    "lora_r": 16,
    "lora_alpha": 32,
    "lora_target_modules": ["q_proj"],
    "output_dir": "./measured",
}


@pytest.mark.parametrize("more", [{}, {"wandb_name": date(2026, 1, 1)}, {"datasets": [{"path": "a"}]}])
def test_a_configuration_is_read_once(more: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever its mapping and its values are made of."""
    read: list[Mapping[str, Any]] = []
    usual = read_run

    def counted(config: Mapping[str, Any]) -> Run:
        read.append(config)
        return usual(config)

    monkeypatch.setattr(measuring, "read_run", counted)
    meter = Meter(CATALOG.architecture("Qwen/Qwen3-8B"), None)
    config = {**CONFIG, **more}
    sizes = {meter.process_bytes(one) for one in (config, MappingProxyType(dict(config)), dict(config))}
    assert (len(sizes), len(read)) == (1, 1)
    assert meter.process_bytes({**config, "lora_r": 17}) > sizes.pop()
    assert len(read) == 2


@pytest.mark.parametrize(
    "tokens", [1, 512, 4096, LONGEST_SEQUENCE, LONGEST_SEQUENCE + 1, 0, -8, True, "2048", 64.0, None, [1]]
)
@pytest.mark.parametrize("more", [{}, {"val_set_size": 0.1}, {"wandb_name": "w" * 5000}])
def test_one_reading_serves_every_length(tokens: object, more: dict[str, Any]) -> None:
    """And says what reading anew would say, errors included."""
    meter = Meter(CATALOG.architecture("Qwen/Qwen3-8B"), None)
    meter.run({**CONFIG, **more, "sequence_len": 777})
    config = {**CONFIG, **more, "sequence_len": tokens}
    try:
        expected: Run | list[Any] = read_run(config)
    except InvalidInput as error:
        expected = list(error.errors)
    try:
        found: Run | list[Any] = meter.run(config)
    except InvalidInput as error:
        found = list(error.errors)
    assert found == expected
