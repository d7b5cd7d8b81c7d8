"""A step laid out: its layers end to end, each stage on what lives below it.

A layer's moments come from its tape (``profile``), what lives around all of them is told by ``living``; this module
knows what the layers below keep and what is above in gradients.
"""

from collections.abc import Iterator

from app.core.estimate import Phase
from app.core.memory.entering import mask_bytes
from app.core.memory.forms import layer_specs
from app.core.memory.frozen import frozen_states
from app.core.memory.lengths import row_tokens, virtual_tokens
from app.core.memory.living import BATCH, Living
from app.core.memory.loading import load_bytes
from app.core.memory.offloading import inputs_flying, streams_held
from app.core.memory.outline import NO_IMAGES, Base, Group, Heights, Images, Outline, ends
from app.core.memory.pairs import pairs_of
from app.core.memory.preference import PreferenceProfile, reference_bytes, reference_head, refers
from app.core.memory.profile import Stage, profile_evaluation
from app.core.memory.restarts import merging_bytes, unpacked_bytes
from app.core.memory.settling import one
from app.core.memory.tape import SLOTS, TEMPORARIES, TOKEN, Moment, fields
from app.core.memory.trained import factor_itemsize, merged, sizes_of
from app.core.memory.weights import Storing, base_bytes, fp32_residual
from app.core.run import Loss, Run


