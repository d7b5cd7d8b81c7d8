"""4-bit bases of which ``llm_int8_skip_modules`` keeps some linears from being packed, against their simulation."""

from typing import Any

import pytest

from app.core.architectures import describe
from app.core.axolotl.rules import check
from app.core.axolotl.run_reader import read_run
from app.core.errors import InvalidInput
from app.core.findings import Effect
from app.core.memory.weights import Storing, base_bytes, left_out, quantizes
from tests.core.axolotl.examples import schema
from tests.core.memory.recordings import assert_met, recorded

LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "vocab_size": 320,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
QLORA: dict[str, Any] = {
    "adapter": "qlora",
    "load_in_4bit": True,
    "lora_r": 8,
    "lora_alpha": 16,
    "lora_target_modules": ["q_proj"],
}


def skipping(*names: str, **more: Any) -> dict[str, Any]:
    """QLoRA with a list."""
    return {**QLORA, "bnb_config_kwargs": {"llm_int8_skip_modules": list(names)}, **more}


def test_what_stays_unpacked_is_priced() -> None:
    """Linears in fp32, as PEFT's preparation leaves them, and a packed head: the worst within a thousandth."""
    assert_met(recorded("skipped_modules.jsonl"), least=6, worst=0.001)


@pytest.mark.parametrize(
    ("names", "unpacked"),
    [
        ((), set()),
        (("lm_head",), {"lm_head"}),
        (("down_proj",), {"down_proj"}),
        (("proj",), {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}),
        ((r"model\.layers\.\d+\.mlp",), {"gate_proj", "up_proj", "down_proj"}),
        (("layers",), set()),
    ],
)
def test_a_name_is_the_beginning_or_the_end_of_a_path(names: tuple[str, ...], unpacked: set[str]) -> None:
    """As Transformers 5.16.1 told of a real load: without the head's name in it, it is packed."""
    architecture = describe(LLAMA | {"tie_word_embeddings": False})
    storing = Storing.of(read_run(skipping(*names)))
    linears = [m for m in architecture.modules if m.name.endswith("proj") or m.name == "lm_head"]
    assert {m.name for m in linears if not quantizes(architecture, m, storing)} == unpacked


@pytest.mark.parametrize(
    ("model_type", "more"),
    [
        ("phimoe", {"num_local_experts": 4, "num_experts_per_tok": 2}),
        ("llama4_text", {"num_local_experts": 4, "num_experts_per_tok": 1, "intermediate_size_mlp": 512}),
    ],
)
def test_a_router_of_its_own_class_is_none_of_what_a_list_is_of(model_type: str, more: dict[str, Any]) -> None:
    architecture = describe(LLAMA | {"model_type": model_type, **more})
    (router,) = {module.path: module for module in architecture.modules if module.name == "router"}.values()
    for config in (QLORA, skipping("lm_head"), skipping("router")):
        assert not quantizes(architecture, router, Storing.of(read_run(config)))


def test_names_behind_many_others_are_read() -> None:
    """All that are no more than names, and of regular expressions the first."""
    architecture = describe(LLAMA | {"tie_word_embeddings": False})
    row = next(m for m in architecture.modules if m.name == "down_proj")
    for names in (["nothing"] * 500 + ["down_proj"], ["nothing+"] * 30 + ["down_proj"], [r"model\.layers\.\d\.mlp"]):
        assert left_out(row, Storing.of(read_run(skipping(*names)))) == 4
    assert left_out(row, Storing.of(read_run(skipping(*["nothing+"] * 30, ".*down_proj")))) == 0


def test_some_layers_are_weighed_apart() -> None:
    architecture = describe(LLAMA | {"tie_word_embeddings": False})
    row = next(m for m in architecture.modules if m.name == "down_proj")
    none, one, all_ = (
        Storing.of(read_run(skipping("lm_head", *names))) for names in ((), ("layers.1.mlp.down_proj",), ("down_proj",))
    )
    assert (left_out(row, none), left_out(row, one), left_out(row, all_)) == (0, 1, 4)
    least, between, most = (base_bytes(architecture, storing) for storing in (none, one, all_))
    assert 4 * (between - least) == most - least > 0


def test_the_list_is_read_with_qlora_in_4_bits_alone() -> None:
    assert read_run(skipping("a", adapter="lora")).unquantized is None
    assert read_run(skipping("a")).unquantized == ("a",)
    assert read_run(QLORA).unquantized is None


POINTER = "/config/bnb_config_kwargs/llm_int8_skip_modules"


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ("lm_head", "config.name_list"),
        ([1], "config.name_list"),
        (["("], "target_pattern"),
        (["a.*b.*c.*"], "target_pattern"),
    ],
)
def test_a_list_that_is_none_is_refused(given: object, code: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_run({**QLORA, "bnb_config_kwargs": {"llm_int8_skip_modules": given}})
    (error,) = caught.value.errors
    assert (error.pointer, error.message.code) == (POINTER, f"error.{code}")


@pytest.mark.parametrize(
    ("config", "tied", "code", "effect"),
    [
        (skipping("down_proj"), False, "unlisted_head", Effect.OK),
        (skipping("down_proj"), True, "unlisted_head_tied", Effect.FAILS_AT_RUN),
        (skipping("down_proj", cut_cross_entropy=True), False, "unlisted_head_loss", Effect.FAILS_AT_RUN),
        (skipping("down_proj", "lm_head"), True, None, None),
        (skipping("down_proj", reward_model=True), True, None, None),
        (skipping("down_proj", adapter="lora"), True, None, None),
        (skipping("("), True, None, None),
        (skipping(*["down_proj"] * 25, "lm_head", cut_cross_entropy=True), True, None, None),
        (skipping(*["down_proj.*"] * 25, cut_cross_entropy=True), True, None, None),
        (QLORA, True, None, None),
    ],
)
def test_a_head_that_the_list_forgets_is_told(
    config: dict[str, Any], tied: bool, code: str | None, effect: Effect | None
) -> None:
    """As bitsandbytes asserts that a packed weight has its statistics, which a shared one has not."""
    found = check(config, describe(LLAMA | {"tie_word_embeddings": tied}), None, schema())
    said = [f for f in found if f.code.startswith("unlisted_head")]
    assert [(f.code, f.effect) for f in said] == ([] if code is None else [(code, effect)])
    for finding in said:
        assert finding.fix is not None
        assert finding.fix.set == {"bnb_config_kwargs.llm_int8_skip_modules": ["down_proj", "lm_head"]}
        assert finding.fix.safe is (effect is Effect.FAILS_AT_RUN)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["down_proj"], False),
        (["layers.1.mlp"], True),
        (["a"] * 900, False),
        (["a+"] * 20, False),
        (["a+"] * 21, True),
    ],
)
def test_single_layers_and_long_lists_need_room(names: list[str], said: bool) -> None:
    found = check(skipping("lm_head", *names), describe(LLAMA), None, schema())
    assert ("memory_not_priced" in {f.code for f in found}) is said
