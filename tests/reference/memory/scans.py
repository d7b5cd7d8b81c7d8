"""Stand-ins for the kernels of state-space and linear-attention layers: what they save, and what their backward allocates.

* Mamba 2: ``mamba_ssm/ops/triton/ssd_combined.py`` ``MambaSplitConv1dScanCombinedFn`` (and ``ssd_state_passing.py``, ``ssd_bmm.py``, ...): convolution,
  scan, gated norm and output projection in one Function, which saves the projected input and the scan's result and computes the rest again. The number of
  splits of dB and dC depends on the GPU and is 1 here.
* Mamba: ``mamba_ssm/ops/selective_scan_interface.py`` ``SelectiveScanFn``, ``causal_conv1d`` before it.
* Gated delta nets: flash-linear-attention 0.5 ``fla/ops/gated_delta_rule/chunk.py`` ``ChunkGatedDeltaRuleFunction``, ``input_guard`` making its inputs
  contiguous. Axolotl's images have no causal-conv1d, so its convolution stays PyTorch's.

Axolotl depends on flash-linear-attention; mamba-ssm is an extra of its (``pip install axolotl[mamba-ssm]``). Without it Transformers scans in PyTorch,
which its own recommendations advise against and which is not simulated.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

CHUNK = 64


class ConvolutionKernel(torch.autograd.Function):
    """``causal_conv1d_fn`` with silu: [batch, channels, tokens]."""

    @staticmethod
    def forward(ctx, x, weight, bias):
        ctx.save_for_backward(x, weight, bias)
        return torch.empty_like(x)

    @staticmethod
    def backward(ctx, grad):
        x, weight, bias = ctx.saved_tensors
        dw = torch.empty(weight.shape, dtype=torch.float32).to(weight.dtype)
        return torch.empty_like(x), dw, None if bias is None else torch.empty_like(bias)


def causal_conv1d_fn(x, weight, bias=None, activation=None, **kwargs):
    return ConvolutionKernel.apply(x, weight, bias)


class SelectiveScan(torch.autograd.Function):
    """``SelectiveScanFn`` with a gate: u, delta, z [batch, inner, tokens], B and C [batch, states, tokens]."""

    @staticmethod
    def forward(ctx, u, delta, A, B, C, D, z, delta_bias):
        delta, B, C, z = (x if x.stride(-1) == 1 else x.contiguous() for x in (delta, B, C, z))
        u = u if u.stride(-1) == 1 else u.contiguous()
        out = torch.empty(u.shape, dtype=u.dtype)
        borders = torch.empty((u.shape[0], u.shape[1], -(-u.shape[2] // 2048), A.shape[1] * 2), dtype=torch.float32)
        ctx.save_for_backward(u, delta, A, B, C, D, z, delta_bias, borders, out)
        return torch.empty(u.shape, dtype=u.dtype)

    @staticmethod
    def backward(ctx, grad):
        u, delta, A, B, C, D, z, delta_bias, borders, out = ctx.saved_tensors
        grad = grad if grad.stride(-1) == 1 else grad.contiguous()
        du, ddelta, dz = (torch.empty(x.shape, dtype=x.dtype) for x in (u, delta, z))
        db, dc = (torch.empty(x.shape, dtype=torch.float32) for x in (B, C))
        small = [torch.empty(x.shape, dtype=torch.float32) for x in (A, D, delta_bias)]
        return du, ddelta, small[0], db.to(B.dtype), dc.to(C.dtype), small[1], dz, small[2]


def selective_scan(u, delta, A, B, C, D=None, z=None, delta_bias=None, **kwargs):
    return SelectiveScan.apply(u, delta, A, B, C, D, z, delta_bias)


def _scan(heads, inner, groups, states, chunk, batch, tokens, dtype):
    """Cumulated decays, states at the borders of chunks, products of B and C: what ``_mamba_chunk_scan_combined_fwd`` holds."""
    chunks = -(-tokens // chunk)
    held = [torch.empty((batch, heads, chunks, chunk), dtype=torch.float32) for _ in range(2)]
    borders = torch.empty((batch, chunks, inner, states), dtype=torch.float32)
    held.append(torch.empty((batch, chunks, inner, states), dtype=dtype))
    del borders
    held.append(torch.empty((batch, chunks, groups, chunk, chunk), dtype=torch.float32))
    return held


class StateSpaceDual(torch.autograd.Function):
    """The whole of a Mamba 2 mixer behind its first linear."""

    @staticmethod
    def forward(
        ctx, zxbcdt, conv_weight, conv_bias, dt_bias, A, D, norm_weight, out_weight, out_bias, chunk, headdim, groups
    ):
        batch, tokens, _ = zxbcdt.shape
        heads = D.shape[0]
        inner, channels = heads * headdim, conv_weight.shape[0]
        states = (channels - inner) // groups // 2
        convolved = torch.empty((batch, tokens, channels), dtype=zxbcdt.dtype)
        held = _scan(heads, inner, groups, states, chunk, batch, tokens, zxbcdt.dtype)
        scanned = torch.empty((batch, tokens, inner), dtype=zxbcdt.dtype)
        out = torch.empty((batch, tokens, inner), dtype=zxbcdt.dtype)
        rstd = None if norm_weight is None else torch.empty((groups * batch * tokens,), dtype=torch.float32)
        del held, convolved
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else out.dtype
        out, weight = out.to(dtype), out_weight.to(dtype)
        result = F.linear(out, weight, None if out_bias is None else out_bias.to(dtype))
        ctx.save_for_backward(
            zxbcdt, conv_weight, conv_bias, scanned, A, D, dt_bias, norm_weight, rstd, weight, out_bias
        )
        ctx.sizes = heads, inner, groups, states, chunk
        return result

    @staticmethod
    def backward(ctx, grad):
        zxbcdt, conv_weight, conv_bias, scanned, A, D, dt_bias, norm_weight, rstd, weight, out_bias = ctx.saved_tensors
        heads, inner, groups, states, chunk = ctx.sizes
        batch, tokens, _ = zxbcdt.shape
        chunks = -(-tokens // chunk)
        dtype = zxbcdt.dtype
        recomputed = torch.empty((batch, tokens, inner), dtype=dtype)
        convolved = torch.empty((batch, tokens, conv_weight.shape[0]), dtype=dtype)
        dzxbcdt = torch.empty_like(zxbcdt)
        channels_grad = torch.empty((batch, tokens, conv_weight.shape[0]), dtype=dtype)
        above = F.linear(grad.to(weight.dtype), weight.t())
        below = above if norm_weight is None else torch.empty((batch, tokens, inner), dtype=dtype)
        # _mamba_chunk_scan_combined_bwd
        steps = [torch.empty((batch, heads, chunks, chunk), dtype=torch.float32) for _ in range(3)]
        products = torch.empty((batch, chunks, groups, chunk, chunk), dtype=torch.float32)
        borders = torch.empty((batch, chunks, inner, states), dtype=torch.float32)
        borders = torch.empty((batch, chunks, inner, states), dtype=torch.float32)
        moved = torch.empty((batch, chunks, inner, states), dtype=torch.float32)
        halves = [torch.empty((batch, chunks, inner, states), dtype=dtype) for _ in range(2)]
        del borders, moved
        narrow = [torch.empty((batch, tokens, groups, states), dtype=torch.float32) for _ in range(2)]
        product_grads = torch.empty((batch, chunks, groups, chunk, chunk), dtype=torch.float32)
        del halves, narrow, product_grads, products, steps, below
        dweight = torch.empty(weight.shape, dtype=weight.dtype)
        del recomputed, convolved, channels_grad, above
        small = [
            None if x is None else torch.empty(x.shape, dtype=x.dtype)
            for x in (conv_weight, conv_bias, dt_bias, A, D, norm_weight)
        ]
        return dzxbcdt, *small, dweight, None if out_bias is None else torch.empty_like(out_bias), None, None, None


def split_conv1d_scan_combined(
    zxbcdt, conv_weight, conv_bias, dt_bias, A, D=None, chunk_size=256, rmsnorm_weight=None, outproj_weight=None, outproj_bias=None,
    headdim=None, ngroups=1, **kwargs,
):  # fmt: skip
    return StateSpaceDual.apply(
        zxbcdt, conv_weight, conv_bias, dt_bias, A, D, rmsnorm_weight, outproj_weight, outproj_bias, chunk_size, headdim, ngroups
    )  # fmt: skip


def chunk_scan(x, dt, A, B, C, chunk_size=256, return_final_states=False, **kwargs):
    """``mamba_chunk_scan_combined``, which runs where nothing trains: the same scan, and its result."""
    batch, tokens, heads, width = x.shape
    held = _scan(heads, heads * width, B.shape[2], B.shape[3], chunk_size, batch, tokens, x.dtype)
    out = torch.empty(x.shape, dtype=x.dtype)
    del held
    state = torch.empty((batch, heads, width, B.shape[3]), dtype=torch.float32) if return_final_states else None
    return (out, state) if return_final_states else out


class DeltaRule(torch.autograd.Function):
    """q, k [batch, tokens, heads, K], v [batch, tokens, heads, V], g and beta [batch, tokens, heads]."""

    @staticmethod
    def forward(ctx, q, k, v, g, beta):
        q, k, v, g, beta = (x.contiguous() for x in (q, k, v, g, beta))
        batch, tokens, heads, width = q.shape
        q, k = torch.empty_like(q), torch.empty_like(k)
        q_rstd, k_rstd = (torch.empty((batch, tokens, heads), dtype=torch.float32) for _ in range(2))
        summed = torch.empty(g.shape, dtype=torch.float32)
        matrix = torch.empty((batch, tokens, heads, CHUNK), dtype=k.dtype)
        w, u = torch.empty_like(k), torch.empty_like(v)
        h = torch.empty((batch, -(-tokens // CHUNK), heads, width, v.shape[-1]), dtype=k.dtype)
        fresh = torch.empty_like(v)
        out = torch.empty_like(v)
        del w, u, h, fresh
        ctx.save_for_backward(q, q_rstd, k, k_rstd, v, summed, beta, matrix)
        ctx.g = g.dtype
        return out

    @staticmethod
    def backward(ctx, do):
        q, q_rstd, k, k_rstd, v, g, beta, matrix = ctx.saved_tensors
        do = do.contiguous()
        batch, tokens, heads, width = q.shape
        w, u = torch.empty_like(k), torch.empty_like(v)
        h = torch.empty((batch, -(-tokens // CHUNK), heads, width, v.shape[-1]), dtype=k.dtype)
        fresh, dv = torch.empty_like(v), torch.empty_like(v)
        dh, dv = torch.empty_like(h), torch.empty_like(v)
        dq, dk, dw = (torch.empty_like(k) for _ in range(3))
        dg = torch.empty(g.shape, dtype=torch.float32)
        del h, fresh, dh, w, u
        dk2, du = torch.empty_like(k), torch.empty_like(v)
        del dv, dw
        db, dg = torch.empty_like(beta), torch.empty(g.shape, dtype=torch.float32)
        del dk2
        dq, dk = torch.empty_like(q), torch.empty_like(k)
        return dq, dk, du, dg.to(ctx.g), db


def chunk_gated_delta_rule(query, key, value, g=None, beta=None, **kwargs):
    return DeltaRule.apply(query, key, value, g, beta), None


REPLACED = {
    "falcon_h1": {
        "mamba2_split_conv1d_scan_combined": split_conv1d_scan_combined,
        "mamba2_chunk_scan": chunk_scan,
        "causal_conv1d_fn": causal_conv1d_fn,
    },
    "granitemoehybrid": {
        "mamba2_split_conv1d_scan_combined": split_conv1d_scan_combined,
        "mamba2_chunk_scan": chunk_scan,
        "causal_conv1d_fn": causal_conv1d_fn,
    },
    "nemotron_h": {
        "mamba2_split_conv1d_scan_combined": split_conv1d_scan_combined,
        "mamba2_chunk_scan": chunk_scan,
        "causal_conv1d_fn": causal_conv1d_fn,
    },
    "jamba": {"causal_conv1d_fn": causal_conv1d_fn, "mamba_selective_scan": selective_scan},
    "qwen3_next": {"torch_chunk_gated_delta_rule": chunk_gated_delta_rule},
    "qwen3_5": {"torch_chunk_gated_delta_rule": chunk_gated_delta_rule},
    "qwen3_5_moe": {"torch_chunk_gated_delta_rule": chunk_gated_delta_rule},
}
"""The functions of each model that its kernels replace."""


def install() -> None:
    """Put the stand-ins where the models look for their kernels. Once a process."""
    import importlib

    for name, functions in REPLACED.items():
        module = importlib.import_module(f"transformers.models.{name}.modeling_{name}")
        for key, function in functions.items():
            if not hasattr(module, key):
                raise AttributeError(f"{name} has no {key}")
            setattr(module, key, function)
