"""What a process takes of a card beside its tensors: the CUDA context, and cuBLAS's workspaces.

Most of a context is local memory, which the driver keeps for every thread that the card can hold at once: threads of a
multiprocessor x multiprocessors x bytes a thread (NVIDIA,
https://forums.developer.nvidia.com/t/local-memory-management/289339/9). So it grows with the card and not with the run:
141 MiB on a T4 in each of 61 runs, 742 MiB on an H100 in most of 90 trainings. What PyTorch's own messages say of 52
more processes, on cards of 11 to 180 GB, lies about the same line (``tests/data/memory/contexts.yaml``). Kernels are
loaded when they are first used, so that a process that has trained holds more than one that has only loaded.

Workspaces come from PyTorch's allocator, one for each of the two threads that multiply matrices
(``aten/src/ATen/cuda/CublasHandlePool.cpp``: 8.125 MiB, 32 MiB on Hopper and Blackwell).
"""

from dataclasses import dataclass

from app.core.units import KIB, MIB

BASE_BYTES = 61 * MIB
"""What does not grow with the card: of the T4's 141 MiB what its threads do not take."""
THREAD_BYTES = 2 * KIB
"""Local memory of a thread that a card can hold, by what was read."""
THREAD_BYTES_HOPPER = 2641
"""The H100's 742 MiB less the base."""
THREAD_BYTES_BLACKWELL = 2304
"""By the readings of an RTX 5090, an RTX PRO 6000 and a B200 (``tests/data/memory/contexts.yaml``)."""
RESIDENT_THREADS = {(7, 5): 1024, (8, 0): 2048, (8, 6): 1536, (8, 9): 1536, (9, 0): 2048, (10, 0): 2048, (10, 3): 2048}
"""Threads of a multiprocessor by compute capability (CUDA Programming Guide, "Technical Specifications")."""
RESIDENT_THREADS_BEFORE, RESIDENT_THREADS_AFTER = 2048, 1536
"""Of capabilities that are not listed: before Turing, and after it."""
LOW_PERCENT, HIGH_PERCENT = 65, 160
"""All readings but one lie between: a process that has only loaded weights, and one with more libraries than most."""
WORKSPACES = 2
WORKSPACE_BYTES = 8 * MIB + 128 * KIB
WORKSPACE_BYTES_HOPPER = 32 * MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Bytes of a process on one card that are no tensor's."""

    expected_bytes: int
    low_bytes: int
    high_bytes: int
    workspace_bytes: int
    """All of cuBLAS's: they count as allocated and as reserved."""

    @property
    def beside_bytes(self) -> int:
        """What the driver shows more than the allocator's own tensors."""
        return self.expected_bytes + self.workspace_bytes

    @property
    def least_bytes(self) -> int:
        """The same at the least."""
        return self.low_bytes + self.workspace_bytes

    @property
    def most_bytes(self) -> int:
        """The same at the most."""
        return self.high_bytes + self.workspace_bytes


def cuda_context(multiprocessors: int, capability: tuple[int, int]) -> Context:
    """Of an NVIDIA card."""
    others = RESIDENT_THREADS_BEFORE if capability < (7, 5) else RESIDENT_THREADS_AFTER
    threads = multiprocessors * RESIDENT_THREADS.get(capability, others)
    newer = capability >= (9, 0)
    newest = THREAD_BYTES_HOPPER if capability < (10, 0) else THREAD_BYTES_BLACKWELL
    expected = BASE_BYTES + threads * (newest if newer else THREAD_BYTES)
    return Context(
        expected_bytes=expected,
        low_bytes=expected * LOW_PERCENT // 100,
        high_bytes=expected * HIGH_PERCENT // 100,
        workspace_bytes=WORKSPACES * (WORKSPACE_BYTES_HOPPER if newer else WORKSPACE_BYTES),
    )


UNKNOWN = Context(
    expected_bytes=445 * MIB, low_bytes=90 * MIB, high_bytes=1190 * MIB, workspace_bytes=WORKSPACES * WORKSPACE_BYTES
)
"""Where the card is not known, or is not NVIDIA's: an RTX 4090's, within the least and the most of any card."""
