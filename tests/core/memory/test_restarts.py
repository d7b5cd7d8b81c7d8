"""ReLoRA's restarts: what merging makes and leaves behind, against Axolotl's own merge under the simulator."""

from typing import Any

import pytest

from app.core.adapter import resolve_adapter
from app.core.architectures import describe
from app.core.axolotl.run_reader import read_run
from app.core.memory.restarts import merging_bytes, unpacked_bytes
from app.core.memory.weights import nf4_bytes
from app.core.run import LORA_KERNEL_KEYS
from tests.core.memory.recordings import assert_met, estimated, recorded, static_bytes
from tests.core.memory.test_switches import FLASH, LORA, SHAPE, of

CASES = recorded("relora.jsonl")
RELORA = LORA | {"relora": True, "jagged_restart_steps": 10}
PACKED = {"adapter": "qlora", "load_in_4bit": True}
ATTENTION, FEEDING = 512 * 512, 512 * 1536


def test_peaks_from_the_first_restart_on() -> None:
    """Where merging is the highest moment and where it is not: within 0.1 %."""
    assert {case["phase"] for case in CASES} == {"optimizer", "forward", "backward"}
    assert_met(CASES, least=9, worst=0.001)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["case"])
def test_what_lives_between_steps(case: dict[str, Any]) -> None:
    """Weights of a packed base in fp32."""
    memory = estimated(case)
    assert static_bytes(memory) == pytest.approx(case["static_bytes"], rel=0.001)
    assert memory.step_phase.value == case["phase"]


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (LORA, 0),
        (RELORA, 4 * 3 * FEEDING),
        (RELORA | {"lora_target_modules": ["q_proj", "down_proj"]}, 4 * (2 * FEEDING + ATTENTION)),
        (RELORA | {"peft_autocast_adapter_dtype": False}, 2 * 3 * FEEDING),
        (RELORA | PACKED, (2 + 4 + 4) * FEEDING),
        ({"relora": True}, 0),
    ],
)
def test_merging_by_hand(config: dict[str, Any], expected: int) -> None:
    """Two of the update and the one before it; of a packed base the weight, its update and their sum."""
    run = read_run(config)
    assert merging_bytes(run, resolve_adapter(describe(SHAPE), run)) == expected


def test_a_packed_base_is_unpacked() -> None:
    """Where it is adapted, and under ReLoRA alone."""
    architecture = describe(SHAPE)

    def left(config: dict[str, Any], kernels: tuple[str, ...] = LORA_KERNEL_KEYS) -> int:
        run = read_run(config)
        return unpacked_bytes(architecture, run, resolve_adapter(architecture, run), frozenset(kernels))

    each = 4 * (4 * (4 * ATTENTION - nf4_bytes(ATTENTION)) + 3 * (4 * FEEDING - nf4_bytes(FEEDING)))
    assert left(RELORA | PACKED) == each
    assert left(RELORA) == left(LORA | PACKED) == left(RELORA | PACKED, ("lora_mlp_kernel",)) == 0
    assert left(RELORA | PACKED | {"lora_modules_to_save": ["lm_head"]}) == each
    config = FLASH | RELORA | PACKED | {"sequence_len": 64}
    assert of(config).allocated_peak_bytes >= of(config | {"relora": False}).allocated_peak_bytes + each
