"""Gemma 4 12B, which has no tower: squares of patches are normed, projected and given their positions, then projected.

Source: Transformers 5.16.1 ``models/gemma4_unified/modeling_gemma4_unified.py`` (``Gemma4UnifiedVisionEmbedder``).
"""

from collections.abc import Callable

from app.core.architecture import Module
from app.core.memory.ends import End
from app.core.memory.linears import linear
from app.core.memory.norms import Norm, NormSpec, normalise
from app.core.memory.operations import add, cast, copy, gather, scale
from app.core.memory.pooler import Pooling
from app.core.memory.tape import ROW, TOKEN, Tape, Tensor


class Embedding(Pooling):
    """No layers: all of it stands at the end."""

    def entry_row(self) -> Module:
        """A linear."""
        return self.rows[self.sight.tower + "patch_dense"]

    def end_of(self, place: int, run: Callable[[Tape, Tensor], Tensor]) -> End:
        """Pixels ask for no gradient."""
        return self.profiled(run, self.end_width, self.run.itemsize, self.end_lengths(self.images), needs=False)

    @property
    def first(self) -> int:
        """The end keeps what it reads."""
        return 0

    @property
    def early(self) -> int:
        """And makes all gradients."""
        return 0

    def entering(self, images: int) -> tuple[int, ...]:
        """Pixels as the norm takes them."""
        return (self.converted(images),)

    def beside(self, _: int) -> int:
        """Nothing, without layers."""
        return 0

    def run_end(self, t: Tape, x: Tensor) -> Tensor:
        """Three norms around a linear and positions, an RMSNorm and another linear; fillings are left out last."""
        start, pixels = self.sight.tower, x.elements // TOKEN
        dense = self.rows[start + "patch_dense"]
        width = dense.bias_parameters
        hidden = normalise(t, self.centred("patch_ln1", pixels), x)
        hidden = linear(t, self.linear(dense, self.adapted), hidden)
        hidden = normalise(t, self.centred("patch_ln2", width), hidden)
        hidden = normalise(t, self.centred("pos_norm", width), add(t, hidden, self.placed(t, width)))
        last = self.rows[start + "multimodal_embedder.embedding_projection"]
        bare = NormSpec(form=Norm.RMS_BARE, width=width, itemsize=self.run.itemsize, trained=False, bias=False)
        soft = normalise(t, bare, cast(t, hidden, self.stored[last.path]))
        out = linear(t, self.linear(last, self.adapted), soft)
        out = gather(t, out, self.architecture.hidden_size * ROW)
        del x, hidden, soft
        return cast(t, copy(t, out), self.itemsize)

    def placed(self, t: Tape, width: int) -> Tensor:
        """Rows of the table for both axes, without those of what is filled up, and their sum."""
        (table,) = self.tables
        itemsize = self.stored[table.path]
        rows = gather(t, t.parameter(table.parameters, itemsize, trained=self.trained(table)), 2 * width * TOKEN)
        kept = scale(t, rows)
        out = t.fresh(width * TOKEN, itemsize)
        t.join((out,), (kept,), (), lambda grads: (grads[0],))
        return out

    def centred(self, name: str, width: int) -> NormSpec:
        """A LayerNorm of all of its input."""
        row = self.rows[self.sight.tower + name]
        itemsize, trained = self.stored[row.path], self.trained(row)
        return NormSpec(form=Norm.LAYER, width=width, itemsize=itemsize, trained=trained, bias=True)
