"""Optimizers that step within the backward, project in 8 bits or step pairs, against their simulated peaks."""

import json
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.adapter import resolve_adapter
from app.core.architectures import describe
from app.core.axolotl.run_reader import read_run
from app.core.estimate import Phase
from app.core.memory.frozen import frozen_states
from app.core.memory.optimizer_forms import FORMS, Trained, form_of
from app.core.memory.optimizers import state_bytes, step_temporary_bytes, step_within
from app.core.memory.pairs import Pairs, pairs_of, step_bytes
from app.core.memory.within import Within, within
from app.core.optimizer_names import OPTIMIZERS
from tests.core.memory.recordings import DATA, assert_met, estimated, recorded, static_bytes
from tests.core.memory.test_switches import FLASH, LORA, SHAPE, of

CASES = recorded("every_optimizer.jsonl")
IMMEDIATE = ("lomo", "adalomo", "galore_adamw_layerwise", "apollo_adamw_layerwise", "galore_adamw_8bit_layerwise")
RECORDED = (*IMMEDIATE, "galore_adamw_8bit", "q_galore_adamw8bit", "adamw_anyprecision", "polora")
TARGETS = {"optim_target_modules": ["self_attn", "mlp"]}
MATRIX = Trained(elements=8192 * 512, copies=2, itemsize=2, shape=(8192, 512), targeted=True)
WIDE = Trained(elements=512 * 512, copies=2, itemsize=2, shape=(512, 512), targeted=True)


def test_every_name_has_a_price() -> None:
    """Whatever Axolotl takes, and nothing else."""
    assert set(FORMS) == set(OPTIMIZERS)


def test_each_is_recorded_in_several_shapes() -> None:
    """At least four cases of each that runs; all within 0.2 % of the simulated peak, half within 0.02 %."""
    found = Counter(case["config"]["optimizer"] for case in CASES)
    assert set(found) == {*RECORDED, "sgd", "rmsprop"}
    assert min(found[name] for name in RECORDED) >= 4
    assert_met(CASES, median=0.0002, worst=0.002)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["case"])
def test_what_lives_between_steps(case: dict[str, Any]) -> None:
    """Weights and states to a thousandth, and the phase of the peak."""
    memory = estimated(case)
    assert static_bytes(memory) == pytest.approx(case["static_bytes"], rel=0.001)
    assert memory.step_phase.value == case["phase"]
    assert sum(term.bytes for term in memory.breakdown) == memory.allocated_peak_bytes


def test_what_cannot_be_built_is_refused_in_the_recording() -> None:
    """Adafactor layer by layer gets a learning rate beside relative steps; AdaLomo's rows do not fit three dimensions."""
    lines = (DATA / "every_optimizer-refused.jsonl").read_text("utf-8").splitlines()
    refused = {record["case"]: record["error"] for record in map(json.loads, lines)}
    assert "relative_step=True" in refused["galore_adafactor_layerwise-full-1b"]
    assert "broadcast" in refused["adalomo-full-mixtral"]


@given(st.sampled_from(IMMEDIATE), st.integers(1, 2048), st.booleans())
def test_no_gradient_waits_for_the_end(optimizer: str, tokens: int, checkpointing: bool) -> None:
    """Of all gradients there is one or two, so more layers cost no more of them."""
    config = FLASH | TARGETS | {"optimizer": optimizer, "sequence_len": tokens, "gradient_checkpointing": checkpointing}
    few, many = of(config), of(config, num_hidden_layers=12)
    largest = 2 * 32000 * 512
    for memory in (few, many):
        terms = {term.code: term.bytes for term in memory.breakdown}
        assert terms["gradients"] <= 2 * largest
        assert memory.step_phase in (Phase.FORWARD, Phase.BACKWARD)


def test_accumulation_holds_nothing_for_lomo() -> None:
    """Each micro batch is a step."""
    config = FLASH | {"optimizer": "lomo", "sequence_len": 256}
    assert of(config).allocated_peak_bytes == of(config | {"gradient_accumulation_steps": 8}).allocated_peak_bytes


def test_steps_within_the_backward_by_hand() -> None:
    """Beside a gradient, and where it has gone."""
    n = MATRIX.elements
    assert step_within(MATRIX, form_of("lomo")) == (4 * n, 8 * n)
    assert step_within(MATRIX, form_of("adalomo")) == (4 * n, 12 * n)
    low = 128 * 8192
    assert step_within(MATRIX, form_of("galore_adamw_layerwise")) == (2 * (2 * n + 3 * low), 0)
    assert step_within(MATRIX, form_of("galore_adamw_8bit_layerwise")) == (2 * (n + 2 * low), 0)
    plain = Trained(elements=512, copies=4, itemsize=4, shape=(512,))
    assert step_within(plain, form_of("lomo")) == (0, 0)
    assert step_within(plain, form_of("adalomo")) == (8 * 512, 0)
    assert step_within(plain, form_of("apollo_adamw_layerwise")) == (8 * 512, 0)
    assert step_within(plain, form_of("galore_adamw_8bit_layerwise")) == (0, 0)


