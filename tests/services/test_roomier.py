"""A small model on a small card: the plan stays the guide's QLoRA, and what would fit beside it is said."""

from typing import Any

import pytest

from app.catalog.library import Catalog
from app.core.estimate import Verdict
from app.core.plan import Priority
from tests.services.test_headroom import LLAMA, codes, found, planned

SMALL = "Qwen/Qwen3-0.6B"
SAID = {"lora_fits_too", "lora_and_full_fit_too"}


@pytest.mark.parametrize("gpu", ["rtx-3060-12gb", "rtx-4060"])
def test_that_a_small_model_would_do_without_four_bits_is_said(catalog: Catalog, gpu: str) -> None:
    made = planned(catalog, SMALL, gpu)
    assert made.method == made.decision.method == "qlora"
    said = found(made, "lora_and_full_fit_too")
    by_method = {other.method: other.estimate for other in made.alternatives}
    for method in ("lora", "full"):
        assert by_method[method].verdict is Verdict.FITS
        assert said.message.params[f"{method}_bytes"] == by_method[method].memory.process_bytes
    assert said.fix is not None
    keys = {key: value for key, value in made.config.items() if key in said.fix.set} | dict(said.fix.set)
    assert planned(catalog, SMALL, gpu, overrides=keys).method == "lora"


@pytest.mark.parametrize(
    ("model", "gpu", "wish"),
    [
        (LLAMA, "rtx-3060-12gb", {}),
        (SMALL, "rtx-4090", {}),
        (SMALL, "rtx-3060-12gb", {"priority": Priority.MEMORY}),
        (SMALL, "rtx-3060-12gb", {"overrides": {"adapter": "qlora", "load_in_4bit": True}}),
    ],
)
def test_where_it_would_not_or_is_not_asked_for_nothing_is_said(
    catalog: Catalog, model: str, gpu: str, wish: dict[str, Any]
) -> None:
    assert not codes(planned(catalog, model, gpu, **wish)) & SAID


@pytest.mark.parametrize(
    ("model", "full", "said"),
    [
        ("Qwen/Qwen3-1.7B", Verdict.FITS, "lora_and_full_fit_too"),
        ("Qwen/Qwen3-4B", Verdict.DOES_NOT_FIT, "lora_fits_too"),
    ],
)
def test_full_fine_tuning_is_only_named_where_it_has_room(
    catalog: Catalog, model: str, full: Verdict, said: str
) -> None:
    made = planned(catalog, model, "rtx-3060-12gb")
    assert {other.method: other.estimate.verdict for other in made.alternatives}["full"] is full
    assert {finding.code for finding in made.findings} & SAID == {said}
