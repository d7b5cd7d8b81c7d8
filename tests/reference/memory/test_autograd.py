"""What PyTorch's engine holds, against what can be computed by hand.

Needs the recorded stack (see README.md); without it the module is skipped.
"""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
for package in ("transformers", "peft", "accelerate", "axolotl"):
    pytest.importorskip(package)

from torch import nn  # noqa: E402

from tests.reference.memory.small_llama import tracked  # noqa: E402

tracker = pytest.fixture(tracked)


def test_checkpointed_mlp(tracker):
    """Without: gate, up, silu, product and x are saved. With: x alone, until the backward recomputes."""
    from torch.utils.checkpoint import checkpoint

    gate, up, down = (nn.Linear(a, b, bias=False) for a, b in ((64, 256), (64, 256), (256, 64)))

    def mlp(x):
        return down(nn.functional.silu(gate(x)) * up(x))

    x = torch.empty(512, 64, requires_grad=True)
    start = tracker.now
    wide, narrow = 512 * 256 * 4, 512 * 64 * 4
    y = mlp(x)
    assert tracker.now - start == 4 * wide + narrow
    del y
    for reentrant in (True, False):
        y = checkpoint(mlp, x, use_reentrant=reentrant, preserve_rng_state=False)
        assert tracker.now - start == narrow
        tracker.reset_peak()
        y.sum().backward()
        assert tracker.peak - start >= 4 * wide
        x.grad = None
        del y
        for layer in (gate, up, down):
            layer.weight.grad = None


def test_gradients_meet_in_place(tracker):
    """A residual's two gradients: the second is added into the first unless somebody else holds it."""
    unit = 256 * 256 * 4
    peaks = []
    for kept in (False, True):
        held = []
        x = torch.empty(256, 256, requires_grad=True)
        w = torch.empty(256, 256)
        h = x * 1
        y = h + h @ w
        if kept:
            y.register_hook(held.append)
        z = (y * w).sum()
        start = tracker.now
        tracker.reset_peak()
        z.backward()
        peaks.append((tracker.peak - start) // unit)
        del x, w, h, y, z, held
    assert peaks[1] == peaks[0] + 1


def test_a_gradient_put_into_zeros_is_there_once(tracker):
    """``index_backward`` writes over the zeros that it made, but for tensor subclasses."""
    x = torch.empty(256, 256, requires_grad=True)
    picked = x[torch.empty((128,), dtype=torch.int64)]
    grad = torch.empty_like(picked)
    start = tracker.now
    tracker.reset_peak()
    picked.backward(grad)
    assert tracker.peak - start == 256 * 256 * 4
