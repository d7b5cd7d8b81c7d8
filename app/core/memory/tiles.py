"""A feed-forward taken in tiles of tokens: ``tiled_mlp``.

Forward the tiles run one after the other without a graph, and their results are joined; the input alone is saved.
Backward each tile runs again, outside of autocast, and then backwards; what it gives for the weights is added up beside
it, in tensors as large as they are. A tile's result is a local until the next one's is there, and with it what its
nodes hold; so is the gradient of the last weight. Source: Axolotl 0.19.0 ``monkeypatch/tiled_mlp/base.py``,
``TiledMLP``, and ``patch.py`` for how many tiles there are.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from app.core.memory.linears import LinearSpec
from app.core.memory.tape import GRADIENTS, RANK, TOKEN, Gradients, Leaf, Slot, Tape, Tensor, fields
from app.core.run import Run
from app.core.units import ceil_div

Log: TypeAlias = list[tuple[Slot, int]]

TILE_TOKENS = 32768
"""That a tile holds at most where ``tiled_mlp_num_shards`` is left out."""


def tiles_of(run: Run, row_tokens: int) -> int:
    """Tiles of a row, 0 where feed-forwards are left whole: a row has no more of them than tokens."""
    if not run.tiled:
        return 0
    return min(row_tokens, run.tiles or ceil_div(row_tokens, TILE_TOKENS))


def tiled(
    t: Tape, tiles: int, x: Tensor, sizes: Sequence[tuple[int, int]], feed: Callable[[Tape, Tensor], Tensor]
) -> Tensor:
    """What ``feed`` makes of ``x``, tile by tile; ``sizes`` are elements and itemsize of what trains in it."""
    out = _forward(t, tiles, x, feed)
    whole, itemsize = x.elements, x.itemsize

    def run(_: list[Tensor | None]) -> Gradients:
        x_grad = t.fresh(whole, itemsize)
        sums = [t.fresh(*size) for size in sizes]
        again, back, lasting = _one_tile(t, tiles, (whole, itemsize), feed)
        t.log += again + back
        held = [t.fresh(*size) for size in sizes[-1:]]
        if tiles > 1:
            before = t.fresh(lasting, 1)
            t.log += again
            del before
            t.log += back
        _write_back(t, sums)
        del held
        return (x_grad,)

    t.join((out,), (x,), (x,), run)
    return out


def _forward(t: Tape, tiles: int, x: Tensor, feed: Callable[[Tape, Tensor], Tensor]) -> Tensor:
    """At the last tile, whose results are joined with those before it; autocast's copies stay until its region ends."""
    one = t.apart(recording=False, autocast=t.autocast)
    tile = feed(one, Tensor(None, x.elements, x.itemsize))
    elements, itemsize = tile.elements, tile.itemsize
    others = t.fresh((tiles - 1) * _share(tile.bytes, tiles), 1)
    mark = len(one.log)
    t.log += _shares(one.log, tiles)
    out = t.fresh(elements, itemsize)
    del tile, others
    for key, copy in one.cache.items():
        t.cache[key] = t.fresh(copy.elements, copy.itemsize)
    one.end_autocast()
    t.log += _shares(one.log[mark:], tiles)
    return out


def _one_tile(t: Tape, tiles: int, x: tuple[int, int], feed: Callable[[Tape, Tensor], Tensor]) -> tuple[Log, Log, int]:
    """A tile made again, and its backward; bytes of its result, and of what its nodes hold, which last beyond it."""
    one, leaf = t.apart(recording=True, autocast=False), Leaf(parameter=False)
    tile = feed(one, Tensor(None, *x, leaf))
    mark, held = len(one.log), Tensor(tile.storage, tile.elements, tile.itemsize)
    given = [tile, Tensor(None, tile.elements, tile.itemsize)]
    del tile
    one.backward(given.pop(0), given.pop())
    one.forget(leaf)
    lasting = held.bytes + sum(storage.bytes for storage in one.stuck)
    one.stuck.clear()
    del held
    return _shares(one.log[:mark], tiles), _shares(one.log[mark:], tiles), _share(lasting, tiles)


def _shares(log: Log, tiles: int) -> Log:
    """A record of all tokens as one of a tile's."""
    return [(slot, _share(size, tiles) if size >= 0 else -_share(-size, tiles)) for slot, size in log]


def _share(size: int, tiles: int) -> int:
    """Of what grows with tokens, a tile's part."""
    found = fields(size)
    tokens, both = found[1], found[7]
    less = (tokens - ceil_div(tokens, tiles)) * TOKEN
    return size - less - (both - ceil_div(both, tiles)) * RANK * TOKEN


def _write_back(t: Tape, sums: list[Tensor]) -> None:
    """The sums become the gradients; where there are some from before, new ones, and both live until all are made."""
    if t.gradients_present:
        made = [t.fresh(one.elements, one.itemsize) for one in sums]
        del made
        return
    for storage in [one.storage for one in sums if one.storage is not None]:
        storage.move(GRADIENTS)
        t.kept.append(storage)


def trained_sizes(linears: Iterable[LinearSpec]) -> Sequence[tuple[int, int]]:
    """Elements and itemsize of all that trains in them."""
    found: list[tuple[int, int]] = []
    for one in linears:
        if one.trained:
            found += [(size, one.itemsize) for size in (one.elements, one.outputs if one.bias else 0) if size]
        if one.rank:
            sizes = (one.inputs * one.rank, one.rank * one.outputs, one.outputs if one.dora else 0)
            found += [(size, one.adapter_itemsize) for size in sizes if size]
    return found
