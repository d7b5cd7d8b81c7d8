"""GLM's tower: norms of patches before and behind its layers, and a convolution that makes one of a square of them.

Source: Transformers 5.16.1 ``models/glm4v/modeling_glm4v.py`` (``Glm4vVisionModel``, ``Glm4vVisionPatchMerger``).
"""

from dataclasses import replace
from functools import cached_property

from app.core.memory.ends import End
from app.core.memory.gridded import Gridded
from app.core.memory.linears import linear
from app.core.memory.norms import Norm, normalise
from app.core.memory.operations import cast, copy, custom, keeping_input, multiply
from app.core.memory.products import autocast_copy
from app.core.memory.tape import FULL, TOKEN, Lengths, Tape, Tensor


class Downsampling(Gridded):
    """Patches are normed before they are given their positions."""

    positions_per_token = 1
    form = Norm.RMS
    feeding = ("gate_proj", "up_proj", "down_proj")

    @property
    def first_stream(self) -> int:
        """The norm's type or the positions', where that is wider."""
        rows = (self.rows[self.sight.tower + "post_conv_layernorm"], *self.tables)
        return max(self.run.itemsize, *(self.stored[row.path] for row in rows))

    @cached_property
    def normed(self) -> End:
        """The norm behind the convolution."""
        row = self.rows[self.sight.tower + "post_conv_layernorm"]
        return self.profiled(
            lambda t, x: normalise(t, self.norm(row, Norm.RMS), x),
            self.sight.width * TOKEN,
            self.run.itemsize,
            Lengths(tokens=self.images * self.sight.patches, row=self.sight.patches),
            needs=self.reads,
        )

    @property
    def first(self) -> int:
        """And what the norm keeps."""
        return super().first + (self.normed.kept if self.normed.differentiable else 0)

    def entering(self, images: int) -> tuple[int, ...]:
        """The convolution's result, thrice in fp32 within its norm; positions in fp32 and as they are, the sum."""
        patched, values = self.patched(images), images * self.sight.patches * self.sight.width
        pixels = self.converted(images)
        placed = values * (self.stream + FULL + self.stored[self.tables[0].path] + self.stream)
        return pixels + patched + 3 * values * FULL, pixels + self.position_tables(images) + placed

    def run_end(self, t: Tape, x: Tensor) -> Tensor:
        """A norm, the convolution and the merger, whose result is cut by images and joined."""
        tower, square = self.sight.tower, self.sight.square**2
        hidden = normalise(t, self.norm(self.rows[tower + "post_layernorm"], Norm.RMS, square), x)
        hidden = self.convolved(t, hidden)
        out = copy(t, self.merged(t, hidden))
        del x, hidden
        return cast(t, out, self.itemsize)

    def convolved(self, t: Tape, x: Tensor) -> Tensor:
        """``aten::convolution`` saves its input and its weight, whichever of them trains."""
        row = self.rows[self.sight.tower + "downsample"]
        outputs, trained = row.bias_parameters, self.trained(row)
        weight = t.parameter(row.weight_parameters, self.stored[row.path], trained=trained)
        bias = t.parameter(outputs, self.stored[row.path], trained=trained)
        x, weight = cast(t, x, self.run.itemsize), autocast_copy(t, weight, row.path)
        return custom(t, ((outputs * TOKEN, self.run.itemsize),), (x, weight, bias), (x, weight))[0]

    def merged(self, t: Tape, x: Tensor) -> Tensor:
        """A linear, a norm and a feed-forward with a gate."""
        projector = self.sight.projector
        one = {name: self.linear(self.rows[projector + name], self.adapted)
               for name in ("proj", "gate_proj", "up_proj", "down_proj")}  # fmt: skip
        row = self.rows[projector + "post_projection_norm"]
        norm = replace(self.norm(row, Norm.LAYER), width=row.shape[0])
        hidden = keeping_input(t, normalise(t, norm, linear(t, one["proj"], x)))
        gate = keeping_input(t, linear(t, one["gate_proj"], hidden))
        return linear(t, one["down_proj"], multiply(t, gate, linear(t, one["up_proj"], hidden)))
