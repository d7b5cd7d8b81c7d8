"""Data that differs from other data in a few fields."""

from typing import Any, TypeVar

T = TypeVar("T")


def varied(one: T, **values: Any) -> T:
    """``dataclasses.replace`` in one step, however many fields there are: what stays is not looked at again.

    For data without slots whose fields depend on none of the others; nothing may be cached on it.
    """
    other = object.__new__(type(one))
    vars(other).update(vars(one), **values)
    return other
