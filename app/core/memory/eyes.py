"""Towers by family: what stands before their layers, what the layers are made of, what stands behind.

Sources: Transformers 5.16.1 ``models/siglip/modeling_siglip.py``, ``models/gemma3/modeling_gemma3.py``,
``models/qwen2_5_vl/modeling_qwen2_5_vl.py``, ``models/qwen3_vl/modeling_qwen3_vl.py``, ``vision_utils.py``.
"""

from collections.abc import Mapping
from dataclasses import replace

from app.core.adapter import AdaptedModule
from app.core.architecture import Module, Sight
from app.core.memory.clip import Clip
from app.core.memory.ends import End
from app.core.memory.layers import FeedForward, LayerSpec, Residual
from app.core.memory.linears import linear
from app.core.memory.middle import Middle
from app.core.memory.norms import Norm, normalise
from app.core.memory.operations import cast, copy, custom, gather, keeping_input
from app.core.memory.pixtral import Pixtral
from app.core.memory.products import product
from app.core.memory.seeing import Seeing
from app.core.memory.tape import FULL, TOKEN, Tape, Tensor
from app.core.memory.tiled_images import Tiled
from app.core.run import Attention

TAPS = 4
"""Places of a table of positions that one between them is made of."""


class Averaging(Seeing):
    """SigLIP's tower behind which squares of patches are averaged: Gemma 3."""

    returns = True

    @property
    def first_stream(self) -> int:
        """The positions' type, where that is wider."""
        return max(self.run.itemsize, self.stored[self.tables[0].path])

    def spec(self, named: Mapping[str, Module], own: Mapping[str, AdaptedModule], *, whole: bool) -> LayerSpec:
        """SigLIP's layer."""
        one = {name: self.linear(row, own) for name, row in named.items() if not name.startswith("layer_norm")}
        return LayerSpec(
            hidden=self.sight.width,
            residual=Residual.PRE,
            input_norm=self.layer_norm(named["layer_norm1"], own, Norm.LAYER),
            attention_norm=None,
            feed_norm=self.layer_norm(named["layer_norm2"], own, Norm.LAYER),
            output_norm=None,
            heads=self.heads(rotary=False, chunked=not whole),
            kernel=self.kernel,
            projections=(one["q_proj"], one["k_proj"], one["v_proj"]),
            out=one["out_proj"],
            feed_forward=FeedForward(
                linears=(one["fc1"], one["fc2"]),
                middle=Middle.SAVES_INPUT,
                gated=False,
                together=False,
                fused=False,
                scaled=False,
            ),
            holds=False,
            multipliers=False,
        )

    def run_end(self, t: Tape, x: Tensor) -> Tensor:
        """Norm, average of squares, norm and product; ``vision_outputs`` holds the first norm's result until then."""
        sight = self.sight
        last, middle = self.rows[sight.tower + "post_layernorm"], sight.width * TOKEN
        normed = normalise(t, self.norm(last, Norm.LAYER, sight.square**2), x)
        del x
        turned = copy(t, normed)
        (pooled,) = custom(t, ((middle, normed.itemsize),), (turned,), (turned,))
        soft = normalise(t, self.norm(self.rows[sight.projector + "mm_soft_emb_norm"], Norm.RMS_PLUS_ONE), pooled)
        row = self.rows[sight.projector + "mm_input_projection_weight"]
        weight = t.parameter(row.weight_parameters, self.stored[row.path], trained=self.trained(row))
        out = product(t, soft, weight, self.architecture.hidden_size, key=row.path, turned=False)
        out = cast(t, out, normed.itemsize)
        del turned, pooled, soft, normed
        return cast(t, out, self.itemsize)

    def entering(self, images: int) -> tuple[int, ...]:
        """Pixels as the convolution takes them and its result, then that, the positions and their sum."""
        positions, patched = self.stored[self.tables[0].path], self.patched(images)
        table = self.sight.patches * self.sight.width * positions
        pixels = self.converted(images)
        kept = pixels if self.reads else 0
        return pixels + patched, kept + patched + table + patched // self.run.itemsize * self.stream


