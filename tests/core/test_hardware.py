"""What a card can do."""

import pytest

from app.core.hardware import Hardware, Vendor


def card(vendor: Vendor, capability: tuple[int, int] | None, *, bf16: bool) -> Hardware:
    """A card of 24 GB."""
    return Hardware(
        name="card",
        gpu_id=None,
        vendor=vendor,
        capacity_bytes=24 << 30,
        marketed_memory_gb=24.0,
        compute_capability=capability,
        bf16=bf16,
    )


@pytest.mark.parametrize(
    ("vendor", "capability", "bf16", "flash"),
    [
        (Vendor.NVIDIA, (8, 0), True, True),
        (Vendor.NVIDIA, (7, 5), False, False),
        (Vendor.NVIDIA, None, False, False),
        (Vendor.AMD, None, True, True),
        (Vendor.AMD, None, False, False),
    ],
)
def test_flash_attention(vendor: Vendor, capability: tuple[int, int] | None, bf16: bool, flash: bool) -> None:
    """Ampere or newer; on AMD the cards with bf16 matrix units."""
    assert card(vendor, capability, bf16=bf16).flash_attention is flash
