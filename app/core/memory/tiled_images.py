"""LLaVA-NeXT: tiles of an image and the whole of it pass CLIP's tower, and what comes out is laid out as an image.

Source: Transformers 5.16.1 ``models/llava_next/modeling_llava_next.py`` (``pack_image_features``).
"""

from app.core.memory.clip import Clip
from app.core.memory.linears import linear
from app.core.memory.operations import cast, copy, keeping_input, slices
from app.core.memory.tape import BLOCKED, FULL, TOKEN, Gradients, Lengths, Tape, Tensor


class Tiled(Clip):
    """Pixels of all tiles are joined in a copy of the batch's; a token of its own ends each line of the layout."""

    def pixels(self, images: int) -> int:
        """Of all tiles."""
        return images * self.sight.tiles * self.sight.channels * self.sight.tile**2 * FULL

    def beside(self, images: int) -> int:
        """Their copy."""
        return self.pixels(images)

    def behind(self, images: int, *, kept: bool) -> int:
        """The same."""
        return self.pixels(images)

    def end_lengths(self, images: int) -> Lengths:
        """Patches, places of the layers, tokens."""
        sight = self.sight
        return Lengths(tokens=images * sight.patches, row=images * sight.places, blocked=images * sight.tokens)

    def run_end(self, t: Tape, x: Tensor) -> Tensor:
        """The projector, then each image's tokens by themselves, joined."""
        path, own = self.sight.projector, self.adapted
        hidden = slices(t, x, (self.sight.width * TOKEN,))[0]
        hidden = linear(t, self.linear(self.rows[path + "linear_1"], own), hidden)
        hidden = keeping_input(t, hidden)
        hidden = linear(t, self.linear(self.rows[path + "linear_2"], own), hidden)
        packed = self.packed(t, hidden)
        del x, hidden
        out = copy(t, packed)
        del packed
        return cast(t, out, self.itemsize)

    def packed(self, t: Tape, x: Tensor) -> Tensor:
        """A list of results, the last of which is put together while the others are there.

        Backward, zeros as large as an image's features are filled for each of two slices of them, and the images'
        gradients are joined.
        """
        row = self.rows["model.image_newline"]
        newline = t.parameter(row.weight_parameters, self.stored[row.path], trained=self.trained(row))
        width, sight = self.architecture.hidden_size, self.sight
        itemsize = max(x.itemsize, newline.itemsize)
        out = t.fresh(width * BLOCKED, x.itemsize)
        lined = t.fresh(width * (sight.tokens - sight.patches // sight.tiles), x.itemsize)
        del lined
        elements, back, each = x.elements, x.itemsize, width * sight.patches
        size, trains = newline.elements, newline.node is not None

        def run(_: list[Tensor | None]) -> Gradients:
            own = t.fresh(size, itemsize) if trains else None
            parts = t.fresh(elements, back)
            filled = [t.fresh(each, back) for _ in range(2)]
            del filled
            whole = t.fresh(elements, back)
            del parts
            return whole, own

        t.join((out,), (x, newline), (), run)
        return out
