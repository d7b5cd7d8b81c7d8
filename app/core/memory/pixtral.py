"""Pixtral's tower, which reads all images of a batch as one sequence, before Mistral 3's projector or LLaVA's.

Sources: Transformers
5.16.1 ``models/pixtral/modeling_pixtral.py``, ``models/mistral3/modeling_mistral3.py``,
``models/llava/modeling_llava.py``; ATen ``transformers/attention.cpp`` (``preprocess_mask``).
"""

from collections.abc import Mapping
from dataclasses import replace

from app.core.adapter import AdaptedModule
from app.core.architecture import Module
from app.core.memory.attending import kernel_of
from app.core.memory.attention import Heads, Kernel
from app.core.memory.collecting import Collecting
from app.core.memory.layers import FeedForward, LayerSpec, Residual
from app.core.memory.lengths import BLOCK
from app.core.memory.linears import linear
from app.core.memory.middle import Middle
from app.core.memory.norms import Norm, normalise
from app.core.memory.operations import cast, copy, keeping_input
from app.core.memory.seeing import PLACE
from app.core.memory.tape import Lengths, Tape, Tensor
from app.core.run import Attention
from app.core.units import round_up

ALIGNED = 8
"""Values that a row of a mask is filled up to for the memory-efficient kernel, in a copy of the whole."""


class Pixtral(Collecting):
    """A norm before the layers; SDPA and eager attention get a mask that keeps images apart."""

    named_start = True
    tables_as_read = True

    @property
    def before(self) -> tuple[Module, ...]:
        """The norm."""
        return (self.rows[self.sight.tower + "ln_pre"],)

    @property
    def first_stream(self) -> int:
        """The wider type of what the convolution makes and the norm's weight."""
        return max(self.run.itemsize, self.stored[self.before[0].path])

    @property
    def kernel(self) -> Kernel:
        """By places of patches, or with a mask."""
        masked = self.run.attention is not Attention.FLASH
        tokens = self.images * self.sight.patches
        return kernel_of(self.run, row_tokens=tokens, window=None, apart=False, by_lengths=False, padded=masked)

    def given_mask(self, images: int) -> int:
        """Bytes of a value of the mask where the kernel takes it as it is: rows of it are aligned."""
        return 0 if images * self.sight.patches % ALIGNED else self.first_stream

    def spec(self, named: Mapping[str, Module], own: Mapping[str, AdaptedModule], *, whole: bool) -> LayerSpec:
        """Mistral's layer, whose heads all have keys of their own."""
        one = {name: self.linear(row, own) for name, row in named.items() if not name.endswith("_norm")}
        return LayerSpec(
            hidden=self.sight.width,
            residual=Residual.PRE,
            input_norm=self.layer_norm(named["attention_norm"], own, Norm.RMS),
            attention_norm=None,
            feed_norm=self.layer_norm(named["ffn_norm"], own, Norm.RMS),
            output_norm=None,
            heads=self.seeing_heads(self.images),
            kernel=self.kernel,
            projections=(one["q_proj"], one["k_proj"], one["v_proj"]),
            out=one["o_proj"],
            feed_forward=FeedForward(
                linears=(one["gate_proj"], one["up_proj"], one["down_proj"]),
                middle=Middle.SAVES_INPUT,
                gated=True,
                together=False,
                fused=False,
                scaled=False,
            ),
            holds=False,
            multipliers=False,
        )

    def seeing_heads(self, images: int) -> Heads:
        """Turned in their own type; with a mask."""
        shared = self.given_mask(images)
        return replace(self.heads(rotary=True), rotary_full=False, unmasked=False, given_mask=shared)

    def lengths(self, images: int, *, whole: bool) -> Lengths:
        """One row of all patches; FlashAttention lays a block between images, as long as places do not run on."""
        tokens = images * self.sight.patches
        runs_on = images == 1 and self.sight.patches == self.sight.most_patches
        apart = self.run.attention is Attention.FLASH and not runs_on
        return Lengths(tokens=tokens, row=tokens, blocked=tokens + images * BLOCK if apart else round_up(tokens, BLOCK))

    # ---- before the layers -----------------------------------------------------------------------------------------
    def run_start(self, t: Tape, x: Tensor) -> Tensor:
        """Patches in one sequence, and their norm."""
        return normalise(t, self.norm(self.before[0], Norm.RMS), copy(t, x))

    def entering(self, images: int) -> tuple[int, ...]:
        """Pixels as the convolution takes them and its result; that and the sequence, which the norm reads in fp32."""
        pixels, patched = self.converted(images), self.patched(images)
        return (pixels + patched,)

    def mask(self, images: int) -> int:
        """A number for each pair of patches."""
        if self.run.attention is Attention.FLASH:
            return 0
        return (images * self.sight.patches) ** 2 * self.first_stream

    @property
    def kept_mask(self) -> int:
        """Where SDPA saves it as it is, or a checkpoint does."""
        taken = self.run.attention is Attention.SDPA and self.given_mask(self.images) == self.run.itemsize
        saved = self.again or taken
        return self.mask(self.images) if saved and any(layer.differentiable for layer in self.layers) else 0

    def position_tables(self, images: int) -> int:
        """Sines and cosines of each patch, in the layers' type, and its place."""
        width = 2 * self.sight.width // self.sight.heads * self.first_stream
        return images * self.sight.patches * (width + PLACE)

    @property
    def positions(self) -> int:
        """And the mask."""
        return super().positions + self.kept_mask

    @property
    def left(self) -> int:
        """Not the mask, which a backward lets go of unless a checkpoint's arguments hold it."""
        held = self.again and not self.run.reentrant
        return super().left - (0 if held else self.kept_mask)

    def beside(self, images: int) -> int:
        """And the mask."""
        return self.position_tables(images) + self.mask(images)

    def behind(self, images: int, *, kept: bool) -> int:
        """What layers or their checkpoints hold."""
        return self.positions if kept else 0

    # ---- behind ----------------------------------------------------------------------------------------------------
    def evaluated(self, spec: LayerSpec, images: int) -> LayerSpec:
        """By whether their mask is aligned."""
        return replace(spec, heads=self.seeing_heads(images))

    def run_end(self, t: Tape, x: Tensor) -> Tensor:
        """The projector, whose result is cut by images and joined; Mistral 3's merges squares of patches before."""
        path, own = self.sight.projector, self.adapted
        hidden = x
        if path + "norm" in self.rows:
            normed = normalise(t, self.norm(self.rows[path + "norm"], Norm.RMS, self.sight.square**2), x)
            laid = copy(t, normed)
            joined = copy(t, laid)
            hidden = linear(t, self.linear(self.rows[path + "patch_merger.merging_layer"], own), joined)
            del normed, laid, joined
        hidden = linear(t, self.linear(self.rows[path + "linear_1"], own), hidden)
        hidden = keeping_input(t, hidden)
        hidden = linear(t, self.linear(self.rows[path + "linear_2"], own), hidden)
        del x
        out = copy(t, hidden)
        return cast(t, out, self.itemsize)
