"""Units: bytes are integers everywhere; text for people is made at the edge.

GiB is 2**30 bytes (what drivers and PyTorch report), GB is 10**9 bytes (what a box says of bandwidth
and what the guide's rule of thumb uses). Names carry the unit: ``vram_bytes``, ``vram_gib``.
"""

KIB = 1 << 10
MIB = 1 << 20
GIB = 1 << 30
GB = 10**9


def gib_to_bytes(gib: float) -> int:
    """Bytes in ``gib`` GiB, rounded to the nearest byte."""
    return round(gib * GIB)


def ceil_div(numerator: int, denominator: int) -> int:
    """``numerator / denominator`` rounded up, in integers."""
    return -(-numerator // denominator)


def round_up(value: int, multiple: int) -> int:
    """``value`` rounded up to a multiple of ``multiple``."""
    return ceil_div(value, multiple) * multiple
