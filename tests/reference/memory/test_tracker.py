"""The tracker of storages against what can be counted by hand.

Needs the recorded stack (see README.md); without it the module is skipped.
"""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
for package in ("transformers", "peft", "accelerate", "axolotl"):
    pytest.importorskip(package)

from tests.reference.memory.small_llama import KIB, tracked  # noqa: E402
from tests.reference.memory.tracker import rounded  # noqa: E402

tracker = pytest.fixture(tracked)


@pytest.mark.parametrize(("nbytes", "held"), [(0, 0), (1, 512), (512, 512), (513, 1024), (10**6, 1000448)])
def test_rounding(nbytes, held):
    assert rounded(nbytes) == held


def test_views_are_free_and_death_is_noticed(tracker):
    a = torch.empty(1024)
    assert tracker.now == 4 * KIB
    b = a.view(32, 32).t()[:, 1:]
    assert tracker.now == 4 * KIB
    c = a + 1
    assert tracker.now == 8 * KIB
    del a
    assert tracker.now == 8 * KIB  # the view keeps it
    del b
    assert tracker.now == 4 * KIB
    del c
    assert tracker.now == 0 and tracker.peak == 8 * KIB
    assert not tracker.live


def test_in_place_adds_nothing(tracker):
    a = torch.zeros(1024)
    a.add_(1).mul_(2)
    assert tracker.peak == 4 * KIB


def test_reset_peak(tracker):
    a = torch.zeros(2048)
    del a
    tracker.reset_peak()
    assert tracker.peak == 0
    held = torch.zeros(1024)
    assert tracker.by_category() == {"load": held.numel() * 4}
