"""What a card asks of the installation: Axolotl's images and PyTorch's wheels do not hold every card's kernels.

Sources, read on 26 November 2026:
Axolotl's images are of CUDA 13.0 with PyTorch 2.11 and 2.12: https://docs.axolotl.ai/docs/docker.html,
its base images of 13.0 and 13.2 with 2.13: ``.github/workflows/base.yml`` of github.com/axolotl-ai-cloud/axolotl;
CUDA 13 begins at compute capability 7.5, and PyTorch's wheels of CUDA 12.6 hold 5.0, 6.0 and 7.0, 2.13 too:
https://github.com/pytorch/pytorch/issues/190355, https://github.com/pytorch/pytorch/pull/182849 (2.12),
https://github.com/pytorch/pytorch/pull/197555 (2.13 is the same);
AMD: https://docs.axolotl.ai/docs/installation.html and https://docs.axolotl.ai/docs/amd_hpc.html.
"""

from collections.abc import Iterator

from app.core.axolotl.subject import Rule, Subject, info, warning
from app.core.findings import Finding
from app.core.hardware import Vendor

CUDA_13_FROM = (7, 5)
"""Turing."""


def installation(subject: Subject) -> Iterator[Finding]:
    """Cards that CUDA 13 leaves out, and those that know no CUDA. How much fits is another matter."""
    hardware = subject.hardware
    if hardware is None:
        return
    if hardware.vendor is Vendor.AMD:
        yield warning("card_rocm", None, hardware=hardware.name)
    elif hardware.compute_capability is not None and hardware.compute_capability < CUDA_13_FROM:
        capability = ".".join(map(str, hardware.compute_capability))
        yield warning("card_before_cuda13", None, hardware=hardware.name, capability=capability)


def memory(subject: Subject) -> Iterator[Finding]:
    """What the box says, or a person, against what the driver offers."""
    hardware = subject.hardware
    if hardware is not None and hardware.offered_bytes is not None:
        yield info("vram_as_typed", None, hardware=hardware.name, offered_bytes=hardware.offered_bytes)
    elif hardware is not None and hardware.gpu_id is not None:
        yield info(
            "card_memory",
            None,
            hardware=hardware.name,
            memory_gb=hardware.marketed_memory_gb,
            capacity_bytes=hardware.capacity_bytes,
        )


CARD_RULES: tuple[Rule, ...] = (installation, memory)
