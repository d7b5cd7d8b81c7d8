"""What follows from an architecture, worked out once and kept while it is asked for.

A request may bring a model of its own and any switches: of all that is kept, for all architectures together, what was
asked for longest ago goes first. Nothing here keeps an
architecture alive but one that reads other images.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TypeVar, cast

from app.core.architecture import Architecture

MOST = 4096
"""Entries in all; an outline of a step, the largest kind, takes some 30 KiB with all that comes with it, and one in
four entries is one."""

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")

_ENTRIES: OrderedDict[tuple[int, Hashable], object] = OrderedDict()


def kept(architecture: Architecture, key: Hashable, make: Callable[[], T]) -> T:
    """What ``make`` gives, made once for ``key``; errors are not kept."""
    # the key says what kind it is
    return cast("T", found_or_made(_ENTRIES, (architecture.serial, key), make, most=MOST))


def found_or_made(entries: OrderedDict[K, T], key: K, make: Callable[[], T], *, most: int) -> T:
    """What is kept in ``entries``, or made and kept there; of more than ``most``, the one asked for longest ago goes.

    Taken out and put back at the end, each in one step: another thread may make the same again, and never fails.
    """
    found = entries.pop(key, None)
    if found is None:
        found = make()
    entries[key] = found
    if len(entries) > most:
        entries.popitem(last=False)
    return found
