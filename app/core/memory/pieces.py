"""What tensors take, product by product: the pieces that a figure adds up and that its formula shows."""

from collections.abc import Iterable
from typing import TypeAlias

Piece: TypeAlias = tuple[str, int, int, int]
"""What it is, how often, so many values, bytes of each; of ``halves`` the values are two to a byte."""


def total(pieces: Iterable[Piece]) -> int:
    """Bytes of all."""
    return sum([times * values * each for _, times, values, each in pieces])
