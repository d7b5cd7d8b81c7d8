"""CLIP's tower, of which LLaVA reads one layer's result: those behind it run, and no gradient reaches them.

Sources: Transformers 5.16.1 ``models/clip/modeling_clip.py``, ``models/llava/modeling_llava.py``.
"""

from collections.abc import Iterator, Mapping
from functools import cached_property

from app.core.adapter import AdaptedModule
from app.core.architecture import Module
from app.core.memory.collecting import Collecting
from app.core.memory.layers import LayerSpec
from app.core.memory.lengths import BLOCK
from app.core.memory.linears import linear
from app.core.memory.middle import Middle
from app.core.memory.norms import Norm, normalise
from app.core.memory.operations import add, cast, copy, join, keeping_input, slices
from app.core.memory.profile import LayerProfile, Stage
from app.core.memory.siglip import encoder_layer
from app.core.memory.tape import FULL, ROW, TOKEN, Lengths, Tape, Tensor
from app.core.units import round_up


class Clip(Collecting):
    """A place for the whole image before its patches; tables of places for all."""

    @property
    def before(self) -> tuple[Module, ...]:
        """The whole image's place and a norm."""
        return self.rows[self.sight.tower + "embeddings.class_embedding"], self.rows[self.sight.tower + "pre_layrnorm"]

    @property
    def first_stream(self) -> int:
        """Autocast leaves a norm's result in fp32."""
        return FULL

    def spec(self, named: Mapping[str, Module], own: Mapping[str, AdaptedModule], *, whole: bool) -> LayerSpec:
        """SigLIP's layer with another activation."""
        return encoder_layer(self, named, own, middle=Middle.GELU_QUICK, heads=self.heads(rotary=False))

    def lengths(self, images: int, *, whole: bool) -> Lengths:
        """A row an image."""
        row, tiles = self.sight.places // self.sight.tiles, images * self.sight.tiles
        return Lengths(tokens=tiles * row, row=row, blocked=tiles * round_up(row, BLOCK))

    def run_start(self, t: Tape, x: Tensor) -> Tensor:
        """The whole image's place before the patches, places added, and a norm."""
        whole, norm = self.before
        table = self.tables[0]
        width, first = self.sight.width, Tensor(None, self.sight.width * (TOKEN - ROW), self.stored[whole.path])
        joined = join(t, (x, first))
        places = t.fresh(width * (self.sight.places // self.sight.tiles), self.stored[table.path])
        hidden = add(t, joined, places)
        del joined, places
        return normalise(t, self.norm(norm, Norm.LAYER), hidden)

    # ---- behind ----------------------------------------------------------------------------------------------------
    @cached_property
    def running(self) -> tuple[LayerProfile, ...]:
        """All layers."""
        return super().profiles()

    def profiles(self) -> tuple[LayerProfile, ...]:
        """Those whose result is read, and those before."""
        return self.running[: self.sight.read_layers]

    @property
    def unread(self) -> tuple[LayerProfile, ...]:
        """The others."""
        return self.running[self.sight.read_layers :]

    def unread_moments(self, below: int) -> Iterator[tuple[Stage, int]]:
        """Their forward, behind which all that they keep goes with the hidden states."""
        kept = self.kept_by(self.running)[len(self.layers) :]
        for place, (layer, own) in enumerate(zip(self.unread, kept, strict=True), len(self.layers)):
            yield layer.quiet if self.again else layer.forward, below + self.named(place)
            below += own + (layer.copies if self.again else 0)

    @cached_property
    def copies(self) -> int:
        """And those of layers behind, which autocast keeps."""
        return super().copies + sum(layer.copies for layer in self.unread)

    @property
    def named_behind(self) -> int:
        """And what the layers behind have made and keep."""
        if not self.unread:
            return super().named_behind
        kept = self.kept_by(self.running)[len(self.layers) :]
        copies = sum(layer.copies for layer in self.unread) if self.again else 0
        made = self.read(self.images, self.running[-1].output) - self.read(self.images, self.layers[-1].output)
        return super().named_behind + sum(kept) + copies + made

    @property
    def end_width(self) -> int:
        """Of all places."""
        return self.sight.width * ROW

    def end_lengths(self, images: int) -> Lengths:
        """Tokens, and places of the layers."""
        return Lengths(tokens=images * self.sight.tokens, row=images * self.sight.places)

    def run_end(self, t: Tape, x: Tensor) -> Tensor:
        """The patches' places, two linears; the result is cut by images and joined."""
        path, own = self.sight.projector, self.adapted
        hidden = x if self.sight.keeps_class else slices(t, x, (self.sight.width * TOKEN,))[0]
        hidden = linear(t, self.linear(self.rows[path + "linear_1"], own), hidden)
        hidden = keeping_input(t, hidden)
        hidden = linear(t, self.linear(self.rows[path + "linear_2"], own), hidden)
        del x
        out = copy(t, hidden)
        return cast(t, out, self.itemsize)
