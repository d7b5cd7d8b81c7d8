"""Grids of tiles as Transformers 5.16.1 chooses them for square images."""

import pytest

from app.core import tiling

DEFAULT = ((336, 672), (672, 336), (672, 672), (1008, 336), (336, 1008))
TALL = ((1008, 336), (1008, 672))
BROAD = ((336, 1008), (672, 1344))


@pytest.mark.parametrize(
    ("grids", "side", "grid", "tiles", "tokens"),
    [
        (DEFAULT, 1, (336, 672), 3, 1176),
        (DEFAULT, 100, (336, 672), 3, 1176),
        (DEFAULT, 336, (336, 672), 3, 1176),
        (DEFAULT, 337, (672, 672), 5, 2928),
        (DEFAULT, 1024, (672, 672), 5, 2928),
        (DEFAULT, 5000, (672, 672), 5, 2928),
        (TALL, 335, (1008, 336), 4, 1176),
        (TALL, 500, (1008, 672), 7, 2928),
        (BROAD, 336, (336, 1008), 4, 1176),
        (BROAD, 672, (672, 1344), 9, 2928),
    ],
)
def test_the_grid_is_transformers_own(
    grids: tuple[tiling.Grid, ...], side: int, grid: tiling.Grid, tiles: int, tokens: int
) -> None:
    """What ``select_best_resolution``, ``image_size_to_num_patches`` and ``LlavaNextProcessor`` say of these sides."""
    assert tiling.best_grid(side, grids) == grid
    assert tiling.tiles(grid, 336) == tiles
    assert tiling.tokens(side, grid, 336, 24) == tokens
