"""The nearest right thing to what was typed."""

from difflib import get_close_matches

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.core.nearest import LONGEST, akin, closest, nearest

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


@pytest.mark.parametrize(
    ("given", "other", "is_akin"),
    [
        ("lora_rr", "lora_r", True),
        ("warmup", "warmup_steps", True),
        ("overwrite_output_dir", "output_dir", True),
        ("report_to", "eot_tokens", False),
        ("prompt_field", "logprobs_field", False),
        ("gptq_use_triton", "use_trackio", False),
        ("fix_tokenizer", "tokenizer_type", False),
        ("a_b_c_d_e_f_g_h", "a", False),
    ],
)
def test_a_name_that_only_shares_letters_is_not_mentioned(given: str, other: str, is_akin: bool) -> None:
    assert akin(given, other) is is_akin


WORDS = st.text("abl_ro", max_size=9)


@given(typed=WORDS, names=st.lists(WORDS, max_size=12, unique=True), count=st.integers(1, 4))
@example(typed="lora", names=["loar", "orla", "rola"], count=1)
def test_the_closest_are_those_of_comparing_all(typed: str, names: list[str], count: int) -> None:
    assert closest(typed, names, count, 0.5) == get_close_matches(typed, names, n=count, cutoff=0.5)
