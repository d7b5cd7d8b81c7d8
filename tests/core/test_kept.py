"""What is kept for architectures, and that it is bounded."""

import gc
from functools import partial
from itertools import count
from weakref import ref

import pytest

from app.core import kept as module
from app.core.architectures import describe
from app.core.kept import kept

SHAPE = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "vocab_size": 99,
}


def test_made_once_for_each_key_and_architecture() -> None:
    """Equal descriptions are told apart."""
    one, other = describe({"model_type": "llama"} | SHAPE), describe({"model_type": "llama"} | SHAPE)
    numbers = count(1)
    found = [kept(architecture, "key", lambda: next(numbers)) for architecture in (one, one, other)]
    assert found == [1, 1, 2]


def test_what_was_asked_for_longest_ago_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many keys are asked for, no more stay than the bound."""
    monkeypatch.setattr(module, "MOST", 10)
    monkeypatch.setattr(module, "_ENTRIES", type(module._ENTRIES)())
    architecture = describe({"model_type": "llama"} | SHAPE)
    for number in range(100):
        kept(architecture, number, partial(int, number + 1))
        kept(architecture, 0, lambda: -1)
    assert len(module._ENTRIES) == 10
    assert kept(architecture, 0, lambda: -1) == 1


def test_no_architecture_is_kept_alive() -> None:
    """A model that a request brought goes with it."""
    architecture = describe({"model_type": "llama"} | SHAPE)
    kept(architecture, "key", lambda: 1)
    gone = ref(architecture)
    del architecture
    gc.collect()
    assert gone() is None


class _Interrupted:
    """A key in whose hash, as in any that is written in Python, another thread may take over.

    The fourth time, when what was found is put at the end, that thread has put all away.
    """

    def __init__(self) -> None:
        self.times = 0

    def __hash__(self) -> int:
        self.times += 1
        if self.times == 4:
            module._ENTRIES.clear()
        return 1


def test_another_thread_may_put_away_what_was_just_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ENTRIES", type(module._ENTRIES)())
    architecture, key = describe({"model_type": "llama"} | SHAPE), _Interrupted()
    assert [kept(architecture, key, lambda: 7) for _ in range(2)] == [7, 7]
    assert key.times == 4
