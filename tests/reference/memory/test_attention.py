"""Attention behind each kernel against what can be computed by hand.

Needs the recorded stack (see README.md); without it the module is skipped.
"""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
for package in ("transformers", "peft", "accelerate", "axolotl"):
    pytest.importorskip(package)

from tests.reference.memory import flash  # noqa: E402
from tests.reference.memory.small_llama import KIB, SEVEN, run, tracked  # noqa: E402
from tests.reference.memory.tracker import rounded  # noqa: E402

tracker = pytest.fixture(tracked)


def test_flash_attention(tracker):
    """Forward: out and fp32 log-sum-exp; backward: three gradients, fp32 accumulator, softmax_d, expanded dk and dv."""
    q = torch.empty(1, 256, 8, 64, dtype=torch.bfloat16, requires_grad=True)
    k = torch.empty(1, 256, 2, 64, dtype=torch.bfloat16, requires_grad=True)
    v = torch.empty(1, 256, 2, 64, dtype=torch.bfloat16, requires_grad=True)
    start = tracker.now
    out = flash.FlashAttention.apply(q, k, v, None)
    size = 256 * 8 * 64
    assert tracker.now - start == size * 2 + 8 * 256 * 4 + 512
    grad = torch.empty_like(out)
    start = tracker.now
    tracker.reset_peak()
    out.backward(grad)
    assert tracker.peak - start == size * 2 + 2 * size // 4 * 2 + 8 * 256 * 4 + size * 4 + 2 * size * 2


def test_flash_attention_of_padded_rows(tracker):
    """Two rows of 256, one token of which is padding: copies of the others are saved and their output, beside the one put back in place.

    Backward: that output's gradient without padding, three gradients, and the kernel's own buffers with 128 rows more for each sequence.
    """
    q, k, v = (torch.empty(2, n, 256, 64, dtype=torch.bfloat16, requires_grad=True) for n in (8, 2, 2))
    mask = torch.empty((2, 256), dtype=torch.bool)
    start = tracker.now
    out, _ = flash.flash_attention(None, q, k, v, mask)
    tokens, one = 2 * 256, 64 * 2
    wide, narrow = rounded((tokens - 1) * 8 * one), rounded((tokens - 1) * 2 * one)
    small = (
        rounded(8 * (tokens - 1) * 4) + rounded(8 * (tokens - 1)) + 512
    )  # log-sums, where the tokens stand, a state of chance
    assert out.shape == (2, 256, 8, 64)
    assert tracker.now - start == 2 * wide + 2 * narrow + small + tokens * 8 * one
    grad = torch.empty_like(out)
    start = tracker.now
    tracker.reset_peak()
    out.backward(grad)
    rows = tokens - 1 + 2 * 128
    kernel = rounded(8 * rows * 4) + rows * 8 * 64 * 4 + 2 * wide
    assert tracker.peak - start == wide + wide + 2 * narrow + kernel


def test_whole_rows_are_left_where_they_are():
    """The mask of ones that comes with every batch asks for nothing."""
    made = [flash.flash_mask(attention_mask=torch.ones(2, 8))]
    flash.flash_attention.padded = True
    made.append(flash.flash_mask(attention_mask=torch.ones(2, 8)))
    flash.flash_attention.padded = False
    assert made[0] is None
    assert made[1].shape == (2, 8)


@pytest.mark.parametrize("padded", [False, True])
def test_padding_makes_a_mask_under_sdpa(padded):
    """A byte a pair of tokens, kept by a checkpoint; where a layer runs, two more in the queries' type, and keys and values widened."""
    cfg = {"attn_implementation": "sdpa", "cut_cross_entropy": True, "optimizer": "sgd", "gradient_checkpointing": True}
    live = run(rows=(2, 2048), padded=padded, **cfg)["live_at_peak"]
    pairs, tokens = 2 * 2048 * 2048, 2 * 2048
    out = 2 * 512 * tokens
    assert sum(size for key, size in live.items() if "bool" in key) == padded * pairs
    assert live["backward: empty.memory_format bfloat16"] == out + padded * 2 * pairs
    assert live.get("backward: clone bfloat16", 0) == padded * 2 * out


def attention(dtype, *, heads=8, groups=4, value=64, tokens=256, mask=None):
    """What SDPA keeps of q, k and v that are there, and the largest of its forward."""
    q, k = (torch.empty(1, n, tokens, 64, dtype=dtype, requires_grad=True) for n in (heads, groups))
    v = torch.empty(1, groups, tokens, value, dtype=dtype, requires_grad=True)
    return flash.sdpa(q, k, v, attn_mask=mask, is_causal=mask is None, enable_gqa=heads != groups)


def test_keys_widened_for_a_mask(tracker):
    """The additive mask of every pair of tokens and row is saved, in the queries' type; the mask that was given is not."""
    start = tracker.now
    mask = torch.empty((1, 1, 256, 256), dtype=torch.bool)
    out = attention(torch.bfloat16, groups=8, mask=mask)
    assert tracker.now - start == 256 * 256 + 2 * 256 * 256 + 2 * 8 * 256 * 64 * 4 + 4 * 8 * 256
    del out


def test_grouped_keys_in_fp32_have_pytorchs_mathematics_alone(tracker):
    """An H100 kept the softmax of all scores, queries and keys scaled, and the values repeated."""
    start = tracker.now
    out = attention(torch.float32)
    given = 4 * 256 * 64 * (8 + 2 * 4)
    kept = 4 * 8 * 256 * 256 + 3 * 4 * 8 * 256 * 64
    assert tracker.now - start - given - 4 * 8 * 256 * 64 == kept
    del out


@pytest.mark.parametrize(("groups", "value"), [(8, 64), (8, 32)])
def test_the_memory_efficient_kernel_takes_the_rest_without_a_mask(tracker, groups, value):
    """fp32, and values of another width than keys: nothing quadratic."""
    dtype = torch.float32 if value == 64 else torch.bfloat16
    start = tracker.now
    out = attention(dtype, groups=groups, value=value)
    size = dtype.itemsize * 256 * 8
    assert tracker.now - start - size * (2 * 64 + value) == size * value + 4 * 8 * 256  # the output, a log-sum-exp
    del out


@pytest.mark.parametrize(("documents", "repeated"), [(1, False), (4, True)])
def test_packed_sdpa_repeats_keys_where_a_row_holds_several_documents(documents, repeated):
    """Axolotl's own function: a row of one document takes Transformers' path, which keeps keys grouped."""
    given = {
        "adapter": "lora",
        "lora_r": 8,
        "lora_target_modules": SEVEN,
        "attn_implementation": "sdpa",
        "cut_cross_entropy": True,
    }
    packed = run(sample_packing=True, documents=documents, **given)["allocated_peak_bytes"]
    plain = run(**given)["allocated_peak_bytes"]
    tables = 2 * 1024 * (packed != plain)  # positions come with a packed batch
    assert abs(packed - plain - repeated * 2 * (2 * 2 * 256 * 256)) <= 4 * KIB + tables


def test_packed_sdpa_in_full_tuning_makes_a_mask_of_documents():
    """Norms in fp32 leave queries in fp32, which the variable-length kernel does not take: Axolotl falls back at every layer."""
    given = {"attn_implementation": "sdpa", "optimizer": "sgd"}
    packed, plain = (
        run(rows=(1, 2048), **given, **more)["allocated_peak_bytes"] for more in ({"sample_packing": True}, {})
    )
    assert packed - plain > 2 * 2 * 2048 * 2048  # two layers' additive masks
