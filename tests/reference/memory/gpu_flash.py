"""``flash_attn_2_cuda`` over the FlashAttention 2 that PyTorch carries: ``flash_attn``'s own Python then runs without its extension.

PyTorch builds the same kernels from the same ``flash_api.cpp`` (ATen ``native/transformers/cuda/flash_attn``); its operators make the
gradients themselves, where the package's write into tensors that the caller made. Those are emptied first, so that what lives at any
moment is what the package holds. No soft-capping and no ALiBi: PyTorch's operators do not take them.
"""

from __future__ import annotations

import sys
from types import ModuleType

import torch

ATEN = torch.ops.aten


def _windows(left: int, right: int) -> dict[str, int | None]:
    return {"window_size_left": None if left < 0 else left, "window_size_right": None if right < 0 else right}


def _plain(softcap: float, alibi: object) -> None:
    if softcap or alibi is not None:
        raise NotImplementedError("soft-capping or ALiBi in FlashAttention")


def fwd(q, k, v, out, alibi, dropout, scale, causal, left, right, softcap, returns, generator):
    """[batch, tokens, heads, head_dim] each; the output, the log-sums, an empty mask, the state of chance."""
    _plain(softcap, alibi)
    out, lse, rng, _, _ = ATEN._flash_attention_forward(
        q, k, v, None, None, q.shape[1], k.shape[1], dropout, causal, False, scale=scale, **_windows(left, right)
    )
    return out, lse, q.new_empty(0), rng


def varlen_fwd(
    q, k, v, out, cu_q, cu_k, used, leftpad, table, alibi, max_q, max_k, dropout, scale, zero, causal, left, right,
    softcap, returns, generator,
):  # fmt: skip
    """[tokens of all sequences, heads, head_dim] each, and where each sequence begins."""
    _plain(softcap, alibi)
    out, lse, rng, _, _ = ATEN._flash_attention_forward(
        q, k, v, cu_q, cu_k, max_q, max_k, dropout, causal, False, scale=scale, **_windows(left, right)
    )
    return out, lse, q.new_empty(0), rng


def _into(wanted, made) -> None:
    for old, new in zip(wanted, made, strict=True):
        old.set_(new)


def _emptied(tensors) -> None:
    for tensor in tensors:
        tensor.untyped_storage().resize_(0)


def bwd(dout, q, k, v, out, lse, dq, dk, dv, alibi, dropout, scale, causal, left, right, softcap, same, generator, rng):
    """Fills dq, dk and dv."""
    _plain(softcap, alibi)
    _emptied((dq, dk, dv))
    nothing = torch.empty((), dtype=torch.int64)
    made = ATEN._flash_attention_backward(
        dout, q, k, v, out, lse, None, None, q.shape[1], k.shape[1], dropout, causal, rng, nothing, scale=scale,
        **_windows(left, right),
    )  # fmt: skip
    _into((dq, dk, dv), made)
    return dq, dk, dv, lse.new_empty(0)


def varlen_bwd(
    dout, q, k, v, out, lse, dq, dk, dv, cu_q, cu_k, alibi, max_q, max_k, dropout, scale, zero, causal, left, right,
    softcap, same, generator, rng,
):  # fmt: skip
    """Fills dq, dk and dv."""
    _plain(softcap, alibi)
    _emptied((dq, dk, dv))
    nothing = torch.empty((), dtype=torch.int64)
    made = ATEN._flash_attention_backward(
        dout, q, k, v, out, lse, cu_q, cu_k, max_q, max_k, dropout, causal, rng, nothing, scale=scale,
        **_windows(left, right),
    )  # fmt: skip
    _into((dq, dk, dv), made)
    return dq, dk, dv, lse.new_empty(0)


def install() -> None:
    """Put it where ``flash_attn`` imports its extension."""
    module = ModuleType("flash_attn_2_cuda")
    vars(module).update(fwd=fwd, varlen_fwd=varlen_fwd, bwd=bwd, varlen_bwd=varlen_bwd)
    sys.modules[module.__name__] = module
