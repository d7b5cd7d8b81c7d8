"""Attention: rotary positions, the kernels and what each saves.

Sources: Transformers 5.16.1 ``integrations/sdpa_attention.py`` and ``eager_attention_forward``; FlashAttention 2,
arXiv:2307.08691 and ``csrc/flash_attn/flash_api.cpp`` (``mha_bwd``); PyTorch's memory-efficient kernel, ATen
``attention_backward.cu``, which serves SDPA with a mask; Axolotl 0.19.0 ``monkeypatch/attention/sdpa_varlen.py``.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import assert_never

from app.core.memory.offloading import OffloadingTape
from app.core.memory.operations import (
    add,
    cast,
    copy,
    custom,
    dropout,
    join,
    keeping_output,
    repeat,
    saved_only,
    scale,
    slices,
    split,
    spread,
)
from app.core.memory.tape import BLOCKED, FULL, MASK, ROW, ROW_SQUARE, SQUARE, TOKEN, Gradients, Tape, Tensor
from app.core.units import round_up

SDPA_WIDTH = 256
"""Of a head: the widest that FlashAttention takes."""
PLACE = 8
"""Bytes of a token's place in the batch."""


class Kernel(StrEnum):
    """Which code computes the attention."""

    FLASH = "flash"
    FLASH_PADDED = "flash_padded"
    """FlashAttention over the tokens of a batch that are no padding, gathered before and put back behind."""
    SDPA = "sdpa"
    """SDPA without a mask, which takes what it is given: nothing is cast to 16 bits in an fp32 run."""
    SDPA_BEFORE_AMPERE = "sdpa_before_ampere"
    """The same on a card that has no FlashAttention."""
    SDPA_MASKED = "sdpa_masked"
    SDPA_PACKED = "sdpa_packed"
    EAGER = "eager"
    FLEX = "flex"


@dataclass(frozen=True, slots=True, kw_only=True)
class Heads:
    """The shape of one layer's softmax attention."""

    heads: int
    key_value_heads: int
    head_dim: int
    value_dim: int
    rotary_dim: int
    rotary_full: bool
    """Positions applied in fp32 and cast back (Cohere)."""
    rotary_copied: int = 0
    """Sines and cosines are put together in every layer, which makes a copy of each: one of a row's tokens (GLM, ERNIE)
    or of all (Qwen 2 and 2.5 VL), as the tape packs them; 0 where none is made."""
    rotary_axes: int = 1
    """Parts of a head that take a position each, by the axes of an image, put together behind (Gemma 4's tower)."""
    rotary_joined: bool = False
    """What takes positions is put together with the rest of a head, even if that is nothing (MiniMax M2)."""
    softcap: bool
    sinks: int
    """Bytes of a stored sink, one a head (gpt-oss); 0 where there are none."""
    biased: bool
    """An fp32 bias of distances is added to the scores, then a mask filled in (MPT)."""
    fp16: bool = False
    """Scores are in fp16, which a softmax to fp32 reads as it is; bf16 is converted before."""
    in_place: bool = False
    """Liger's kernel turns queries and keys where they are."""
    rows: bool = False
    """There are several rows: a batched product copies what is a part of a wider tensor in each of them."""
    drops: bool = False
    """Probabilities are dropped from, under eager attention."""
    own_scale: bool = False
    """Scores are scaled in a way that kernels which take lengths do not know."""
    kept: bool = False
    """A checkpoint keeps the result, where the kernel is an operation that it knows (``selective_checkpointing``)."""
    virtual: int = 0
    """Keys and values of a prefix that stand before each row's own."""
    chunks: int = 0
    """Each of so many documents is attended to by itself: cut before, put together behind."""
    each: int = TOKEN
    """What is attended to at once, as the tape packs it: a micro batch's tokens, or a row's."""
    unmasked: bool = False
    """Tokens see all others: no mask is added to the scores."""
    given_mask: int = 0
    """Bytes of a value of the mask that SDPA is handed, which is made once and takes no copy in that type."""
    returned: bool
    """The layer hands out its probabilities; a reentrant checkpoint then adds zeros to their gradient."""

    @property
    def query(self) -> int:
        """Packed elements of all queries."""
        return self.heads * self.head_dim * self.each

    @property
    def key(self) -> int:
        """Packed elements of all keys."""
        return self.key_value_heads * self.head_dim * TOKEN

    @property
    def value(self) -> int:
        """Packed elements of all values."""
        return self.key_value_heads * self.value_dim * TOKEN

    @property
    def pairs(self) -> int:
        """Packed elements of one head's scores: each token by all of its row, and by what stands before it."""
        return ROW_SQUARE if self.each == ROW else SQUARE + self.virtual * TOKEN

    @property
    def result(self) -> int:
        """Packed elements of what all heads make."""
        return self.heads * self.value_dim * self.each


