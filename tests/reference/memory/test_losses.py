"""Losses against what can be computed by hand.

Needs the recorded stack (see README.md); without it the module is skipped.
"""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
for package in ("transformers", "peft", "accelerate", "axolotl"):
    pytest.importorskip(package)

from tests.reference.memory import losses  # noqa: E402
from tests.reference.memory.small_llama import KIB, tracked  # noqa: E402

tracker = pytest.fixture(tracked)


def test_cross_entropy(tracker):
    """bf16 logits -> fp32 -> log-softmax; backward: log-softmax, its gradient, and the logits' gradient at once: 12 bytes a logit."""
    from transformers.loss.loss_utils import ForCausalLMLoss

    tokens, words = 128, 1000
    logits = torch.empty(1, tokens, words, dtype=torch.bfloat16, requires_grad=True)
    labels = torch.zeros(1, tokens, dtype=torch.int64)
    start = tracker.now
    loss = ForCausalLMLoss(logits, labels, words)
    unit = tokens * words
    small = 16 * KIB
    assert 8 * unit <= tracker.peak - start <= 8 * unit + small
    assert 4 * unit <= tracker.now - start <= 4 * unit + small
    tracker.reset_peak()
    loss.backward()
    assert 12 * unit <= tracker.peak - start <= 12 * unit + small


def test_chunked_loss_never_upcasts_the_logits(tracker):
    tokens, words = 128, 1000
    logits = torch.empty(1, tokens, words, dtype=torch.bfloat16, requires_grad=True)
    labels = torch.zeros(1, tokens, dtype=torch.int64)
    start = tracker.now
    loss = losses.chunked_loss(8)(logits, labels)
    assert tracker.peak - start < 2 * tokens * words * 0.1
    loss.backward()
    assert (
        4 * tokens * words <= tracker.peak - start <= 4.2 * tokens * words
    )  # the chunks' gradients, and their concatenation


def test_cut_cross_entropy_gradients(tracker):
    hidden = torch.empty(1, 512, 256, dtype=torch.bfloat16, requires_grad=True)
    frozen = torch.empty(8192, 256, dtype=torch.bfloat16)
    labels = torch.zeros(1, 512, dtype=torch.int64)
    start = tracker.now
    losses.cut_cross_entropy(hidden, frozen, labels, 1).backward()
    assert tracker.peak - start < 512 * 256 * 2 + 8192 * 40  # dE and statistics of words, no logits (8 MiB)
    assert hidden.grad is not None and frozen.grad is None


def test_liger_chunks(tracker):
    """V/H = 32: 512 tokens in chunks of 16; a chunk's logits are 256 KiB, all of them 8 MiB."""
    hidden = torch.empty(512, 256, dtype=torch.bfloat16, requires_grad=True)
    weight = torch.empty(8192, 256, dtype=torch.bfloat16)
    start = tracker.now
    loss = losses.liger_loss(hidden.view(1, 512, 256), weight, torch.zeros(1, 512, dtype=torch.int64), 1)
    assert 512 * 256 * 2 + 16 * 8192 * 2 <= tracker.peak - start <= 512 * 256 * 2 + 2 * 16 * 8192 * 2 + 64 * KIB
    assert tracker.now - start <= 512 * 256 * 2 + 16 * KIB
    loss.backward()
    assert hidden.grad is not None
