"""Advice on knobs: which rule holds, what follows a person's own value, and what is beyond the usual."""

from collections.abc import Mapping
from typing import Any

import pytest

from app.catalog.library import Catalog
from app.core.advice import EFFECTIVE_BATCH, Rule, conflicts
from app.core.decision import Fact
from app.texts import LANGUAGES, texts

KNOWN: Mapping[str, Fact] = {
    "goal": "chat",
    "method": "lora",
    "quantized": False,
    "rows": None,
    "parameters_b": 8.0,
}


def advised(catalog: Catalog, own: Mapping[str, Any] | None = None, **facts: Fact) -> dict[str, float | str]:
    """Every knob's value under these facts."""
    advisor = catalog.advisor
    known = {**KNOWN, **facts}
    return {item.key: item.value for item in advisor.advise(tuple(advisor.knobs), known.get, own or {})}


def test_where_nothing_is_known_the_guides_template_is_advised(catalog: Catalog) -> None:
    """Rank 32, alpha 16, dropout 0.05, rate 2e-4, three epochs, batches of eight."""
    assert advised(catalog) == {
        "learning_rate": 0.0002,
        "lora_r": 32,
        "lora_alpha": 16,
        "lora_dropout": 0.05,
        EFFECTIVE_BATCH: 8,
        "num_epochs": 3,
        "warmup_ratio": 0.03,
        "optimizer": "adamw_torch_fused",
    }


@pytest.mark.parametrize(
    ("facts", "key", "value"),
    [
        ({"method": "full"}, "learning_rate", 0.00002),
        ({"parameters_b": 70.0}, "learning_rate", 0.0001),
        ({"parameters_b": 70.0, "method": "full"}, "learning_rate", 0.00002),
        ({"goal": "dpo"}, "learning_rate", 0.000005),
        ({"goal": "kto", "method": "full"}, "learning_rate", 0.0000005),
        ({"goal": "reward"}, "learning_rate", 0.0001),
        ({"goal": "reward", "method": "full"}, "learning_rate", 0.00001),
        ({"rows": 999}, "lora_r", 16),
        ({"rows": 1000}, "lora_r", 32),
        ({"rows": 100000}, "lora_r", 64),
        ({"rows": 100000}, "lora_alpha", 32),
        ({"rows": 999}, "lora_dropout", 0.1),
        ({"rows": 50000}, EFFECTIVE_BATCH, 16),
        ({"rows": 100000}, "num_epochs", 1),
        ({"goal": "continued_pretraining"}, "num_epochs", 1),
        ({"goal": "orpo"}, "num_epochs", 1),
        ({"method": "relora"}, "num_epochs", 1),
        ({"goal": "dpo"}, "warmup_ratio", 0.1),
        ({"quantized": True}, "optimizer", "paged_adamw_8bit"),
        ({"quantized": True, "priority": "quality"}, "optimizer", "adamw_torch_fused"),
        ({"method": "full"}, "optimizer", "adamw_torch_fused"),
    ],
)
def test_advice_follows_method_goal_model_and_data(
    catalog: Catalog, facts: dict[str, Fact], key: str, value: float | str
) -> None:
    """Each case of the data."""
    assert advised(catalog, **facts)[key] == value


def test_alpha_follows_a_rank_of_ones_own(catalog: Catalog) -> None:
    """Half of it."""
    assert advised(catalog, {"lora_r": 128})["lora_alpha"] == 64


@pytest.mark.parametrize("language", list(LANGUAGES))
def test_every_rule_has_its_reason_and_every_bound_its_finding(catalog: Catalog, language: str) -> None:
    """In both languages, with a source."""
    known = texts(language)
    for knob in catalog.advisor.knobs.values():
        for rule in knob.rules:
            assert f"advice.{knob.key}.{rule.id}" in known
            assert rule.source == "guide" or rule.source.startswith("https://")
            for side in ("high", "low") if rule.least is not None else ():
                assert f"finding.advice_{knob.key}_{side}" in known


@pytest.mark.parametrize(
    ("own", "codes"),
    [
        ({}, []),
        ({"learning_rate": 0.0002, "lora_r": 64, "lora_alpha": 128}, []),
        ({"learning_rate": 0.01}, ["advice_learning_rate_high"]),
        ({"learning_rate": 0.000001}, ["advice_learning_rate_low"]),
        ({"lora_r": 1024}, ["advice_lora_r_high"]),
        ({"lora_r": 64, "lora_alpha": 8}, ["advice_lora_alpha_low"]),
        ({"lora_alpha": 512}, ["advice_lora_alpha_high"]),
        ({"micro_batch_size": 64, "gradient_accumulation_steps": 64}, ["advice_effective_batch_high"]),
        ({"micro_batch_size": 4096}, []),
        ({"num_epochs": 30}, ["advice_num_epochs_high"]),
        ({"lora_dropout": 0.5}, ["advice_lora_dropout_high"]),
        ({"optimizer": "sgd"}, []),
    ],
)
def test_what_is_beyond_the_usual_is_a_finding(catalog: Catalog, own: dict[str, Any], codes: list[str]) -> None:
    """A person's value is only spoken about."""
    advisor = catalog.advisor
    advice = advisor.advise(tuple(advisor.knobs), KNOWN.get, own)
    assert [finding.code for finding in conflicts(advice, own)] == codes


def test_a_rule_advises_within_its_own_bounds() -> None:
    """Anything else is a slip in the data."""
    for bounds in ({"least": 2.0, "most": 3.0}, {"least": 0.0, "most": 0.5}, {"least": 0.0}):
        with pytest.raises(ValueError, match="rule x"):
            Rule(id="x", value=1.0, source="guide", **bounds)
