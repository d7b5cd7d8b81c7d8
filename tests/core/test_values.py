"""Values of a configuration as they are given, and those that cannot be."""

from typing import Any

import pytest

from app.core.axolotl.run_reader import read_run
from app.core.errors import InvalidInput
from app.core.values import MOST_STEPS, WHOLE, Values, limit_of_steps


@pytest.mark.parametrize(("given", "read"), [(8, 8), (8.0, 8), ("8", 8), (" +8 ", 8), ("٨", 8)])
def test_a_whole_number_may_be_text(given: Any, read: int) -> None:
    values = Values({"lora_r": given})
    assert (values.whole("lora_r", 16), values.errors) == (read, [])


@pytest.mark.parametrize("given", ["---6", "+-6", "²", "8.5", "8 8", "", "9" * 5000, True, 8.5, float("inf"), [8]])
def test_what_is_no_whole_number_is_a_fault(given: Any) -> None:
    values = Values({"lora_r": given})
    assert values.whole("lora_r", 16) == 16
    assert [(fault.pointer, fault.message.code) for fault in values.errors] == [
        ("/config/lora_r", "error.config.integer")
    ]
    assert values.errors[0].message.params["most"] == WHOLE["lora_r"][-1]


@pytest.mark.parametrize("given", ["two", True, [], 10**400, float("nan"), float("inf"), "inf", -1])
def test_what_is_no_number_within_bounds_is_a_fault(given: Any) -> None:
    values = Values({"learning_rate": given})
    assert values.number("learning_rate", 0.5, 0.0, 1.0) == 0.5
    assert len(values.errors) == 1


@pytest.mark.parametrize(("given", "limit"), [(10, 10), ("10", 10), (0, None), (-1, None), (None, None)])
def test_steps_are_limited_by_a_number_above_nothing(given: Any, limit: int | None) -> None:
    assert limit_of_steps({"max_steps": given}) == limit


@pytest.mark.parametrize("given", [10**400, MOST_STEPS + 1, -MOST_STEPS - 1, "many"])
def test_no_run_takes_that_many_steps(given: Any) -> None:
    """Which would be no number of seconds either."""
    with pytest.raises(InvalidInput) as refused:
        read_run({"max_steps": given})
    assert [fault.pointer for fault in refused.value.errors] == ["/config/max_steps"]
