"""A figure as a sum of products of whole numbers: what it comes about by, with one model's numbers in place."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod


@dataclass(frozen=True, slots=True, kw_only=True)
class Summand:
    """One product: ``factors`` multiplied, then divided by ``divisor`` without a rest.

    ``code`` says what the factors are (``tokens``: bytes of each token, and tokens); ``held`` whose they are, where a
    term has the same product twice. What is taken off has a negative factor.
    """

    code: str
    factors: tuple[int, ...]
    divisor: int = 1
    held: str = ""

    @property
    def bytes(self) -> int:
        """The product."""
        return prod(self.factors) // self.divisor

    @property
    def formula(self) -> str:
        """As people write it, in every language: ``2 × 41,943,040 × 4``."""
        sign = "−" if self.bytes < 0 else ""
        written = " × ".join([f"{abs(factor):,}" for factor in self.factors])
        return f"{sign}{written} ÷ {self.divisor:,}" if self.divisor > 1 else f"{sign}{written}"


def formula(summands: Iterable[Summand]) -> str:
    """All of them added up; 0 where there is none."""
    return " + ".join([summand.formula for summand in summands]).replace(" + −", " − ") or "0"
