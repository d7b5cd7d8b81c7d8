"""The outline of a step: its moments as polynomials, ready for numbers to be put in.

A stage's moments may each stand on each of several bases (a layer's backward at every place in the stack). What could
be the highest of all is written out once, moment by moment and base by base, so that an estimate looks at one list.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from operator import ge, gt
from typing import TypeAlias

from app.core.estimate import Phase
from app.core.memory.tape import ACTIVATIONS, GRADIENTS, WEIGHTS, Coefficients, Lengths, Moment, fields
from app.core.memory.trained import Sizes

_ALWAYS = 5
"""Coefficients of what is never nothing: one, tokens, tokens by the row's length, that length and its square."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Images:
    """What of a moment's activations is the images': packed bytes.

    ``own`` is what a moment of the tower has made itself; all else was there before it.
    """

    pixels: int = 0
    tower: int = 0
    features: int = 0
    own: int = 0

    @property
    def before(self) -> int:
        """What was there."""
        return self.pixels + self.tower + self.features

    @property
    def total(self) -> int:
        """All of it."""
        return self.before + self.own


NO_IMAGES = Images()


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """What lives below a stage's own moments: packed bytes of gradients, activations, and weights that come and go.

    ``images`` are among the activations.
    """

    gradients: int
    activations: int
    weights: int = 0
    images: Images = NO_IMAGES

    @property
    def total(self) -> int:
        """All of it."""
        return self.gradients + self.activations + self.weights


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Moments of one stage, each of which may stand on each of several bases; ``seeing`` where they are a tower's."""

    phase: Phase
    moments: tuple[Moment, ...]
    bases: tuple[Base, ...]
    seeing: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Top:
    """A moment on its base: packed bytes by slot, of them the base's own activations, and what is the images'."""

    phase: Phase
    slots: tuple[int, ...]
    below: int
    images: Images = NO_IMAGES

    @classmethod
    def of(cls, phase: Phase, moment: Moment, base: Base, *, seeing: bool = False) -> "Top":
        """Of all that lives then."""
        slots = list(moment.slots)
        slots[GRADIENTS] += base.gradients
        slots[ACTIVATIONS] += base.activations
        slots[WEIGHTS] += base.weights
        images = replace(base.images, own=moment.slots[ACTIVATIONS]) if seeing else base.images
        return cls(phase=phase, slots=tuple(slots), below=base.activations, images=images)


Row: TypeAlias = tuple[Coefficients, Top]
"""A moment's total and what it is made of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peak:
    """The highest moment in bytes: of which phase, and its slots as they are at these lengths.

    Of the activations ``below`` were there before it: packed, as the slots are.
    """

    bytes: int
    phase: Phase
    slots: tuple[int, ...]
    lengths: Lengths
    below: int = 0
    images: Images = NO_IMAGES

    @property
    def sizes(self) -> tuple[int, ...]:
        """Bytes by slot."""
        return tuple([self.lengths.value(size) for size in self.slots])


class Heights:
    """All moments that could be the highest, at whatever lengths."""

    __slots__ = ("rows", "tops")

    def __init__(self, groups: Iterable[Group]) -> None:
        left = contenders([row for group in groups for row in _written_out(group)])
        self.rows = tuple([coefficients for coefficients, _ in left])
        self.tops = tuple([top for _, top in left])

    def highest(self, lengths: Lengths) -> Peak:
        """The first of the highest at these lengths."""
        tokens, pairs, row, square, chunk, rank, both, scans, blocks = lengths.values
        sizes = [
            c + t * tokens + s * pairs + u * row + w * square + k * chunk + r * rank + q * both + g * scans + b * blocks
            for c, t, s, u, w, k, r, q, g, b in self.rows
        ]
        most = max(sizes)
        top = self.tops[sizes.index(most)]
        return Peak(bytes=most, phase=top.phase, slots=top.slots, lengths=lengths, below=top.below, images=top.images)


def _written_out(group: Group) -> Iterator[Row]:
    for moment in group.moments:
        for base in group.bases:
            yield fields(moment.total + base.total), Top.of(group.phase, moment, base, seeing=group.seeing)


def contenders(rows: Sequence[Row]) -> list[Row]:
    """Without those that another is above, or as high as and before, at any lengths.

    What is above another is also the larger of the two packed, so that one look at those taken before is enough.
    """
    taken: list[tuple[int, Coefficients]] = []
    for place, (one, _) in sorted(enumerate(rows), key=lambda row: row[1][0][::-1], reverse=True):
        if not any(_above(other, one) or (before < place and all(map(ge, other, one))) for before, other in taken):
            taken.append((place, one))
    return [rows[place] for place, _ in sorted(taken)]


def _above(other: Coefficients, one: Coefficients) -> bool:
    """Whether ``other`` is larger wherever there are tokens; chunk and rank may be nothing."""
    return all(map(ge, other, one)) and any(map(gt, other[:_ALWAYS], one))


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """All of a step that its switches decide: what trains, and the moments that could be its peak.

    ``weights`` are the base model's bytes (a reference's too), ``loading`` their most while they are loaded;
    ``trained`` takes the rank. ``evaluation`` has lengths of its own, None where there is none; ``offloaded`` are
    packed bytes of checkpoints that wait on the host.
    """

    weights: int
    loading: int
    trained: Sizes
    training: Heights
    evaluation: Heights | None
    offloaded: int
    fetched: int
    """Bytes of weights that are on the card between steps though the others of their kind wait on the host."""
    merging: int
    """Bytes that merging an adapter makes between two steps."""
    frozen_states: int
    """Bytes of states that an optimizer keeps of weights that do not train."""
    left: int
    """Packed bytes of what a backward leaves, which the optimizer's step finds."""
    unpacked: int
    """Of ``weights``, bytes by which merged ones are larger than they were packed."""


def ends(bases: Iterable[Base]) -> list[Base]:
    """Without those that lie between two others: whatever the lengths, one of the two is at least as high.

    A stack of equal layers leaves its first and its last, and so does one in which kinds of layers take turns.
    """
    left: list[tuple[Base, Coefficients]] = []
    for base in bases:
        own = fields(base.total)
        while len(left) > 1 and _between(left[-2][1], left[-1][1], own):
            left.pop()
        left.append((base, own))
    return [base for base, _ in left]


def _between(first: Coefficients, middle: Coefficients, last: Coefficients) -> bool:
    """Whether some mean of ``first`` and ``last``, or ``first`` alone, is nowhere below ``middle``."""
    if all(2 * two <= one + three for one, two, three in zip(first, middle, last, strict=True)):
        return True
    least, most = Fraction(0), Fraction(1)
    for one, two, three in zip(first, middle, last, strict=True):
        if one == three:
            if two > one:
                return False
        elif one > three:
            least = max(least, Fraction(two - three, one - three))
        else:
            most = min(most, Fraction(three - two, three - one))
    return most > 0 and least <= most
