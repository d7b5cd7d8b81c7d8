"""What follows from an architecture, worked out once and kept while it is asked for.

A request may bring a model of its own and any switches: of all that is kept, for all architectures together, what was
asked for longest ago goes first. Nothing here keeps an architecture alive.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TypeVar

from app.core.architecture import Architecture

MOST = 4096
"""Entries in all; an outline of a step, the largest kind, takes some 30 KiB with all that comes with it, and one in
four entries is one."""

T = TypeVar("T")

_ENTRIES: OrderedDict[tuple[int, Hashable], object] = OrderedDict()


def kept(architecture: Architecture, key: Hashable, make: Callable[[], T]) -> T:
    """What ``make`` gives, made once for ``key``; errors are not kept.

    Taken out and put back at the end, each in one step: another thread may make the same again, and never fails.
    """
    place = (architecture.serial, key)
    found = _ENTRIES.pop(place, None)
    if found is None:
        found = make()
    _ENTRIES[place] = found
    if len(_ENTRIES) > MOST:
        _ENTRIES.popitem(last=False)
    return found  # type: ignore[return-value] # the key says what kind it is
