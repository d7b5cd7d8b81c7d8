"""Every term's formula, as it is written down, comes to the term's bytes."""

import re
from math import prod
from typing import Any

import pytest
from hypothesis import given

from app.core.adapter import resolve_adapter
from app.core.architectures import describe
from app.core.axolotl.run_reader import read_run
from app.core.axolotl.unmodelled import divided
from app.core.estimate import Memory, Phase
from app.core.memory import estimate_memory
from app.core.memory.breakdown import SOURCES
from app.core.memory.optimizer_forms import FORMS, form_of
from app.core.memory.optimizers import step_pieces
from app.core.summand import Summand, formula
from app.services.telling import told
from app.texts import LANGUAGES, texts
from tests.core.memory.recordings import DATA, estimated, recorded
from tests.core.memory.test_accuracy import EVERY
from tests.core.memory.test_document import LLAMA_8B, QLORA
from tests.core.memory.test_laws import TARGETS, configs, memory

RECORDINGS = sorted(path.name for path in DATA.glob("*.jsonl") if "refused" not in path.stem and path.stem != "others")
FULL = {"attn_implementation": "flash_attention_2", "sequence_len": 64}


def evaluated(written: str) -> int:
    """A formula by its signs, as a reader works it out."""
    total = 0
    for sign, product in re.findall(r"([+−]?) ?([\d,× ÷]+)", written):
        factors, _, divisor = product.replace(",", "").partition("÷")
        value = prod(int(factor) for factor in factors.split("×"))
        assert not value % int(divisor or 1)
        total += (-1 if sign == "−" else 1) * value // int(divisor or 1)
    return total


def holds(found: Memory) -> None:
    """Each formula comes to its term, product by product and as it is written; every product has its words."""
    for term in found.breakdown:
        summands = found.formulas[term.code]
        assert evaluated(formula(summands)) == sum(summand.bytes for summand in summands) == term.bytes, term.code
        assert all(summand.bytes for summand in summands)
        for language in LANGUAGES:
            assert not [s for s in summands if "summand." in told(s, texts(language))]


@given(configs)
def test_each_formula_comes_to_its_terms_bytes(config: dict[str, Any]) -> None:
    """Whatever the run."""
    holds(memory(config))


@pytest.mark.parametrize("name", RECORDINGS)
def test_of_recorded_cases_too(name: str) -> None:
    """A sample: experts, towers, preferences, offloading, what other adapters hold."""
    for case in recorded(name)[::EVERY]:
        holds(estimated(case))


@pytest.mark.parametrize("optimizer", FORMS)
@pytest.mark.parametrize("adapter", [None, "lora"])
def test_of_every_optimizer(optimizer: str, adapter: str | None) -> None:
    """States and the moment of its step."""
    config = FULL | {"optimizer": optimizer, "adapter": adapter, "lora_r": 8, "lora_target_modules": TARGETS}
    config |= {"optim_target_modules": "all_linear"} if adapter is None else {}
    holds(memory(config))


def test_formulas_of_the_documented_run_by_hand() -> None:
    """Llama 3.1 8B by QLoRA, as ``docs/memory.md`` has it."""
    architecture, run = describe(LLAMA_8B), read_run(QLORA)
    found = estimate_memory(architecture, run, resolve_adapter(architecture, run), fused_lora=True)
    assert {code: formula(summands) for code, summands in found.formulas.items()} == {
        "weights": "1,050,939,392 × 2 + 6,979,321,856 ÷ 2 + 109,051,904 × 1 + 425,984 × 4 + 448 × 512",
        "adapter": "41,943,040 × 4",
        "gradients": "0",
        "optimizer": "2 × 41,943,040 × 4",
        "activations": "32 × 4,096 × 2 × 2,048 + 24 × 2,048 + 1 × 2,048 × 2,048 + 512 × 2,048 + 16,388 × 2,048",
        "logits": "0",
        "loss": "4 × 128,256 × 2,048",
        "temporaries": "8 × 128,256 × 2,048",
    }


def test_what_is_elsewhere_is_taken_off() -> None:
    """States that are paged: of each state a byte, the scales stay."""
    found = memory({"optimizer": "paged_adamw_8bit"} | FULL)
    last = found.formulas["optimizer"][-1]
    assert (last.code, last.bytes) == ("states_on_host", -found.host_bytes)
    assert formula(found.formulas["optimizer"]).endswith(f" − {found.host_bytes:,}")


def test_the_step_of_the_optimizer_is_told_by_its_tensors() -> None:
    """AdamW's foreach holds a copy of all that it steps."""
    found = memory({"optimizer": "adamw_torch"} | FULL)
    assert found.step_phase is Phase.OPTIMIZER
    assert {summand.code for summand in found.formulas["temporaries"]} == {"step_copies"}


def test_a_step_of_nothing_needs_nothing() -> None:
    """Whether an optimizer works on groups or on one tensor after another."""
    assert [step_pieces((), form_of(name)) for name in ("adamw_torch", "optimi_adamw", "adafactor")] == [(), (), ()]


