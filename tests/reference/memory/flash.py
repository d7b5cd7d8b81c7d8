"""Stand-ins for the attention kernels: what they save, and what their backward allocates.

FlashAttention-2 (``flash_attn_interface.py``, ``csrc/flash_attn/flash_api.cpp`` ``mha_varlen_bwd``; PyTorch's own flash kernel is the same
code): saves q, k, v, out, log-sum-exp (fp32, heads x tokens) and the random state; the backward allocates dq, dk, dv, ``softmax_d`` and
``dq_accum`` in fp32 (tokens + 128 a sequence, head_dim rounded up to 32, or 64 above 128), and with grouped queries
expanded dk and dv that are summed afterwards. PyTorch's memory-efficient kernel (``attention_backward.cu``) serves SDPA with a mask.
"""

from __future__ import annotations

import torch
from torch.nn.attention import varlen

from . import image_batches

ALIGNED = 8
"""Values that a row of a mask of numbers is filled up to, in a copy (``attention.cpp``, ``preprocess_mask``)."""


def _round(value: int, to: int) -> int:
    return -(-value // to) * to


@torch.library.custom_op("simulated::flash_attn_forward", mutates_args=())
def _forward(
    q: torch.Tensor, out: list[int], sums: list[int], window_size_left: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """What a kernel's forward makes, as one operation of the dispatcher's: selective checkpointing knows it by its name."""
    raise NotImplementedError


@_forward.register_fake
def results(
    q: torch.Tensor, out: list[int], sums: list[int], window_size_left: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Output, log-sum-exp and random state."""
    return (
        torch.empty(out, dtype=q.dtype),
        torch.empty(sums, dtype=torch.float32),
        torch.empty((2,), dtype=torch.int64),
    )


class FlashAttention(torch.autograd.Function):
    """q, k, v of shape [batch, tokens, heads, head_dim]; `packed` is the number of documents in a varlen call, None for a dense one."""

    @staticmethod
    def forward(ctx, q, k, v, packed):
        q, k, v = (t if t.stride(-1) == 1 else t.contiguous() for t in (q, k, v))
        batch, tokens, heads, dim = q.shape
        made = results if FlashAttention.apart else _forward
        out, lse, rng = made(q, [batch, tokens, heads, v.shape[-1]], [batch, heads, tokens], FlashAttention.window)
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


FlashAttention.apart = True
"""Whether nobody asks for its results by the operation's name, so that each of them is made by itself."""
FlashAttention.window = -1
"""How far back the call sees, as FlashAttention's operation is told; SDPA's is not."""


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
    """The memory-efficient kernel: [batch, heads, tokens, head_dim], equal head counts, an additive bias of the query's dtype that is saved.

    Its backward accumulates queries' gradients apart where they are in 16 bits (``kNeedsAccumGradQ`` of ``kernel_backward.h``).
    """

    @staticmethod
    def forward(ctx, q, k, v, bias):
        batch, heads, tokens, dim = q.shape
        made = results if FlashAttention.apart else _forward
        out, lse, _ = made(q, [batch, tokens, heads, v.shape[-1]], [batch, heads, _round(tokens, 32)], -1)
        out = out.transpose(1, 2)
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
        apart = q.dtype != torch.float32
        workspace = (
            torch.empty((batch, heads, _round(tokens, 128), _round(dim, 32)), dtype=torch.float32) if apart else None
        )
        del delta, workspace
        return dq, dk, dv, None


def _cast(*tensors):
    """Autocast's cast of what attention takes, masks of numbers too."""
    if not torch.is_autocast_enabled("cpu"):
        return tensors
    dtype = torch.get_autocast_dtype("cpu")
    return tuple(t.to(dtype) if t is not None and t.is_floating_point() else t for t in tensors)


def _math(query, key, value, scale):
    """``_scaled_dot_product_attention_math`` of a causal call: grouped keys repeated, fp32 throughout, scores of every pair of tokens.

    16-bit tensors are cast first, and the output back (``attention.cpp``, unless ``allow_fp16_bf16_reduction_math_sdp`` is set).
    """
    wanted, heads = query.dtype, query.shape[1]
    query, key, value = (t.float() for t in (query, key, value))
    if key.shape[1] != heads:
        key, value = (t.repeat_interleave(heads // key.shape[1], dim=1) for t in (key, value))
    root = (scale or query.shape[-1] ** -0.5) ** 0.5
    query = query * root
    hidden = torch.empty((query.shape[2], key.shape[2]), dtype=torch.float32)
    scores = query @ (key * root).transpose(-2, -1)
    scores.add_(hidden)
    del hidden
    weights = torch.nn.functional.softmax(scores, dim=-1)
    del scores
    return (weights @ value).to(wanted)


def sdpa(query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, enable_gqa=False):
    """``F.scaled_dot_product_attention`` with the kernel that ``sdp_utils.cpp`` chooses on CUDA; autocast's cast first.

    FlashAttention takes 16-bit tensors of one width up to 256, no mask, and a card from Ampere on; the memory-efficient kernel takes all but
    grouped keys; what is left goes to the math kernel.
    """
    query, key, value, attn_mask = _cast(query, key, value, attn_mask)
    grouped = enable_gqa and key.shape[1] != query.shape[1]
    dim = query.shape[-1]
    if attn_mask is None and query.dtype != torch.float32 and dim == value.shape[-1] <= 256 and not sdpa.before_ampere:
        query, key, value = (t.transpose(1, 2) for t in (query, key, value))
        return FlashAttention.apply(query, key, value, None).transpose(1, 2)
    if grouped:
        if attn_mask is not None:
            raise NotImplementedError("grouped keys with a mask: Transformers repeats them before")
        with torch.autocast("cpu", enabled=False):
            return _math(query, key, value, scale)
    if (
        attn_mask is not None and attn_mask.dtype == torch.bool
    ):  # SDPA turns a boolean mask into an additive one at every call
        attn_mask = torch.empty(attn_mask.shape, dtype=query.dtype)
    elif attn_mask is not None and attn_mask.shape[-1] % ALIGNED:
        wide = torch.empty((*attn_mask.shape[:-1], _round(attn_mask.shape[-1], ALIGNED)), dtype=query.dtype)
        attn_mask = wide[..., : attn_mask.shape[-1]]
    return EfficientAttention.apply(query, key, value, attn_mask)


sdpa.before_ampere = False


class PadInput(torch.autograd.Function):
    """``IndexPutFirstAxis`` of ``flash_attn/bert_padding.py``: tokens put where they stood, among zeros."""

    @staticmethod
    def forward(ctx, values, indices, tokens):
        ctx.save_for_backward(indices)
        out = torch.zeros(tokens, *values.shape[1:], dtype=values.dtype)
        out[indices] = values
        return out

    @staticmethod
    def backward(ctx, grad):
        (indices,) = ctx.saved_tensors
        return grad[indices], None, None


def _unpadded(query, key, value, mask):
    """``_flash_attention_forward`` of a batch with padding: Transformers' own ``_upad_input`` before, the package's ``pad_input`` behind."""
    from transformers.modeling_flash_attention_utils import _upad_input

    rows, tokens = query.shape[:2]
    query, key, value, indices, _, _ = _upad_input(query, key, value, mask, tokens, None)
    out = FlashAttention.apply(query[None], key[None], value[None], rows)[0]
    return PadInput.apply(out, indices, rows * tokens).view(rows, tokens, *out.shape[1:])


def flash_attention(module, query, key, value, attention_mask, documents=1, **kwargs):
    """``flash_attention_forward`` of Transformers: [batch, heads, tokens, dim] in, [batch, tokens, heads, dim] out.

    Values narrower than keys are filled up to their width, and the output is cut to its own.
    """
    query, key, value = (t.transpose(1, 2) for t in (query, key, value))
    width = value.shape[-1]
    if width != query.shape[-1]:
        value = torch.nn.functional.pad(value, [0, query.shape[-1] - width])
    if query.dtype == torch.float32:
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else torch.bfloat16
        query, key, value = (t.to(dtype) for t in (query, key, value))
    window = kwargs.get("sliding_window")
    FlashAttention.window = window if window is not None and key.shape[1] > window else -1
    try:
        if attention_mask is not None:
            out = _unpadded(query, key, value, attention_mask)
        else:
            starts = kwargs.get("cu_seq_lens_q")
            parts = flash_attention.documents if starts is None else len(starts) - 1
            if type(module).__name__ == "PixtralAttention":
                parts = flash_attention.images
            out = FlashAttention.apply(query, key, value, parts)
    finally:
        FlashAttention.window = -1
    return out if width == query.shape[-1] else out[..., :width], None


flash_attention.documents = None
flash_attention.images = None
"""Of a sequence that a tower reads them in by their places; None where those run on, as of one image at its largest."""
flash_attention.padded = False


def flash_mask(*args, attention_mask=None, **kwargs):
    """``flash_attention_mask``: the rows' own mask where there is padding. What it asks of the data is known from the case."""
    filled = attention_mask is not None and attention_mask.shape[-1] == image_batches.Filled.patches
    return attention_mask if flash_attention.padded or filled else None


def _varlen_attn(query, key, value, starts_q, starts_k, longest_q, longest_k, *, window_size):
    """``torch.nn.attention.varlen.varlen_attn``: FlashAttention 2 over [tokens of all documents, heads, head_dim]."""
    query, key, value = _cast(query, key, value)
    apart, FlashAttention.apart = (
        FlashAttention.apart,
        True,
    )  # ``torch_attn::_varlen_attn``, which is no name that counts
    try:
        return FlashAttention.apply(query[None], key[None], value[None], flash_attention.documents)[0]
    finally:
        FlashAttention.apart = apart


def sdpa_varlen():
    """Axolotl's own ``sdpa_varlen_forward``, told that the tensors are on a card; a row of one document takes Transformers' path.

    What it asks of the data is known from the case: how many documents there are.
    """
    import inspect

    from axolotl.monkeypatch.attention import sdpa_varlen as module
    from transformers import modeling_flash_attention_utils
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    held = varlen.varlen_attn, modeling_flash_attention_utils.prepare_fa_kwargs_from_position_ids
    varlen.varlen_attn = _varlen_attn
    modeling_flash_attention_utils.prepare_fa_kwargs_from_position_ids = lambda ids: ((ids[0, :1],) * 2, (0, 0))
    names = dict(vars(module)) | {"_is_packed": lambda ids: flash_attention.documents > ids.shape[0]}
    try:
        exec(inspect.getsource(module._build_varlen_forward).replace("query.is_cuda", "True"), names)
        return names["_build_varlen_forward"](sdpa_attention_forward)
    finally:
        varlen.varlen_attn, modeling_flash_attention_utils.prepare_fa_kwargs_from_position_ids = held


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
        "simulated_varlen": sdpa_varlen(),
        "simulated_flex": flex_attention,
    }.items():
        ALL_ATTENTION_FUNCTIONS.register(name, function)
        ALL_MASK_ATTENTION_FUNCTIONS.register(name, flash_mask if name == "simulated_flash" else no_mask)