class Gridded(Seeing):
    """Qwen's: images keep their size, patches have two places each, which their heads are turned by."""

    form: Norm
    """Of the layers' norms."""
    feeding: tuple[str, ...]
    """The feed-forward's linears; three where it has a gate."""

    def spec(self, named: Mapping[str, Module], own: Mapping[str, AdaptedModule], *, whole: bool) -> LayerSpec:
        """A layer, which attends within a window or within an image."""
        return LayerSpec(
            hidden=self.sight.width,
            residual=Residual.PRE,
            input_norm=self.layer_norm(named["norm1"], own, self.form),
            attention_norm=None,
            feed_norm=self.layer_norm(named["norm2"], own, self.form),
            output_norm=None,
            heads=self.heads(rotary=True, chunked=self.run.attention is not Attention.FLASH),
            kernel=self.kernel,
            projections=(self.linear(named["qkv"], own),),
            unbound=True,
            out=self.linear(named["proj"], own),
            feed_forward=FeedForward(
                linears=tuple(self.linear(named[name], own) for name in self.feeding),
                middle=Middle.SAVES_INPUT,
                gated=len(self.feeding) > 2,
                together=False,
                fused=False,
                scaled=False,
            ),
            holds=False,
            multipliers=False,
        )

    def position_tables(self, images: int) -> int:
        """Sines and cosines of each patch, in fp32."""
        return 2 * images * self.sight.patches * self.sight.width // self.sight.heads * FULL

    def beside(self, images: int) -> int:
        """And pixels in the tower's type, which the caller holds, unless they are kept; angles."""
        held = self.stored[self.convolution.path] < FULL and not self.reads
        angles = self.position_tables(images) * 3 // 4
        return self.position_tables(images) + angles + (self.converted(images) if held else 0)


class Windowed(Gridded):
    """Qwen 2.5 VL's: patches stand in the order of windows, a square of them is merged."""

    positions_per_token = 3
    form = Norm.RMS
    feeding = ("gate_proj", "up_proj", "down_proj")

    def run_end(self, t: Tape, x: Tensor) -> Tensor:
        """The merger, whose result is put back in the order of the image, cut by images and joined."""
        sight, own = self.sight, self.adapted
        hidden = normalise(t, self.norm(self.rows[sight.projector + "ln_q"], Norm.RMS, sight.square**2), x)
        hidden = linear(t, self.linear(self.rows[sight.projector + "mlp.0"], own), hidden)
        hidden = keeping_input(t, hidden)
        hidden = linear(t, self.linear(self.rows[sight.projector + "mlp.2"], own), hidden)
        hidden = gather(t, hidden, hidden.elements)
        out = copy(t, hidden)
        del x, hidden
        return cast(t, out, self.itemsize)

    def entering(self, images: int) -> tuple[int, ...]:
        """Pixels as the tower takes them, the convolution's result, and that in another order."""
        pixels, patched = self.converted(images), self.patched(images)
        return (pixels + 2 * patched + self.position_tables(images),)


class Stacked(Gridded):
    """Qwen 3 VL's: every layer sees a whole image, and some hand what they make to the language model as well.

    There it is added behind the first layers to a copy of their output, which no moment is higher for.
    """

    positions_per_token = 1
    form = Norm.LAYER
    feeding = ("linear_fc1", "linear_fc2")

    def run_end(self, t: Tape, x: Tensor) -> Tensor:
        """The merger, whose result is cut by images and joined."""
        out = copy(t, self.merged(t, x, self.sight.projector, self.sight.square**2))
        del x
        return cast(t, out, self.itemsize)

    @property
    def outlasting(self) -> int:
        """The last layer's output, and features before they were joined."""
        return self.patched(self.images) + self.features(self.images)

    def handed_on(self) -> Mapping[int, End]:
        """A merger each, as far as there are layers."""
        layers = (layer for layer in self.sight.handing_layers if layer < len(self.layers))
        return {layer: self.end_of(layer + 1, self.run_handed) for layer in layers}

    def run_handed(self, t: Tape, x: Tensor) -> Tensor:
        """Another merger, which norms squares of patches as one."""
        return self.merged(t, x, self.sight.tower + "deepstack_merger_list.{}.", 1)

    def merged(self, t: Tape, x: Tensor, path: str, groups: int) -> Tensor:
        """A norm and two linears."""
        row, own = self.rows[path + "norm"], self.adapted
        whole = self.norm(row, Norm.LAYER, self.sight.square**2)
        hidden = normalise(t, replace(whole, groups=groups), x)
        hidden = linear(t, self.linear(self.rows[path + "linear_fc1"], own), hidden)
        hidden = keeping_input(t, hidden)
        return linear(t, self.linear(self.rows[path + "linear_fc2"], own), hidden)

    def entering(self, images: int) -> tuple[int, ...]:
        """Pixels and the convolution's result; then that, four rows of the table of positions, their share, the sum.

        Rows of the table times their weights are in fp32.
        """
        patched, positions = self.patched(images), self.stored[self.tables[0].path]
        values = images * self.sight.patches * self.sight.width
        pixels = self.converted(images) + self.position_tables(images)
        rows = TAPS * values * (positions + FULL)
        return pixels + patched, pixels + patched + rows + values * FULL

    def beside(self, images: int) -> int:
        """And the positions that are added to patches, in fp32."""
        return super().beside(images) + images * self.sight.patches * self.sight.width * FULL


def family_of(sight: Sight) -> type[Seeing]:
    """In whose way a step's images are read."""
    if sight.line_ends:
        return Pixtral
    if sight.classed:
        return Tiled if sight.tile else Clip
    return Windowed if sight.window else Stacked if sight.most_side else Averaging
