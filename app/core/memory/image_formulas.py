"""How the bytes of a batch's images come about: products by images, patches and tokens that sum to them."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from app.core.architecture import Architecture, Kind, Part, Sight
from app.core.estimate import Phase
from app.core.memory.entering import first_itemsize
from app.core.memory.outline import Peak
from app.core.memory.tape import FULL, MASK
from app.core.memory.weights import Storing, stored
from app.core.run import Checkpointing, Run
from app.core.summand import Summand


def batch_images(sight: Sight, run: Run, phase: Phase) -> int:
    """Images of the batch that runs then."""
    return sight.per_row * (run.eval_batch_size if phase is Phase.EVALUATION else run.micro_batch_size)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagePieces:
    """A peak's images."""

    sight: Sight
    architecture: Architecture
    run: Run
    top: Peak

    @property
    def images(self) -> int:
        """Of the batch."""
        return batch_images(self.sight, self.run, self.top.phase)

    def products(self) -> Iterator[Summand]:
        """Of all that is numbers and no polynomial of the row's lengths."""
        seen = self.top.images
        yield from self.pixels(seen.pixels & MASK)
        yield from self.features(seen.features & MASK)
        yield from self.patches(seen.tower & MASK, "before")
        yield from self.patches(seen.own & MASK, "now")

    @property
    def others(self) -> int:
        """What grows with the row or the adapter's rank, packed."""
        seen = self.top.images
        return sum(size & ~MASK for size in (seen.pixels, seen.features, seen.tower, seen.own))

    def pixels(self, size: int) -> Iterator[Summand]:
        """In fp32, as often as an image stands in its patches."""
        sight = self.sight
        if sight.filled:
            yield from _product("image_pixels", size, sight.channels, sight.filled, sight.patch, sight.patch, FULL)
            return
        side = sight.tile or (sight.across * sight.patch if sight.most_side else sight.side)
        yield from _product("image_pixels", size, sight.channels, sight.frames, side, side, FULL)

    def features(self, size: int) -> Iterator[Summand]:
        """And what else lives through the language model's forward alone."""
        table = next(row for row in self.architecture.modules if row.kind is Kind.EMBEDDING and row.part is Part.TEXT)
        itemsize = first_itemsize(self.architecture, self.run, stored(self.architecture, table, Storing.of(self.run)))
        yield from _product("image_features", size, self.sight.tokens, self.architecture.hidden_size, itemsize)

    def patches(self, size: int, held: str) -> Iterator[Summand]:
        """What a tower's layers hold: of checkpoints tensors as wide as it is, of all else bytes of each patch."""
        sight, rest = self.sight, size
        if self.run.checkpointing is not Checkpointing.OFF and held == "before":
            wide = (sight.width, self.run.itemsize, sight.patches, self.images)
            whole, rest = divmod(size, prod(wide))
            yield from _nonzero("image_widths", (whole, *wide), held)
        yield from _product("image_patches", rest, sight.patches, self.images, held=held)


def _product(code: str, size: int, *factors: int, held: str = "") -> Iterator[Summand]:
    """As often as the factors' product is in there, and bytes that are left."""
    whole, rest = divmod(size, prod(factors))
    yield from _nonzero(code, (whole, *factors), held)
    yield from _nonzero("once", (rest,), held)


def _nonzero(code: str, factors: tuple[int, ...], held: str) -> Iterator[Summand]:
    if factors[0]:
        yield Summand(code=code, factors=factors, held=held)
