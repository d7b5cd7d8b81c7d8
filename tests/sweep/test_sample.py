"""A fixed sample of the sweep: quick enough for every run."""

from random import Random

import pytest

from app.catalog.library import Catalog
from app.core.plan import Goal, Outcome, Priority, Wish
from app.services.inputs import resolve_hardware
from app.services.planning import plan
from tests.sweep.checks import Case, complaints, not_reproduced, planned, would_fit
from tests.sweep.run import GOALS, Found, cases, check

MODELS = (
    "Qwen/Qwen3-0.6B",
    "meta-llama/Llama-3.1-8B-Instruct",
    "openai/gpt-oss-20b",
    "Qwen/Qwen3-30B-A3B-Base",
    "google/gemma-3-12b-it",
    "meta-llama/Llama-3.3-70B-Instruct",
)
EVERY = 24


def sample(catalog: Catalog) -> list[Case]:
    """Some hundred cases, drawn once and for all."""
    return [case for model in MODELS for case in list(cases(catalog, model, GOALS))[:: EVERY * 5 + 1]]


def test_every_plan_of_the_sample_is_what_it_says(catalog: Catalog) -> None:
    """It fits or names what would, keeps Axolotl's rules, and is where its own answers lead."""
    found, draw = Found(), Random(0)
    drawn = sample(catalog)
    for case in drawn:
        check(catalog, case, found, draw)
    assert found.complaints == []
    assert found.plans == len(drawn) >= 100
    assert len({outcome.partition(",")[0] for outcome in found.outcomes}) >= 5


@pytest.mark.parametrize(
    ("model", "gpu"),
    [("meta-llama/Llama-3.1-8B-Instruct", "rtx-3060-laptop"), ("Qwen/Qwen2.5-32B-Instruct", "t4")],
)
def test_where_nothing_fits_a_search_of_everything_agrees(catalog: Catalog, model: str, gpu: str) -> None:
    """Every method with every combination of changes."""
    case = Case(model=model, gpu=gpu, goal=Goal.CHAT, priority=Priority.BALANCED)
    made, hardware = planned(catalog, case)
    assert made.outcome is Outcome.DOES_NOT_FIT
    assert list(would_fit(catalog, case, hardware)) == []


@pytest.mark.parametrize("goal", [Goal.SIMPO, Goal.INSTRUCTION])
def test_a_change_that_costs_memory_here_keeps_nothing_from_fitting(catalog: Catalog, goal: Goal) -> None:
    """Transfers to the host pin the experts' copies: with every change made it would not fit, without this one it does."""
    case = Case(model="deepseek-ai/DeepSeek-V2-Lite-Chat", gpu="gtx-1080-ti", goal=goal, priority=Priority.BALANCED)
    made, hardware = planned(catalog, case)
    assert made.outcome is Outcome.FITS
    assert "activation_offloading" not in made.config
    assert list(complaints(catalog, case, made, hardware)) == []


def test_the_search_finds_what_fits(catalog: Catalog) -> None:
    """So that its silence means something."""
    case = Case(model="Qwen/Qwen3-0.6B", gpu="rtx-3060-laptop", goal=Goal.CHAT, priority=Priority.BALANCED)
    assert list(would_fit(catalog, case, planned(catalog, case)[1]))


def test_a_plan_that_is_not_what_it_says_is_complained_of(catalog: Catalog) -> None:
    """A plan for another card, another address, another leaf."""
    case = Case(model=MODELS[1], gpu="rtx-4090", goal=Goal.CHAT, priority=Priority.BALANCED)
    made, hardware = planned(catalog, case)
    assert list(complaints(catalog, case, made, hardware)) == []
    small = resolve_hardware(catalog=catalog, gpu="rtx-3060-laptop")
    assert small is not None
    assert list(complaints(catalog, case, made, small))
    own = plan(
        catalog=catalog, base_model=case.model, model=None, hardware=hardware, wish=Wish(overrides={"adapter": None})
    )
    assert any("leaf" in complaint for complaint in complaints(catalog, case, own, hardware))
    assert list(not_reproduced(catalog, case, own))
