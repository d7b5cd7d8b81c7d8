"""Optimizers' states and what a step makes, against what can be computed by hand.

Needs the recorded stack (see README.md); without it the module is skipped.
"""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
for package in ("transformers", "peft", "accelerate", "axolotl"):
    pytest.importorskip(package)

from torch import nn  # noqa: E402

from tests.reference.memory.optimizers import Optimizer  # noqa: E402
from tests.reference.memory.small_llama import tracked  # noqa: E402
from tests.reference.memory.tracker import rounded  # noqa: E402

tracker = pytest.fixture(tracked)


def test_two_linears_adamw(tracker):
    """Weights, gradients, two states; the step's temporary is one more second moment; the activations are gone by then."""
    n = 256
    one, two = nn.Linear(n, n, bias=False), nn.Linear(n, n, bias=False)
    weights = 2 * n * n * 4
    assert tracker.now == weights
    optimizer = Optimizer("adamw_torch", [[one.weight, two.weight]], set())
    assert tracker.now == 3 * weights
    x = torch.empty(64, n)
    tracker.phase = "forward"
    loss = two(one(x)).sum()
    activations = 64 * n * 4
    # x, and the input of the second layer; its own output is not saved by sum()
    assert tracker.now == 3 * weights + 2 * activations + 512
    tracker.phase = "backward"
    loss.backward()
    del loss, x
    assert tracker.now == 4 * weights
    tracker.reset_peak()
    tracker.phase = "optimizer"
    with torch.no_grad():
        optimizer.step()
    assert tracker.peak == 5 * weights and tracker.peak_phase == "optimizer"


@pytest.mark.parametrize(
    ("name", "extra"), [("adamw_torch", 1), ("adamw_torch_fused", 0), ("sgd", 0), ("adagrad", 2), ("adamw_8bit", 0)]
)
def test_step_temporaries(tracker, name, extra):
    p = nn.Parameter(torch.empty(512, 512))
    p.grad = torch.empty(512, 512)
    optimizer = Optimizer(name, [[p]], set())
    before = tracker.now
    with torch.no_grad():
        optimizer.step()
    assert tracker.peak == before + extra * 512 * 512 * 4


def test_states_of_8bit_adamw(tracker):
    """One byte a state and fp32 absmax per 256; small tensors and embeddings in fp32; two code books of 256 floats."""
    large, small, table = (nn.Parameter(torch.empty(s)) for s in ((64, 128), (63, 65), (128, 64)))
    before = tracker.now
    Optimizer("adamw_8bit", [[large, small, table]], {id(table)}).states.clear()
    kept = Optimizer("adamw_8bit", [[large, small, table]], {id(table)})
    expected = 2 * 1024 + 2 * (8192 + 512) + 2 * rounded(63 * 65 * 4) + 2 * 8192 * 4
    assert tracker.now - before == expected
    assert kept.host_bytes == 0


def test_paged_states_leave_the_device(tracker):
    large, small = nn.Parameter(torch.empty(400, 256)), nn.Parameter(torch.empty(64, 128))
    before = tracker.now
    optimizer = Optimizer("paged_adamw_32bit", [[large, small]], set())
    assert optimizer.host_bytes == 2 * 400 * 256 * 4
    assert tracker.now - before == 2 * 8192 * 4


def test_unknown_optimizer():
    with pytest.raises(NotImplementedError):
        Optimizer("imaginary", [], set())
