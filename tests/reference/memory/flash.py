"""Stand-ins for the attention kernels: what they save, and what their backward allocates.

FlashAttention-2 (``flash_attn_interface.py``, ``csrc/flash_attn/flash_api.cpp`` ``mha_varlen_bwd``; PyTorch's own flash kernel is the same
code): saves q, k, v, out, log-sum-exp (fp32, heads x tokens) and the random state; the backward allocates dq, dk, dv, ``softmax_d`` and
``dq_accum`` in fp32 (tokens + 128 a sequence, head_dim rounded up to 32, or 64 above 128), and with grouped queries
expanded dk and dv that are summed afterwards. PyTorch's memory-efficient kernel (``attention_backward.cu``) serves SDPA with a mask.
"""

from __future__ import annotations

import torch


def _round(value: int, to: int) -> int:
    return -(-value // to) * to


class FlashAttention(torch.autograd.Function):
    """q, k, v of shape [batch, tokens, heads, head_dim]; `packed` is the number of documents in a varlen call, None for a dense one."""

    @staticmethod
    def forward(ctx, q, k, v, packed):
        q, k, v = (t if t.stride(-1) == 1 else t.contiguous() for t in (q, k, v))
        batch, tokens, heads, dim = q.shape
        out = torch.empty((batch, tokens, heads, v.shape[-1]), dtype=q.dtype)
        lse = torch.empty((batch, heads, tokens), dtype=torch.float32)
        rng = torch.empty((2,), dtype=torch.int64)
        ctx.save_for_backward(q, k, v, out, lse, rng)
        ctx.packed = packed
        return out

    @staticmethod
    def backward(ctx, grad):
        q, k, v, out, lse, rng = ctx.saved_tensors
        grad = grad if grad.stride(-1) == 1 else grad.contiguous()
        batch, tokens, heads, dim = q.shape
        dq, dk, dv = (torch.empty(t.shape, dtype=t.dtype) for t in (q, k, v))
        rounded_dim = _round(dim, 32 if dim <= 128 else 64)
        rows = batch * tokens + 128 * ctx.packed if ctx.packed else batch * _round(tokens, 128)
        softmax_d = torch.empty((heads, rows), dtype=torch.float32)
        accumulator = torch.empty((rows, heads, rounded_dim), dtype=torch.float32)
        if k.shape[2] != heads:
            wide_k = torch.empty((batch, tokens, heads, dim), dtype=q.dtype)
            wide_v = torch.empty((batch, tokens, heads, v.shape[-1]), dtype=q.dtype)
            del wide_k, wide_v
        del softmax_d, accumulator
        return dq, dk, dv, None


class FlexAttention(torch.autograd.Function):
    """The compiled kernel (``torch/_inductor/kernel/flex``): saves q, k, v, out and a log-sum-exp; its backward makes the three gradients
    and a delta a row, keys' and values' of grouped queries at their own width."""

    @staticmethod
    def forward(ctx, q, k, v):
        batch, tokens, heads, dim = q.shape
        out = torch.empty((batch, tokens, heads, v.shape[-1]), dtype=q.dtype)
        ctx.save_for_backward(q, k, v, out, torch.empty((batch, heads, tokens), dtype=torch.float32))
        return out

    @staticmethod
    def backward(ctx, grad):
        q, k, v, out, sums = ctx.saved_tensors
        delta = torch.empty(sums.shape, dtype=torch.float32)
        grads = [torch.empty(t.shape, dtype=t.dtype) for t in (q, k, v)]
        del delta
        return tuple(grads)


def flex_attention(module, query, key, value, attention_mask, **kwargs):
    """``flex_attention_forward`` of Transformers; autocast's cast first."""
    if torch.is_autocast_enabled("cpu"):
        query, key, value = (t.to(torch.get_autocast_dtype("cpu")) for t in (query, key, value))
    return FlexAttention.apply(*(t.transpose(1, 2) for t in (query, key, value))), None


class EfficientAttention(torch.autograd.Function):
    """SDPA with a mask: [batch, heads, tokens, head_dim], equal head counts, an additive bias of the query's dtype that is saved."""

    @staticmethod
    def forward(ctx, q, k, v, bias):
        batch, heads, tokens, dim = q.shape
        out = torch.empty((batch, tokens, heads, v.shape[-1]), dtype=q.dtype).transpose(1, 2)
        lse = torch.empty((batch, heads, _round(tokens, 32)), dtype=torch.float32)
        ctx.save_for_backward(q, k, v, bias, out, lse)
        return out

    @staticmethod
    def backward(ctx, grad):
        q, k, v, bias, out, lse = ctx.saved_tensors
        batch, heads, tokens, dim = q.shape
        dq, dk, dv = (
            torch.empty((batch, t.shape[2], heads, t.shape[3]), dtype=t.dtype).transpose(1, 2) for t in (q, k, v)
        )
        delta = torch.empty((batch, heads, tokens), dtype=torch.float32)
        workspace = torch.empty((batch, heads, _round(tokens, 128), _round(dim, 32)), dtype=torch.float32)
        del delta, workspace
        return dq, dk, dv, None


def sdpa(query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, enable_gqa=False):
    """``F.scaled_dot_product_attention`` with the kernel CUDA would choose; autocast's cast first."""
    if torch.is_autocast_enabled("cpu"):
        dtype = torch.get_autocast_dtype("cpu")
        query, key, value = (t.to(dtype) for t in (query, key, value))
        if attn_mask is not None and attn_mask.is_floating_point():
            attn_mask = attn_mask.to(dtype)
    if attn_mask is None and query.shape[-1] <= 256:
        query, key, value = (t.transpose(1, 2) for t in (query, key, value))
        return FlashAttention.apply(query, key, value, None).transpose(1, 2)
    if attn_mask is None:
        attn_mask = torch.empty((1, 1, query.shape[2], key.shape[2]), dtype=torch.bool)
    if attn_mask.dtype == torch.bool:  # SDPA turns a boolean mask into an additive one at every call
        attn_mask = torch.empty(attn_mask.shape, dtype=query.dtype)
    if enable_gqa and key.shape[1] != query.shape[1]:
        key, value = (t.repeat_interleave(query.shape[1] // key.shape[1], dim=1) for t in (key, value))
    return EfficientAttention.apply(query, key, value, attn_mask)


def flash_attention(module, query, key, value, attention_mask, documents=1, **kwargs):
    """``flash_attention_forward`` of Transformers: [batch, heads, tokens, dim] in, [batch, tokens, heads, dim] out."""
    query, key, value = (t.transpose(1, 2) for t in (query, key, value))
    if query.dtype == torch.float32:
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else torch.bfloat16
        query, key, value = (t.to(dtype) for t in (query, key, value))
    return FlashAttention.apply(query, key, value, flash_attention.documents), None


flash_attention.documents = None


def sdpa_varlen(module, query, key, value, attention_mask, dropout=0.0, scaling=None, **kwargs):
    """Axolotl's ``monkeypatch/attention/sdpa_varlen.py``: packed rows under sdpa; repeats grouped keys and values, then copies."""
    batch, heads, tokens, dim = query.shape
    if key.shape[1] != heads:
        key, value = (t.repeat_interleave(heads // key.shape[1], dim=1) for t in (key, value))
    if torch.is_autocast_enabled("cpu"):
        query, key, value = (t.to(torch.get_autocast_dtype("cpu")) for t in (query, key, value))
    query, key, value = (t.transpose(1, 2).reshape(1, batch * tokens, heads, t.shape[-1]) for t in (query, key, value))
    out = FlashAttention.apply(query, key, value, flash_attention.documents or batch)
    return out.reshape(batch, tokens, heads, -1), None


def no_mask(*args, **kwargs):
    """Mask builder of the varlen backends: nothing is materialised."""
    return None


def install() -> None:
    """Register the kernels with Transformers and replace ``F.scaled_dot_product_attention``. Once a process."""
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    torch.nn.functional.scaled_dot_product_attention = sdpa
    for name, function in {
        "simulated_flash": flash_attention,
        "simulated_varlen": sdpa_varlen,
        "simulated_flex": flex_attention,
    }.items():
        ALL_ATTENTION_FUNCTIONS.register(name, function)
        ALL_MASK_ATTENTION_FUNCTIONS.register(name, no_mask)
