"""Architectures whose form no recorded peak confirms yet: said aloud, and the band widened.

A form is written from a type's code; a simulated case is what shows a mistake in it. The widths are judged, not
measured: the held-back cases of recorded types are within 6 %, and before they were recorded some were twice as far
off.
"""

from app.core.architecture import Architecture

UNRECORDED: frozenset[str] = frozenset()
"""Model types without a recorded case, held by a test to be those that the recordings lack."""
UNRECORDED_PERCENT = 10
APPROXIMATE_PERCENT = 30
"""For a type that no description covers, counted as Llama's shape."""


def unrecorded(architecture: Architecture) -> bool:
    """Whether no recorded case confirms this architecture's form."""
    return architecture.model_type in UNRECORDED


def doubt_percent(architecture: Architecture) -> int:
    """How far off the figure could lie, either way, for want of a case."""
    if architecture.approximate:
        return APPROXIMATE_PERCENT
    return UNRECORDED_PERCENT if unrecorded(architecture) else 0
