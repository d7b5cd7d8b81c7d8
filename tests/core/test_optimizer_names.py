"""Other names of optimizers and schedulers: the same under another name, or a guess."""

import pytest

from app.core.coverage import SCHEDULERS
from app.core.optimizer_names import (
    KIN_OPTIMIZERS,
    LONGEST,
    OPTIMIZERS,
    SAME_OPTIMIZERS,
    SAME_SCHEDULERS,
    like_optimizer,
    meant_optimizer,
    same_optimizer,
    same_scheduler,
)


def test_every_name_leads_to_one_that_is_built_and_is_none_itself() -> None:
    for names in (SAME_OPTIMIZERS, KIN_OPTIMIZERS):
        assert set(names.values()) <= set(OPTIMIZERS)
        assert not set(names) & set(OPTIMIZERS)
    assert set(SAME_SCHEDULERS.values()) <= SCHEDULERS
    assert not set(SAME_SCHEDULERS) & SCHEDULERS


@pytest.mark.parametrize(
    ("given", "same"),
    [
        ("AdamW", "adamw_torch"),
        ("adamw_hf", "adamw_torch"),
        ("Adam W", "adamw_torch"),
        ("lion_pytorch", None),
        ("adamw_apex_fused", None),
        ("sgdé", None),
        ("sgd\u0301", None),
        ("βlion", None),
        ("lion\u00a032bit", "lion_32bit"),
        ("adamw_schedule_free", "schedule_free_adamw"),
        ("PagedAdamW8bit", "paged_adamw_8bit"),
        ("adamw-torch", "adamw_torch"),
        ("ao_adamw_4bit", "adamw_torch_4bit"),
        ("adam", None),
        ("muon_adamw", None),
        ("adamw_mini", None),
        ("", None),
        ("!", None),
    ],
)
def test_what_means_the_same_is_told_from_what_is_only_alike(given: str, same: str | None) -> None:
    assert same_optimizer(given) == same


@pytest.mark.parametrize(
    ("given", "like"),
    [
        ("adam", "adamw_torch"),
        ("muon_adamw", "muon"),
        ("lion_pytorch", "lion_32bit"),
        ("adamw_apex_fused", "adamw_torch_fused"),
        ("sgdé", "sgd"),
        ("8bit-adam", "adamw_8bit"),
        ("fp8_adamw", "ao_adamw_fp8"),
        ("8bit", "adamw_8bit"),
        ("nadam", "adamw_torch"),
        ("zzzz", None),
        ("", None),
    ],
)
def test_what_is_alike_is_no_more_than_a_guess(given: str, like: str | None) -> None:
    assert same_optimizer(given) is None
    assert like_optimizer(given) == meant_optimizer(given) == like


def test_a_scheduler_is_called_by_the_function_that_makes_it() -> None:
    assert same_scheduler("cosine_with_hard_restarts", SCHEDULERS) == "cosine_with_restarts"
    assert same_scheduler("Cosine", SCHEDULERS) == "cosine"
    assert same_scheduler("cosiné", SCHEDULERS) is None
    assert same_scheduler("cosinee", SCHEDULERS) is None


def test_of_a_long_name_the_beginning_is_looked_at() -> None:
    """A file may hold one of any length, which is no optimizer's."""
    long = "adamw_" * 10_000
    assert same_optimizer(long) is None
    assert like_optimizer(long) == like_optimizer(long[:LONGEST])
    assert max(map(len, OPTIMIZERS)) < LONGEST