def test_only_those_that_step_within_it_do() -> None:
    """And a tensor that nobody told of takes nothing."""
    assert within("adamw_8bit", (MATRIX,), 128) is None
    found = within("lomo", (MATRIX, WIDE), 128)
    assert found is not None
    assert found.deferred
    assert found.of(MATRIX.elements, 2) == (4 * MATRIX.elements, 8 * MATRIX.elements)
    assert found.of(1, 2) == (0, 0)
    assert within("galore_adamw_layerwise", (), 128) == Within(deferred=False, steps=())


def test_projected_states_in_8_bits_by_hand() -> None:
    """Two states of the projected gradient with their scales, and the projection: in the weight's type or a byte."""
    low, projection = 128 * 8192, 128 * 512
    states = 2 * (low + 4 * low // 256)
    assert state_bytes((MATRIX,), form_of("galore_adamw_8bit")) == 2 * (states + 2 * projection)
    coded = projection + 2 * (2 * projection // 256 + 512)
    assert state_bytes((MATRIX,), form_of("q_galore_adamw8bit")) == 2 * (states + coded)
    table = Trained(elements=32000 * 512, copies=1, itemsize=2, shape=(32000, 512), embedding=True, wide=True)
    assert state_bytes((table,), form_of("galore_adamw_8bit")) == 2 * (32000 * 512 + 4 * 32000 * 2)


def test_projected_steps_in_8_bits_by_hand() -> None:
    """A weight's copy and two of its projected gradient; gradients that were stepped before are low already."""
    n, low = MATRIX.elements, 128 * 8192
    assert step_temporary_bytes((MATRIX,), form_of("galore_adamw_8bit")) == 2 * (n + 2 * low)
    both = step_temporary_bytes((WIDE, MATRIX), form_of("galore_adamw_8bit"))
    assert both == 2 * (n + 2 * low) - 2 * (512 * 512 - 128 * 512)
    assert step_temporary_bytes((MATRIX,), form_of("q_galore_adamw8bit")) == 2 * (n + 2 * low + 128 * 512)
    assert step_temporary_bytes((), form_of("galore_adamw_8bit")) == 0


def test_full_states_in_turn_by_hand() -> None:
    """AnyPrecision holds a root and a quotient in fp32, and the quotient of the tensor before."""
    n = MATRIX.elements
    assert state_bytes((MATRIX,), form_of("adamw_anyprecision")) == 2 * 8 * n
    assert step_temporary_bytes((WIDE, MATRIX), form_of("adamw_anyprecision")) == 4 * (2 * n + 512 * 512)


def test_pairs_by_hand() -> None:
    """Momenta, diagonals and four short vectors; a step of one pair holds seven names of each factor, and two more."""
    one = Pairs(rank=8, inputs=512, outputs=1024, copies=3, itemsize=4)
    assert one.states == 3 * 4 * (8 * 1536 + 1536 + 32)
    a, b = 4 * 3 * 8 * 512, 4 * 3 * 8 * 1024
    assert step_bytes((one,)) == pytest.approx(7 * (a + b) + 2 * b, rel=0.05)
    half = Pairs(rank=8, inputs=512, outputs=1024, copies=3, itemsize=2)
    assert step_bytes((half,)) >= step_bytes((one,))
    assert step_bytes((one, one)) >= step_bytes((one,))
    assert step_bytes(()) == 0


def test_names_of_a_shape_last_until_the_next_by_hand() -> None:
    """20 names as large as a factor, 6 of a number; the next shape's gradient is copied while nearly all of them live."""
    before = Pairs(rank=1, inputs=1000, outputs=1000, copies=1, itemsize=2)
    names = 20 * 4000 + 6 * 4
    assert step_bytes((before,)) == names + 2 * 4000
    a, b = replace(before, inputs=1300, outputs=1), replace(before, inputs=1, outputs=1600)
    assert step_bytes((before, a)) == names + 2 * 5200
    assert step_bytes((before, b)) == names - 4000 + 4 + 2 * 6400
    whole = replace(before, itemsize=4)
    assert step_bytes((whole, replace(a, itemsize=4))) == step_bytes((whole, replace(b, itemsize=4))) == names + 8000


def test_pairs_of_an_adapter() -> None:
    """By shape, in the model's order; embeddings' copies and norms have none."""
    architecture = describe(SHAPE)
    run = read_run(LORA | {"lora_modules_to_save": ["embed_tokens"]})
    found = pairs_of(resolve_adapter(architecture, run), 4)
    assert [(pair.inputs, pair.outputs, pair.copies) for pair in found] == [
        (512, 512, 16),
        (512, 1536, 8),
        (1536, 512, 4),
    ]


@given(st.sampled_from([8, 16, 64]), st.sampled_from([8, 32]))
def test_pairs_of_a_higher_rank_never_take_less(rank: int, more: int) -> None:
    """Neither of their states nor of their step."""
    config = FLASH | LORA | {"optimizer": "polora", "sequence_len": 64}
    low, high = of(config | {"lora_r": rank}), of(config | {"lora_r": rank + more})
    assert low.allocated_peak_bytes < high.allocated_peak_bytes


def test_adalomo_keeps_rows_of_packed_weights() -> None:
    """Two bytes a byte; four where bytes pack them, one where fp32 does; none where nothing is frozen, or by LOMO."""
    architecture = describe(SHAPE)
    packed = LORA | {"adapter": "qlora", "load_in_4bit": True, "optimizer": "adalomo"}
    linears = 4 * (4 * 512 * 512 + 3 * 512 * 1536)
    dense = 4 * (2 * (32000 + 512) + 9 * 512)

    def kept(config: dict[str, Any]) -> int:
        return frozen_states(architecture, read_run(config))

    assert kept(packed) == linears + dense
    for storage, each in (("uint8", 2), ("float32", 0.5), ("bfloat16", 1), (None, 1)):
        assert kept(packed | {"bnb_config_kwargs": {"bnb_4bit_quant_storage": storage}}) == linears * each + dense
    assert kept(packed | {"optimizer": "lomo"}) == 0
    assert kept({"optimizer": "adalomo"}) == 0
    assert kept(LORA | {"optimizer": "adalomo"}) == dense + 4 * 4 * (4 * 1024 + 3 * 2048)
    tied = describe(SHAPE | {"tie_word_embeddings": True})
    assert frozen_states(tied, read_run(packed)) == linears + dense - 4 * (32000 + 512)
    assert of(packed).allocated_peak_bytes > of(packed | {"optimizer": "lomo"}).allocated_peak_bytes + linears


@pytest.mark.parametrize(
    ("optimizer", "given", "states"),
    [
        ("sgd", {"momentum": 0.9}, 1),
        ("sgd", "momentum=0.9, nesterov=true", 1),
        ("sgd", {"momentum": 0}, 0),
        ("sgd", {"momentum": "much"}, 0),
        ("sgd", None, 0),
        ("rmsprop", {"momentum": 0.9, "centered": True}, 2),
        ("rmsprop", "centered=yes", 1),
        ("adamw_8bit", {"momentum": 0.9, "centered": True}, 0),
    ],
)
def test_states_that_arguments_add(optimizer: str, given: object, states: int) -> None:
    """Momentum and an average of gradients, each as large as the gradients."""
    config = FLASH | {"optimizer": optimizer, "sequence_len": 64, "optim_args": given}
    assert read_run(config).optimizer_states == states
    terms, plain = (
        {term.code: term.bytes for term in of(one).breakdown} for one in (config, config | {"optim_args": None})
    )
    architecture = describe(SHAPE)
    assert terms["optimizer"] - plain["optimizer"] == states * 2 * architecture.total_parameters


def test_lists_of_two_types_live_together() -> None:
    """PyTorch's multi-tensor steps go type by type, and the name of one list holds it until the next is there."""
    full = Trained(elements=512, copies=2, itemsize=4, shape=(512, 1))
    half = Trained(elements=2048, copies=1, itemsize=2, shape=(2048, 1))
    assert step_temporary_bytes((full, half), form_of("adamw_torch")) == 4096 + 4096
    assert step_temporary_bytes((full, half), form_of("adagrad")) == 2 * 4096 + 4096
    apart = Trained(elements=512, copies=2, itemsize=4, shape=(512,), decays=False)
    assert step_temporary_bytes((apart, half), form_of("adamw_torch")) == 4096


def test_q_galores_rank_and_targets_are_its_own() -> None:
    """Keys of their own with defaults of their own."""
    run = read_run({"optimizer": "q_galore_adamw8bit", "optim_args": {"rank": 4}})
    assert (run.optimizer_rank, run.optimizer_targets) == (256, ("attn", "mlp"))
    run = read_run({"optimizer": "q_galore_adamw8bit", "qgalore_rank": 64, "optim_target_modules": ["mlp"]})
    assert (run.optimizer_rank, run.optimizer_targets) == (64, ("mlp",))
