"""Towers by family: what stands before their layers, what the layers are made of, what stands behind.

Sources: Transformers 5.16.1 ``models/siglip/modeling_siglip.py``, ``models/gemma3/modeling_gemma3.py``,
``models/qwen2_vl/modeling_qwen2_vl.py``, ``models/qwen2_5_vl/modeling_qwen2_5_vl.py``,
``models/qwen3_vl/modeling_qwen3_vl.py``, ``models/qwen3_5/modeling_qwen3_5.py``, ``vision_utils.py``.
"""

from collections.abc import Mapping
from dataclasses import replace

from app.core.architecture import Architecture
from app.core.memory.clip import Clip
from app.core.memory.downsampling import Downsampling
from app.core.memory.embedder import Embedding
from app.core.memory.ends import End
from app.core.memory.gridded import Gridded
from app.core.memory.linears import linear
from app.core.memory.middle import Middle
from app.core.memory.norms import Norm, normalise
from app.core.memory.operations import cast, copy, gather, keeping_input
from app.core.memory.pixtral import Pixtral
from app.core.memory.pooler import Pooling
from app.core.memory.seeing import Seeing
from app.core.memory.siglip import Averaging
from app.core.memory.tape import FULL, Tape, Tensor
from app.core.memory.tiled_images import Tiled

TAPS = 4
"""Places of a table of positions that one between them is made of."""


class Merging(Gridded):
    """Qwen 2 VL's: every layer sees a whole image, behind them a square of patches is merged."""

    form = Norm.LAYER
    feeding: tuple[str, ...] = ("fc1", "fc2")
    middle = Middle.GELU_QUICK

    @property
    def first(self) -> int:
        """The convolution's result is what the first layer reads, which its checkpoint keeps."""
        return 0 if self.again and not self.reads else super().first

    def run_end(self, t: Tape, x: Tensor) -> Tensor:
        """The merger, whose result is cut by images and joined."""
        hidden = self.merged(t, x)
        out = copy(t, hidden)
        del x, hidden
        return cast(t, out, self.itemsize)

    def merged(self, t: Tape, x: Tensor) -> Tensor:
        """A norm and two linears."""
        sight, own = self.sight, self.adapted
        hidden = normalise(t, self.norm(self.rows[sight.projector + "ln_q"], self.form, sight.square**2), x)
        hidden = linear(t, self.linear(self.rows[sight.projector + "mlp.0"], own), hidden)
        hidden = keeping_input(t, hidden)
        return linear(t, self.linear(self.rows[sight.projector + "mlp.2"], own), hidden)

    def entering(self, images: int) -> tuple[int, ...]:
        """Pixels as the tower takes them, the convolution's result, and positions."""
        return (self.converted(images) + self.patched(images) + self.position_tables(images),)


class Windowed(Merging):
    """Qwen 2.5 VL's: patches stand in the order of windows, which most layers attend within."""

    form = Norm.RMS
    feeding = ("gate_proj", "up_proj", "down_proj")
    middle = Middle.SAVES_INPUT

    @property
    def first(self) -> int:
        """The convolution's result is put in another order."""
        return super(Merging, self).first

    def merged(self, t: Tape, x: Tensor) -> Tensor:
        """And back in the order of the image."""
        hidden = super().merged(t, x)
        return gather(t, hidden, hidden.elements)

    def entering(self, images: int) -> tuple[int, ...]:
        """And the convolution's result in another order."""
        (before,) = super().entering(images)
        return (before + self.patched(images),)


class Stacked(Gridded):
    """Qwen 3 VL's and 3.5's: every layer sees a whole image; some may hand what they make to the language model too.

    There it is added behind the first layers to a copy of their output, which no moment is higher for. Qwen 3.5's hand
    nothing on.
    """

    positions_per_token = 1
    form = Norm.LAYER
    feeding = ("linear_fc1", "linear_fc2")

    def run_end(self, t: Tape, x: Tensor) -> Tensor:
        """The merger, whose result is cut by images and joined."""
        out = copy(t, self.merged(t, x, self.sight.projector, self.sight.square**2))
        del x
        return cast(t, out, self.itemsize)

    def outlasting(self, images: int) -> int:
        """The last layer's output, and features before they were joined."""
        return self.patched(images) + self.features(images)

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


FAMILIES: Mapping[str, type[Seeing]] = {
    "gemma3": Averaging,
    "qwen2_vl": Merging,
    "qwen2_5_vl": Windowed,
    "qwen3_vl": Stacked,
    "qwen3_vl_moe": Stacked,
    "qwen3_5": Stacked,
    "qwen3_5_moe": Stacked,
    "gemma4": Pooling,
    "gemma4_unified": Embedding,
    "glm4v": Downsampling,
    "glm4v_moe": Downsampling,
    "glm46v": Downsampling,
    "mistral3": Pixtral,
    "llava": Clip,
    "llava_next": Tiled,
}
"""By the model's type."""


def family_of(architecture: Architecture) -> type[Seeing]:
    """In whose way a step's images are read."""
    if architecture.sight is not None and architecture.sight.line_ends:
        return Pixtral
    return FAMILIES[architecture.model_type]
