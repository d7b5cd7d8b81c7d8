"""Settings that only have to be right: each is checked under its own name, for each method that has it."""

import pytest

from app.core.errors import InvalidInput
from app.core.methods.reading import read_method
from app.core.methods.settings import PeftType

LYCORIS = (PeftType.LOHA, PeftType.LOKR)


@pytest.mark.parametrize("adapter", LYCORIS)
@pytest.mark.parametrize("key", ["rank_dropout", "module_dropout"])
@pytest.mark.parametrize("value", [-0.1, 1, 1.5, "often", True])
def test_a_share_that_is_dropped_lies_below_one(adapter: PeftType, key: str, value: object) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_method(adapter, {"r": 8, "target_modules": ["q_proj"], key: value})
    assert [error.pointer.rpartition("/")[2] for error in caught.value.errors] == [key]
    read_method(adapter, {"r": 8, "target_modules": ["q_proj"], key: 0.5})
