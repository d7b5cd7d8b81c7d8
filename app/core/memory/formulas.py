"""How the bytes of each term come about: products of whole numbers that sum to it, made once somebody asks.

Weights, adapter, gradients and states are values × bytes of each, by what they are stored in; everything else is the
polynomial of its moment (``tape``), with the run's lengths put in.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from app.core.adapter import Adapter
from app.core.architecture import Architecture
from app.core.estimate import Phase
from app.core.memory.image_formulas import ImagePieces
from app.core.memory.optimizer_forms import Family, OptimizerForm, Trained, form_of
from app.core.memory.optimizers import state_pieces, step_pieces
from app.core.memory.outline import Outline, Peak
from app.core.memory.pieces import Piece
from app.core.memory.preference import reference_bytes
from app.core.memory.sighted import sees
from app.core.memory.stepping import Stepping
from app.core.memory.taking_turns import resting
from app.core.memory.tape import ACTIVATIONS, FULL, GRADIENTS, LOGITS, LOSS, TEMPORARIES, WEIGHTS, fields
from app.core.memory.trained import Sizes, factor_itemsize, idle_bytes
from app.core.memory.weights import Storing, base_pieces, fp32_residual
from app.core.run import Checkpointing, Method, Run
from app.core.summand import Summand

LENGTHS = ("tokens", "pairs", "row", "row_pairs", "chunk", "rank", "token_ranks", "scanned", "blocked")
"""What each coefficient of a polynomial but the first is multiplied with, in the order of ``Lengths.values``."""
COUNTED = frozenset(("states", "state_halves", "state_scales", "sides", "step_copies", "step_scales"))
"""Of what there may be several of each value: how many stands in front."""
WHOLE = frozenset(("filling", "step_work"))
"""What is bytes and no values."""
IDS = 64
"""Bytes that may stand beside a table of the vocabulary: a count, a mean."""
FEW = 100
"""A token's bytes are a multiple of a width but for a few (ids, sums): less than one in so many of it."""
WIDE = 8
"""The same beside the inputs of layers: ids, and sines and cosines of each token's position."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Formulas:
    """Everything that the terms of one peak follow from."""

    architecture: Architecture
    run: Run
    adapter: Adapter
    outline: Outline
    stepping: Stepping
    top: Peak

    def all(self) -> Mapping[str, tuple[Summand, ...]]:
        """By the term's code; without what is nothing."""
        slots, below, images = self.top.slots, self.top.below, self.top.images
        in_loss = bool(slots[LOGITS] or slots[LOSS])
        now = slots[ACTIVATIONS] - below - images.own
        return {
            "weights": tuple(self.weights()),
            "adapter": tuple(self.adapter_values()),
            "gradients": tuple(self.gradients()),
            "optimizer": tuple(self.states()),
            "activations": (*self.polynomial(below - images.before, "before"), *self.polynomial(now, "now")),
            **self.images(),
            "logits": tuple(self.polynomial(slots[LOGITS], words=in_loss)),
            "loss": tuple(self.polynomial(slots[LOSS], words=in_loss)),
            "temporaries": tuple(self.temporaries(words=in_loss)),
        }

    @property
    def tensors(self) -> tuple[Trained, ...]:
        """What trains."""
        return self.outline.trained.at(self.top.lengths.rank)

    @property
    def form(self) -> OptimizerForm:
        """What steps."""
        return form_of(self.run.optimizer)

    def weights(self) -> Iterator[Summand]:
        """The base model as it is stored, and what is beside it or elsewhere."""
        pieces = base_pieces(self.architecture, Storing.of(self.run))
        reference = reference_bytes(self.architecture, self.run)
        yield from _summed(pieces)
        yield from _bytes("reference", reference)
        yield from _bytes("unpacked", self.outline.unpacked)
        there = self.outline.weights - reference - self.outline.unpacked
        yield from _bytes("weights_on_host", there - sum(summand.bytes for summand in _summed(pieces)))
        yield from _bytes("fetched", self.top.sizes[WEIGHTS])

    def adapter_values(self) -> Iterator[Summand]:
        """What trains beside the model, and what its method holds."""
        if self.run.method is Method.FULL:
            return
        yield from _summed(_values(self.tensors, "trained"))
        yield from _bytes("buffers", self.adapter.buffer_bytes)
        itemsize = factor_itemsize(self.run)
        towers = sees(self.architecture, self.run)
        idle = idle_bytes(self.architecture, self.run, self.adapter, towers=towers) // itemsize
        yield from _summed([("idle", 1, idle, itemsize)])

    def gradients(self) -> Iterator[Summand]:
        """One for each value that trains; in the middle of a backward, less those that are still to come.

        Of an optimizer that steps within it, those that are there: the others are used up or still to come.
        """
        size, there = self.top.sizes[GRADIENTS], self.stepping.gradients
        itemsizes = {tensor.itemsize for tensor in self.tensors}
        if not size:
            return
        if len(itemsizes) == 1 and not size % (itemsize := min(itemsizes)):
            yield from _summed([("gradients", 1, size // itemsize, itemsize)])
            return
        if self.stepping.within:
            yield from _bytes("gradients_there", size)
            return
        yield from _summed(_values(self.tensors, "gradients"))
        coming = [t for t in self.tensors if t.elements * t.itemsize == there - size]
        if coming:
            yield Summand(code="gradients_to_come", factors=(-coming[0].elements, coming[0].itemsize))
        else:
            yield from _bytes("gradients_apart", size - there)

    def states(self) -> Iterator[Summand]:
        """The optimizer's, less those that are on the host."""
        pieces = [*self._states_of(self.outline.trained)]
        pieces += [
            (code, self.run.optimizer_states, values, each) for code, _, values, each in _values(self.tensors, "states")
        ]
        rest = resting(self.architecture, self.run, self.adapter)
        yield from _summed(pieces)
        yield from _bytes("frozen_states", self.outline.frozen_states)
        if rest is not None:
            yield from _summed(self._states_of(rest), "resting")
        yield from _bytes("states_on_host", -self.stepping.on_host)

    def _states_of(self, trained: Sizes) -> tuple[Piece, ...]:
        rank = self.top.lengths.rank
        if self.form.family is Family.PAIRED:
            return tuple([("pair_states", 1, pair.states // FULL, FULL) for pair in trained.pairs_at(rank)])
        return state_pieces(trained.at(rank), self.form, rank=self.run.optimizer_rank)

    def images(self) -> Mapping[str, tuple[Summand, ...]]:
        """What the batch's images take, where there are any that are described; lengths are the row's."""
        sight = self.architecture.sight
        if sight is None or not sees(self.architecture, self.run):
            return {}
        pieces = ImagePieces(sight=sight, architecture=self.architecture, run=self.run, top=self.top)
        return {"images": (*pieces.products(), *self.polynomial(pieces.others))}

    def temporaries(self, *, words: bool) -> Iterator[Summand]:
        """Of the optimizer's step by its tensors; merging an adapter may take more than that."""
        size = self.top.slots[TEMPORARIES]
        if self.top.phase is Phase.OPTIMIZER and size != self.stepping.scratch:
            yield from _bytes("merging", size)
        elif self.top.phase is Phase.OPTIMIZER and self.form.family is not Family.PAIRED:
            pieces = step_pieces(self.tensors, self.form, rank=self.run.optimizer_rank)
            yield from _summed([(f"step_{code}", times, values, each) for code, times, values, each in pieces])
        else:
            yield from self.polynomial(size, words=words)

    def polynomial(self, size: int, held: str = "", *, words: bool = False) -> Iterator[Summand]:
        """Bytes of each token, each pair of tokens and so on, times how many there are.

        Of a moment in the loss, bytes of a token are told as those of each of the vocabulary's ``words``; of what was
        there ``before`` it with checkpoints, as those of tensors as wide as the model.
        """
        once, *others = fields(size)
        for (code, factors), each in zip(self._lengths(), others, strict=True):
            rest = each
            if words and code in ("tokens", "chunk", "followed"):
                of_words, rest = self._apart(each, self.architecture.vocab_size)
                if of_words:
                    yield Summand(code=f"{code}_words", factors=(of_words, self.architecture.vocab_size, *factors))
            elif held == "before" and code == "tokens" and self.run.checkpointing is not Checkpointing.OFF:
                wide, rest = self._apart(each, self.architecture.hidden_size * self.itemsize, WIDE)
                if wide:
                    sides = (wide, self.architecture.hidden_size, self.itemsize)
                    yield Summand(code="widths", factors=(*sides, *factors), held=held)
            if rest:
                yield Summand(code=code, factors=(rest, *factors), held=held)
        table = self.architecture.vocab_size * self.architecture.hidden_size
        if once >= table and once % table < IDS:
            matrix = (self.architecture.vocab_size, self.architecture.hidden_size)
            yield Summand(code="table", factors=(once // table, *matrix), held=held)
            once %= table
        if once:
            yield Summand(code="once", factors=(once,), held=held)

    @property
    def itemsize(self) -> int:
        """Of a value that one layer hands to the next."""
        return FULL if fp32_residual(self.run) else self.run.itemsize

    def _lengths(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Names of the lengths, and each as the factors that it is."""
        lengths = self.top.lengths
        tokens, row, rank = lengths.tokens, lengths.row, lengths.rank
        products = {"pairs": (tokens, row), "row_pairs": (row, row), "token_ranks": (tokens, rank)}
        for code, value in zip(LENGTHS, lengths.values, strict=True):
            name = "followed" if code == "chunk" and self.run.preference is not None else code
            yield name, products.get(code, (value,))

    @staticmethod
    def _apart(each: int, width: int, few: int = FEW) -> tuple[int, int]:
        """How often ``width`` is in there, and what else; all is something else where that is more than a few bytes."""
        times, rest = divmod(each, width)
        return (times, rest) if rest * few < width else (0, each)


def _values(tensors: Iterable[Trained], code: str) -> list[Piece]:
    return [(code, 1, tensor.elements * tensor.copies, tensor.itemsize) for tensor in tensors]


def _bytes(code: str, size: int) -> Iterator[Summand]:
    if size:
        yield Summand(code=code, factors=(size,))


def _summed(pieces: Iterable[Piece], held: str = "") -> Iterator[Summand]:
    """Like pieces as one."""
    found: dict[tuple[str, int, int], int] = {}
    for code, times, values, each in pieces:
        found[code, times, each] = found.get((code, times, each), 0) + values
    for (code, times, each), values in found.items():
        if not times * values * each:
            continue
        often = (times,) if code in COUNTED else ()
        if code.endswith("halves"):
            yield Summand(code=code, factors=(*often, 2 * values), divisor=2, held=held)
        else:
            yield Summand(code=code, factors=(*often, values) if code in WHOLE else (*often, values, each), held=held)
