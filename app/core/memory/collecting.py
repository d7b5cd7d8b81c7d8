"""Towers of which the caller asks the hidden states of all layers: they live until the projector has run.

A norm stands between the convolution and the layers. Sources: Transformers 5.16.1 ``utils/output_capturing.py``,
``models/mistral3/modeling_mistral3.py`` and ``models/llava/modeling_llava.py`` (``get_image_features``).
"""

from abc import abstractmethod
from collections.abc import Iterator
from functools import cached_property

from app.core.memory.ends import End
from app.core.memory.profile import Stage
from app.core.memory.seeing import PLACE, Seeing
from app.core.memory.tape import ROW, Lengths, Tape, Tensor


class Collecting(Seeing):
    """What LLaVA's way of asking takes; ``before`` are the rows between the convolution and the layers."""

    returns = True
    extra = PLACE
    named_start = False
    """Whether what the convolution has made is named while the layers run, a leaf or not."""

    @cached_property
    def start(self) -> End:
        """Between the convolution and the layers: its patches are the tape's row, places of the layers its tokens."""
        lengths = Lengths(tokens=self.images * self.sight.places, row=self.images * self.sight.patches)
        needs = self.hooked or self.reads
        return self.profiled(self.run_start, self.sight.width * ROW, self.run.itemsize, lengths, needs=needs)

    @abstractmethod
    def run_start(self, t: Tape, x: Tensor) -> Tensor:
        """From what the convolution has made to what the first layer reads."""

    def entering(self, images: int) -> tuple[int, ...]:
        """Pixels as the convolution takes them, and its result."""
        values = images * self.sight.patches * self.sight.width
        return (self.converted(images) + values * self.run.itemsize,)

    @property
    def first(self) -> int:
        """What the convolution has made is of patches alone."""
        if self.reads:
            return self.converted(self.images)
        return self.images * self.sight.patches * self.sight.width * self.run.itemsize if self.hooked else 0

    @property
    def opening(self) -> int:
        """What is saved there."""
        return self.start.kept if self.needs else 0

    def forward(self) -> Iterator[tuple[Stage, int]]:
        """And what is there, beside what the convolution keeps."""
        yield self.start.forward, self.converted(self.images) if self.reads else 0
        yield from super().forward()

    def read(self, images: int, itemsize: int) -> int:
        """What one layer reads."""
        return images * self.sight.places * self.sight.width * itemsize

    def named(self, place: int) -> int:
        """All that the layers below have read, as far as they do not keep it."""
        running = self.layers + self.unread
        itemsizes = [self.stream, *(layer.output for layer in running)]
        read = sum(
            self.read(self.images, itemsize)
            for layer, itemsize, kept in zip(running[:place], itemsizes, self.kept_by(running), strict=False)
            if not (layer.saves_input or (self.again and kept))
        )
        named = self.named_start and place < len(running) and not (self.hooked and not self.reads)
        return read + (self.patched(self.images) if named else 0)

    @property
    def named_behind(self) -> int:
        """All of it."""
        return self.named(len(self.layers) + len(self.unread))

    def standing(self, images: int, place: int) -> int:
        """The same."""
        named = self.named_start and place < len(self.layers) + len(self.unread)
        return self.read(images, self.stream) * place + (self.patched(images) if named else 0)
