"""SigLIP's tower, whose layers CLIP's are too but for the activation; Gemma 3's way to read it.

Sources: Transformers 5.16.1 ``models/siglip/modeling_siglip.py``, ``models/clip/modeling_clip.py``,
``models/gemma3/modeling_gemma3.py``.
"""

from collections.abc import Mapping

from app.core.adapter import AdaptedModule
from app.core.architecture import Kind, Module
from app.core.memory.attention import Heads
from app.core.memory.layers import FeedForward, LayerSpec, Residual
from app.core.memory.middle import Middle
from app.core.memory.norms import Norm, normalise
from app.core.memory.operations import cast, copy, custom
from app.core.memory.products import product
from app.core.memory.seeing import Seeing
from app.core.memory.tape import TOKEN, Tape, Tensor


def encoder_layer(
    tower: Seeing, named: Mapping[str, Module], own: Mapping[str, AdaptedModule], *, middle: Middle, heads: Heads
) -> LayerSpec:
    """A layer of rows by name: norms before attention and feed-forward, biases, no gate."""
    one = {name: tower.linear(row, own) for name, row in named.items() if row.kind is Kind.LINEAR}
    return LayerSpec(
        hidden=tower.sight.width,
        residual=Residual.PRE,
        input_norm=tower.layer_norm(named["layer_norm1"], own, Norm.LAYER),
        attention_norm=None,
        feed_norm=tower.layer_norm(named["layer_norm2"], own, Norm.LAYER),
        output_norm=None,
        heads=heads,
        kernel=tower.kernel,
        projections=(one["q_proj"], one["k_proj"], one["v_proj"]),
        out=one["out_proj"],
        feed_forward=FeedForward(
            linears=(one["fc1"], one["fc2"]), middle=middle, gated=False, together=False, fused=False, scaled=False
        ),
        holds=False,
        multipliers=False,
    )


class Averaging(Seeing):
    """SigLIP's tower behind which squares of patches are averaged: Gemma 3."""

    returns = True

    @property
    def first_stream(self) -> int:
        """The positions' type, where that is wider."""
        return max(self.run.itemsize, self.stored[self.tables[0].path])

    def spec(self, named: Mapping[str, Module], own: Mapping[str, AdaptedModule], *, whole: bool) -> LayerSpec:
        """SigLIP's layer."""
        return encoder_layer(
            self, named, own, middle=Middle.SAVES_INPUT, heads=self.heads(rotary=False, chunks=0 if whole else 1)
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
