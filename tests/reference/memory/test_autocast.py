"""Autocast's copies and the types that it chooses, against what can be computed by hand.

Needs the recorded stack (see README.md); without it the module is skipped.
"""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
for package in ("transformers", "peft", "accelerate", "axolotl"):
    pytest.importorskip(package)

from torch import nn  # noqa: E402

from tests.reference.memory import autocast  # noqa: E402
from tests.reference.memory.small_llama import tracked  # noqa: E402

tracker = pytest.fixture(tracked)


def test_autocast_keeps_one_copy_of_a_trained_weight(tracker):
    w = nn.Parameter(torch.empty(256, 256))
    x = torch.empty(256, 256, dtype=torch.bfloat16)
    with autocast.cuda_autocast():
        start = tracker.now
        held = [nn.functional.linear(x, w) for _ in range(2)]
        assert tracker.now - start == 3 * 256 * 256 * 2
        assert held[0].dtype == torch.bfloat16
        assert nn.functional.layer_norm(x, [256]).dtype == torch.float32
        assert torch.is_autocast_enabled()
    del held
    assert tracker.now == start


def test_dropout_saves_one_byte_an_element(tracker):
    autocast.install()
    x = torch.empty(1024, 1024, dtype=torch.bfloat16, requires_grad=True)
    start = tracker.now
    y = nn.functional.dropout(x, 0.05)
    assert tracker.now - start == 1024 * 1024 * 3
    assert y.dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("dtype", "forward", "backward"), [(torch.float16, 4, 4 + 2), (torch.bfloat16, 8, 8), (torch.float32, 4, 8)]
)
def test_softmax_in_float32(tracker, dtype, forward, backward):
    """Bytes a value. fp16 goes into the kernel as it is; bf16 is converted first, and its gradient is made in fp32 and cast at the end.

    Backward: the gradient beside the product that CUDA makes first.
    """
    autocast.install()
    x = torch.empty(8, 256, 256, dtype=dtype, requires_grad=True)
    start, pairs = tracker.now, 8 * 256 * 256
    tracker.reset_peak()
    out = torch.nn.functional.softmax(x, dim=-1, dtype=torch.float32)
    assert tracker.now - start == pairs * 4
    assert tracker.peak - start == pairs * forward
    grad = torch.empty_like(out)
    start = tracker.now
    tracker.reset_peak()
    out.backward(grad)
    assert tracker.peak - start == pairs * backward
