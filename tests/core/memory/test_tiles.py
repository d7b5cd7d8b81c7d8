"""Feed-forwards in tiles, by hand: what each moment of one linear holds, to the byte."""

from itertools import accumulate

from app.core.memory.linears import LinearSpec, linear
from app.core.memory.tape import GRADIENTS, TEMPORARIES, TOKEN, Leaf, Tape, Tensor
from app.core.memory.tiles import tiled, trained_sizes
from app.core.run import Quantization

WIDTH = 64
WIDE = WIDTH * TOKEN
"""Elements of an input of T tokens."""


def spec(**more: object) -> LinearSpec:
    """As many outputs as inputs, stored in fp32 unless it is said otherwise."""
    given = {"itemsize": 4, "quantization": Quantization.NONE, "converted": False, "trained": True} | more
    return LinearSpec(name="up", inputs=WIDTH, outputs=WIDTH, **given)  # type: ignore[arg-type] # fields by name


def run_tiles(tape: Tape, tiles: int, *specs: LinearSpec) -> Tensor:
    """One linear behind another, in tiles."""

    def feed(t: Tape, x: Tensor) -> Tensor:
        for one in specs:
            x = linear(t, one, x)
        return x

    x = tape.fresh(WIDE, 2)
    x.node = Leaf(parameter=False)
    return tiled(tape, tiles, x, trained_sizes(specs), feed)


def highest(log: list[tuple[int, int]]) -> int:
    """Packed bytes at the highest moment."""
    return max(accumulate(size for _, size in log))


def test_autocasts_copies_outlive_the_tiles() -> None:
    """They stay until autocast's region ends, of what trains; outside of autocast there is none."""
    tape = Tape()
    run_tiles(tape, 2, spec())
    assert [(key, copy.bytes) for key, copy in tape.cache.items()] == [("up", 2 * WIDTH * WIDTH)]
    tape = Tape(autocast=False)
    run_tiles(tape, 2, spec(itemsize=2))
    assert tape.cache == {}


def test_a_forward_ends_with_its_last_tile() -> None:
    """Input, three results and the fourth, and what they are joined into; the input alone stays."""
    tape = Tape()
    run_tiles(tape, 4, spec(itemsize=2))
    assert highest(tape.log) == 3 * 2 * WIDE
    assert tape.now == 0


def test_a_tile_is_made_again_beside_the_one_before() -> None:
    """Both gradients of all tokens, two results of a tile or one and its input's gradient, the weight's three times."""
    tape = Tape()
    out = run_tiles(tape, 4, spec(itemsize=2))
    begun = len(tape.log)
    tape.backward(out, tape.fresh(WIDE, 2, TEMPORARIES))
    weight = 2 * WIDTH * WIDTH
    backward = [(slot, size) for slot, size in tape.log[begun:] if slot in (TEMPORARIES, GRADIENTS)]
    assert highest(backward) == 5 * WIDE + 3 * weight
