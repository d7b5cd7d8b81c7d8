"""What a batch's images add to a step: the tower, the projector, and what puts their result among the tokens.

The tower runs before the language model and goes back after it. Its layers are the tape's own (``layers``), recorded
in patches; images have one size, so that all of it is numbers by then, but for the adapter's rank. A frozen tower saves
nothing only where nothing makes its first output ask for a gradient: Transformers' ``enable_input_require_grads``,
which an adapter and checkpoints call, does so for every model within the model. What a family's tower is made of stands
in ``eyes``.

Sources: Transformers 5.16.1 ``modeling_utils.py``, ``models/*/modeling_*.py``; ATen ``cuda/IndexKernel.cu``
(``launch_masked_scatter_kernel``), ``cuda/Nonzero.cu``, ``FunctionsManual.cpp`` (``masked_scatter_backward``).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property, partial

from app.core.adapter import AdaptedModule, Adapter
from app.core.architecture import Architecture, Kind, Module, Part, Sight
from app.core.memory.attending import kernel_of
from app.core.memory.attention import Heads, Kernel
from app.core.memory.ends import End, profile_end
from app.core.memory.layers import LayerSpec
from app.core.memory.lengths import BLOCK
from app.core.memory.linears import LinearSpec
from app.core.memory.norms import Norm, NormSpec
from app.core.memory.profile import LayerProfile, Stage, profile_evaluation, profile_layer
from app.core.memory.rows import linear_spec
from app.core.memory.settling import at, in_numbers, one, untrained
from app.core.memory.tape import (
    FULL,
    TOKEN,
    Lengths,
    Tape,
    Tensor,
)
from app.core.memory.weights import Storing, stored
from app.core.run import Attention, Checkpointing, Run
from app.core.units import round_up

PLACE = 8
"""Bytes of a number in int64."""
DIMENSIONS = 3
"""Of what the images' features are put into: rows, tokens, width."""


