"""Python's collector of cyclic garbage, kept out of the way of loading."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def resting() -> Iterator[None]:
    """Collect nothing meanwhile, and leave what is there afterwards out of later collections.

    Modules, classes and data that are loaded stay for good. The collector would go through all of them again and again
    while they pile up, which takes a tenth of the start, and later whenever requests leave garbage of their own.
    Source: https://docs.python.org/3.11/library/gc.html#gc.freeze
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if collects:
            gc.enable()
