"""How a square image is laid out in tiles of a tower's own size: LLaVA-NeXT's grids.

Source: Transformers 5.16.1, ``image_processing_utils.select_best_resolution`` and
``models/llava_next/modeling_llava_next.py`` (``image_size_to_num_patches``, ``unpad_image``, ``pack_image_features``).
"""

from collections.abc import Iterable

from app.core.units import ceil_div

Grid = tuple[int, int]
"""Pixels high and broad."""


def best_grid(side: int, grids: Iterable[Grid]) -> Grid:
    """The one in which most of the image's pixels are left, then the one with the least room beside them."""

    def worth(grid: Grid) -> tuple[int, int]:
        scale = min(grid[1] / side, grid[0] / side)
        left = min(int(side * scale) ** 2, side**2)
        return left, left - grid[0] * grid[1]

    return max(grids, key=worth)


def tiles(grid: Grid, tile: int) -> int:
    """Of the grid, and one of the whole image."""
    return ceil_div(grid[0], tile) * ceil_div(grid[1], tile) + 1


def tokens(side: int, grid: Grid, tile: int, across: int) -> int:
    """Patches of the whole image, and those of the grid that are no padding, with a token at each line's end."""
    high, broad = grid[0] // tile * across, grid[1] // tile * across
    if broad < high:
        high -= (high - int(round(side * (broad / side), 7))) // 2 * 2
    else:
        broad -= (broad - int(round(side * (high / side), 7))) // 2 * 2
    return across**2 + high * (broad + 1)
