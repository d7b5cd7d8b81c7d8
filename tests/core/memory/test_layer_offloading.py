"""Layers that wait on the host, against Axolotl's own hooks under the simulator."""

import pytest

from app.core.adapter import resolve_adapter
from app.core.architectures import describe
from app.core.axolotl.run_reader import read_run
from app.core.axolotl.unmodelled import room
from app.core.memory.layer_offloading import OTHER_NAMES
from app.core.memory.step import Step
from tests.core.memory.recordings import assert_met, estimated, recorded

CASES = recorded("layer_offloading.jsonl")
FOUND = [case for case in CASES if case["model"]["model_type"] not in OTHER_NAMES]


def test_peaks_of_offloaded_layers_are_met() -> None:
    """With one layer and with several, fused and not, in 16 and in 4 bits, either checkpoint: within 0.2 %."""
    assert_met(CASES, least=15, worst=0.002)


@pytest.mark.parametrize("case", FOUND, ids=lambda case: case["case"])
def test_what_leaves_waits_on_the_host(case: dict) -> None:
    """To the byte but for granules; the weights of the step are fewer by as much, but for the layers that are there."""
    memory = estimated(case)
    assert memory.host_bytes == pytest.approx(case["host_bytes"], rel=0.001)
    whole = estimated(case | {"config": case["config"] | {"layer_offloading": False}})
    fewer = memory.allocated_peak_bytes <= whole.allocated_peak_bytes
    assert fewer or case["model"]["num_hidden_layers"] < 3 or case["config"].get("load_in_8bit")
    assert memory.load_bytes == whole.load_bytes


def test_layers_of_another_name_stay() -> None:
    """Axolotl looks for them by the name of their class and leaves a warning where it finds none."""
    (case,) = (case for case in CASES if case["model"]["model_type"] in OTHER_NAMES)
    assert estimated(case).host_bytes == case["host_bytes"] == 0


EIGHT = {"load_in_8bit": True}


@pytest.mark.parametrize(
    ("change", "percent"),
    [
        ({"gradient_checkpointing": False}, (90, 0)),
        ({"activation_offloading": True}, (90, 0)),
        (EIGHT | {"gradient_checkpointing": False}, (90, 15)),
        (EIGHT | {"quantize_moe_experts": True}, (90, 15)),
    ],
)
def test_what_is_not_priced_keeps_its_room(change: dict, percent: tuple[int, int]) -> None:
    """Elsewhere the figure is the one without, and the band says how far that could be, either way in 8 bits."""
    case = FOUND[0]
    without = estimated(case | {"config": case["config"] | change | {"layer_offloading": False}})
    changed = case | {"config": case["config"] | change}
    assert estimated(changed).allocated_peak_bytes == without.allocated_peak_bytes
    assert room(changed["config"], read_run(changed["config"])) == percent
    assert room(case["config"], read_run(case["config"])) == (0, 0)


def test_evaluation_finds_the_layers_around() -> None:
    """A layer before and one behind; none at the head."""
    (case,) = (case for case in FOUND if case["case"] == "llama-3.1-8b-qlora-peft-plain-3")
    evaluating = case["config"] | {"val_set_size": 0.1, "eval_batch_size": 8}
    config = {key: value for key, value in evaluating.items() if key != "layer_offloading"}
    assert estimated(case | {"config": evaluating}).allocated_peak_bytes < (
        estimated(case | {"config": config}).allocated_peak_bytes
    )


def test_eight_bits_stay_and_take_copies_beside() -> None:
    """Nothing of them leaves, so that the peak is above the one without, by at most two layers' bytes."""
    cases = [case for case in FOUND if "int8" in case["case"]]
    assert len(cases) >= 9
    for case in cases:
        whole = estimated(case | {"config": case["config"] | {"layer_offloading": False}})
        more = estimated(case).allocated_peak_bytes - whole.allocated_peak_bytes
        layers = case["model"]["num_hidden_layers"]
        assert -0.001 * whole.allocated_peak_bytes <= more <= 2 * case["host_bytes"] // layers
        assert room(case["config"], read_run(case["config"])) == (0, 0)


def test_words_of_a_packed_checkpoint_are_no_parameters() -> None:
    """A GPTQ base leaves its norms alone to the host."""
    (case,) = (case for case in CASES if "gptq" in case["case"])
    hidden, layers = case["model"]["hidden_size"], case["model"]["num_hidden_layers"]
    assert estimated(case).host_bytes == case["host_bytes"] == layers * 2 * 2 * hidden


@pytest.mark.parametrize("reentrant", [True, False])
def test_what_a_reentrant_backward_brings_by_hand(reentrant: bool) -> None:
    """The layer below; the last one's own linears once more, which its graph holds views of. None below the first."""
    width, layers = 256, 3
    model = {
        "model_type": "llama",
        "hidden_size": width,
        "intermediate_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "vocab_size": 1024,
    }
    config = {"adapter": "lora", "lora_r": 8, "lora_target_linear": True, "layer_offloading": True}
    checkpoints = {"gradient_checkpointing": True, "gradient_checkpointing_kwargs": {"use_reentrant": reentrant}}
    architecture, run = describe(model), read_run(config | checkpoints)
    step = Step(architecture, run, resolve_adapter(architecture, run), kernels=frozenset())
    linears, norms = 7 * 2 * width * width, 2 * 2 * width
    below = [0, linears + norms, linears + norms + linears] if reentrant else [0, 0, 0]
    assert [step.stack.fetched(place) for place in range(layers)] == below
