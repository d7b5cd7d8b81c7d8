"""From the allocator's peak to what ``nvidia-smi`` shows: context, workspaces and unused reservations.

Not measured here yet: figures of others, with a band that covers them. A context with PyTorch's kernels takes 300 to
400 MB since CUDA 11.7 loads them lazily (github.com/pytorch/pytorch issues 107667 and 109888, by a maintainer) and more
than a gigabyte where they are all loaded; bitsandbytes, Triton and FlashAttention bring theirs. cuBLAS's workspace
comes from PyTorch's allocator but not from the model: 8 MiB, 32 MiB on Hopper (``CUBLAS_WORKSPACE_CONFIG``). What the
allocator reserves beyond its peak is fragmentation: least with steady shapes, more where the lengths of batches
differ.
"""

from app.core.units import MIB

CONTEXT_BYTES = 560 * MIB
"""CUDA context with PyTorch's and bitsandbytes' kernels loaded, and the cuBLAS workspaces."""
CONTEXT_BAND_BYTES = (300 * MIB, 1000 * MIB)
RESERVED_SHARE = (2, 5, 12)
"""Reserved but unused, as per cent of the allocator's peak: low, expected, high."""


def process_bytes(allocated_peak_bytes: int) -> int:
    """Expected memory of the process."""
    return allocated_peak_bytes * (100 + RESERVED_SHARE[1]) // 100 + CONTEXT_BYTES


def process_range_bytes(
    allocated_peak_bytes: int, load_bytes: int = 0, room_percent: tuple[int, int] = (0, 0)
) -> tuple[int, int]:
    """The band around it: a tidy allocator with a small context to a fragmented one with a large context.

    The process has held ``load_bytes`` before; ``room_percent`` is what keys that the model does not price could take
    off or add.
    """
    less, more = room_percent
    low, _, high = RESERVED_SHARE
    return (
        max(allocated_peak_bytes * (100 + low) * (100 - less) // 10_000, load_bytes) + CONTEXT_BAND_BYTES[0],
        max(allocated_peak_bytes * (100 + high) * (100 + more) // 10_000, load_bytes) + CONTEXT_BAND_BYTES[1],
    )
