"""Cards that Axolotl's images do not run on are told, with what does."""

from dataclasses import replace

import pytest

from app.catalog.library import load_catalog
from app.core.axolotl.card_rules import CUDA_13_FROM
from app.core.findings import Effect, Severity
from app.core.hardware import Vendor
from tests.core.axolotl.examples import AMPERE, INSTINCT, TURING
from tests.core.axolotl.good import findings


@pytest.mark.parametrize("capability", [(6, 0), (6, 1), (7, 0)])
def test_what_cuda_13_leaves_out_is_told(capability: tuple[int, int]) -> None:
    found = findings({}, card=replace(AMPERE, compute_capability=capability, bf16=False))["card_before_cuda13"]
    assert found.message.params["capability"] == f"{capability[0]}.{capability[1]}"
    assert (found.severity, found.effect) == (Severity.WARNING, Effect.OK)


def test_amd_is_told_what_to_install() -> None:
    found = findings({}, card=INSTINCT)
    assert found["card_rocm"].message.params["hardware"] == "MI300X"
    assert "card_before_cuda13" not in found


def test_other_cards_and_none_are_left_in_peace() -> None:
    for card in (TURING, AMPERE, None):
        assert not {"card_rocm", "card_before_cuda13"} & findings({}, card=card).keys()
    assert "card_before_cuda13" not in findings({}, card=replace(AMPERE, compute_capability=None))


def test_every_card_of_the_catalogue_is_on_one_side() -> None:
    """Pascal and Volta alone are left out of NVIDIA's."""
    old = {
        row.architecture
        for row in load_catalog().gpus.rows
        if row.vendor is Vendor.NVIDIA and (row.compute_capability or CUDA_13_FROM) < CUDA_13_FROM
    }
    assert old == {"Pascal", "Volta"}
