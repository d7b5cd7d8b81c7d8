"""What a card before Ampere takes for SDPA that newer ones do not is counted, and said where it is much."""

from collections.abc import Mapping
from typing import Any

import pytest

from app.catalog.library import Catalog
from app.core.estimate import Estimate
from app.core.prices import Trains
from app.services.estimating import estimate
from app.services.inputs import resolve_model
from app.services.measuring import Meter
from app.services.pricing import price_knobs

GROUPED, WHOLE = "meta-llama/Llama-3.1-8B", "microsoft/phi-2"
CONFIG: Mapping[str, Any] = {
    "base_model": GROUPED,
    "adapter": "qlora",
    "load_in_4bit": True,
    "lora_r": 8,
    "lora_target_linear": True,
    "fp16": True,
    "bf16": False,
    "gradient_checkpointing": True,
    "attn_implementation": "sdpa",
    "sequence_len": 4096,
    "micro_batch_size": 1,
}


def _on(catalog: Catalog, card: str, **changes: Any) -> Estimate:
    return estimate(catalog=catalog, config={**CONFIG, **changes}, hardware=catalog.gpus.get(card).hardware())


def _said(found: Estimate) -> list[int]:
    """The bytes of each such finding."""
    return [f.message.params["more_bytes"] for f in found.findings if f.code == "scores_before_ampere"]


def test_grouped_keys_make_scores_of_every_pair_there(catalog: Catalog) -> None:
    """The figure is larger by what is said, which is of the size of the scores in fp32."""
    old, new = _on(catalog, "t4"), _on(catalog, "rtx-4090")
    beside = [catalog.gpus.get(card).hardware().context.beside_bytes for card in ("t4", "rtx-4090")]
    more = old.memory.process_bytes - beside[0] - (new.memory.process_bytes - beside[1])
    assert _said(old) == [more]
    assert more > 4 * 32 * 4096 * 4096


def test_a_search_measures_on_the_card_that_it_is_for(catalog: Catalog) -> None:
    resolved = resolve_model(catalog=catalog, base_model=GROUPED, model=None)
    for card in ("t4", "v100-16gb", "rtx-4090"):
        hardware = catalog.gpus.get(card).hardware()
        meter = Meter(resolved.architecture, hardware)
        assert meter.process_bytes(CONFIG) == _on(catalog, card).memory.process_bytes


@pytest.mark.parametrize(
    ("card", "changes"),
    [
        ("rtx-4090", {}),
        ("t4", {"attn_implementation": "eager"}),
        ("t4", {"sample_packing": True}),
        ("t4", {"fp16": False}),
        ("t4", {"base_model": WHOLE, "sequence_len": 2048}),
    ],
    ids=["newer card", "eager", "packed", "fp32, which takes it everywhere", "keys of every head"],
)
def test_elsewhere_it_is_not_said(catalog: Catalog, card: str, changes: Mapping[str, Any]) -> None:
    assert _said(_on(catalog, card, **changes)) == []


def test_eager_attention_is_offered_where_it_saves(catalog: Catalog) -> None:
    """Grouped keys on a card before Ampere; its price is the difference of the two estimates."""
    hardware = catalog.gpus.get("t4").hardware()
    found = _on(catalog, "t4")
    knobs = {knob.turn.knob: knob for knob in price_knobs(CONFIG, found, hardware=hardware).items}
    eager = knobs["eager_attention"]
    less = found.memory.process_bytes - _on(catalog, "t4", attn_implementation="eager").memory.process_bytes
    assert eager.saves_bytes == less > 1 << 29
    assert eager.turn.patch == {"attn_implementation": "eager"}
    assert eager.turn.trains is Trains.SAME


@pytest.mark.parametrize(
    ("card", "changes"),
    [
        ("rtx-4090", {}),
        ("t4", {"attn_implementation": "eager"}),
        ("t4", {"sample_packing": True}),
        ("t4", {"base_model": WHOLE}),
        ("t4", {"sequence_len": 1024}),
    ],
    ids=["newer card", "eager already", "packed", "keys of every head", "the loss is larger"],
)
def test_eager_attention_is_not_offered_elsewhere(catalog: Catalog, card: str, changes: Mapping[str, Any]) -> None:
    found = _on(catalog, card, **changes)
    hardware = catalog.gpus.get(card).hardware()
    knobs = price_knobs({**CONFIG, **changes}, found, hardware=hardware).items
    assert "eager_attention" not in {knob.turn.knob for knob in knobs}