def rotate(t: Tape, shape: Heads, q: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
    """``apply_rotary_pos_emb``: ``x cos + rotate_half(x) sin`` on the first ``rotary_dim`` of each head."""
    if not shape.rotary_dim:
        return q, k
    if shape.in_place:
        turned = q.view(), k.view()
        t.join(turned, (q, k), (), list)
        return turned
    if shape.rotary_copied:
        q = _with_tables(t, shape, q)
    if shape.rotary_full:
        wanted = q.itemsize
        q, k = cast(t, q, FULL), cast(t, k, FULL)
        return (
            cast(t, _turned(t, q), wanted),
            cast(t, _turned(t, k), wanted),
        )
    if shape.rotary_axes > 1:
        return _by_axis(t, shape, q), _by_axis(t, shape, k)
    if shape.rotary_dim == shape.head_dim and not shape.rotary_joined:
        return _turned(t, q), _turned(t, k)
    share = shape.rotary_dim * TOKEN
    rest = (shape.head_dim - shape.rotary_dim) * TOKEN
    q_turn, q_pass = slices(t, q, (shape.heads * share, shape.heads * rest))
    k_turn, k_pass = slices(t, k, (shape.key_value_heads * share, shape.key_value_heads * rest))
    q_turn, k_turn = _turned(t, q_turn), _turned(t, k_turn)
    q = join(t, (q_turn, q_pass))
    return q, join(t, (k_turn, k_pass))


def _by_axis(t: Tape, shape: Heads, x: Tensor) -> Tensor:
    """One tensor whose parts are turned apart."""
    parts = split(t, x, (x.elements // shape.rotary_axes,) * shape.rotary_axes)
    return join(t, [_turned(t, part) for part in parts])


def _with_tables(t: Tape, shape: Heads, x: Tensor) -> Tensor:
    """The layer's own sines and cosines, which are made before anything is turned, and saved with it."""
    itemsize = FULL if shape.rotary_full else t.positions
    tables = tuple(t.fresh(shape.rotary_dim * shape.rotary_copied, itemsize) for _ in range(2))
    out = x.view()
    t.join((out,), (x,), tables, list)
    return out


def _turned(t: Tape, x: Tensor) -> Tensor:
    """One tensor with its halves turned."""
    by_cosine = scale(t, x, t.positions)
    return add(t, by_cosine, scale(t, _half_turned(t, x), t.positions))


def _half_turned(t: Tape, x: Tensor) -> Tensor:
    """``cat((-x2, x1))`` of the two halves."""
    first, second = slices(t, x, (x.elements // 2, x.elements // 2))
    return join(t, (scale(t, second), first))


def attend(t: Tape, shape: Heads, kernel: Kernel, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The output of all heads, side by side."""
    if shape.chunks:
        return _in_chunks(t, replace(shape, chunks=0), kernel, q, k, v, shape.chunks)
    match kernel:
        case Kernel.EAGER:
            return _eager(t, shape, q, k, v)
        case Kernel.SDPA_MASKED:
            return _efficient(t, shape, q, k, v)
        case Kernel.SDPA_PACKED:
            return _packed(t, shape, q, k, v)
        case Kernel.FLEX:
            q, k, v = (cast(t, x, t.compute) for x in (q, k, v))
            return flash(t, replace(shape, kept=False), q, k, v, grouped=False, accumulates=False)
        case Kernel.FLASH | Kernel.FLASH_PADDED:
            q, k, v = (cast(t, x, 2) for x in (q, k, v))
            if kernel is Kernel.FLASH_PADDED:
                return _gathered(t, shape, q, k, v)
            return flash(t, shape, q, k, v, grouped=shape.key_value_heads != shape.heads)
        case Kernel.SDPA | Kernel.SDPA_BEFORE_AMPERE:
            return _unmasked(t, shape, q, k, v, ampere=kernel is Kernel.SDPA)
        case _:
            assert_never(kernel)


def _in_chunks(t: Tape, shape: Heads, kernel: Kernel, q: Tensor, k: Tensor, v: Tensor, chunks: int) -> Tensor:
    """Documents one by one, which shows where scores are made; what kernels need for a block is so small for all."""
    if kernel is not Kernel.EAGER:
        chunks = 1
    one = shape if chunks == 1 else replace(shape, each=ROW)
    parts = [split(t, x, (x.elements if chunks == 1 else x.elements // TOKEN * ROW,) * chunks) for x in (q, k, v)]
    found = []
    for each in zip(*parts, strict=True):
        found.append(attend(t, one, kernel, *each))
        t.beside = None
    return join(t, found)


def _unmasked(t: Tape, shape: Heads, q: Tensor, k: Tensor, v: Tensor, *, ampere: bool) -> Tensor:
    """SDPA without a mask: PyTorch's FlashAttention where it can.

    That takes 16 bits, heads of one width up to 256, and a card from Ampere on. The memory-efficient kernel takes the
    rest, but not grouped keys, which Transformers leaves grouped for heads of such a width: PyTorch's own mathematics
    is left for these. Sources: ATen ``sdp_utils.cpp``; Transformers ``use_gqa_in_sdpa``.
    """
    even = shape.head_dim == shape.value_dim <= SDPA_WIDTH
    grouped = shape.key_value_heads != shape.heads
    if even and t.compute < FULL and ampere:
        q, k, v = (cast(t, x, t.compute) for x in (q, k, v))
        return flash(t, shape, q, k, v, grouped=grouped)
    return _mathematics(t, shape, q, k, v) if even and grouped else _efficient(t, shape, q, k, v, masked=False)


def _mathematics(t: Tape, shape: Heads, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """``_scaled_dot_product_attention_math``: scores of every pair of tokens in fp32, queries and keys scaled apart.

    What comes in 16 bits is widened first, and the output narrowed (ATen ``attention.cpp``).
    """
    taken = tuple(cast(t, x, t.compute) for x in (q, k, v))
    q, k, v = (cast(t, x, FULL) for x in taken)
    k, v = _widened(t, shape, k, v)
    q = scale(t, q)
    hidden = t.fresh(shape.pairs, FULL)
    scores = _matmul(t, q, scale(t, k), shape.heads * shape.pairs, FULL)
    del hidden
    scores = _softmax(t, scores)
    out = _matmul(t, scores, v, shape.heads * shape.value_dim * TOKEN, FULL)
    return copy(t, cast(t, out, t.compute))


def _packed(t: Tape, shape: Heads, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Axolotl's variable-length attention behind SDPA.

    It takes 16 bits, heads up to 256 and the usual scale; the others get a mask of documents.
    """
    if q.itemsize > t.compute or shape.own_scale or shape.head_dim > SDPA_WIDTH:
        same = t.fresh(SQUARE, 1)
        mask = t.fresh(SQUARE, 1)
        del same
        out = _efficient(t, shape, q, k, v)
        del mask
        return out
    k, v = _widened(t, shape, k, v)
    q, k, v = (copy(t, cast(t, x, t.compute)) for x in (q, k, v))
    return flash(t, replace(shape, kept=False), q, k, v, grouped=False)


def _widened(t: Tape, shape: Heads, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """``repeat_kv``: a key and a value for each head."""
    k = repeat(t, k, _wide(shape, k, shape.query))
    return k, repeat(t, v, _wide(shape, v, shape.result))


def _wide(shape: Heads, x: Tensor, width: int) -> int:
    """Elements of keys or values of all heads: of a row's own tokens, and of as many more as a prefix has brought."""
    return width + (x.elements & MASK) * shape.heads // shape.key_value_heads


def _results(t: Tape, shape: Heads, width: int, itemsize: int) -> tuple[Tensor, Tensor]:
    """A kernel's output and its log-sum-exp a head: made, or there already where a checkpoint has kept them."""
    if shape.kept and t.given:
        return t.given.pop(0), t.given.pop(0)
    out, sums = t.fresh(width, itemsize), saved_only(t, shape.heads * TOKEN, FULL)
    if shape.kept and t.training:
        t.attended += [Tensor(x.storage, x.elements, x.itemsize) for x in (out, sums)]
    return out, sums


def flash(t: Tape, shape: Heads, q: Tensor, k: Tensor, v: Tensor, *, grouped: bool, accumulates: bool = True) -> Tensor:
    """Saves q, k, v, the output and a log-sum-exp a head; the backward accumulates dq in fp32 and widens dk and dv.

    Flex attention's compiled backward does neither (``torch/_inductor/kernel/flex``).
    """
    itemsize = q.itemsize
    width = shape.heads * shape.value_dim * TOKEN
    out, sums = _results(t, shape, width, itemsize)
    sizes = [(x.elements, x.node is not None) for x in (q, k, v)]
    taken = BLOCKED if accumulates else TOKEN
    rounded = shape.heads * round_up(shape.head_dim, 32 if shape.head_dim <= 128 else 64) * taken
    heads, query = shape.heads * taken, shape.query

    def run(_: list[Tensor | None]) -> Gradients:
        made = [t.fresh(elements, itemsize) for elements, _ in sizes]
        delta = t.fresh(heads, FULL)
        accumulator = t.fresh(rounded, FULL) if accumulates else None
        wide = [t.fresh(query, itemsize), t.fresh(width, itemsize)] if grouped else []
        del delta, accumulator, wide
        return [grad if needed else None for grad, (_, needed) in zip(made, sizes, strict=True)]

    t.join((out,), (q, k, v), (q, k, v, out, sums), run)
    return out


def _gathered(t: Tape, shape: Heads, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Copies of the tokens that are no padding, all but none of them at the most, and their output among zeros.

    Where they stand is worked out in each layer anew. Sources: Transformers 5.16.1 ``_upad_input``
    (``modeling_flash_attention_utils.py``); ``pad_input`` of ``flash_attn/bert_padding.py``.
    """
    places = t.fresh(TOKEN, PLACE)
    picked = [_moved(t, x, places) for x in (k, v, q)]
    out = flash(t, shape, picked.pop(), *picked, grouped=shape.key_value_heads != shape.heads)
    return _moved(t, out, places)


def _moved(t: Tape, x: Tensor, places: Tensor) -> Tensor:
    """Tokens taken out of, or put into, their places, which are saved."""
    return custom(t, ((x.elements, x.itemsize),), (x,), (places,))[0]


def _efficient(t: Tape, shape: Heads, q: Tensor, k: Tensor, v: Tensor, *, masked: bool = True) -> Tensor:
    """The memory-efficient kernel: keys and values widened, an additive mask made and saved at every call.

    One head's keys are widened without a copy: a view repeats them. Gradients of queries in 16 bits are added up apart.
    """
    widen = spread if shape.key_value_heads == 1 else repeat
    k = widen(t, k, _wide(shape, k, shape.query))
    v = widen(t, v, _wide(shape, v, shape.heads * shape.value_dim * TOKEN))
    q, k, v = (cast(t, x, t.compute) for x in (q, k, v))
    mask = t.fresh(shape.pairs, t.compute) if masked and shape.given_mask != t.compute else None
    width = shape.heads * shape.value_dim * TOKEN
    out, sums = _results(t, shape, width, t.compute)
    sizes = [(x.elements, x.itemsize) for x in (q, k, v)]
    delta, workspace = shape.heads * TOKEN, shape.heads * round_up(shape.head_dim, 32) * BLOCKED
    apart = t.compute < FULL

    def run(_: list[Tensor | None]) -> Gradients:
        made = [t.fresh(elements, itemsize) for elements, itemsize in sizes]
        held = [t.fresh(size, FULL) for size in ((delta, workspace) if apart else (delta,))]
        del held
        return made

    t.join((out,), (q, k, v), _as_saved(t, shape, (q, k, v, mask, out, sums)), run)
    return out


def _as_saved(t: Tape, shape: Heads, saved: tuple[Tensor | None, ...]) -> tuple[Tensor | None, ...]:
    """What the kernel saves, its heads before its tokens: queries, keys, values, a mask, the output and log-sums.

    Widened keys and values lie so; the others are views, of which the hooks of offloading make copies.
    """
    if not isinstance(t, OffloadingTape) or not t.streams:
        return saved
    widened = shape.key_value_heads not in (1, shape.heads)
    views = (saved[0], saved[4]) if widened else (*saved[:3], saved[4])
    return tuple(t.part(x) if x is not None and x in views else x for x in saved)


def _matmul(t: Tape, a: Tensor, b: Tensor, elements: int, itemsize: int = 0) -> Tensor:
    """``torch.matmul`` of two activations, in what autocast computes in unless told otherwise."""
    itemsize = itemsize or t.compute
    a, b = cast(t, a, itemsize), cast(t, b, itemsize)
    (out,) = custom(t, ((elements, itemsize),), (a, b), (b if a.node else None, a if b.node else None))
    return out


def _eager(t: Tape, shape: Heads, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Scores of every pair of tokens: the fp32 softmax and its cast are saved."""
    k, v = _widened(t, shape, k, v)
    pairs, wanted = shape.heads * shape.pairs, q.itemsize
    weights = scale(t, _matmul(t, _alone(t, shape, q), _alone(t, shape, k), pairs))
    if shape.softcap:
        weights = scale(t, weights)
        weights = keeping_output(t, weights)
        weights = scale(t, weights)
    if shape.unmasked:
        pass
    elif shape.biased:
        weights = scale(t, add(t, weights, Tensor(None, shape.heads * TOKEN, FULL)))
    else:
        weights = add(t, weights, Tensor(None, shape.pairs, t.positions))
    if shape.sinks:
        weights = cast(t, _sunk(t, shape, weights), wanted)
        if shape.drops:
            weights = dropout(t, weights)
        t.beside = weights
        out = _matmul(t, weights, _alone(t, shape, v), shape.result)
        return copy(t, out)
    weights = cast(t, _softmax(t, weights, within=shape.fp16), wanted)
    if shape.drops:
        weights = dropout(t, weights)
    if shape.returned and t.reentrant:
        weights = _plus_zeros(t, weights)
    t.beside = weights
    out = _matmul(t, weights, _alone(t, shape, v), shape.result)
    return copy(t, out)


def _alone(t: Tape, shape: Heads, x: Tensor) -> Tensor:
    """What is part of a wider tensor (of a joint projection), by itself where a product needs it so."""
    part = x.storage is not None and x.bytes < x.storage.bytes
    return copy(t, x) if shape.rows and part else x


def _sunk(t: Tape, shape: Heads, weights: Tensor) -> Tensor:
    """gpt-oss's: a sink beside the scores, their maximum taken off, a softmax in their own type, the sink cut off.

    The maximum's gradient is scattered into zeros: two more of all scores.
    """
    weights = join(t, (weights, Tensor(None, shape.heads * TOKEN, shape.sinks)))
    itemsize = weights.itemsize
    whole, each = weights.elements, shape.heads * TOKEN
    largest = t.fresh(each, itemsize)

    def scatter(_: list[Tensor | None]) -> Gradients:
        zeros = t.fresh(whole, itemsize)
        found = t.fresh(whole, itemsize)
        del zeros
        return (found,)

    t.join((largest,), (weights,), (), scatter)
    lower = t.fresh(whole, itemsize)
    t.join((lower,), (weights, largest), (), lambda grads: (grads[0], t.fresh(each, itemsize)))
    del weights, largest
    chances = _softmax(t, lower, itemsize)
    del lower
    return slices(t, chances, (shape.heads * shape.pairs,))[0]


def _plus_zeros(t: Tape, x: Tensor) -> Tensor:
    """The gradient of what is handed out but not used: zeros that another's gradient is added to, out of place."""
    out = x.view()
    elements, itemsize = x.elements, x.itemsize
    t.handed_out = x
    t.join((out,), (x,), (), lambda _: (t.fresh(elements, itemsize),))
    return out


def _softmax(t: Tape, x: Tensor, wanted: int = FULL, *, within: bool = False) -> Tensor:
    """``softmax``: its result in fp32 unless told otherwise, for which the input is converted, unless the kernel does.

    That is for fp16 alone (ATen ``native/SoftMax.cpp``). The backward's kernel makes the product of gradient and result
    first (ATen ``cuda/SoftMax.cu``, ``softmax_backward_cuda_out``), which no trace of operations sees and every GPU
    allocates.
    """
    if not within:
        x = cast(t, x, wanted)
    out = t.fresh(x.elements, wanted)
    elements, itemsize = x.elements, x.itemsize

    def run(_: list[Tensor | None]) -> Gradients:
        result = t.fresh(elements, itemsize)
        product = t.fresh(elements, wanted)
        del product
        return (result,)

    t.join((out,), (x,), (out,), run)
    return out
