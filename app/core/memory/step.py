"""A step laid out: its layers end to end, each stage on what lives below it.

Gradients are set to None after each step, so the first micro batch begins without them; with accumulation they are
there from the start. A layer's moments come from its tape (``profile``); this module knows what those below keep and
what is above in gradients. All of it is polynomials in lengths and rank (``tape``).
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property

from app.core.adapter import Adapter
from app.core.architecture import Architecture, Kind, Module, Part
from app.core.estimate import Phase
from app.core.memory.entering import (
    between_bytes,
    first_itemsize,
    mask_bytes,
    prompt_copies,
    stands_between,
)
from app.core.memory.forms import head_spec, layer_specs, position_elements
from app.core.memory.frozen import frozen_states
from app.core.memory.layer_offloading import layers_of
from app.core.memory.lengths import row_tokens, virtual_tokens
from app.core.memory.loading import load_bytes
from app.core.memory.offloading import (
    hooks_see_head,
    inputs_flying,
    labels_stay,
    streams_held,
)
from app.core.memory.optimizers import gradient_bytes
from app.core.memory.outline import Base, Group, Heights, Outline, ends
from app.core.memory.pairs import pairs_of
from app.core.memory.preference import (
    PreferenceProfile,
    larger_side,
    profile_preference,
    reference_bytes,
    reference_cache,
    reference_head,
    refers,
)
from app.core.memory.profile import (
    HeadProfile,
    Stage,
    profile_evaluation,
    profile_head,
)
from app.core.memory.restarts import merging_bytes, unpacked_bytes
from app.core.memory.small_inputs import small_inputs
from app.core.memory.stack import Stack
from app.core.memory.tape import ROW, SLOTS, TEMPORARIES, TOKEN, Moment, fields
from app.core.memory.trained import factor_itemsize, merged, sizes_of, trained_tensors
from app.core.memory.weights import Storing, base_bytes, fp32_residual, stored
from app.core.memory.within import within
from app.core.methods.settings import PeftType
from app.core.run import Checkpointing, Loss, Method, Offloading, Preference, Run

BATCH_BYTES = 24
"""Token ids, labels and positions of a token, eight bytes each."""
BATCH = BATCH_BYTES * TOKEN

TABLES = ("lm_head", "embed_tokens")
"""In a name of ``unfrozen_parameters`` Axolotl takes these for the embedding. Source: Axolotl 0.19.0 ``train.py``."""


class Step:
    """Lays the layers of one step end to end; all sizes are packed polynomials."""

    def __init__(self, architecture: Architecture, run: Run, adapter: Adapter, *, kernels: frozenset[str]) -> None:
        self.architecture, self.run, self.adapter, self.kernels = architecture, run, adapter, kernels
        self.trained = trained = trained_tensors(architecture, run, adapter)
        self.specs = layer_specs(architecture, run, adapter, fused=kernels, row_tokens=row_tokens(run))
        self.full = run.method is Method.FULL
        self.gradients = gradient_bytes(trained)
        self.within = within(run.optimizer, trained, run.optimizer_rank)
        self.immediate = self.within is not None
        self.present = run.gradient_accumulation_steps > 1 and not self.immediate
        embedding = next(m for m in architecture.modules if m.kind is Kind.EMBEDDING and m.part is Part.TEXT)
        self.embedding_itemsize = stored(architecture, embedding, Storing.of(run))
        others = {
            row.weight_parameters for row in architecture.modules if row.kind is Kind.EMBEDDING and row is not embedding
        }
        others.discard(embedding.weight_parameters)
        tables = [(t.elements not in others, t.elements * t.itemsize) for t in trained if t.embedding]
        self.embedding = max((size for main, size in tables if main), default=0)
        self.other_table = max((size for main, size in tables if not main), default=0)
        """Of another table than the tokens' own, or a prompt's: positions, or what is added in every layer."""
        self.rowed = self.rows_table(adapter, embedding)
        self.first_itemsize = first_itemsize(architecture, run, self.embedding_itemsize)
        self.masks = mask_bytes(architecture, run, self.specs, self.embedding_itemsize)
        taken = mask_bytes(architecture, run, self.specs, self.embedding_itemsize, made=False)
        self.kept_masks = taken if run.checkpointing is not Checkpointing.OFF else 0
        self.prompt = prompt_copies(adapter, run)
        self.tables = self.position_tables(run)
        self.first_needs = self.first_input_needs_gradient()
        self.small = small_inputs(
            architecture, run, adapter, itemsize=self.embedding_itemsize, needs_input=self.first_needs
        )
        self.found = self.present or self.penalised
        """Whether the layers' backward finds gradients there: AdaLoRA's penalty makes them before."""
        self.stack = Stack(
            architecture,
            run,
            specs=self.specs,
            moving=layers_of(architecture, run, adapter, kernels),
            itemsize=self.first_itemsize,
            positions=self.embedding_itemsize,
            embedding_trains=bool(self.embedding),
            needs_gradient=self.first_needs,
            gradients_present=self.found,
            within=self.within,
        )
        self.layers, self.again, self.moving = self.stack.layers, self.stack.again, self.stack.moving
        stream = self.layers[-1].output if self.layers else self.embedding_itemsize
        self.head = self.head_profile(run, stream)

    def position_tables(self, run: Run) -> int:
        """The batch, and sines and cosines: one table, or one a row where packed rows bring their positions."""
        of = TOKEN if run.sample_packing else ROW
        return BATCH + position_elements(self.architecture) * of * self.embedding_itemsize

    def rows_table(self, adapter: Adapter, embedding: Module) -> int:
        """Bytes of the embedding where rows of it train: its copy in the forward, and its gradient."""
        tokens = self.run.peft is not None and self.run.peft.type is PeftType.TRAINABLE_TOKENS
        if not tokens or embedding.path not in {row.module.path for row in adapter.modules}:
            return 0
        return embedding.weight_parameters * self.embedding_itemsize

    def head_profile(self, run: Run, stream: int) -> HeadProfile:
        """Final norm, head and loss: of next tokens, or of answers that are preferred."""
        spec = head_spec(self.architecture, run, self.adapter)
        stepping_within = self.within
        if stepping_within is not None and self.waiting:
            stepping_within = replace(stepping_within, shared=self.waiting // self.embedding_itemsize)
        if run.preference is not None:
            return profile_preference(
                spec,
                run.preference,
                stream=stream,
                compute=run.itemsize,
                gradients_present=self.present,
                likelihood=run.likelihood,
                refer=refers(run),
                cached=reference_cache(self.architecture, run),
                side=larger_side(run),
                within=stepping_within,
            )
        return profile_head(
            spec,
            stream=stream,
            compute=run.itemsize,
            gradients_present=self.present and not self.waiting,
            needs_input=not self.layers or self.layers[-1].differentiable,
            offloading=run.offloading if hooks_see_head(run) else Offloading.NONE,
            labels_stay=labels_stay(run, row_tokens(run)),
            within=stepping_within,
            autocast=run.autocast,
        )

    @property
    def penalised(self) -> bool:
        """Whether the loss reads what trains."""
        return self.run.peft is not None and self.run.peft.type is PeftType.ADALORA

    def first_input_needs_gradient(self) -> bool:
        """Whether the embedding's output takes a gradient.

        It trains, or Axolotl has made it require one: ``load_adapter``, whichever adapter it then loads, ``train.py``
        where ``unfrozen_parameters`` name a table. The script for bottlenecks does so for checkpointing alone.
        """
        if self.run.checkpointing is not Checkpointing.OFF:
            return True
        if self.full:
            return self.table_named or bool(self.embedding or self.other_table)
        return self.run.peft is None or self.run.peft.type is not PeftType.BOTTLENECK

    @property
    def table_named(self) -> bool:
        """Whether names of what trains make Axolotl ask the embedding's output for a gradient."""
        return any(table in name for name in self.run.unfrozen_parameters for table in TABLES)

    def outline(self) -> Outline:
        """All that could be the peak: forward through the layers, the head, backward, the embedding, evaluation."""
        waiting, copies = (sum(self.moving.sizes), sum(self.moving.copies)) if self.moving else (0, 0)
        weights = base_bytes(self.architecture, Storing.of(self.run)) - waiting
        unpacked = unpacked_bytes(self.architecture, self.run, self.adapter, self.kernels)
        return Outline(
            weights=weights + unpacked + reference_bytes(self.architecture, self.run),
            loading=load_bytes(self.architecture, self.run),
            trained=sizes_of(
                self.architecture, merged(self.trained), pairs_of(self.adapter, factor_itemsize(self.run))
            ),
            training=Heights(self.training()),
            evaluation=Heights(self.evaluation()) if self.run.evaluates else None,
            offloaded=self.on_host() if self.stack.offloaded else waiting + copies,
            fetched=self.moving.waiting if self.moving else 0,
            merging=merging_bytes(self.run, self.adapter),
            frozen_states=frozen_states(self.architecture, self.run),
            left=self.stack.left,
            unpacked=unpacked,
        )

    def on_host(self) -> int:
        """What waits on the host: all checkpoints and the loss's, or those left and what a layer saves made again."""
        streams = self.stack.streams()
        most = sum(streams) + self.head.moved
        for place, layer in enumerate(self.layers):
            most = max(most, sum(streams[:place]) + layer.moved, key=lambda size: fields(size)[1])
        return most

    @property
    def embedded(self) -> int:
        """The embedding's output."""
        return self.architecture.hidden_size * TOKEN * self.embedding_itemsize

    @cached_property
    def batch(self) -> int:
        """What lives through a training step beside its layers: the batch, the tables of positions, a leaf."""
        between = between_bytes(self.architecture, self.run, self.embedding_itemsize, leaf=bool(self.leaf))
        small = self.small.held if self.small is not None else 0
        return self.tables + self.leaf + self.prompt + between + self.stack.stuck + small + self.stack.shared

    @property
    def stuck_weights(self) -> int:
        """Weights of offloaded layers that stay on the card with the nodes of their first forward."""
        return sum(self.moving.stuck) if self.moving else 0

    @property
    def waiting(self) -> int:
        """A tied head's gradient, which waits for the embedding's where it is not counted among those that are there.

        An engine adds up what comes to one leaf before it accumulates it.
        """
        tied = self.architecture.tie_word_embeddings and self.full and self.run.preference is not Preference.REWARD
        return self.embedding if tied and (self.present or self.immediate) else 0

    @property
    def leaf(self) -> int:
        """The embedding's output where it has been made a leaf, which lives as long as its gradient is waited for.

        Where nothing stands between it and the first layer, it is that layer's checkpoint, or what its norm saves.
        """
        made = not self.full or (self.table_named and not self.embedding)
        if not made or self.rowed or not self.first_needs:
            return 0
        kept = self.again[0] or (bool(self.layers) and self.layers[0].saves_input)
        return 0 if kept and not self.apart else self.embedded

    @property
    def counted(self) -> int:
        """Of the inputs that an offloaded layer finds on the card, those that are counted as the embedding's output."""
        return int(self.apart and bool(self.leaf))

    @property
    def apart(self) -> bool:
        """Whether the first layer reads another tensor than the embedding's output."""
        return stands_between(self.architecture, self.run) or bool(virtual_tokens(self.run))

    @property
    def cached(self) -> int:
        """Keys and values of all layers, which a prefix makes the model's cache hold; its own tokens' apart."""
        if self.run.peft is None or self.run.peft.type is not PeftType.PREFIX_TUNING:
            return 0
        return sum((spec.heads.key + spec.heads.value) * self.run.itemsize for spec in self.specs if spec.heads)

    @property
    def alone(self) -> bool:
        """Whether the first layer is the last one too, so that what it reads is the embedding's output itself."""
        return len(self.layers) == 1 and not self.apart

    def at(self, phase: Phase, stage: Stage, *, gradients: int, activations: int, weights: int = 0) -> Group:
        """A stage on top of what else lives."""
        base = Base(gradients=gradients, activations=activations, weights=weights)
        return Group(phase=phase, moments=stage.moments, bases=(base,))

    def training(self) -> Iterator[Group]:
        """The moments of a micro batch."""
        kept = self.stack.kept()
        everything = sum(kept)
        before = self.gradients if self.present else 0
        inputs = self.embedded
        if (self.again[0] and not self.stack.offloaded) or (self.leaf and not self.apart):
            inputs = 0
        if self.alone and not self.stack.checkpointed:
            inputs -= self.embedded
        beside = self.batch + self.masks + inputs
        yield from self.forward(kept, before, beside)
        if self.moving is not None and len(self.layers) > 1:
            stage, there = self.layers[-2].quiet, self.moving.forward(len(self.layers) - 2)
            others = sum(kept[:-2]) + self.stack.cast - self.layers[-1].copies
            yield self.at(Phase.FORWARD, stage, gradients=before, activations=beside + others, weights=there)
        held = self.batch + everything + self.kept_masks
        if self.stack.offloaded:
            held += (inputs_flying(self.run, len(self.layers)) - self.counted) * self.stack.streams()[0]
        flown = held
        stuck = self.stuck_weights
        casting = held + self.stack.cast
        yield self.at(Phase.FORWARD, self.head.casting, gradients=before, activations=casting, weights=stuck)
        yield self.at(Phase.FORWARD, self.head.forward, gradients=before, activations=held, weights=stuck)
        if self.rowed:
            base = Base(gradients=before, activations=self.batch + self.embedded)
            yield Group(phase=Phase.FORWARD, moments=(_temporary(self.rowed),), bases=(base,))
        if isinstance(self.head, PreferenceProfile) and refers(self.run):
            held += self.head.held
            beside = self.embedded + self.stack.cast + self.masks
            for layer in self.stack.distinct.values():
                yield self.at(Phase.FORWARD, layer.quiet, gradients=before, activations=held + beside)
            moment = _temporary(reference_head(self.architecture, self.run))
            base = Base(gradients=before, activations=held)
            yield Group(phase=Phase.FORWARD, moments=(moment,), bases=(base,))
        yield self.at(Phase.BACKWARD, self.head.backward, gradients=before, activations=flown, weights=stuck)
        yield from self.backward(kept, before)
        yield from self.embedding_moments(before)

    def forward(self, kept: list[int], before: int, beside: int) -> Iterator[Group]:
        """The layers', at the last one of all and at the last that keeps what it saves: those below keep theirs."""
        top = len(self.layers) - 1
        last = max((place for place, again in enumerate(self.again) if not again), default=top)
        for place in sorted({last, top}):
            layer, again = self.layers[place], self.again[place]
            copies = sum(layer.copies for layer, cast in zip(self.layers[:place], self.again, strict=False) if cast)
            there = self.moving.forward(place) if self.moving else 0
            yield self.at(
                Phase.FORWARD,
                layer.quiet if again else layer.forward,
                gradients=before,
                activations=beside + sum(kept[:place]) + copies,
                weights=there,
            )

    def backward(self, kept: list[int], before: int) -> Iterator[Group]:
        """Each layer's backward, from the last to the first: gradients of those above are there."""
        below = sum(kept) + self.kept_masks + self.waiting
        if self.stack.offloaded and self.layers:
            below += (streams_held(self.run) - self.counted) * self.stack.streams()[0]
        pinned = 0
        above = 0 if self.immediate else before or self.head.gradients
        bases: dict[int, list[Base]] = {key: [] for key in self.stack.distinct}
        place = len(self.layers)
        for layer, own in zip(reversed(self.layers), reversed(kept), strict=True):
            below -= own
            if layer.lets_go:
                pinned = 0
            place -= 1
            weights = self.moving.backward(place, reentrant=self.run.reentrant) if self.moving else 0
            weights += self.stuck_weights + (self.layers[place + 1].remaining if place + 1 < len(self.layers) else 0)
            beside = pinned if place < len(self.layers) - 1 else self.stack.flying
            bases[id(layer)].append(Base(gradients=above, activations=self.batch + below + beside, weights=weights))
            above += 0 if self.found or self.immediate else layer.gradients
            pinned = layer.pinned
            below += layer.lingering
            if place == len(self.layers) - 1 and self.small is not None:
                below += self.small.gradient
        for key in dict.fromkeys(id(layer) for layer in reversed(self.layers)):
            moments = self.stack.distinct[key].backward.moments
            yield Group(phase=Phase.BACKWARD, moments=moments, bases=tuple(ends(bases[key])))

    def embedding_moments(self, before: int) -> Iterator[Group]:
        """The embedding's gradient comes last; tied, the head's waits for it and both are added."""
        if self.rowed:
            base = Base(gradients=before or self.gradients, activations=self.batch + self.embedded)
            yield Group(phase=Phase.BACKWARD, moments=(_temporary(self.rowed),), bases=(base,))
        made = 0 if self.immediate else self.gradients
        if self.small is not None and self.small.moments:
            own = self.embedding * (0 if self.architecture.tie_word_embeddings else 1) + self.other_table
            base = Base(
                gradients=before or max(0, made - own - self.small.trained),
                activations=self.batch - self.small.held + self.stack.lingering + self.embedded,
            )
            yield Group(phase=Phase.BACKWARD, moments=self.small.moments, bases=(base,))
        if self.other_table:
            base = Base(
                gradients=before or max(0, made - self.other_table),
                activations=self.batch + self.stack.lingering + self.embedded,
            )
            yield Group(phase=Phase.BACKWARD, moments=(_temporary(self.other_table),), bases=(base,))
        if not self.embedding:
            return
        copies = 1
        if self.architecture.tie_word_embeddings and self.full:
            fused = self.run.loss in (Loss.CUT_CROSS_ENTROPY, Loss.LIGER_FUSED_LINEAR)
            copies = 2 if fused or (self.run.half and fp32_residual(self.run)) else 3
        others = 0 if self.immediate else before or self.gradients - self.embedding
        small = self.small.held if self.small is not None else 0
        left = self.batch - small + self.stack.lingering
        base = Base(gradients=others, activations=left + self.embedded)
        moment = _temporary(self.embedding * min(copies, 2))
        yield Group(phase=Phase.BACKWARD, moments=(moment,), bases=(base,))
        if copies > 2:  # the sum, when what came into the embedding's backward is gone
            base = Base(gradients=others, activations=left)
            yield Group(phase=Phase.BACKWARD, moments=(_temporary(self.embedding * copies),), bases=(base,))

    def evaluation(self) -> Iterator[Group]:
        """Without a graph: the largest layer, or the head's logits."""
        given = self.small.given if self.small is not None else 0
        run, own, head = self.run.evaluated, self.specs, self.head
        itemsizes = [self.first_itemsize, *(layer.output for layer in self.layers)]
        if run.layout != self.run.layout:
            row = row_tokens(self.run)
            own = layer_specs(self.architecture, run, self.adapter, fused=self.kernels, row_tokens=row)
            head = self.head_profile(run, itemsizes[-1])
        tables, masks = self.position_tables(run), mask_bytes(self.architecture, run, own, self.embedding_itemsize)
        held = tables + masks + self.stack.copies + self.cached + given + self.prompt
        held += 0 if self.alone else self.embedded
        there = self.moving.most if self.moving else 0
        handed = self.stack.handed_on()
        copied = self.moving.copies if self.moving else (0,) * len(self.layers)
        rows = {id(row[0]): row for row in zip(self.layers, own, itemsizes, handed, copied, strict=False)}
        for layer, spec, stream, others, copies in rows.values():
            stage = profile_evaluation(
                spec,
                stream=stream,
                compute=self.run.itemsize,
                positions=self.embedding_itemsize,
                autocast=self.run.autocast,
                copied=copies,
            )
            yield self.at(Phase.EVALUATION, stage, gradients=0, activations=held + others - layer.copies, weights=there)
        held = tables + self.cached + self.stack.shared
        casting = held + self.stack.copies + self.prompt
        casting += self.embedded if virtual_tokens(run) else 0  # PEFT holds what it joined
        yield self.at(Phase.EVALUATION, head.quiet_casting, gradients=0, activations=casting)
        yield self.at(Phase.EVALUATION, head.quiet, gradients=0, activations=held)


def _temporary(size: int) -> Moment:
    """A moment of one tensor."""
    slots = [0] * SLOTS
    slots[TEMPORARIES] = size
    return Moment(total=size, slots=tuple(slots))
