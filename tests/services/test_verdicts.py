"""Whether something fits is said once: outcome, verdict, badge and sentence of plans, comparisons and maps agree."""

from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.catalog.library import load_catalog
from app.core.estimate import Estimate, Verdict, badge
from app.core.hardware import Hardware
from app.core.plan import Goal, Install, Outcome, Plan, Priority, Wish
from app.services.comparing import compare
from app.services.estimating import estimate
from app.services.fitting import Axis, fit
from app.services.inputs import resolve_hardware
from app.services.planning import plan
from app.texts import texts
from app.web.check.memory import Weighed
from app.web.presenting import run_verdict, verdict

CATALOG = load_catalog()
FITTING = (Verdict.FITS, Verdict.TIGHT)
NOTHING_FITS = frozenset(("smallest_gpu", "smallest_gpu_as_set", "smallest_gpu_method", "fits_no_gpu"))
MODELS = ("meta-llama/Llama-3.1-8B-Instruct", "Qwen/Qwen3-30B-A3B", "google/gemma-3-4b-it", "openai-community/gpt2")
METHODS: tuple[dict[str, Any], ...] = (
    {},
    {"adapter": None},
    {"adapter": "lora"},
    {"adapter": "qlora", "load_in_4bit": True},
    {"adapter": "prompt_tuning"},
)
CARD = resolve_hardware(catalog=CATALOG, gpu="rtx-4090", vram_gib=None)
assert CARD is not None


def holding(capacity_bytes: int) -> Hardware:
    """A card of this capacity."""
    assert CARD is not None
    return replace(CARD, capacity_bytes=capacity_bytes)


def planned(model: str, hardware: Hardware, **wish: Any) -> Plan:
    """A plan."""
    return plan(catalog=CATALOG, base_model=model, model=None, hardware=hardware, wish=Wish(**wish), brief=True)


def agrees(estimate: Estimate, hardware: Hardware) -> None:
    """Verdict, flag, room, and the page's words for them."""
    takes, capacity = estimate.memory.process_bytes, hardware.capacity_bytes
    assert estimate.fits is (takes <= capacity)
    low, high = estimate.memory.range_bytes
    assert (estimate.verdict is Verdict.TIGHT) is (low <= capacity < high)
    assert (badge(estimate) in FITTING) is estimate.fits
    assert (badge(estimate) is Verdict.FITS) is (high <= capacity)
    assert estimate.headroom_bytes is not None
    assert (estimate.headroom_bytes >= 0) is estimate.fits
    for language, over in (("en", "too much"), ("my", "ပိုနေပါတယ်")):
        shown = verdict(estimate, hardware, texts(language))
        assert shown.kind == badge(estimate).value
        assert shown.headline == texts(language).text(f"web.verdict.{shown.kind}", hardware=hardware.name)
        assert (over in shown.detail) is not estimate.fits


@settings(max_examples=25)
@given(
    model=st.sampled_from(MODELS),
    method=st.sampled_from(METHODS),
    goal=st.sampled_from(list(Goal)),
    priority=st.sampled_from(list(Priority)),
    capacity=st.integers(4 << 30, 60 << 30),
)
def test_a_plan_says_one_thing_of_its_memory(
    model: str, method: dict[str, Any], goal: Goal, priority: Priority, capacity: int
) -> None:
    hardware = holding(capacity)
    made = planned(model, hardware, goal=goal, priority=priority, overrides=method)
    agrees(made.estimate, hardware)
    assert (made.outcome is Outcome.FITS) is made.estimate.fits
    shown = run_verdict(made.estimate, hardware, texts("en"), findings=made.findings, config=made.config)
    assert shown.kind in (badge(made.estimate).value, "rejected", "fails_at_run")
    said = {finding.code.removesuffix("_tight") for finding in made.findings}
    assert not (made.estimate.fits and said & NOTHING_FITS)
    assert bool(said & {"tight", "tight_but_shorter"}) is (badge(made.estimate) is Verdict.TIGHT)
    for other in made.alternatives:
        agrees(other.estimate, hardware)
        assert other.reason.code.endswith(".fits") is other.estimate.fits


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("part", [0.0, 0.3, 0.9])
def test_what_just_misses_does_not_fit_anywhere(model: str, part: float) -> None:
    """A card within the range of the estimate, and below its expected value."""
    config = planned(model, holding(80 << 30)).config
    wish = Wish(whole=True, overrides=MappingProxyType(dict(config)))
    about: dict[str, Any] = {"catalog": CATALOG, "base_model": model, "model": None}
    memory = plan(**about, hardware=holding(80 << 30), wish=wish).estimate.memory
    low, takes = memory.range_bytes[0], memory.process_bytes
    hardware = holding(low + int(part * (takes - 1 - low)))
    made = plan(**about, hardware=hardware, wish=wish)
    assert made.estimate.memory.process_bytes == takes
    assert (made.outcome, made.estimate.verdict) == (Outcome.DOES_NOT_FIT, Verdict.TIGHT)
    assert badge(made.estimate) is Verdict.DOES_NOT_FIT
    agrees(made.estimate, hardware)
    (row,) = compare(catalog=CATALOG, config=config, hardware=hardware, variants=[{}])
    assert row.estimate is not None
    assert badge(row.estimate) is Verdict.DOES_NOT_FIT


@settings(max_examples=15)
@given(capacity=st.integers(8 << 30, 40 << 30))
def test_every_cell_of_a_fit_map_says_one_thing(capacity: int) -> None:
    config = {"base_model": MODELS[0], "adapter": "lora", "lora_r": 16, "lora_alpha": 32, "lora_target_linear": True}
    axes = Axis(key="sequence_len", values=(512, 2048, 8192)), Axis(key="micro_batch_size", values=(1, 4))
    found = fit(catalog=CATALOG, config=config, model=None, hardware=holding(capacity), grid=axes)
    agrees(found.estimate, holding(capacity))
    assert (found.outcome is Outcome.FITS) is found.estimate.fits
    assert found.grid is not None
    for cell in (cell for row in found.grid.rows for cell in row):
        assert cell.fits is (badge(cell) in FITTING)
        assert cell.fits is (cell.process_bytes <= capacity)


@settings(max_examples=20)
@given(capacity=st.integers(8 << 30, 24 << 30))
def test_what_a_single_change_of_a_checked_file_comes_to_is_called_so(capacity: int) -> None:
    config = {"base_model": MODELS[0], "adapter": "lora", "lora_r": 16, "lora_alpha": 32, "lora_target_linear": True}
    hardware = holding(capacity)
    weighed = Weighed(
        catalog=CATALOG,
        texts=texts("en"),
        config=config,
        estimate=estimate(catalog=CATALOG, config=config, hardware=hardware),
        model=None,
        dataset=None,
        hardware=hardware,
        install=Install.DOCKER,
    )
    for knob, saving in zip(weighed.knobs(), weighed.savings(), strict=False):
        assert (saving.verdict == "does_not_fit") is (knob.process_bytes > capacity), saving.name
