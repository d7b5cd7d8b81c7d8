"""The outline of a step: its moments as polynomials, ready for numbers to be put in.

A group's moments may each stand on each of several bases (a layer's backward at every place in the stack), so the
highest of all is the highest moment on the highest base.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import add, ge, gt
from typing import TypeVar

from app.core.estimate import Phase
from app.core.memory.tape import Coefficients, Moment, fields
from app.core.memory.trained import Sizes

T = TypeVar("T")

_ALWAYS = 3
"""Coefficients of what is never nothing: one, tokens, and tokens by the row's length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """What lives below a stage's own moments: packed bytes of gradients, activations, and weights that come and go."""

    gradients: int
    activations: int
    weights: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Moments of one stage, each of which may stand on each of several bases: the highest is that of both."""

    phase: Phase
    moments: tuple[tuple[Coefficients, Moment], ...]
    bases: tuple[tuple[Coefficients, Base], ...]

    @classmethod
    def of(cls, phase: Phase, moments: Iterable[Moment], bases: Iterable[Base]) -> "Group":
        """Taken apart, ready to be evaluated."""
        return cls(
            phase=phase,
            moments=tuple((fields(moment.total), moment) for moment in moments),
            bases=tuple((fields(base.gradients + base.activations + base.weights), base) for base in bases),
        )

    def highest(self, values: tuple[int, int, int, int, int]) -> tuple[int, Moment, Base]:
        """The highest at these lengths, in bytes, and what it is made of."""
        best, moment = _largest(self.moments, values)
        below, base = _largest(self.bases, values)
        return best + below, moment, base


def _largest(rows: Sequence[tuple[Coefficients, T]], values: tuple[int, int, int, int, int]) -> tuple[int, T]:
    """The first of the largest rows."""
    tokens, pairs, chunk, rank, both = values
    most, best = -1, rows[0][1]
    for (c, t, s, k, r, q), row in rows:
        size = c + t * tokens + s * pairs + k * chunk + r * rank + q * both
        if size > most:
            most, best = size, row
    return most, best


def contenders(groups: Iterable[Group]) -> tuple[Group, ...]:
    """Without those of which another is higher at any lengths, whatever moment and base of theirs is meant."""
    left = list(groups)
    sums = [[tuple(map(add, moment, base)) for moment, _ in group.moments for base, _ in group.bases] for group in left]
    for place in reversed(range(len(left))):
        others = [one for other, rows in enumerate(sums) if other != place for one in rows]
        if all(any(_above(other, one) for other in others) for one in sums[place]):
            del left[place], sums[place]
    return tuple(left)


def _above(other: tuple[int, ...], one: tuple[int, ...]) -> bool:
    """Whether ``other`` is larger wherever there are tokens; chunk and rank may be nothing."""
    return all(map(ge, other, one)) and any(map(gt, other[:_ALWAYS], one))


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """All of a step that its switches decide: what trains, and the moments that could be its peak.

    ``weights`` are the base model's bytes (a reference's too), ``loading`` their most while they are loaded;
    ``trained`` takes the rank. ``evaluation`` has lengths of its own; ``offloaded`` are packed bytes of checkpoints
    that wait on the host.
    """

    weights: int
    loading: int
    trained: Sizes
    training: tuple[Group, ...]
    evaluation: tuple[Group, ...]
    offloaded: int
    fetched: int = 0
    """Bytes of weights that are on the card between steps though the others of their kind wait on the host."""


def ends(bases: Sequence[Base]) -> list[Base]:
    """Without those inside a run of equal steps: whatever the lengths, one end of it is at least as high."""
    found = list(bases[:1])
    step = None
    for before, base in pairwise(bases):
        moved = base.weights - before.weights
        change = base.gradients - before.gradients, base.activations - before.activations, moved
        if change == step:
            found[-1] = base
        else:
            found.append(base)
        step = change
    return found
