"""From the allocator's peak to what ``nvidia-smi`` shows: context, workspaces and unused reservations."""

from app.core.units import MIB

CONTEXT_BYTES = 560 * MIB
"""CUDA context with PyTorch's and bitsandbytes' kernels loaded, and the cuBLAS workspaces that PyTorch's allocator
does not count."""
CONTEXT_BAND_BYTES = (380 * MIB, 900 * MIB)
RESERVED_SHARE = (2, 5, 12)
"""Reserved but unused, as per cent of the allocator's peak: low, expected, high."""


def process_bytes(allocated_peak_bytes: int) -> int:
    """Expected memory of the process."""
    return allocated_peak_bytes * (100 + RESERVED_SHARE[1]) // 100 + CONTEXT_BYTES


def process_range_bytes(allocated_peak_bytes: int) -> tuple[int, int]:
    """The band around it: a tidy allocator with a small context to a fragmented one with a large context."""
    low, _, high = RESERVED_SHARE
    return (
        allocated_peak_bytes * (100 + low) // 100 + CONTEXT_BAND_BYTES[0],
        allocated_peak_bytes * (100 + high) // 100 + CONTEXT_BAND_BYTES[1],
    )
