"""The simulator against cases that can be computed by hand.

Needs the recorded stack (see README.md); without it the module is skipped.
"""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
for package in ("transformers", "peft", "accelerate", "axolotl"):
    pytest.importorskip(package)

from torch import nn  # noqa: E402
from torch._subclasses.fake_tensor import FakeTensorMode  # noqa: E402

from tests.reference.memory import autocast, bnb, flash, fused_lora, gptq, losses  # noqa: E402
from tests.reference.memory.loading import patched  # noqa: E402
from tests.reference.memory.optimizers import Optimizer  # noqa: E402
from tests.reference.memory.preference import simulation  # noqa: E402
from tests.reference.memory.simulator import Simulation  # noqa: E402
from tests.reference.memory.tracker import MemoryTracker, rounded  # noqa: E402

LLAMA = {
    "model_type": "llama", "hidden_size": 512, "intermediate_size": 1024, "num_hidden_layers": 2, "num_attention_heads": 8,
    "num_key_value_heads": 4, "head_dim": 64, "vocab_size": 4096, "max_position_embeddings": 4096, "tie_word_embeddings": False,
}  # fmt: skip
SEVEN = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
FLASH = {"attn_implementation": "flash_attention_2"}
LINEARS = 512 * 512 * 2 + 512 * 256 * 2 + 3 * 512 * 1024  # of one layer
KIB = 1024


def run(model=None, rows=(1, 256), **cfg):
    return Simulation(LLAMA | (model or {}), cfg, rows).run()


@pytest.fixture
def tracker():
    autocast.install()
    tracker = MemoryTracker()
    with patched(), FakeTensorMode(), tracker:
        yield tracker


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


def test_a_gradient_put_into_zeros_is_there_once(tracker):
    """``index_backward`` writes over the zeros that it made, but for tensor subclasses."""
    x = torch.empty(256, 256, requires_grad=True)
    picked = x[torch.empty((128,), dtype=torch.int64)]
    grad = torch.empty_like(picked)
    start = tracker.now
    tracker.reset_peak()
    picked.backward(grad)
    assert tracker.peak - start == 256 * 256 * 4


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


def test_keys_widened_for_a_mask(tracker):
    """The additive mask of every pair of tokens and row is saved, in the queries' type; the mask that was given is not."""
    start = tracker.now
    mask = torch.empty((1, 1, 256, 256), dtype=torch.bool)
    out = attention(torch.bfloat16, groups=8, mask=mask)
    assert tracker.now - start == 256 * 256 + 2 * 256 * 256 + 2 * 8 * 256 * 64 * 4 + 4 * 8 * 256
    del out


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


def attention(dtype, *, heads=8, groups=4, value=64, tokens=256, mask=None):
    """What SDPA keeps of q, k and v that are there, and the largest of its forward."""
    q, k = (torch.empty(1, n, tokens, 64, dtype=dtype, requires_grad=True) for n in (heads, groups))
    v = torch.empty(1, groups, tokens, value, dtype=dtype, requires_grad=True)
    return flash.sdpa(q, k, v, attn_mask=mask, is_causal=mask is None, enable_gqa=heads != groups)


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


def test_static_bytes_of_full_tuning():
    """Weights + two bf16 states + one 512-byte step counter a tensor."""
    record = run(**FLASH)
    parameters = 2 * LINEARS + 2 * 4096 * 512 + 5 * 512
    assert record["parameters"] == {"total": parameters, "trained": parameters}
    tensors = 2 * 9 + 3
    rotary = 2 * 512
    assert record["static_bytes"] == 6 * parameters + 512 * tensors + rotary


def test_static_bytes_with_fp32_embeddings():
    """Under sdpa the norms and embeddings are fp32, and so are their states."""
    record = run()
    assert record["static_bytes"] == 6 * (2 * LINEARS + 2 * 4096 * 512 * 2 + 2 * 5 * 512) + 512 * 21 + 2 * 512


def test_static_bytes_of_lora():
    record = run(adapter="lora", lora_r=8, lora_target_modules=["q_proj"], **FLASH)
    adapter = 2 * 8 * (512 + 512)
    assert record["parameters"]["trained"] == adapter
    base = 2 * (2 * LINEARS + 2 * 4096 * 512 + 5 * 512)
    assert record["static_bytes"] == base + 12 * adapter + 512 * 4 + 2 * 512


def test_gradients_are_there_for_the_second_micro_batch():
    one = run(cut_cross_entropy=True, optimizer="sgd", **FLASH)
    two = run(cut_cross_entropy=True, optimizer="sgd", gradient_accumulation_steps=2, **FLASH)
    assert two["allocated_peak_bytes"] >= one["allocated_peak_bytes"]
    assert two["live_at_peak"]["gradients"] > one["live_at_peak"].get("gradients", 0)


@pytest.mark.parametrize(
    "cfg", [{}, {"adapter": "lora"}, {"adapter": "qlora", "load_in_4bit": True}], ids=["full", "lora", "qlora"]
)
def test_breakdown_sums_to_the_peak(cfg):
    if cfg:
        cfg = cfg | {"lora_r": 8, "lora_target_modules": SEVEN}
    record = run(**cfg, **FLASH)
    assert sum(record["live_at_peak"].values()) == record["allocated_peak_bytes"] == max(record["phase_peaks"].values())


