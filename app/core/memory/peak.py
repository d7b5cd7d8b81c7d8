"""The peak of a step: the highest of its moments, each from what is live then.

Gradients are set to None after each step, so the first micro batch begins without them; with accumulation they are
there from the start.
"""

from dataclasses import dataclass

from app.core.adapter import Adapter
from app.core.architecture import Architecture, Block, Kind
from app.core.estimate import Memory, Phase, Term
from app.core.memory.activations import LayerContext, LoraWidths, layer_backward_work, layer_saved
from app.core.memory.loss import logits_bytes, loss_bytes, softcap_bytes
from app.core.memory.process import process_bytes, process_range_bytes
from app.core.memory.states import Trained, form_of, gradient_bytes, state_bytes, step_temporary_bytes
from app.core.memory.weights import base_bytes, fp32_residual
from app.core.messages import message
from app.core.run import Checkpointing, Loss, Method, Quantization, Run

FEED_FORWARD_OUT = frozenset(("down_proj", "fc2", "c_proj", "dense_4h_to_h", "fc_out", "w2"))
FEED_FORWARD_IN = frozenset(
    ("gate_proj", "up_proj", "gate_up_proj", "fc1", "c_fc", "dense_h_to_4h", "fc_in", "w1", "w3")
)
ATTENTION_OUT = frozenset(("o_proj", "out_proj", "dense"))
FP32_KINDS = frozenset((Kind.EMBEDDING, Kind.HEAD, Kind.NORM))


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What is live at one moment beside weights, adapter and optimizer states, in bytes."""

    phase: Phase
    gradients: int = 0
    activations: int = 0
    logits: int = 0
    loss: int = 0
    temporaries: int = 0

    @property
    def bytes(self) -> int:
        """Their sum."""
        return self.gradients + self.activations + self.logits + self.loss + self.temporaries


def trained_tensors(architecture: Architecture, run: Run, adapter: Adapter) -> tuple[Trained, ...]:
    """Every kind of tensor that the optimizer holds: A, B and magnitudes in fp32, or the model's own."""
    upcast = fp32_residual(run)
    rows: list[Trained] = []
    for adapted in adapter.modules:
        module = adapted.module
        copies = adapted.copies
        if adapted.own_parameters:
            itemsize = 4 if upcast and module.kind in FP32_KINDS else 2
            embedding = module.kind is Kind.EMBEDDING
            if not module.tied_to:
                rows.append(
                    Trained(
                        elements=module.weight_parameters,
                        copies=copies,
                        itemsize=itemsize,
                        shape=module.shape,
                        embedding=embedding,
                    )
                )
            if module.bias_parameters:
                rows.append(Trained(elements=module.bias_parameters, copies=copies, itemsize=itemsize))
            continue
        for total in (adapted.lora_a_parameters, adapted.lora_b_parameters):
            each = total // copies
            rows.append(Trained(elements=each, copies=copies, itemsize=4, shape=(adapted.rank, each // adapted.rank)))
        if adapted.magnitude_parameters:
            rows.append(Trained(elements=adapted.magnitude_parameters // copies, copies=copies, itemsize=4))
    return tuple(rows)


def lora_widths(block: Block, adapter: Adapter) -> LoraWidths:
    """The adapted linears of one layer of ``block``."""
    layer = block.layers[0]
    found = {"attention_in": 0, "attention_out": 0, "feed_forward_in": 0, "feed_forward_out": 0}
    attention_group = feed_forward_group = outputs = ranks = parameters = 0
    for adapted in adapter.modules:
        module = adapted.module
        if not adapted.rank or layer not in adapted.layers or module.kind is Kind.EXPERTS:
            continue
        inputs = module.shape[0]
        if module.name in FEED_FORWARD_OUT:
            found["feed_forward_out"] += inputs
        elif module.name in FEED_FORWARD_IN:
            found["feed_forward_in"] += inputs
            feed_forward_group = inputs
        elif module.name in ATTENTION_OUT:
            found["attention_out"] += inputs
        else:
            found["attention_in"] += inputs
            attention_group = inputs
        outputs += module.shape[1]
        ranks += adapted.rank
        parameters += adapted.rank * (inputs + module.shape[1])
    return LoraWidths(
        **found,
        attention_group=attention_group,
        feed_forward_group=feed_forward_group,
        outputs=outputs,
        ranks=ranks,
        parameters=parameters,
    )


def weight_temporaries(run: Run, adapter: Adapter, architecture: Architecture, *, fused_lora: bool) -> int:
    """Copies of a weight's size made while one linear computes.

    A quantised weight is dequantised whole to bf16. DoRA forms W + s B A and its norm (two more copies); PEFT's form
    reaches B A through an fp32 identity of the input's width and its bf16 copy.
    """
    linears = [m for m in architecture.modules if m.kind is Kind.LINEAR]
    largest = max((m.weight_parameters for m in linears), default=0)
    size = 2 * largest if run.quantization in (Quantization.NF4, Quantization.INT8) else 0
    if run.lora is not None and run.lora.dora:
        adapted = [m.module for m in adapter.modules if m.rank and m.module.kind is Kind.LINEAR]
        size += 4 * max((m.weight_parameters for m in adapted), default=0)
        if not fused_lora:
            size += 6 * max((m.shape[0] ** 2 for m in adapted), default=0)
    return size


def estimate_memory(architecture: Architecture, run: Run, adapter: Adapter, *, fused_lora: bool) -> Memory:
    """Memory per GPU of a steady training step, itemised at its peak.

    ``fused_lora`` is whether Axolotl's kernels replace PEFT's forward.
    """
    trained = trained_tensors(architecture, run, adapter)
    form = form_of(run.optimizer)
    states = state_bytes(trained, form)
    weights = base_bytes(architecture, run)
    added = 0 if run.method is Method.FULL else gradient_bytes(trained)
    moments = (
        *_moments(architecture, run, adapter, trained, fused_lora=fused_lora),
        Moment(
            phase=Phase.OPTIMIZER,
            gradients=gradient_bytes(trained),
            temporaries=step_temporary_bytes(trained, form),
        ),
    )
    top = max(moments, key=lambda moment: moment.bytes)
    tokens, vocab_size = run.tokens, architecture.vocab_size
    count = sum(tensor.elements * tensor.copies for tensor in trained)
    terms = (
        ("weights", weights, True, {"parameters": architecture.total_parameters}),
        ("adapter", added, False, {"parameters": adapter.added_parameters}),
        ("gradients", top.gradients, True, {"parameters": count}),
        ("optimizer", 0 if form.paged else states, True, {"optimizer": run.optimizer}),
        ("activations", top.activations, False, {"tokens": tokens, "layers": architecture.num_layers}),
        ("logits", top.logits, False, {"tokens": tokens, "vocab_size": vocab_size}),
        ("loss", top.loss, False, {"tokens": tokens, "vocab_size": vocab_size}),
        ("temporaries", top.temporaries, False, {"tokens": tokens}),
    )
    breakdown = tuple(
        Term(code=code, bytes=size, explanation=message(f"term.{code}.explanation", **params), sharded=sharded)
        for code, size, sharded, params in terms
    )
    peak = sum(term.bytes for term in breakdown)
    return Memory(
        allocated_peak_bytes=peak,
        process_bytes=process_bytes(peak),
        range_bytes=process_range_bytes(peak),
        peak_phase=top.phase,
        breakdown=breakdown,
        host_bytes=states if form.paged else 0,
    )


def _moments(
    architecture: Architecture, run: Run, adapter: Adapter, trained: tuple[Trained, ...], *, fused_lora: bool
) -> tuple[Moment, ...]:
    """Loss, the last layer's backward (the first to come), the first layer's, evaluation, and the embedding's.

    Evaluation makes the logits of ``eval_batch_size`` rows unless the loss is fused with the head.
    """
    tokens = run.tokens
    row_tokens = tokens if run.sample_packing else run.sequence_len_tokens
    full = run.method is Method.FULL
    dora = bool(run.lora and run.lora.dora)
    quantized = run.quantization in (Quantization.NF4, Quantization.INT8)
    context = LayerContext(
        residual_itemsize=4 if fp32_residual(run) or (dora and quantized and not fused_lora) else 2,
        weights_trained=full,
        fused_lora=fused_lora,
        dropout=bool(run.lora and run.lora.dropout),
        quantized=quantized,
        dora=dora,
    )
    saved_all = saved_most = work = copies_all = copies_most = 0
    for block in architecture.blocks:
        widths = lora_widths(block, adapter)
        saved = layer_saved(block, run, context, widths, row_tokens)
        saved_all += len(block.layers) * saved
        saved_most = max(saved_most, saved)
        work = max(work, layer_backward_work(block, run, context, widths, row_tokens))
        copies_all += 2 * len(block.layers) * widths.parameters
        copies_most = max(copies_most, 2 * widths.parameters)
    hidden = architecture.hidden_size
    stream = context.residual_itemsize * hidden
    if run.checkpointing is Checkpointing.OFF:
        kept, recomputed, copies = saved_all, 0, copies_all
    else:
        offloaded = run.checkpointing is Checkpointing.OFFLOAD
        kept, recomputed, copies = (stream if offloaded else architecture.num_layers * stream), saved_most, copies_most
    all_gradients = gradient_bytes(trained)
    before = all_gradients if run.gradient_accumulation_steps > 1 else 0
    embedding = max((t.elements * t.itemsize for t in trained if t.embedding), default=0)
    head = _head_bytes(architecture, run) if full else 0
    after_head = max(before, head)
    temporaries = weight_temporaries(run, adapter, architecture, fused_lora=fused_lora)
    top_layer = Moment(
        phase=Phase.BACKWARD,
        gradients=after_head,
        activations=tokens * (kept + recomputed) + copies,
        temporaries=tokens * work + temporaries,
    )
    moments: tuple[Moment, ...] = (
        Moment(
            phase=Phase.BACKWARD if run.loss is Loss.PLAIN else Phase.FORWARD,
            gradients=before,
            activations=tokens * (kept + 4 * hidden) + (copies if run.checkpointing is Checkpointing.OFF else 0),
            logits=logits_bytes(run, tokens, architecture.vocab_size)
            + (softcap_bytes(run, tokens, architecture.vocab_size) if architecture.logit_softcap else 0),
            loss=loss_bytes(run, tokens, architecture.vocab_size, hidden) + _fused_head_bytes(run, head),
        ),
        top_layer,
        Moment(
            phase=Phase.BACKWARD,
            gradients=max(before, all_gradients - embedding),
            activations=tokens * (saved_most + stream),
            temporaries=tokens * work + temporaries,
        ),
    )
    if run.evaluates and logits_bytes(run, 1, 1):
        rows = run.eval_batch_size * run.sequence_len_tokens
        logits = 2 * rows * architecture.vocab_size
        moments += (Moment(phase=Phase.EVALUATION, logits=logits, loss=4 * logits),)
    if not embedding:
        return moments
    tied_copies = 0
    if architecture.tie_word_embeddings:
        in_place = run.loss in (Loss.CUT_CROSS_ENTROPY, Loss.LIGER_FUSED_LINEAR) or fp32_residual(run)
        tied_copies = 1 if in_place else 2
    return (
        *moments,
        Moment(
            phase=Phase.BACKWARD,
            gradients=max(before, all_gradients - embedding),
            activations=tokens * 2 * stream,
            temporaries=embedding * (1 + tied_copies),
        ),
    )


def _fused_head_bytes(run: Run, head: int) -> int:
    """The head's gradient inside the losses fused with it; Liger adds it up in fp32 through a bf16 product."""
    match run.loss:
        case Loss.CUT_CROSS_ENTROPY:
            return head
        case Loss.LIGER_FUSED_LINEAR:
            return 4 * head
    return 0


def _head_bytes(architecture: Architecture, run: Run) -> int:
    """The gradient of the output head, which is the first to come; tied, it waits for the embedding's."""
    itemsize = 4 if fp32_residual(run) else 2
    return max((itemsize * m.weight_parameters for m in architecture.modules if m.kind is Kind.HEAD), default=0)
