"""What the products of a formula are, in words: for both surfaces."""

from app.core.summand import Summand
from app.texts import Texts


def told(summand: Summand, texts: Texts) -> str:
    """Its factors by name, and whose they are."""
    label = texts.text(f"summand.{summand.code}")
    return texts.text(f"summand.held.{summand.held}", what=label) if summand.held else label