class Seeing(ABC):
    """A step's images, as one family of towers reads them."""

    returns = False
    """Whether the model returns the features, which then live until the loss does."""
    extra = 2 * PLACE
    """Bytes a token that a processor hands on: the mask of padding, and which tokens are an image's."""
    tables_as_read = False
    """Whether sines, and what is added to scores, have the type of what the first layer reads."""
    positions_per_token = 0
    """Tables of positions of the language model for each token, where there is not one for all rows."""

    def __init__(
        self,
        sight: Sight,
        architecture: Architecture,
        run: Run,
        adapter: Adapter,
        *,
        hooked: bool,
        gradients_present: bool,
        itemsize: int,
    ) -> None:
        self.architecture, self.sight, self.run = architecture, sight, run
        self.itemsize, self.gradients_present = itemsize, gradients_present
        self.adapted = {row.module.path: row for row in adapter.modules}
        self.rows = {row.path: row for row in architecture.modules if row.part in (Part.VISION, Part.PROJECTOR)}
        self.images = run.micro_batch_size * sight.per_row
        self.stored = {path: stored(architecture, row, Storing.of(run)) for path, row in self.rows.items()}
        self.entry = self.entry_row()
        self.tables = self.table_rows()
        self.stream = self.first_stream
        self.hooked = hooked and sight.asks
        reading = self.adapted.get(self.entry.path)
        self.reads = reading is not None and not reading.frozen
        """Whether anything of what reads pixels trains, which then keeps them."""
        self.needs = self.hooked or self.reads or any(self.trained(row) for row in (*self.tables, *self.before))
        self.again = run.checkpointing is not Checkpointing.OFF
        self.layers = self.profiles()
        self.end = self.end_of(len(self.layers), self.run_end)
        self.handed = self.handed_on()

    def entry_row(self) -> Module:
        """What reads pixels."""
        return next(row for row in self.rows.values() if row.kind is Kind.CONVOLUTION)

    def table_rows(self) -> tuple[Module, ...]:
        """Tables of positions that patches are given."""
        return tuple(row for row in self.rows.values() if row.kind is Kind.EMBEDDING)

    @property
    def before(self) -> tuple[Module, ...]:
        """Rows between the convolution and the layers, tables apart."""
        return ()

    @property
    def first_stream(self) -> int:
        """Bytes of a value that the first layer reads."""
        return self.run.itemsize

    def trained(self, row: Module) -> bool:
        """Whether a row trains itself."""
        own = self.adapted.get(row.path)
        return own is not None and bool(own.own_parameters) and not own.frozen

    # ---- the tower's layers ----------------------------------------------------------------------------------------
    @cached_property
    def specs(self) -> tuple[LayerSpec, ...]:
        """One a layer; equal ones are the same object."""
        layered = [row for row in self.rows.values() if row.layers is not None and row.part is Part.VISION]
        count = max((row.layers[-1] + 1 for row in layered if row.layers), default=0)
        found: dict[tuple[bool, tuple[int, ...]], LayerSpec] = {}
        named = {row.name: row for row in layered}
        specs = []
        for layer in range(count):
            own = {
                row.path: self.adapted[row.path]
                for row in layered
                if row.path in self.adapted and layer in self.adapted[row.path].layers
            }
            whole = self.whole(layer)
            key = whole, tuple(map(id, own.values()))
            if key not in found:
                found[key] = self.spec(named, own, whole=whole)
            specs.append(found[key])
        return tuple(specs)

    def whole(self, layer: int) -> bool:
        """Whether a layer sees all of an image."""
        return not self.sight.window or layer in self.sight.whole_layers

    @abstractmethod
    def spec(self, named: Mapping[str, Module], own: Mapping[str, AdaptedModule], *, whole: bool) -> LayerSpec:
        """A layer of these rows by name, of which some are adapted; ``whole`` where it sees all of an image."""

    def linear(self, row: Module, own: Mapping[str, AdaptedModule]) -> LinearSpec:
        """A linear of the tower or the projector."""
        adapted = own.get(row.path)
        spec = linear_spec(self.architecture, self.run, row, adapted)
        frozen = adapted is not None and adapted.frozen
        return replace(spec, trained=False, idle=True) if frozen else spec

    def layer_norm(self, row: Module, own: Mapping[str, AdaptedModule], form: Norm) -> NormSpec:
        """A norm of a layer."""
        adapted = own.get(row.path)
        return NormSpec(
            form=form,
            width=self.sight.width,
            itemsize=self.stored[row.path],
            trained=adapted is not None and bool(adapted.own_parameters) and not adapted.frozen,
            bias=bool(row.bias_parameters),
        )

    def heads(self, *, rotary: bool, chunks: int = 0) -> Heads:
        """Of every layer: each patch sees all others of its image, or of its window."""
        width = self.sight.width // self.sight.heads
        return Heads(
            heads=self.sight.heads,
            key_value_heads=self.sight.heads,
            head_dim=width,
            value_dim=width,
            rotary_dim=width if rotary else 0,
            rotary_full=rotary,
            softcap=False,
            sinks=0,
            biased=False,
            chunks=chunks,
            unmasked=not self.sight.filled,
            fp16=self.run.half and not self.run.bf16,
            returned=False,
        )

    @property
    def kernel(self) -> Kernel:
        """Without a mask, unless rows of patches are filled up."""
        filled = bool(self.sight.filled)
        return kernel_of(
            self.run, row_tokens=self.sight.patches, window=None, apart=False, by_lengths=False, padded=filled
        )

    def profiles(self) -> tuple[LayerProfile, ...]:
        """One a layer, in numbers."""
        stream, needs, again = self.stream, self.needs, self.again
        found: list[LayerProfile] = []
        held: dict[tuple[int, int, bool, bool], LayerProfile] = {}
        for place, spec in enumerate(self.specs):
            whole = self.whole(place)
            cut_off = again and self.run.reentrant and not needs
            key = id(spec), stream, needs, whole
            if key not in held:
                profiled = partial(
                    profile_layer,
                    untrained(spec) if cut_off else spec,
                    stream=stream,
                    compute=self.run.itemsize,
                    keeping_input=again,
                    holding=again and self.run.reentrant,
                    gradients_present=self.gradients_present,
                    needs_input=needs,
                    positions=self.stream if self.tables_as_read else self.run.itemsize,
                    autocast=self.run.autocast,
                )
                made = profiled(checkpointed=again and needs)
                if again and not needs and made.differentiable:  # what is in it trains
                    made = profiled(checkpointed=True)
                held[key] = in_numbers(made, self.lengths(self.images, whole=whole))
            found.append(held[key])
            stream, needs = found[-1].output, found[-1].differentiable
        return tuple(found)

    def lengths(self, images: int, *, whole: bool) -> Lengths:
        """Of a tower's layer: FlashAttention takes all windows as one and lays a block between them."""
        sight = self.sight
        patches, tokens = sight.patches, images * sight.patches
        row = patches if whole else min(patches, (sight.window * sight.square) ** 2)
        if not sight.most_side:
            blocked = images * round_up(patches, BLOCK)
        elif self.run.attention is Attention.FLASH:
            blocked = tokens + images * (1 if whole else sight.windows) * BLOCK
        else:
            blocked = round_up(row, BLOCK)
        return Lengths(tokens=tokens, row=row, blocked=blocked)

    # ---- its end ---------------------------------------------------------------------------------------------------
    @abstractmethod
    def run_end(self, t: Tape, x: Tensor) -> Tensor:
        """Behind the layers: images' tokens are the tape's, a square of patches each of them."""

    def norm(self, row: Module, form: Norm, square: int = 1) -> NormSpec:
        """A norm behind the layers, of ``square`` patches for each of the tape's tokens."""
        return NormSpec(
            form=form,
            width=self.sight.width * square,
            groups=square,
            itemsize=self.stored[row.path],
            trained=self.trained(row),
            bias=bool(row.bias_parameters),
        )

    def handed_on(self) -> Mapping[int, End]:
        """Behind those layers that hand something on."""
        return {}

    def end_of(self, place: int, run: Callable[[Tape, Tensor], Tensor]) -> End:
        """What is kept behind so many layers, and the moments there."""
        stream = self.layers[place - 1].output if place else self.stream
        needs = self.layers[place - 1].differentiable if place else self.needs
        return self.profiled(run, self.end_width, stream, self.end_lengths(self.images), needs=needs)

    def profiled(
        self, run: Callable[[Tape, Tensor], Tensor], width: int, stream: int, lengths: Lengths, *, needs: bool
    ) -> End:
        """What is kept of ``run``, and its moments."""
        t = Tape(compute=self.run.itemsize, gradients_present=self.gradients_present, autocast=self.run.autocast)
        return profile_end(t, run, width, stream, lengths, needs=needs)

    @property
    def end_width(self) -> int:
        """Packed elements of what the last layer hands on."""
        return self.sight.width * self.sight.square**2 * TOKEN

    def end_lengths(self, images: int) -> Lengths:
        """Of what stands behind the tower."""
        return Lengths(tokens=images * self.sight.tokens, row=self.sight.tokens)

    @property
    def batch(self) -> int:
        """What a processor hands on beside the tokens."""
        return self.pixels(self.images) + self.extra * TOKEN

    @property
    def passing(self) -> int:
        """What lives through the language model's forward alone: the features, and autocast's copies."""
        return self.looked_at(self.images) + self.copies

    def looked_at(self, images: int) -> int:
        """The features, those of other layers too, and what else of the tower the model has a name for."""
        return self.features(images) * (1 + len(self.handed)) + self.outlasting(images)

    def outlasting(self, _: int) -> int:
        """What the tower has returned and the model still has a name for."""
        return 0

    @property
    def returned(self) -> int:
        """Of the features, what lives through the loss."""
        return self.features(self.images) if self.returns else 0

    @property
    def early(self) -> int:
        """Gradients of what comes before the layers, which are made last."""
        rows = [row for row in (self.entry, *self.tables, *self.before) if self.trained(row)]
        return sum(row.parameters * self.stored[row.path] for row in rows)

    # ---- the whole -------------------------------------------------------------------------------------------------
    def pixels(self, images: int) -> int:
        """Of the batch, in fp32."""
        sight = self.sight
        side = sight.across * sight.patch if sight.most_side else sight.side
        return images * sight.channels * sight.frames * side**2 * FULL

    def converted(self, images: int) -> int:
        """What the convolution takes of them."""
        return self.pixels(images) // FULL * self.run.itemsize

    def patched(self, images: int) -> int:
        """One tensor of all patches, in what is computed in."""
        return images * self.sight.places * self.sight.width * self.run.itemsize

    def position_tables(self, _: int) -> int:
        """Tables of positions within the tower, which live until the step's graph goes."""
        return 0

    @property
    def positions(self) -> int:
        """Of them what a graph holds."""
        return self.position_tables(self.images) if any(layer.differentiable for layer in self.layers) else 0

    def beside(self, images: int) -> int:
        """What lives through the tower's forward beside its layers."""
        return self.position_tables(images)

    def behind(self, images: int, *, kept: bool) -> int:
        """And through the projector's; ``kept`` where a graph may hold some of it."""
        return self.beside(images)

    def features(self, images: int) -> int:
        """What stands for the images' tokens, which the model returns too."""
        return images * self.sight.tokens * self.architecture.hidden_size * self.itemsize

    @property
    def recorded(self) -> bool:
        """Whether a graph stands behind the features."""
        return self.end.differentiable or any(end.differentiable for end in self.handed.values())

    @property
    def first(self) -> int:
        """What the tower's first steps keep: a leaf that asks for a gradient, or the convolution's input."""
        if self.reads:
            return self.converted(self.images)
        return self.leaf

    @property
    def leaf(self) -> int:
        """The first output, where something asks a gradient of it that nothing before it does."""
        return self.patched(self.images) if self.hooked and not self.reads else 0

    @property
    def opening(self) -> int:
        """What is kept between that and the layers."""
        return 0

    def named(self, place: int) -> int:
        """What the tower's code names while a layer runs, or what is behind all, beside what the layers keep."""
        if not 0 < place < len(self.layers) or (self.again and self.needs):
            return 0
        return self.patched(self.images) // self.run.itemsize * self.stream

    @property
    def named_behind(self) -> int:
        """The same while the projector runs."""
        return 0

    @property
    def left(self) -> int:
        """What a backward leaves of the tower until the step's graph goes: a leaf and its gradient."""
        return (2 * self.leaf if self.recorded else 0) + self.positions

    def kept_of(self, layer: LayerProfile, itemsize: int, needs: bool) -> int:
        """What a layer keeps until its backward."""
        if self.again:
            keeps = needs or layer.differentiable
            return self.patched(self.images) // self.run.itemsize * itemsize if keeps else 0
        return layer.kept

    @cached_property
    def kept(self) -> tuple[int, ...]:
        """Of each layer."""
        return self.kept_by(self.layers)

    def kept_by(self, layers: tuple[LayerProfile, ...]) -> tuple[int, ...]:
        """What each of these keeps."""
        itemsizes = [self.stream, *(layer.output for layer in layers)]
        needs = [self.needs, *(layer.differentiable for layer in layers)]
        return tuple(
            self.kept_of(layer, itemsize, need) for layer, itemsize, need in zip(layers, itemsizes, needs, strict=False)
        )

    @cached_property
    def held(self) -> int:
        """All that lives of it between its forward and its backward, with the mask that says where images stand."""
        where = TOKEN if self.recorded else 0
        handed = sum(end.kept for end in self.handed.values())
        return self.first + self.opening + sum(self.kept) + handed + self.end.kept + self.stuck + where + self.positions

    @property
    def stuck(self) -> int:
        """What nodes of a first forward hold on to (``stack``)."""
        if self.run.reentrant or not self.again:
            return 0
        return sum(layer.stuck for layer in self.layers)

    @cached_property
    def copies(self) -> int:
        """Autocast's copies of what trains here, which nothing saves."""
        ends = self.end.copies + sum(end.copies for end in self.handed.values())
        return (sum(layer.copies for layer in self.layers) if self.again else 0) + ends

    @cached_property
    def gradients(self) -> int:
        """Of all that trains here and is reached by a backward of the layers or the projector."""
        ends = self.end.gradients + sum(end.gradients for end in self.handed.values())
        return ends + sum(layer.gradients for layer in self.layers)

    def forward(self) -> Iterator[tuple[Stage, int]]:
        """Moments, and what of the tower they stand on."""
        yield one(*self.entering(self.images)), 0
        below, copies, beside = self.first + self.opening, 0, self.beside(self.images)
        entered = 0 if self.again and self.needs else self.patched(self.images) // self.run.itemsize * self.stream
        for place, (layer, kept) in enumerate(zip(self.layers, self.kept, strict=True)):
            yield layer.quiet if self.again else layer.forward, below + copies + beside + self.named(place)
            below += kept
            copies += layer.copies if self.again else 0
            if (handed := self.handed.get(place)) is not None:
                yield handed.forward, below + copies + beside + entered
                below += handed.kept + self.features(self.images)
                copies += handed.copies
        yield from self.unread_moments(below + copies + beside)
        yield self.end.forward, below + copies + self.behind(self.images, kept=True) + self.named_behind
        yield one(*self.placing), self.held + self.copies + self.features(self.images)

    @property
    def unread(self) -> tuple[LayerProfile, ...]:
        """Layers that run behind the one whose result is read."""
        return ()

    def unread_moments(self, below: int) -> Iterator[tuple[Stage, int]]:
        """Their forward's."""
        yield from ()

    @abstractmethod
    def entering(self, images: int) -> tuple[int, ...]:
        """Moments before the first layer, what is kept from there among them."""

    @property
    def placing(self) -> tuple[int, ...]:
        """Moments in which features come to stand among the tokens."""
        return (self.scattered,)

    @property
    def scattered(self) -> int:
        """Putting features in their places: a copy of what the tokens are, a mask as wide, a running sum of it."""
        width = self.architecture.hidden_size * TOKEN
        return width * (self.itemsize + 1 + PLACE)

    def gathering(self, *, needs: bool) -> int:
        """Its backward: the gradient of the other tokens, a mask as wide, and where each value of an image's stands.

        The gradient of what was put together is there beside them.
        """
        width = self.architecture.hidden_size * TOKEN
        places = self.images * self.sight.tokens * self.architecture.hidden_size * DIMENSIONS * PLACE
        return width * self.itemsize * (2 if needs else 1) + width + places

    def backward(self) -> Iterator[tuple[Stage, int, int]]:
        """Moments, what of the tower they stand on, and what gradients of it are there."""
        waiting = sum(self.features(self.images) for end in self.handed.values() if end.differentiable)
        below, above = self.held + waiting - self.end.kept, self.end.gradients
        yield self.end.backward, below, 0
        below += self.end.stuck
        for place, (layer, kept) in reversed([*enumerate(zip(self.layers, self.kept, strict=True))]):
            if (handed := self.handed.get(place)) is not None and handed.differentiable:
                below -= handed.kept + self.features(self.images)
                stream = self.patched(self.images) if layer.differentiable and place + 1 < len(self.layers) else 0
                yield handed.backward, below + stream, above
                below += handed.stuck
                above += handed.gradients
            below -= kept
            if layer.differentiable:
                yield layer.backward, below, above
            above += layer.gradients

    def standing(self, images: int, place: int) -> int:
        """In evaluation, what the tower's code names of what the layers below ``place`` have read."""
        if place == len(self.layers) or len(self.layers) < 2:
            return 0
        return self.patched(images) // self.run.itemsize * self.stream

    def evaluated(self, spec: LayerSpec, images: int) -> LayerSpec:
        """A layer in evaluation of so many images."""
        return spec

    def evaluation(self, images: int) -> Iterator[tuple[Stage, int]]:
        """Moments without a graph, and what they stand on."""
        stream = self.stream
        yield one(*self.entering(images)), 0
        handed = self.features(images) * len(self.handed)
        running = self.layers + self.unread
        places = {id(layer): place for place, layer in enumerate(running)}
        for place in places.values():
            found = profile_evaluation(
                self.evaluated(self.specs[place], images),
                stream=stream,
                compute=self.run.itemsize,
                positions=self.stream if self.tables_as_read else self.run.itemsize,
                autocast=self.run.autocast,
            )
            stands = self.beside(images) + self.standing(images, place) + handed
            yield at(found, self.lengths(images, whole=self.whole(place))), stands
            stream = running[place].output
        t = Tape(compute=self.run.itemsize, recording=False, training=False, autocast=self.run.autocast)
        given = [t.fresh(self.end_width, stream)]
        out = self.run_end(t, given.pop())
        stands = self.behind(images, kept=False) + self.standing(images, len(running))
        yield at(Stage(moments=t.moments()), self.end_lengths(images)), stands + handed
        del out
        yield one(*self.placing), self.features(images)
