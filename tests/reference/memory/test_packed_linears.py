"""Linears in 4 and 8 bits against what can be computed by hand.

Needs the recorded stack (see README.md); without it the module is skipped.
"""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
for package in ("transformers", "peft", "accelerate", "axolotl"):
    pytest.importorskip(package)

from torch import nn  # noqa: E402

from tests.reference.memory import bnb, fused_lora, gptq  # noqa: E402
from tests.reference.memory.small_llama import tracked  # noqa: E402

tracker = pytest.fixture(tracked)


def test_nf4_bytes(tracker):
    """0.5 byte a weight, one per 64, four per 64 x 256, code of 16, offset; the code book of 256 is shared."""
    bnb.install()
    linear = nn.Linear(4096, 4096, bias=False)
    before = tracker.now
    layer = bnb.Linear4bit(linear)
    n = 4096 * 4096
    assert tracker.now - before == n // 2 + n // 64 + n // 64 // 256 * 4 + 512 + 512 + 1024
    second = bnb.Linear4bit(linear)
    assert tracker.now - before == 2 * (n // 2 + n // 64 + n // 64 // 256 * 4 + 1024) + 1024
    assert second.weight.quant_state.state2.code is layer.weight.quant_state.state2.code


def test_matmul_4bit_dequantises_twice_and_saves_nothing(tracker):
    bnb.install()
    layer = bnb.Linear4bit(nn.Linear(1024, 2048, bias=False, dtype=torch.bfloat16))
    x = torch.empty(256, 1024, dtype=torch.bfloat16, requires_grad=True)
    start = tracker.now
    tracker.reset_peak()
    y = layer(x)
    whole, out = 1024 * 2048 * 2, 256 * 2048 * 2
    assert tracker.now - start == out
    assert tracker.peak - start == out + whole
    tracker.reset_peak()
    y.backward(torch.empty_like(y))
    assert tracker.peak - start == out * 2 + whole + 256 * 1024 * 2
    assert x.grad is not None


def test_a_4_bit_weight_is_unpacked_to_what_it_was_made_of(tracker):
    """``bnb_4bit_compute_dtype: float32`` reaches the forward of the linear alone; single statistics are read as they are."""
    made = nn.Linear(512, 1024, bias=False, dtype=torch.bfloat16)
    for nested, statistics in ((True, 4 * 512 * 1024 // 64), (False, 0)):
        linear = bnb.Linear4bit(made, torch.float32, nested)
        start = tracker.now
        tracker.reset_peak()
        weight = fused_lora.dequantize(linear.weight, linear.weight.quant_state)
        assert weight.dtype == torch.bfloat16
        assert tracker.peak - start == 2 * 512 * 1024 + statistics
        del weight


def test_int8_keeps_its_input_as_long_as_its_graph(tracker):
    """``MatMul8bitLt`` sets ``ctx.tensors``: on an H100 the input outlived the backward of the linear that read it."""
    linear = bnb.Linear8bitLt(nn.Linear(512, 1024, bias=False, dtype=torch.bfloat16))
    x = torch.empty(256, 512, dtype=torch.bfloat16, requires_grad=True)
    start, tokens = tracker.now, 256
    tracker.reset_peak()
    out = linear(x * 1)
    assert tracker.now - start == tokens * (2 * 512 + 2 * 1024)
    # the product: int8 rows, int32, fp16 and bf16 results, and the input
    assert tracker.peak - start == tokens * (2 * 512 + 512 + 8 * 1024) + 2 * 512
    kept = out.grad_fn
    out.backward(torch.empty_like(out))
    del out
    assert tracker.now - start == tokens * (2 * 512 + 2 * 512)  # the input, and its gradient
    del kept
    assert tracker.now - start == tokens * 2 * 512


def test_gptq_bytes(tracker):
    """Words, zero points, fp16 scales, a group number a row; one table of shifts under two names; nothing trains."""
    linear = nn.Linear(4096, 1024)
    before = tracker.now
    layer = gptq.GptqLinear(linear, 4, 128)
    words, zeros, scales, rows, bias = 4 * 512 * 1024, 4 * 32 * 128, 2 * 32 * 1024, 4 * 4096, 2 * 1024
    assert tracker.now - before == words + zeros + scales + rows + bias + 512
    assert not list(layer.parameters())


def test_gptq_keeps_the_whole_weight_of_each_product(tracker):
    """Unpacked in fp16, cast to the input's type, and that copy saved; the backward makes no other."""
    layer = gptq.GptqLinear(nn.Linear(1024, 2048, bias=False), 4, 128)
    x = torch.empty(256, 1024, dtype=torch.bfloat16, requires_grad=True)
    start = tracker.now
    tracker.reset_peak()
    y = layer(x)
    whole, out = 1024 * 2048 * 2, 256 * 2048 * 2
    assert tracker.now - start == out + whole
    assert tracker.peak - start == 2 * whole
    tracker.reset_peak()
    y.backward(torch.empty_like(y))
    assert tracker.peak - start == out * 2 + whole + 256 * 1024 * 2
    layer.eval()
    tracker.reset_peak()
    with torch.no_grad():
        layer(x)
    assert tracker.peak - tracker.now <= whole + out
