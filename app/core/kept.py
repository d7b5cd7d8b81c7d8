"""What follows from an architecture, kept for as long as the architecture lives and no longer.

A request may bring a model of its own, so nothing here keeps an architecture alive, and of what one of them leads to
only so much is kept.
"""

from collections.abc import Callable, Hashable
from typing import TypeVar
from weakref import ref

from app.core.architecture import Architecture

KEPT = 256
"""Entries for one architecture: its methods, targets and switches, more than people try in a sitting."""

T = TypeVar("T")

_HELD: dict[int, tuple[ref[Architecture], dict[Hashable, object]]] = {}


def memo(architecture: Architecture) -> dict[Hashable, object]:
    """A place to keep what was derived from one architecture, emptied when it is full."""
    key = id(architecture)
    held = _HELD.get(key)
    if held is None or held[0]() is not architecture:
        held = (ref(architecture, lambda _: _HELD.pop(key, None)), {})
        _HELD[key] = held
    elif len(held[1]) >= KEPT:
        held[1].clear()
    return held[1]


def kept(architecture: Architecture, key: Hashable, make: Callable[[], T]) -> T:
    """What ``make`` gives, made once for ``key``; errors are not kept."""
    held = memo(architecture)
    found = held.get(key)
    if found is None:
        found = held[key] = make()
    return found  # type: ignore[return-value] # the key says what kind it is
