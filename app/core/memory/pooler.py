"""Gemma 4's tower: rows of patches that are filled up, and behind its layers averages of squares of them.

Source: Transformers 5.16.1 ``models/gemma4/modeling_gemma4.py`` (``Gemma4VisionModel``, ``Gemma4VisionPooler``).
"""

from collections.abc import Mapping
from dataclasses import replace

from app.core.adapter import AdaptedModule
from app.core.architecture import Kind, Module
from app.core.memory.layers import FeedForward, LayerSpec, Residual
from app.core.memory.linears import LinearSpec, linear
from app.core.memory.middle import Middle
from app.core.memory.norms import Norm, NormSpec, normalise
from app.core.memory.operations import cast, copy, custom, gather, scale
from app.core.memory.seeing import DIMENSIONS, PLACE, Seeing
from app.core.memory.tape import FULL, ROW, TOKEN, Lengths, Tape, Tensor
from app.core.run import Attention

AXES = 2
"""Of a patch's place."""
COPIES = 4
"""Of all patches' positions that are there at once: of either axis, their sum, and that without what fills rows up."""


class Pooling(Seeing):
    """Squares of patches are averaged behind the layers; rows are filled up with patches that are none.

    The tape's tokens are patches behind the layers too, a row's tokens there those that are left.
    """

    returns = True

    def entry_row(self) -> Module:
        """A linear."""
        return self.rows[self.sight.tower + "patch_embedder.input_proj"]

    def table_rows(self) -> tuple[Module, ...]:
        """One parameter for both axes."""
        return tuple(row for row in self.rows.values() if row.kind is Kind.PARAMETER)

    @property
    def first_stream(self) -> int:
        """The positions' type, where that is wider."""
        return max(self.run.itemsize, self.stored[self.tables[0].path])

    def spec(self, named: Mapping[str, Module], own: Mapping[str, AdaptedModule], *, whole: bool) -> LayerSpec:
        """Norms around both halves, on queries, keys and values too."""
        heads = self.heads(rotary=True)

        def made(name: str) -> LinearSpec:
            return replace(self.linear(named[name], own), clipped=self.sight.clipped)

        def norm(name: str) -> NormSpec:
            return self.layer_norm(named[name], own, Norm.RMS_WEIGHT_FIRST)

        values = replace(norm("k_norm"), form=Norm.RMS_BARE, groups=heads.heads, trained=False)
        return LayerSpec(
            hidden=self.sight.width,
            residual=Residual.PRE,
            input_norm=norm("input_layernorm"),
            attention_norm=norm("post_attention_layernorm"),
            feed_norm=norm("pre_feedforward_layernorm"),
            output_norm=norm("post_feedforward_layernorm"),
            query_norm=replace(norm("q_norm"), groups=heads.heads),
            key_norm=replace(norm("k_norm"), groups=heads.heads),
            value_norm=values,
            heads=replace(heads, rotary_full=False, rotary_axes=AXES),
            kernel=self.kernel,
            projections=(made("q_proj"), made("k_proj"), made("v_proj")),
            out=made("o_proj"),
            feed_forward=FeedForward(
                linears=(made("gate_proj"), made("up_proj"), made("down_proj")),
                middle=Middle.SAVES_INPUT,
                gated=True,
                together=False,
                fused=False,
                scaled=False,
            ),
            holds=False,
            multipliers=False,
        )

    def entering(self, images: int) -> tuple[int, ...]:
        """Pixels made anew twice; what the linear makes of them, and positions."""
        pixels, converted, patched = self.pixels(images), self.converted(images), self.patched(images)
        values = patched // self.run.itemsize
        positions = COPIES * values * self.stored[self.tables[0].path]
        kept = converted if self.reads else 0
        return kept + 2 * pixels, converted + patched + positions, converted + patched + values * self.stream * 2

    def position_tables(self, images: int) -> int:
        """Sines and cosines of each patch."""
        return 2 * images * self.sight.patches * self.sight.width // self.sight.heads * self.stream

    def mask(self, images: int) -> int:
        """Of each image's patches, which of them are none: truth values for SDPA, numbers for eager attention."""
        if self.run.attention not in (Attention.SDPA, Attention.EAGER):
            return 0
        return images * self.sight.patches**2 * (self.stream if self.run.attention is Attention.EAGER else 1)

    @property
    def positions(self) -> int:
        """And the mask, where layers are made again."""
        if not any(layer.differentiable for layer in self.layers):
            return 0
        return self.position_tables(self.images) + (self.mask(self.images) if self.again else 0)

    def beside(self, images: int) -> int:
        """And the mask."""
        return self.position_tables(images) + self.mask(images)

    def run_end(self, t: Tape, x: Tensor) -> Tensor:
        """Averages are a product with a mask of squares; fp32 behind it, without what rows were filled up with."""
        sight, compute = self.sight, self.run.itemsize
        squares = sight.patches // sight.square**2 * TOKEN
        hidden = scale(t, x)
        weights = t.fresh(squares, PLACE)
        weights = t.fresh(squares, FULL)
        weights = t.fresh(squares, FULL)
        wide = cast(t, cast(t, hidden, FULL), compute)
        narrow = t.fresh(squares, compute)
        (pooled,) = custom(t, ((sight.width * ROW, compute),), (wide,), (narrow,))
        del hidden, wide, weights, narrow
        soft = cast(t, scale(t, cast(t, pooled, FULL)), x.itemsize)
        del pooled
        soft = gather(t, soft, soft.elements)
        bare = NormSpec(form=Norm.RMS_BARE, width=sight.width, itemsize=FULL, trained=False, bias=False)
        row = self.rows[sight.projector + "embedding_projection"]
        out = linear(t, self.linear(row, self.adapted), normalise(t, bare, soft))
        del x, soft
        return cast(t, copy(t, out), self.itemsize)

    def pixels(self, images: int) -> int:
        """Of all that rows are filled up to."""
        sight = self.sight
        return images * sight.patches * sight.channels * sight.patch**2 * FULL

    @property
    def batch(self) -> int:
        """And where each patch stands."""
        return super().batch + self.images * self.sight.patches * AXES * PLACE

    @property
    def end_width(self) -> int:
        """Packed elements of all patches."""
        return self.sight.width * TOKEN

    def end_lengths(self, images: int) -> Lengths:
        """Patches, and what is left of them."""
        return Lengths(tokens=images * self.sight.patches, row=images * self.sight.tokens)

    @property
    def placing(self) -> tuple[int, ...]:
        """And before it, that there are as many: the values of images' tokens, and where each of them stands."""
        values = self.images * self.sight.tokens * self.architecture.hidden_size
        return values * (self.itemsize + DIMENSIONS * PLACE), self.scattered