class Step(Living):
    """Lays the layers of one step end to end."""

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
            left=self.left,
            unpacked=unpacked,
        )

    def on_host(self) -> int:
        """What waits on the host: all checkpoints and the loss's, or those left and what a layer saves made again."""
        streams = self.stack.streams()
        most = sum(streams) + self.head.moved
        for place, layer in enumerate(self.layers):
            most = max(most, sum(streams[:place]) + layer.moved, key=lambda size: fields(size)[1])
        return most

    def at(
        self,
        phase: Phase,
        stage: Stage,
        *,
        gradients: int,
        activations: int,
        weights: int = 0,
        images: Images = NO_IMAGES,
        seeing: bool = False,
    ) -> Group:
        """A stage on top of what else lives, ``seeing`` where it is the tower's."""
        base = Base(gradients=gradients, activations=activations, weights=weights, images=images)
        return Group(phase=phase, moments=stage.moments, bases=(base,), seeing=seeing)

    def images(self, tower: int = 0, features: int = 0) -> Images:
        """What of a training step's activations is the images': what comes with the batch, and these."""
        if self.seeing is None:
            return NO_IMAGES
        return Images(pixels=self.seeing.batch, tower=tower, features=features)

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
        seen = self.seeing.held if self.seeing is not None else 0
        passing = self.seeing.passing if self.seeing is not None else 0
        looked = seen + passing
        beside = self.batch + self.masks + inputs + looked + self.passed
        yield from self.looking(before)
        yield from self.forward(kept, before, beside, self.images(seen, passing))
        if self.moving is not None and len(self.layers) > 1:
            stage, there = self.layers[-2].quiet, self.moving.forward(len(self.layers) - 2)
            others = sum(kept[:-2]) + self.stack.cast - self.layers[-1].copies
            yield self.at(Phase.FORWARD, stage, gradients=before, activations=beside + others, weights=there)
        held = self.batch + everything + self.kept_masks + seen
        if self.stack.offloaded:
            held += (inputs_flying(self.run, len(self.layers)) - self.counted) * self.stack.streams()[0]
        flown = held
        stuck = self.stuck_weights
        casting = held + self.stack.cast + passing
        returned = self.seeing.returned if self.seeing is not None else 0
        for stage, more, features in (
            (self.head.casting, casting, passing),
            (self.head.forward, held + returned, returned),
        ):
            images = self.images(seen, features)
            yield self.at(Phase.FORWARD, stage, gradients=before, activations=more, weights=stuck, images=images)
        if self.rowed:
            base = Base(gradients=before, activations=self.batch + self.embedded, images=self.images())
            yield Group(phase=Phase.FORWARD, moments=(_temporary(self.rowed),), bases=(base,))
        if isinstance(self.head, PreferenceProfile) and refers(self.run):
            held += self.head.held
            beside = self.embedded + self.stack.cast + self.masks
            for layer in self.stack.distinct.values():
                yield self.at(Phase.FORWARD, layer.quiet, gradients=before, activations=held + beside)
            moment = _temporary(reference_head(self.architecture, self.run))
            base = Base(gradients=before, activations=held)
            yield Group(phase=Phase.FORWARD, moments=(moment,), bases=(base,))
        images = self.images(seen)
        yield self.at(
            Phase.BACKWARD, self.head.backward, gradients=before, activations=flown, weights=stuck, images=images
        )
        yield from self.backward(kept, before)
        yield from self.looking_back(before)
        yield from self.embedding_moments(before)

    def looking(self, before: int) -> Iterator[Group]:
        """The tower's forward, behind the embedding's."""
        if self.seeing is None:
            return
        there = BATCH + self.seeing.batch + self.embedded + self.passed
        for stage, below in self.seeing.forward():
            yield self.at(
                Phase.FORWARD,
                stage,
                gradients=before,
                activations=there + below,
                images=self.images(below),
                seeing=True,
            )

    def looking_back(self, before: int) -> Iterator[Group]:
        """Its backward, when the layers' is over; the gradient of the tokens' embeddings waits for its end."""
        if self.seeing is None or not (self.seeing.recorded or self.first_needs):
            return
        tied = self.architecture.tie_word_embeddings and self.full
        left = self.gradients - self.seeing.gradients - self.seeing.early - (0 if tied else self.embedding)
        made = before or max(0, left - self.other_table)
        waits = self.embedded if self.first_needs else 0
        small = self.small.held if self.small is not None else 0
        beside = self.batch - small + self.kept_masks + self.stack.lingering + self.waiting
        gathering = one(self.seeing.gathering(needs=self.first_needs))
        held = self.seeing.held
        yield self.at(
            Phase.BACKWARD, gathering, gradients=made, activations=beside + held, images=self.images(held), seeing=True
        )
        for stage, below, above in self.seeing.backward():
            own = 0 if self.found else above
            yield self.at(
                Phase.BACKWARD,
                stage,
                gradients=made + own,
                activations=beside + waits + below,
                images=self.images(below),
                seeing=True,
            )

    def forward(self, kept: list[int], before: int, beside: int, images: Images) -> Iterator[Group]:
        """The layers', at the last one of all and at the last that keeps what it saves: those below keep theirs."""
        top = len(self.layers) - 1
        last = max((place for place, again in enumerate(self.again) if not again), default=top)
        for place in sorted({last, top}):
            layer, again = self.layers[place], self.again[place]
            copies = sum(layer.copies for layer, cast in zip(self.layers[:place], self.again, strict=False) if cast)
            if self.seeing is not None and 0 < place <= len(self.seeing.handed):
                copies += self.embedded  # the layer's output below, of which a copy goes on
            there = self.moving.forward(place) if self.moving else 0
            yield self.at(
                Phase.FORWARD,
                layer.quiet if again else layer.forward,
                gradients=before,
                activations=beside + sum(kept[:place]) + copies,
                weights=there,
                images=images,
            )

    def backward(self, kept: list[int], before: int) -> Iterator[Group]:
        """Each layer's backward, from the last to the first: gradients of those above are there."""
        seen = self.seeing.held if self.seeing is not None else 0
        images = self.images(seen)
        below = sum(kept) + self.kept_masks + self.waiting + seen
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
            activations = self.batch + below + beside
            bases[id(layer)].append(Base(gradients=above, activations=activations, weights=weights, images=images))
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
            gradients = before or self.gradients
            base = Base(gradients=gradients, activations=self.batch + self.embedded, images=self.images())
            yield Group(phase=Phase.BACKWARD, moments=(_temporary(self.rowed),), bases=(base,))
        made = 0 if self.immediate else self.gradients
        if self.small is not None and self.small.moments:
            own = self.embedding * (0 if self.architecture.tie_word_embeddings else 1) + self.other_table
            seen = self.seeing.held if self.seeing is not None else 0
            own += self.seeing.gradients + self.seeing.early if self.seeing is not None else 0
            base = Base(
                gradients=before or max(0, made - own - self.small.trained),
                activations=self.batch - self.small.held + self.stack.lingering + self.embedded + seen,
                images=self.images(seen),
            )
            yield Group(phase=Phase.BACKWARD, moments=self.small.moments, bases=(base,))
        if self.other_table:
            base = Base(
                gradients=before or max(0, made - self.other_table),
                activations=self.batch + self.stack.lingering + self.embedded,
                images=self.images(),
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
        seen = self.seeing.left if self.seeing is not None else 0
        left, images = self.batch - small + self.stack.lingering + seen, self.images(seen)
        base = Base(gradients=others, activations=left + self.embedded, images=images)
        moment = _temporary(self.embedding * min(copies, 2))
        yield Group(phase=Phase.BACKWARD, moments=(moment,), bases=(base,))
        if copies > 2:  # the sum, when what came into the embedding's backward is gone
            base = Base(gradients=others, activations=left, images=images)
            yield Group(phase=Phase.BACKWARD, moments=(_temporary(self.embedding * copies),), bases=(base,))

    def left_behind(self, run: Run) -> int:
        """What a training step has left, for each token of evaluation's batch."""
        constant, tokens, *_ = fields(self.left)
        return constant + tokens * self.run.micro_batch_size // run.micro_batch_size * TOKEN

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
        held = tables + masks + self.stack.copies + self.cached + given + self.prompt + self.passed
        held += 0 if self.alone else self.embedded
        images = returned = NO_IMAGES
        if self.seeing is not None:
            count = run.micro_batch_size * self.seeing.sight.per_row
            pixels, features = self.seeing.pixels(count) + self.seeing.extra * TOKEN, self.seeing.features(count)
            outlasting = self.seeing.looked_at(count) - features
            images = Images(pixels=pixels, features=features, tower=outlasting)
            returned = Images(pixels=pixels, features=features if self.seeing.returns else 0)
            there = BATCH + pixels + self.embedded + self.passed + self.left_behind(run)
            for stage, below in self.seeing.evaluation(count):
                yield self.at(
                    Phase.EVALUATION,
                    stage,
                    gradients=0,
                    activations=there + below,
                    images=Images(pixels=pixels, tower=below),
                    seeing=True,
                )
        held += images.total
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
            activations = held + others - layer.copies
            yield self.at(Phase.EVALUATION, stage, gradients=0, activations=activations, weights=there, images=images)
        held = tables + self.cached + self.stack.found + returned.total
        casting = held + self.stack.copies + self.prompt
        casting += self.embedded if virtual_tokens(run) else 0  # PEFT holds what it joined
        yield self.at(Phase.EVALUATION, head.quiet_casting, gradients=0, activations=casting, images=returned)
        yield self.at(Phase.EVALUATION, head.quiet, gradients=0, activations=held, images=returned)


def _temporary(size: int) -> Moment:
    """A moment of one tensor."""
    slots = [0] * SLOTS
    slots[TEMPORARIES] = size
    return Moment(total=size, slots=tuple(slots))
