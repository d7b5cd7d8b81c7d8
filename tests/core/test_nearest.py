"""The nearest right thing to what was typed."""

import pytest

from app.core.nearest import LONGEST, nearest

KEYS = ("adapter", "lora_r", "lora_alpha", "qat", "trl", "rl", "learning_rate")


@pytest.mark.parametrize(
    ("given", "found"),
    [("lora_rr", "lora_r"), ("ADAPTOR", "adapter"), ("learning-rate", "learning_rate"), ("tr", "trl"), ("r1", None)],
)
def test_what_looks_alike_is_found(given: str, found: str | None) -> None:
    """Whatever its case."""
    assert nearest(given, KEYS, count=1) == ((found,) if found else ())


@pytest.mark.parametrize("given", ["a", "x", "on", "zz", ""])
def test_a_letter_or_two_mean_nothing_by_themselves(given: str) -> None:
    """They are in half of all names."""
    assert nearest(given, KEYS) == ()


def test_only_the_beginning_of_a_long_text_is_compared() -> None:
    """The comparison's time grows with the square of its length."""
    assert nearest("lora_r" + "x" * 10 * LONGEST, KEYS) == nearest("lora_r" + "x" * LONGEST, KEYS) == ()
