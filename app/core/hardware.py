"""The hardware of a plan: one kind of GPU, how many, and what each can do."""

from dataclasses import dataclass, replace
from enum import StrEnum

from app.core.context import UNKNOWN, Context, cuda_context
from app.core.units import gib_to_bytes


class Vendor(StrEnum):
    """Who makes the GPU."""

    NVIDIA = "nvidia"
    AMD = "amd"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """What a plan runs on.

    ``capacity_bytes`` is what the driver offers per GPU; ``marketed_memory_gb`` is the size on the box,
    which the decision tree reads. ``compute_capability`` is NVIDIA's (8.6 -> ``(8, 6)``), None on AMD.
    """

    name: str
    gpu_id: str | None
    vendor: Vendor
    capacity_bytes: int
    marketed_memory_gb: float
    compute_capability: tuple[int, int] | None
    bf16: bool
    count: int = 1
    nodes: int = 1
    memory_bandwidth_bytes_s: int | None = None
    bf16_flops: int | None = None
    """Dense tensor operations a second in bf16; ``fp16_flops`` in fp16, which cards without bf16 train in."""
    fp16_flops: int | None = None
    power_watts: float | None = None
    """What the card may draw at most."""
    price_per_hour: float | None = None
    """What an hour of one GPU costs, in whatever currency a person has in mind."""

    multiprocessors: int | None = None
    """How many of them the card has, by which its CUDA context grows; None where that is not known."""
    offered_bytes: int | None = None
    """What the card's driver offers, where ``capacity_bytes`` was typed in its place."""

    def with_memory(self, vram_gib: float) -> "Hardware":
        """The same card with another amount of memory, as a person typed it."""
        return replace(
            self,
            name=f"{self.name} ({vram_gib:g}\u00a0GiB)",
            capacity_bytes=gib_to_bytes(vram_gib),
            marketed_memory_gb=float(vram_gib),
            offered_bytes=self.capacity_bytes,
        )

    @property
    def context(self) -> Context:
        """What a process takes beside its tensors."""
        if self.compute_capability is None or self.multiprocessors is None:
            return UNKNOWN
        return cuda_context(self.multiprocessors, self.compute_capability)

    @property
    def data_parallel(self) -> int:
        """How many processes train at once."""
        return self.count * self.nodes

    @property
    def before_ampere(self) -> bool:
        """Whether it is known to be of a generation before NVIDIA's Ampere."""
        return self.compute_capability is not None and self.compute_capability < (8, 0)

    @property
    def flash_attention(self) -> bool:
        """FlashAttention 2 needs NVIDIA Ampere or newer, or AMD CDNA.

        Source: https://github.com/Dao-AILab/flash-attention#installation-and-features
        """
        if self.vendor is Vendor.AMD:
            return self.bf16
        return self.compute_capability is not None and self.compute_capability >= (8, 0)
