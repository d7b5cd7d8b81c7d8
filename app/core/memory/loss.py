"""The end of the model: final norm, output head and loss, and what the vocabulary costs there.

Sources: Transformers 5.16.1 ``loss/loss_utils.py`` (``ForCausalLMLoss``); Accelerate 1.13 ``convert_outputs_to_fp32``;
Axolotl 0.19.0 ``monkeypatch/loss/chunked.py``; cut cross entropy, arXiv:2411.09009, Axolotl's fork ``cce.py``; Liger,
arXiv:2410.10989, liger-kernel 0.8.1 ``ops/fused_linear_cross_entropy.py`` and ``ops/cross_entropy.py``.

Evaluation: the forwards that Liger patches in (``transformers/model/*.py`` there, Axolotl's
``integrations/liger/models``) skip the logits while the model trains, or where the caller says ``skip_logits``.
Transformers' ``prediction_step`` says so under ``use_liger_kernel`` alone, which Axolotl sets for DPO and GRPO. Cut
cross entropy asks for labels, not for training.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from app.core.memory.linears import LinearSpec, linear, weight_of
from app.core.memory.norms import NormSpec, normalise
from app.core.memory.offloading import LABEL_BYTES, LEAST_BYTES, OffloadingTape
from app.core.memory.operations import cast, copy, custom, gather, keeping_output, saved_only, scale, slices, split
from app.core.memory.tape import CHUNK, FULL, LOGITS, LOSS, TOKEN, Gradients, Run, Tape, Tensor
from app.core.run import CHUNKS, Loss


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadSpec:
    """Everything behind the last layer.

    ``scaled`` where logits are multiplied by a number, ``rows`` where there is more than one.
    """

    hidden: int
    vocab: int
    norm: NormSpec | None
    projection: LinearSpec | None = None
    linear: LinearSpec
    loss: Loss
    softcap: bool
    scaled: bool
    rows: bool
    spared: bool = True
    """The hooks of activation offloading (TRL's) know the head by its place and leave what it saves."""
    wrapped: bool = False
    """The wrapper of a multimodal model computes its loss itself, of fp32 logits (Gemma 3)."""
    picked: bool = False
    """It picks the tokens that a mask of padding leaves, all but none of them."""
    shifts: bool = False
    """Axolotl's forward for Liger's fused loss leaves the last token of a row out before the loss (DeepSeek-V2)."""
    wraps_rows: bool = False
    """Whether the head's ``weight``, asked for by name, has its trained rows in it."""
    penalties: tuple[tuple[int, int, int], ...]
    """AdaLoRA's matrices that are to be orthogonal: elements, rank and how many alike."""


def projected(t: Tape, spec: HeadSpec, x: Tensor) -> Tensor:
    """What the head reads: behind the final norm, and behind a projection to the embedding's width (OPT 350M)."""
    hidden = x if spec.norm is None else normalise(t, spec.norm, x)
    return hidden if spec.projection is None else linear(t, spec.projection, hidden)


def run_head(t: Tape, spec: HeadSpec, x: Tensor) -> Tensor:
    """The loss of the last layer's output; the model's outputs die with the call."""
    hidden = projected(t, spec, x)
    del x
    if spec.loss is Loss.CUT_CROSS_ENTROPY or (spec.loss is Loss.LIGER_FUSED_LINEAR and t.training):
        t.slot = LOSS
        loss = _cut(t, spec, hidden) if spec.loss is Loss.CUT_CROSS_ENTROPY else _liger_fused(t, spec, hidden)
        loss = _penalised(t, spec, loss)
        t.end_autocast()
        return loss
    logits, loss = _with_logits(t, spec, hidden)
    del hidden
    loss = _penalised(t, spec, loss)
    t.end_autocast()
    outputs = t.fresh(logits.elements, FULL, LOSS) if t.autocast and logits.itemsize < FULL else logits
    del logits, outputs
    return loss


def _with_logits(t: Tape, spec: HeadSpec, hidden: Tensor) -> tuple[Tensor, Tensor]:
    """The causal model's own forward, behind its final norm."""
    t.slot = LOGITS
    if isinstance(t, OffloadingTape):
        t.sparing = spec.spared
    logits = linear(t, spec.linear, hidden)
    if isinstance(t, OffloadingTape):
        t.sparing = False
    if spec.scaled:
        logits = scale(t, logits)
    if spec.softcap:
        logits = scale(t, logits)
        logits = keeping_output(t, logits)
        logits = scale(t, logits)
    t.slot = LOSS
    if spec.wrapped or spec.shifts:
        logits = cast(t, logits, FULL)
        (shifted,) = slices(t, logits, (logits.elements,))
        if spec.picked:
            shifted = gather(t, shifted, shifted.elements)
        elif spec.rows:
            shifted = copy(t, shifted)
        return logits, (_liger if spec.loss is Loss.LIGER else _plain)(t, shifted)
    match spec.loss:
        case Loss.CHUNKED:
            return logits, _chunked(t, spec, logits)
        case Loss.LIGER:
            return logits, _liger(t, logits)
        case _:
            return logits, _plain(t, logits)


def _scalar(t: Tape) -> Tensor:
    return t.fresh(1, FULL)


def _plain(t: Tape, logits: Tensor) -> Tensor:
    """fp32 logits, their log-softmax, and two gradients as large at the start of the backward.

    Labels leave where hooks take what is saved, and with them comes back what pushes the rest out of the stash.
    """
    logits = cast(t, logits, FULL)
    logs = keeping_output(t, logits)
    labels = t.fresh(TOKEN, LABEL_BYTES) if isinstance(t, OffloadingTape) else None
    loss = _scalar(t)
    elements = logs.elements
    t.join((loss,), (logs,), (logs, labels), lambda _: (t.fresh(elements, FULL),))
    return loss


def _liger(t: Tape, logits: Tensor) -> Tensor:
    """Liger's cross entropy writes the gradient over the fp32 logits."""
    logits = cast(t, logits, FULL)
    loss = _scalar(t)
    t.join((loss,), (logits,), (logits,), _handed_on(t, [logits]))
    return loss


def _handed_on(t: Tape, saved: Sequence[Tensor | None]) -> Run:
    """A backward that hands on what its forward saved, written over; under hooks, what they bring back of it."""
    sizes = [None if x is None else (x.elements, x.itemsize) for x in saved]
    held = [] if isinstance(t, OffloadingTape) else [x.storage for x in saved if x is not None]

    def run(_: list[Tensor | None]) -> Gradients:
        storages = t.reading if isinstance(t, OffloadingTape) else held
        return [None if size is None else Tensor(storages.pop(0), *size) for size in sizes]

    return run


def _chunked(t: Tape, spec: HeadSpec, logits: Tensor) -> Tensor:
    """Compiled chunks make no fp32 logits; several rows make each chunk a copy."""
    part = logits.elements // TOKEN // CHUNKS * TOKEN
    chunks = split(t, logits, (part,) * CHUNKS)
    if spec.rows:
        chunks = tuple(copy(t, chunk) for chunk in chunks)
    if isinstance(t, OffloadingTape):
        losses = [_chunk_offloaded(t, chunk, apart=spec.rows or place == 0) for place, chunk in enumerate(chunks)]
    else:
        losses = [custom(t, ((1, FULL),), (chunk,), (chunk,))[0] for chunk in chunks]
    (loss,) = custom(t, ((1, FULL),), losses, ())
    return loss


def _chunk_offloaded(t: OffloadingTape, chunk: Tensor, *, apart: bool) -> Tensor:
    """A chunk's logits, labels, maxima and log-sums leave; a view that begins elsewhere does so as a clone."""
    held = Tensor(chunk.storage, chunk.elements, chunk.itemsize) if apart else t.part(chunk)
    labels = t.fresh(1, LABEL_BYTES * (LEAST_BYTES if t.labels_leave else 1))
    statistics = [t.fresh(1, FULL) for _ in range(2)]
    return custom(t, ((1, FULL),), (chunk,), (held, labels, *statistics))[0]


def _penalised(t: Tape, spec: HeadSpec, loss: Tensor) -> Tensor:
    """AdaLoRA adds how far its matrices are from orthogonal: each times itself, from two copies in autocast's type.

    Its part of the graph is the last made, so the gradients of all of them are the first that the backward makes.
    Source: PEFT 0.20.0 ``tuners/adalora/model.py``, ``forward``.
    """
    for index, (elements, rank, copies) in enumerate(spec.penalties):
        parameter = t.parameter(elements * copies, FULL, trained=True)
        cached = turned = None
        if t.compute < FULL:
            t.cache[f"penalty.{index}"] = cached = t.fresh(elements * copies, t.compute)
            turned = t.fresh(elements * (copies if t.recording else 1), t.compute)
        squares = t.fresh(rank * rank * copies, FULL)
        before, loss = loss, _scalar(t)

        def run(grads: list[Tensor | None], one: int = elements, every: int = elements * copies) -> list[Tensor | None]:
            made = t.fresh(every, FULL)
            temporaries = [t.fresh(one, t.compute) for _ in range(2)]
            del temporaries
            return [grads[0], made]

        t.join((loss,), (before, parameter), (cached, turned, squares), run)
        del cached, turned, squares, before
    return loss


def _named_weight(t: Tape, spec: HeadSpec) -> Tensor:
    """The head's weight as a loss asks for it by name: PEFT's wrapper answers with its rows in it, its layer without.

    Source: PEFT 0.20.0 ``utils/other.py``, ``TrainableTokensWrapper``.
    """
    if spec.wraps_rows:
        return weight_of(t, spec.linear)
    return t.parameter(spec.linear.elements, spec.linear.itemsize, trained=spec.linear.trained)


def _cut(t: Tape, spec: HeadSpec, hidden: Tensor) -> Tensor:
    """No logits: a log-sum-exp a token and a mean a word; the head's gradient only where it trains."""
    weight = _named_weight(t, spec)
    statistics = saved_only(t, 2 * TOKEN, FULL)
    words = saved_only(t, spec.vocab, FULL)
    return custom(t, ((1, FULL),), (hidden, weight), (hidden, weight, statistics, words), (12 * spec.vocab,))[0]


def _liger_fused(t: Tape, spec: HeadSpec, hidden: Tensor) -> Tensor:
    """Gradients are made chunk by chunk in the forward and saved, a trained head's through an fp32 copy.

    A chunk's logits keep their name until the next one's are made. Autocast copies what is not in its type for each
    product: a trained head once, but a view of it, which is no leaf, each time.
    """
    if spec.shifts and spec.rows:
        hidden = copy(t, hidden)
    needed = hidden.node is not None and t.recording
    weight = _named_weight(t, spec)
    trained = weight.node is not None and needed
    gradient = t.fresh(hidden.elements, hidden.itemsize)
    whole = t.fresh(spec.linear.elements, spec.linear.itemsize) if trained else None
    converts = spec.linear.itemsize != t.compute
    parts: list[Tensor] = []
    for _ in range(2 if spec.vocab > spec.hidden else 1):
        rows = t.fresh(CHUNK * spec.hidden, t.compute) if hidden.itemsize != t.compute else None
        turned = t.fresh(spec.linear.elements, t.compute) if converts else None
        parts.append(t.fresh(CHUNK * spec.vocab, t.compute))
        del rows, turned
        if not trained:
            del parts[:-1]
        if needed:
            _liger_gradient(t, spec, converts=converts)
        del parts[:-1]
        if trained and spec.linear.itemsize < FULL:
            temporary = t.fresh(spec.linear.elements, t.compute), t.fresh(spec.linear.elements, FULL)
            del temporary
    del parts
    loss = _scalar(t)
    if needed:
        t.join((loss,), (hidden, weight), (gradient, whole), _handed_on(t, [gradient, whole]))
    return loss


def _liger_gradient(t: Tape, spec: HeadSpec, *, converts: bool) -> None:
    """A chunk's part of the gradient: by the head in autocast's type, a trained one's copy staying there."""
    copied = t.cache.get(spec.linear.name)
    if copied is None and converts:
        copied = t.fresh(spec.linear.elements, t.compute)
        if spec.linear.trained:
            t.cache[spec.linear.name] = copied
    rows = t.fresh(CHUNK * spec.hidden, t.compute)
    del rows


def liger_chunk_tokens(tokens: int, vocab_size: int, hidden_size: int) -> int:
    """Tokens in one of Liger's chunks: the next power of two of tokens over ``ceil(vocab_size / hidden_size)``."""
    share = -(-tokens // -(-vocab_size // hidden_size))
    return min(tokens, 1 << (share - 1).bit_length())
