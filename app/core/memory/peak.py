"""The peak of a step: the highest of its moments, each from what is live then.

Gradients are set to None after each step, so the first micro batch begins without them; with accumulation they are
there from the start. A layer's moments come from its tape (``profile``); this module lays the layers end to end: what
those below keep, what is above in gradients, and the layer itself.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod

from app.core.adapter import Adapter
from app.core.architecture import Architecture, Kind, Part
from app.core.estimate import Memory, Phase, Term
from app.core.memory.forms import head_spec, layer_specs
from app.core.memory.layers import LayerSpec
from app.core.memory.loss import liger_chunk_tokens
from app.core.memory.process import process_bytes, process_range_bytes
from app.core.memory.profile import HeadProfile, LayerProfile, Stage, profile_head, profile_layer
from app.core.memory.states import Trained, form_of, gradient_bytes, host_bytes, state_bytes, step_temporary_bytes
from app.core.memory.tape import ACTIVATIONS, GRADIENTS, LOGITS, LOSS, TEMPORARIES, evaluate
from app.core.memory.weights import Storing, base_bytes, fp32_residual, stored
from app.core.messages import message
from app.core.methods.settings import PeftType
from app.core.run import LORA_KERNEL_KEYS, Checkpointing, Loss, Method, Run

BATCH_BYTES = 24
"""Token ids, labels and positions of a token, eight bytes each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    """Tokens of the micro batch, of a row, and of a chunk of the loss."""

    tokens: int
    row: int
    chunk: int = 0

    def value(self, size: int) -> int:
        """A packed size at these lengths."""
        return evaluate(size, self.tokens, self.row, self.chunk)


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
    rows: list[Trained] = []
    storing = Storing.of(run)
    lora_itemsize = 4 if run.adapter_fp32 else run.itemsize
    for adapted in adapter.modules:
        module = adapted.module
        copies = adapted.copies
        if adapted.own_parameters:
            itemsize = stored(architecture, module, storing)
            embedding = module.kind is Kind.EMBEDDING
            decays = module.kind is not Kind.NORM
            if not module.tied_to:
                rows.append(
                    Trained(
                        elements=module.weight_parameters,
                        copies=copies,
                        itemsize=itemsize,
                        shape=module.shape,
                        embedding=embedding,
                        decays=decays,
                    )
                )
            if module.bias_parameters:
                rows.append(Trained(elements=module.bias_parameters, copies=copies, itemsize=itemsize, decays=False))
            continue
        if adapted.tensors:
            rows += [
                Trained(
                    elements=prod(shape),
                    copies=copies,
                    itemsize=lora_itemsize,
                    shape=shape,
                    embedding=module.kind is Kind.EMBEDDING,
                    decays=len(shape) > 1,
                )
                for shape in adapted.tensors
            ]
            continue
        for total in (adapted.lora_a_parameters, adapted.lora_b_parameters):
            each = total // copies
            rows.append(
                Trained(
                    elements=each, copies=copies, itemsize=lora_itemsize, shape=(adapted.rank, each // adapted.rank)
                )
            )
        if adapted.magnitude_parameters:
            each = adapted.magnitude_parameters // copies
            rows.append(Trained(elements=each, copies=copies, itemsize=lora_itemsize, decays=False))
    return tuple(rows)


def kernels_of(run: Run, *, fused_lora: bool) -> frozenset[str]:
    """Which of Axolotl's kernels replace PEFT's forward."""
    if not fused_lora or run.method is Method.FULL:
        return frozenset()
    return frozenset(run.lora_kernels or LORA_KERNEL_KEYS)


def estimate_memory(architecture: Architecture, run: Run, adapter: Adapter, *, fused_lora: bool) -> Memory:
    """Memory per GPU of a steady training step, itemised at its peak.

    ``fused_lora`` is whether Axolotl's kernels replace PEFT's forward.
    """
    trained = trained_tensors(architecture, run, adapter)
    form = form_of(run.optimizer)
    states = state_bytes(trained, form)
    weights = base_bytes(architecture, Storing.of(run))
    gradients = gradient_bytes(trained)
    added = 0 if run.method is Method.FULL else gradients + adapter.buffer_bytes
    step = _Step(architecture, run, adapter, trained, kernels=kernels_of(run, fused_lora=fused_lora))
    optimizer = Moment(phase=Phase.OPTIMIZER, gradients=gradients, temporaries=step_temporary_bytes(trained, form))
    top = optimizer
    for moment in step.moments():
        if moment.bytes > top.bytes:
            top = moment
    tokens, vocab_size = run.tokens, architecture.vocab_size
    count = sum(tensor.elements * tensor.copies for tensor in trained)
    on_host = host_bytes(trained, form)
    terms = (
        ("weights", weights, True, {"parameters": architecture.total_parameters}),
        ("adapter", added, False, {"parameters": adapter.added_parameters}),
        ("gradients", top.gradients, True, {"parameters": count}),
        ("optimizer", states - on_host, True, {"optimizer": run.optimizer}),
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
        host_bytes=on_host + step.offloaded_bytes,
    )


def run_lengths(run: Run) -> tuple[int, int]:
    """Tokens of a micro batch and of a row, with a prompt's virtual tokens before each row."""
    rows = 1 if run.sample_packing else run.micro_batch_size
    before = 0 if run.peft is None or run.peft.type is PeftType.PREFIX_TUNING else run.virtual_tokens
    return run.tokens + before * rows, run.tokens // rows + before


class _Step:
    """Lays the layers of one step end to end."""

    def __init__(
        self,
        architecture: Architecture,
        run: Run,
        adapter: Adapter,
        trained: tuple[Trained, ...],
        *,
        kernels: frozenset[str],
    ) -> None:
        self.architecture, self.run, self.trained = architecture, run, trained
        tokens, rows = run_lengths(run)
        chunk = 0
        if run.loss is Loss.LIGER_FUSED_LINEAR:
            chunk = liger_chunk_tokens(tokens, architecture.vocab_size, architecture.hidden_size)
        self.lengths = Lengths(tokens=tokens, row=rows, chunk=chunk)
        self.specs = layer_specs(architecture, run, adapter, fused=kernels, row_tokens=rows)
        self.full = run.method is Method.FULL
        self.gradients = gradient_bytes(trained)
        self.present = run.gradient_accumulation_steps > 1
        self.checkpointed = run.checkpointing is not Checkpointing.OFF
        self.offloaded = run.checkpointing is Checkpointing.OFFLOAD
        embedding = next(m for m in architecture.modules if m.kind is Kind.EMBEDDING and m.part is Part.TEXT)
        self.embedding_itemsize = stored(architecture, embedding, Storing.of(run))
        self.embedding = max((t.elements * t.itemsize for t in trained if t.embedding), default=0)
        self.first_needs = self.first_input_needs_gradient(adapter)
        self.layers = self.profiles()
        self.distinct = {id(layer): layer for layer in self.layers}
        self.copies = sum(self.each({key: self.lengths.value(layer.copies) for key, layer in self.distinct.items()}))
        stream = self.layers[-1].output if self.layers else self.embedding_itemsize
        self.head: HeadProfile = profile_head(
            head_spec(architecture, run, adapter),
            stream=stream,
            compute=run.itemsize,
            gradients_present=self.present,
            needs_input=True,
        )

    def first_input_needs_gradient(self, adapter: Adapter) -> bool:
        """Whether the embedding's output takes a gradient: it trains, or checkpointing makes inputs require one."""
        if self.full or self.checkpointed:
            return True
        if run_lengths(self.run)[0] > self.run.tokens:
            return True
        return any(
            adapted.module.kind is Kind.EMBEDDING and adapted.module.part is Part.TEXT for adapted in adapter.modules
        )

    def profiles(self) -> tuple[LayerProfile, ...]:
        """One profile a layer; the residual stream's type is the last layer's output's."""
        stream, needs = self.embedding_itemsize, self.first_needs
        held: dict[tuple[int, int, bool], LayerProfile] = {}
        found = []
        for spec in self.specs:
            key = (id(spec), stream, needs)
            if key not in held:
                held[key] = self.profile(spec, stream, needs_input=needs)
            found.append(held[key])
            stream, needs = held[key].output, True
        return tuple(found)

    def profile(self, spec: LayerSpec, stream: int, *, needs_input: bool) -> LayerProfile:
        """One layer's."""
        return profile_layer(
            spec,
            stream=stream,
            compute=self.run.itemsize,
            checkpointed=self.checkpointed,
            holding=self.run.checkpointing in (Checkpointing.REENTRANT, Checkpointing.OFFLOAD),
            gradients_present=self.present,
            needs_input=needs_input,
            positions=self.embedding_itemsize,
        )

    @property
    def offloaded_bytes(self) -> int:
        """Checkpoints that wait on the host."""
        return sum(self.streams()) if self.offloaded else 0

    def streams(self) -> list[int]:
        """The residual stream's bytes at the input of each layer."""
        itemsizes = [self.embedding_itemsize, *(layer.output for layer in self.layers)]
        width = self.architecture.hidden_size * self.lengths.tokens
        return [width * itemsize for itemsize in itemsizes[:-1]]

    def kept(self) -> list[int]:
        """What each layer keeps until its backward."""
        if not self.checkpointed:
            return self.each({key: self.lengths.value(layer.kept) for key, layer in self.distinct.items()})
        streams = self.streams()
        return [0] * len(streams) if self.offloaded else streams

    def each(self, values: Mapping[int, int]) -> list[int]:
        """The values of every layer, worked out once for each distinct one."""
        return [values[id(layer)] for layer in self.layers]

    def at(self, phase: Phase, stage: Stage, lengths: Lengths, *, gradients: int, activations: int) -> Moment:
        """The largest moment of a stage on top of what else lives."""
        _, moment = stage.highest(lengths.tokens, lengths.row, lengths.chunk)
        sizes = [lengths.value(size) for size in moment.slots]
        return Moment(
            phase=phase,
            gradients=gradients + sizes[GRADIENTS],
            activations=activations + sizes[ACTIVATIONS],
            logits=sizes[LOGITS],
            loss=sizes[LOSS],
            temporaries=sizes[TEMPORARIES],
        )

    def moments(self) -> Iterator[Moment]:
        """All that could be the peak: forward through the layers, the head, backward, the embedding, evaluation."""
        lengths = self.lengths
        batch = BATCH_BYTES * lengths.tokens
        kept = self.kept()
        everything = sum(kept)
        before = self.gradients if self.present else 0
        copies = self.copies if self.checkpointed else 0
        embedded = self.architecture.hidden_size * lengths.tokens * self.embedding_itemsize
        inputs = 0 if self.checkpointed and not self.offloaded else embedded
        # forward, at the last layer: all others keep theirs
        if self.layers:
            last = self.layers[-1]
            stage = last.quiet if self.checkpointed else last.forward
            yield self.at(
                Phase.FORWARD,
                stage,
                lengths,
                gradients=before,
                activations=batch
                + inputs
                + everything
                - kept[-1]
                + (copies - lengths.value(last.copies) if copies else 0),
            )
        yield self.at(
            Phase.FORWARD, self.head.forward, lengths, gradients=before, activations=batch + everything + copies
        )
        yield self.at(Phase.BACKWARD, self.head.backward, lengths, gradients=before, activations=batch + everything)
        yield from self.backward(kept, batch, before)
        yield from self.embedding_moments(batch, before)
        if self.run.evaluates:
            yield from self.evaluation()

    def backward(self, kept: list[int], batch: int, before: int) -> Iterator[Moment]:
        """Each layer's backward, from the last to the first: gradients of those above are there."""
        lengths = self.lengths
        below = sum(kept)
        above = before or lengths.value(self.head.gradients)
        tops, gradients = {}, {}
        for key, layer in self.distinct.items():
            tops[key], _ = layer.backward.highest(lengths.tokens, lengths.row, lengths.chunk)
            gradients[key] = 0 if self.present else lengths.value(layer.gradients)
        best: tuple[int, int, int, LayerProfile] | None = None
        for layer, own in zip(reversed(self.layers), reversed(kept), strict=True):
            below -= own
            size = tops[id(layer)] + below + above
            if best is None or size > best[0]:
                best = size, below, above, layer
            above += gradients[id(layer)]
        if best is not None:
            _, below, above, layer = best
            yield self.at(Phase.BACKWARD, layer.backward, lengths, gradients=above, activations=batch + below)

    def embedding_moments(self, batch: int, before: int) -> Iterator[Moment]:
        """The embedding's gradient comes last; tied, the head's waits for it and both are added."""
        if not self.embedding:
            return
        tied_copies = 0
        if self.architecture.tie_word_embeddings and self.full:
            fused = self.run.loss in (Loss.CUT_CROSS_ENTROPY, Loss.LIGER_FUSED_LINEAR)
            tied_copies = 1 if fused or fp32_residual(self.run) else 2
        stream = self.architecture.hidden_size * self.lengths.tokens * self.embedding_itemsize
        yield Moment(
            phase=Phase.BACKWARD,
            gradients=before or self.gradients - self.embedding,
            activations=batch + stream,
            temporaries=self.embedding * (1 + tied_copies),
        )

    def evaluation(self) -> Iterator[Moment]:
        """Rows of the same length without a graph: the largest layer, or the head's logits."""
        rows = self.run.eval_batch_size
        row = self.run.sequence_len_tokens
        tokens = rows * row
        chunk = 0
        if self.run.loss is Loss.LIGER_FUSED_LINEAR:
            chunk = liger_chunk_tokens(tokens, self.architecture.vocab_size, self.architecture.hidden_size)
        lengths = Lengths(tokens=tokens, row=row, chunk=chunk)
        copies = self.copies
        held = tokens * (BATCH_BYTES + self.architecture.hidden_size * self.embedding_itemsize)
        for layer in self.distinct.values():
            yield self.at(Phase.EVALUATION, layer.quiet, lengths, gradients=0, activations=held + copies)
        yield self.at(
            Phase.EVALUATION, self.head.quiet, lengths, gradients=0, activations=BATCH_BYTES * tokens + copies
        )
