"""PoLoRA: the two factors of each adapted module, stepped together, all modules of one shape at a time.

What its step holds is worked out name by name: a loop over the shapes whose names keep what they were given until the
next shape takes them over. Sources: ``polora/optim.py`` and ``polora/utils.py`` of github.com/nikhilgsh/polora, read in
the port that the framework miles carries; Axolotl 0.19.0 ``utils/optimizers/polora.py``.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from app.core.adapter import Adapter

FULL = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """So many pairs of A, ``rank`` x ``inputs``, and B, ``outputs`` x ``rank``; ``itemsize`` is the factors'."""

    rank: int
    inputs: int
    outputs: int
    copies: int
    itemsize: int

    @property
    def states(self) -> int:
        """Two momenta, two diagonals, and four vectors that the searches for the largest singular values begin at."""
        sides = self.inputs + self.outputs
        vectors = 2 * (min(self.rank, self.inputs) + min(self.rank, self.outputs))
        return FULL * self.copies * (self.rank * sides + sides + vectors)


def pairs_of(adapter: Adapter, itemsize: int) -> tuple[Pairs, ...]:
    """Of every shape, in the order in which the model's modules come."""
    copies: dict[tuple[int, int, int], int] = {}
    for row in adapter.modules:
        if row.lora_a_parameters:
            each = row.rank * row.copies
            key = row.rank, row.lora_a_parameters // each, row.lora_b_parameters // each
            copies[key] = copies.get(key, 0) + row.copies
    return tuple(
        Pairs(rank=rank, inputs=inputs, outputs=outputs, copies=count, itemsize=itemsize)
        for (rank, inputs, outputs), count in copies.items()
    )


def step_bytes(groups: Iterable[Pairs]) -> int:
    """What the step holds at its most, beside gradients and states, all in fp32."""
    held: dict[str, int] = {}
    most = 0
    for group in groups:
        for name, size, beside in _names(group):
            most = max(most, sum(held.values()) + size + beside)
            held[name] = size
    return most


def _names(group: Pairs) -> Iterable[tuple[str, int, int]]:
    """What each name is given, in turn, and what is made on the way to it."""
    each = FULL * group.copies
    a, b = each * group.rank * group.inputs, each * group.rank * group.outputs
    q, p, r = each * group.inputs, each * group.outputs, each * group.rank**2
    narrow = group.itemsize < FULL
    for name in ("gradient", "weight"):
        yield f"{name} a", a, a if narrow else 0
        yield f"{name} b", b, b if narrow else 0
    for name, side in (("momentum a", a), ("momentum b", b), ("q", q), ("p", p)):
        yield name, side, 0
    for name in ("root", "back"):
        yield f"{name} q", q, q
        yield f"{name} p", p, p
    yield "curve b", r, b
    yield "curve a", r, a
    yield "inverse root b", r, 8 * r
    yield "inverse root a", r, 8 * r
    yield "inverse", 2 * r, 0
    yield "ahead a", a, a
    yield "ahead b", b, b
    yield "", 0, max(a, b)  # squares, for the sizes of both weights
    yield "white a", a, a
    yield "white b", b, b
    for name, side in (("white a", a), ("white b", b)):  # their polar factors, of what is normed first
        yield name, side, max(2 * side, side + 7 * r)
    yield "turned a", a, a
    yield "turned b", b, b
    yield "", 0, max(a, b)
    yield "change a", a, 0
    yield "change b", b, 0
    yield "", 0, 2 * max(a, b)  # products with gradients, for both diagonals