def test_merging_is_told_where_it_takes_the_most() -> None:
    """ReLoRA with an optimizer whose step needs nothing."""
    config = {"adapter": "lora", "lora_r": 8, "relora": True, "relora_prune_ratio": 0.9, "jagged_restart_steps": 10}
    config |= {"lora_target_modules": TARGETS, "optimizer": "sgd", "sequence_len": 1}
    found = memory(config | {"attn_implementation": "flash_attention_2"}, vocab_size=64)
    assert [summand.code for summand in found.formulas["temporaries"]] == ["merging"]


def test_gradients_of_several_types_in_the_middle_of_a_backward() -> None:
    """Embeddings, head and norms in fp32, the rest in 16 bits: all of them less what is still to come."""
    found = memory({"optimizer": "sgd", "sequence_len": 16, "gradient_checkpointing": True})
    assert found.step_phase is Phase.BACKWARD
    *there, coming = found.formulas["gradients"]
    assert [(summand.code, summand.factors[-1]) for summand in there] == [("gradients", 4), ("gradients", 2)]
    assert (coming.code, coming.factors) == ("gradients_to_come", (-32000 * 512, 4))


def test_gradients_that_are_used_up_as_they_come_are_told_by_what_is_there() -> None:
    """AdaLomo steps within the backward: neither are those before to come, nor are all of them ever there."""
    found = memory({"optimizer": "adalomo", "sequence_len": 16, "gradient_checkpointing": True})
    assert found.step_phase is Phase.BACKWARD
    (there,) = found.formulas["gradients"]
    assert (there.code, there.factors) == ("gradients_there", (there.bytes,))


def test_which_terms_are_sharded() -> None:
    """Parameters, gradients and states; what a batch makes is each card's own, and grows with it."""
    config = {"optimizer": "adamw_torch", "attn_implementation": "flash_attention_2", "gradient_checkpointing": True}
    few, many = (memory(config | {"sequence_len": length}) for length in (4096, 8192))
    assert few.step_phase is many.step_phase is Phase.BACKWARD
    assert {term.code for term in few.breakdown if term.sharded} == {"weights", "adapter", "gradients", "optimizer"}
    for term, longer in zip(few.breakdown, many.breakdown, strict=True):
        assert (longer.bytes == term.bytes) if term.sharded else (longer.bytes > term.bytes or not longer.bytes)
    assert {term.code: term.source for term in few.breakdown} | {"images": SOURCES["images"]} == SOURCES


STATES = {"optimizer"}
PARTS = {"weights", "adapter", "gradients"} | STATES


@pytest.mark.parametrize(
    ("config", "codes"),
    [
        ({}, set()),
        ({"deepspeed": "deepspeed_configs/zero1.json"}, STATES),
        ({"deepspeed": "deepspeed_configs/zero1_torch_compile.json"}, STATES),
        ({"deepspeed": "deepspeed_configs/zero2.json"}, {"gradients"} | STATES),
        ({"deepspeed": "deepspeed_configs/zero3_bf16_cpuoffload_all.json"}, PARTS),
        ({"deepspeed": {"zero_optimization": {"stage": 2}}}, {"gradients"} | STATES),
        ({"deepspeed": {"zero_optimization": {"stage": 0}}}, set()),
        ({"deepspeed": {"zero_optimization": {"stage": 3.0}}}, PARTS),
        ({"deepspeed": {"zero_optimization": True}}, set()),
        ({"deepspeed": "mezzero2go.json"}, set()),
        ({"deepspeed": "zero22.json"}, set()),
        ({"fsdp_config": {"reshard_after_forward": "false"}}, {"gradients"} | STATES),
        ({"deepspeed": {"train_batch_size": 8}}, set()),
        ({"deepspeed": "ds.json"}, set()),
        ({"fsdp": ["full_shard", "auto_wrap"]}, PARTS),
        ({"fsdp": ["shard_grad_op"]}, {"gradients"} | STATES),
        ({"fsdp": ["no_shard"]}, set()),
        ({"fsdp_version": 2, "fsdp_config": {"offload_params": False}}, PARTS),
        ({"fsdp_version": 2, "fsdp_config": {"reshard_after_forward": False}}, {"gradients"} | STATES),
        ({"fsdp_config": {"offload_params": False}, "deepspeed": "zero1.json"}, PARTS),
        ({"context_parallel_size": 2}, set()),
        ({"tensor_parallel_size": 2}, set()),
        ({"expert_parallel_size": 2}, set()),
        ({"dp_shard_size": 2}, set()),
    ],
)
def test_what_each_key_divides(config: dict[str, Any], codes: set[str]) -> None:
    """ZeRO's stages as its paper has them (arXiv:1910.02054, section 5); parts of terms are no terms."""
    assert divided(config) == codes


def test_a_product_is_written_as_people_write_it() -> None:
    """Signs, separators, and a division without a rest."""
    assert Summand(code="once", factors=(7,)).formula == "7"
    assert Summand(code="halves", factors=(2, 1_000), divisor=2).formula == "2 × 1,000 ÷ 2"
    assert formula([Summand(code="once", factors=(-7,)), Summand(code="row", factors=(2, 3))]) == "−7 + 2 × 3"
    assert formula([]) == "0"