def test_checkpointing_keeps_one_hidden_state_a_layer():
    """What two more layers add to the forward's peak with frozen weights: two bf16 hidden states."""
    cfg = FLASH | {
        "gradient_checkpointing": True,
        "adapter": "lora",
        "lora_r": 8,
        "lora_target_modules": SEVEN,
        "cut_cross_entropy": True,
    }
    peaks = [run({"num_hidden_layers": n}, rows=(1, 4096), **cfg) for n in (4, 6)]
    moving = [p["phase_peaks"]["backward"] - p["static_bytes"] for p in peaks]
    per_layer = 4096 * 512 * 2
    gradients = 4 * 8 * (7 * 512 + 2 * 256 + 3 * 1024 + 2 * 512 - 512)
    assert 2 * per_layer <= moving[1] - moving[0] <= 2 * per_layer + 4 * gradients


def test_fused_kernels_are_axolotls_and_can_be_undone():
    from transformers.models.llama.modeling_llama import LlamaAttention

    fused_lora.restore()
    plain = LlamaAttention.forward
    on = run(adapter="lora", lora_r=8, lora_target_modules=SEVEN, **FLASH)
    assert LlamaAttention.forward is not plain
    off = run(adapter="lora", lora_r=8, lora_target_modules=SEVEN, lora_mlp_kernel=False, **FLASH)
    assert LlamaAttention.forward is plain
    assert on["allocated_peak_bytes"] < off["allocated_peak_bytes"]


def test_a_run_repeats_to_the_byte():
    assert run(**FLASH) == run(**FLASH)


# ---- adapters ---------------------------------------------------------------------------------------------------------------------


def peft_run(adapter, rows=(1, 256), **settings):
    """A method beside LoRA on every linear."""
    cfg = FLASH | {"adapter": adapter, "peft_config": settings | {"target_modules": SEVEN}, "cut_cross_entropy": True}
    return simulation(LLAMA, cfg, rows).run()


def test_an_adapter_makes_the_embeddings_output_a_leaf():
    """Axolotl asks for gradients of the inputs whichever the adapter: the output waits for its own through the backward."""
    result = run(adapter="lora", lora_r=8, lora_target_modules=["q_proj"], cut_cross_entropy=True, **FLASH)
    assert result["phase"] == "backward"
    assert result["live_at_peak"]["forward: embedding bfloat16"] == 256 * 512 * 2
    full = run(cut_cross_entropy=True, **FLASH)
    assert "forward: embedding bfloat16" not in full["live_at_peak"]


@pytest.mark.filterwarnings("ignore:Accessing the data pointer of FakeTensor:UserWarning")
def test_a_copied_module_is_counted_once():
    """``deepcopy`` of a fake tensor makes views with storages of their own; a trained head has none."""
    result = run(adapter="lora", lora_r=8, lora_target_modules=["q_proj"], lora_modules_to_save=["lm_head"], **FLASH)
    assert not any(key.startswith("forward: t ") for key in result["live_at_peak"])
    assert result["live_at_peak"]["adapter"] >= 4096 * 512 * 2


def test_loha_saves_an_update_as_large_as_each_weight():
    """In bf16: seven a layer, the last layer's last with two products beside it; nothing of the like with VeRA."""
    made = (
        peft_run("loha", rows=(1, 8), r=4)["phase_peaks"]["forward"]
        - peft_run("vera", rows=(1, 8), r=4)["phase_peaks"]["forward"]
    )
    assert made > 2 * 2 * LINEARS


def test_adalora_keeps_three_importances_of_each_value():
    """Beside AdamW's two states, in fp32."""
    result = peft_run("adalora", init_r=16, total_step=100)
    trained = result["parameters"]["trained"]
    assert result["live_at_peak"]["optimizer"] == pytest.approx(5 * 4 * trained, rel=0.05)


def test_oft_holds_the_indices_of_its_triangles():
    """Two of 64 bits for each value of a module's first block."""
    weights = (
        peft_run("oft", oft_block_size=64)["live_at_peak"]["weights"] - peft_run("vera", r=1)["live_at_peak"]["weights"]
    )
    assert weights == pytest.approx(2 * 7 * 2 * 8 * 64 * 63 // 2, rel=0.1)


def test_trained_tokens_cost_a_table_and_its_gradient():
    """``index_copy`` copies the embedding, whose gradient is as large."""
    cfg = FLASH | {"adapter": "trainable_tokens", "peft_config": {"token_indices": [0, 1]}, "cut_cross_entropy": True}
    result = simulation(LLAMA | {"vocab_size": 65536}, cfg, (1, 64)).run()
    assert result["live_at_peak"]["backward: embedding_dense_backward bfloat16"] == 65536 * 512 * 2


def test_opt_runs_without_a_mask():
    """It makes one of ones itself, which SDPA does without; none of its layers is dropped."""
    opt = {"model_type": "opt", "vocab_size": 4096, "hidden_size": 256, "num_hidden_layers": 2, "num_attention_heads": 4, "ffn_dim": 512,
           "max_position_embeddings": 512, "word_embed_proj_dim": 256}  # fmt: skip
    result = simulation(opt, {"attn_implementation": "sdpa"}, (2, 256)).run()
    assert not any("bool" in key and "dropout" not in key for key in result["live_at_peak"])


def test_a_tables_name_asks_the_embedding_for_a_gradient():
    """``axolotl/train.py``: all layers keep what it is computed with. The same head by another pattern has nothing below it."""
    named = run(**FLASH, unfrozen_parameters=["^lm_head.weight$"])["phase_peaks"]["backward"]
    alone = run(**FLASH, unfrozen_parameters=["^lm_.+weight$"])["phase_peaks"]["backward"]
    kept = 2 * 256 * 2 * (2 * 1024 + 512)  # of each layer: what is multiplied, and the residual stream, at the least
    assert named - alone > kept
