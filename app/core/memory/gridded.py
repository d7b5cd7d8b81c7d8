"""Towers of images that keep their size, in a grid of patches: what those of Qwen and GLM share.

Source: Transformers 5.16.1 ``models/qwen2_vl/modeling_qwen2_vl.py``, of which others are copies, ``vision_utils.py``.
"""

from collections.abc import Mapping

from app.core.adapter import AdaptedModule
from app.core.architecture import Module
from app.core.memory.layers import FeedForward, LayerSpec, Residual
from app.core.memory.middle import Middle
from app.core.memory.norms import Norm
from app.core.memory.seeing import Seeing
from app.core.memory.tape import FULL
from app.core.run import Attention


class Gridded(Seeing):
    """Images keep their size, patches have two places each, which their heads are turned by."""

    form: Norm
    """Of the layers' norms."""
    feeding: tuple[str, ...]
    """The feed-forward's linears; three where it has a gate."""
    middle = Middle.SAVES_INPUT

    def spec(self, named: Mapping[str, Module], own: Mapping[str, AdaptedModule], *, whole: bool) -> LayerSpec:
        """A layer, which attends within a window or within an image."""
        return LayerSpec(
            hidden=self.sight.width,
            residual=Residual.PRE,
            input_norm=self.layer_norm(named["norm1"], own, self.form),
            attention_norm=None,
            feed_norm=self.layer_norm(named["norm2"], own, self.form),
            output_norm=None,
            heads=self.heads(rotary=True, chunks=0 if self.run.attention is Attention.FLASH else self.images),
            kernel=self.kernel,
            projections=(self.linear(named["qkv"], own),),
            unbound=True,
            out=self.linear(named["proj"], own),
            feed_forward=FeedForward(
                linears=tuple(self.linear(named[name], own) for name in self.feeding),
                middle=self.middle,
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
        held = self.stored[self.entry.path] < FULL and not self.reads
        angles = self.position_tables(images) * 3 // 4
        return self.position_tables(images) + angles + (self.converted(images) if held else 0)
