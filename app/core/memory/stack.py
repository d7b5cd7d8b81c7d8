"""The layers of a step, one on another: what each keeps, saves, makes again and leaves behind.

``step`` puts them between the embedding and the head. All sizes are packed polynomials (``tape``).
"""

from collections.abc import Sequence
from functools import cached_property, partial
from itertools import accumulate

from app.core.architecture import Architecture
from app.core.memory.checkpointing import checkpointed_layers
from app.core.memory.entering import saves_between
from app.core.memory.layer_offloading import Layers
from app.core.memory.layers import LayerSpec
from app.core.memory.offloading import hooks_see_layers, lets_go_itself, marks_inputs
from app.core.memory.profile import LayerProfile, profile_layer
from app.core.memory.tape import TOKEN
from app.core.memory.within import Within
from app.core.run import Checkpointing, Offloading, Run


class Stack:
    """A profile a layer, and what follows from their order.

    The first layer reads ``itemsize`` bytes an element, of which it computes a gradient or not (``needs_gradient``);
    ``positions`` are the bytes of an element of the tables that all read. ``gradients_present`` is whether the backward
    finds gradients there.
    """

    def __init__(
        self,
        architecture: Architecture,
        run: Run,
        *,
        specs: Sequence[LayerSpec],
        moving: Layers | None,
        itemsize: int,
        positions: int,
        embedding_trains: bool,
        needs_gradient: bool,
        gradients_present: bool,
        within: Within | None,
    ) -> None:
        self.architecture, self.run, self.specs, self.moving = architecture, run, specs, moving
        self.itemsize, self.positions, self.embedding_trains = itemsize, positions, embedding_trains
        self.needs_gradient, self.gradients_present, self.within = needs_gradient, gradients_present, within
        self.checkpointed = run.checkpointing is not Checkpointing.OFF
        self.offloaded = run.checkpointing is Checkpointing.OFFLOAD
        self.again = checkpointed_layers(architecture, run)
        self.layers = self.profiles()
        self.distinct = {id(layer): layer for layer in self.layers}
        self.copies = sum(layer.copies for layer in self.layers)
        self.cast = sum(layer.copies for layer, again in zip(self.layers, self.again, strict=True) if again)
        """Autocast's copies of what checkpointed layers train, which nothing saves."""

    def profiles(self) -> tuple[LayerProfile, ...]:
        """One profile a layer; the residual stream's type is the last layer's output's."""
        stream, needs = self.itemsize, self.needs_gradient
        held: dict[tuple[int, int, bool, int, int, bool], LayerProfile] = {}
        found = []
        for place, spec in enumerate(self.specs):
            fetched, copied = self.fetched(place), self.moving.copies[place] if self.moving else 0
            again = self.again[place]
            key = (id(spec), stream, needs, fetched, copied, again)
            if key not in held:
                held[key] = self.profile(spec, stream, needs_input=needs, fetched=fetched, copied=copied, again=again)
            found.append(held[key])
            stream, needs = held[key].output, held[key].differentiable
        if found and lets_go_itself(self.run, between=self.between):
            waiting = found[1].pinned if len(found) > 1 else 0
            found[0] = self.profile(self.specs[0], self.itemsize, needs_input=self.needs_gradient, waiting=waiting)
        return tuple(found)

    def fetched(self, place: int) -> int:
        """Weights that a reentrant layer's backward brings."""
        return self.moving.below(place) if self.moving is not None and self.run.reentrant else 0

    @property
    def between(self) -> bool:
        """Whether anything is saved before the first layer: by a trained embedding, a norm or a dropout."""
        return self.embedding_trains or saves_between(self.architecture, self.run)

    def profile(
        self,
        spec: LayerSpec,
        stream: int,
        *,
        needs_input: bool,
        waiting: int = -1,
        fetched: int = 0,
        copied: int = 0,
        again: bool = True,
    ) -> LayerProfile:
        """One layer's, made ``again`` where it is checkpointed.

        A gradient that waits below it is taken to wait above it too.
        """
        again = again and self.checkpointed
        recorded = partial(
            profile_layer,
            spec,
            stream=stream,
            compute=self.run.itemsize,
            checkpointed=again,
            keeping_input=again and (not self.offloaded or hooks_see_layers(self.run)),
            holding=again and (self.run.reentrant or hooks_see_layers(self.run)),
            gradients_present=self.gradients_present,
            needs_input=needs_input,
            positions=self.positions,
            offloading=self.run.offloading if hooks_see_layers(self.run) else Offloading.NONE,
            autocast=self.run.autocast,
            waiting=waiting,
            fetched=fetched,
            copied=copied,
            within=self.within,
        )
        found = recorded()
        return recorded(pending=found.pending) if any(found.pending) else found

    def streams(self) -> list[int]:
        """The residual stream's bytes at the input of each layer."""
        itemsizes = [self.itemsize, *(layer.output for layer in self.layers)]
        width = self.architecture.hidden_size * TOKEN
        return [width * itemsize for itemsize in itemsizes[:-1]]

    def kept(self) -> list[int]:
        """What each layer keeps until its backward."""
        streams = [0] * len(self.layers) if self.offloaded else self.streams()
        return [
            stream + layer.results if again else layer.kept
            for layer, stream, again in zip(self.layers, streams, self.again, strict=True)
        ]

    @property
    def shared(self) -> int:
        """Keys and values that Gemma 4 holds for layers to come, beside what a checkpoint keeps."""
        pairs = zip(self.specs, self.again, strict=True)
        stored = [spec.heads for spec, again in pairs if again and spec.stores and spec.heads is not None]
        return sum((heads.key + heads.value) * self.run.itemsize for heads in stored)

    def handed_on(self) -> list[int]:
        """Keys and values that each layer finds which layers before it have handed on."""
        sizes = [(s.heads.key + s.heads.value) * self.run.itemsize if s.stores and s.heads else 0 for s in self.specs]
        return list(accumulate(sizes, initial=0))[:-1]

    @property
    def left(self) -> int:
        """What of it all outlives the backward: Axolotl keeps Gemma 4's in a dictionary until the next forward.

        With it is what made them again. Source: Axolotl 0.19.0 ``monkeypatch/models/gemma4/fused_attn.py``.
        """
        return self.shared + self.lingering if self.shared else 0

    @property
    def stuck(self) -> int:
        """What the nodes of all layers hold through a checkpoint that records its first forward too."""
        if self.run.reentrant:
            return 0
        return sum(layer.stuck for layer, again in zip(self.layers, self.again, strict=True) if again)

    @property
    def flying(self) -> int:
        """What the last layer's backward finds on its way to the host: the input of the layer below."""
        waits = self.offloaded and len(self.layers) > 1 and marks_inputs(self.run)
        return self.streams()[-1] if waits else 0

    @cached_property
    def lingering(self) -> int:
        """What layers left behind that hand out keys and values, made again outside of the backward's own graph."""
        return sum(layer.lingering for layer in self.layers)
