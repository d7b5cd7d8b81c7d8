"""A change put into functions that are imported already, by their code: nothing is imported again.

A function object is known by its importers, a class or a cache by that object; its code alone is exchanged. Where a
change is outside of any function (a table, a default, the body of a class) this is not possible, and said so.
"""

import gc
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from types import CodeType, FunctionType
from typing import NamedTuple

from tests.mutation.mutants import ROOT, Mutant

Key = tuple[str, str, int]
Swaps = list[tuple[FunctionType, CodeType]]


class Pair(NamedTuple):
    """A function's code, and what it becomes."""

    old: CodeType
    new: CodeType


def living() -> Mapping[Key, Sequence[FunctionType]]:
    """Every function there is, by file, name and first line."""
    found: dict[Key, list[FunctionType]] = defaultdict(list)
    for each in gc.get_objects():
        if type(each) is FunctionType:
            found[_key(each.__code__)].append(each)
    return found


def swaps(mutant: Mutant, alive: Mapping[Key, Sequence[FunctionType]]) -> Swaps | None:
    """What is to be exchanged for a change, or None where the change is not inside of functions alone."""
    path = ROOT / mutant.path
    old = compile(path.read_text(encoding="utf-8"), str(path), "exec")
    pairs = _functions(old, compile(mutant.source, str(path), "exec"))
    if pairs is None:
        return None
    found: Swaps = []
    for pair in pairs:
        if not _differs(pair):
            continue
        if not alive.get(_key(pair.old)):
            return None
        for old_code, new_code in _nested(pair):
            functions = alive.get(_key(old_code), ())
            if (
                len({id(function.__code__) for function in functions}) > 1
                or old_code.co_freevars != new_code.co_freevars
            ):
                return None
            found += [(function, new_code) for function in functions]
    return found or None


def _functions(old: CodeType, new: CodeType) -> list[Pair] | None:
    """The outermost functions of a module, those of its classes too; None where anything around them has changed."""
    inner = _children(old, new)
    if inner is None or _bare(old) != _bare(new):
        return None
    found: list[Pair] = []
    for pair in inner:
        if pair.old.co_flags & 1:  # CO_OPTIMIZED: a function, not the body of a class
            found.append(pair)
        elif (deeper := _functions(*pair)) is not None:
            found += deeper
        else:
            return None
    return found


def _children(old: CodeType, new: CodeType) -> list[Pair] | None:
    olds, news = ([each for each in code.co_consts if isinstance(each, CodeType)] for code in (old, new))
    if [each.co_qualname for each in olds] != [each.co_qualname for each in news]:
        return None
    return [Pair(*pair) for pair in zip(olds, news, strict=True)]


def _differs(pair: Pair) -> bool:
    inner = _children(*pair)
    return inner is None or _bare(pair.old) != _bare(pair.new) or any(_differs(each) for each in inner)


def _nested(pair: Pair) -> Iterator[Pair]:
    """A function and the functions in it: one made while a module was imported lives on with a code of its own."""
    yield pair
    for each in _children(*pair) or ():
        yield from _nested(each)


def _bare(code: CodeType) -> tuple[object, ...]:
    """All that a code does by itself: no line numbers, nothing of what is nested in it."""
    constants = [each for each in code.co_consts if not isinstance(each, CodeType)]
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
    return (code.co_code, [(type(each), repr(each)) for each in constants], names, counts, code.co_exceptiontable)


def _key(code: CodeType) -> Key:
    return (code.co_filename, code.co_qualname, code.co_firstlineno)
