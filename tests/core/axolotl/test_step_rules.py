"""Rules about how a step computes, by example; that tiles of several rows are mixed up was seen in numbers."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.core.architecture import Architecture, Kind, Module, NormForm
from app.core.architectures import supported_model_types
from app.core.coverage import NO_GENERIC_MLP, NO_TILED_MLP, OTHER_MLP
from app.core.findings import Effect
from app.core.hardware import Hardware
from app.core.run import CCE_PLUGIN
from tests.core.axolotl.examples import SEVEN, TURING, architecture
from tests.core.axolotl.good import FULL, LLAMA, MOE, findings

TILES = Path(__file__).parents[2] / "data" / "axolotl" / "tiles-0.19.0.json"
HALF: dict[str, Any] = {**FULL, "bf16": False, "float16": True}
TURNS: dict[str, Any] = {**FULL, "lisa_n_layers": 1, "lisa_step_interval": 20}
TILED: dict[str, Any] = {**FULL, "tiled_mlp": True, "tiled_mlp_num_shards": 4}
ADAPTED: dict[str, Any] = {"tiled_mlp": True, "tiled_mlp_num_shards": 4}
WHOLE = replace(LLAMA, modules=tuple(replace(row, path=row.path.replace(".x.", ".mlp.", 1)) for row in LLAMA.modules))
"""Its feed-forward stands where the kernels look for one."""
FLASH: dict[str, Any] = {"attn_implementation": "flash_attention_2"}
GENERIC = {"tiled_mlp_generic": Effect.FAILS_AT_RUN, "tiled_mlp_other": Effect.MISLEADS}

SAID: list[tuple[str, dict[str, Any], Effect]] = [
    ("float16_residual", HALF, Effect.FAILS_AT_RUN),
    ("float16_residual", {**HALF, "attn_implementation": "eager"}, Effect.FAILS_AT_RUN),
    ("lisa_adapter", {"lisa_n_layers": 1, "lisa_step_interval": 20}, Effect.FAILS_AT_RUN),
    ("lisa_rl", {**TURNS, "rl": "dpo"}, Effect.MISLEADS),
    ("lisa_layers", {**TURNS, "lisa_layers_attribute": "transformer.h"}, Effect.FAILS_AT_RUN),
    ("lisa_many", {**TURNS, "lisa_n_layers": 1000}, Effect.FAILS_AT_RUN),
    ("lisa_states", TURNS, Effect.OK),
    ("tiled_mlp_types", TILED, Effect.FAILS_AT_RUN),
    ("tiled_mlp_one", {**TILED, "tiled_mlp_num_shards": None}, Effect.OK),
    ("tiled_mlp_rows", {**TILED, "micro_batch_size": 2}, Effect.MISLEADS),
    ("tiled_mlp_rows", {**TILED, "micro_batch_size": 2, "sample_packing": True}, Effect.MISLEADS),
    ("tiled_mlp_rows", {**TILED, "tiled_mlp_num_shards": None, "sequence_len": 40000, "micro_batch_size": 2},
     Effect.MISLEADS),
]  # fmt: skip
UNSAID: list[tuple[str, dict[str, Any]]] = [
    ("float16_residual", {**HALF, **FLASH}),
    ("float16_residual", {**HALF, "flash_attention": True}),
    ("float16_residual", {**HALF, "fp16": True}),
    ("float16_residual", {**HALF, "bfloat16": True}),
    ("float16_residual", {**HALF, "bf16": "auto"}),
    ("float16_residual", {"bf16": False, "float16": True}),
    ("float16_residual", {**HALF, "float16": False}),
    ("lisa_states", {**TURNS, "lisa_step_interval": None}),
    ("lisa_layers", TURNS),
    ("lisa_many", TURNS),
    ("lisa_rl", TURNS),
    ("tiled_mlp_types", {**TILED, **FLASH}),
    ("tiled_mlp_types", {**TILED, "bf16": False, "fp16": False}),
    ("tiled_mlp_types", {**TILED, "bf16": "false"}),
    ("float16_residual", {**HALF, "plugins": [CCE_PLUGIN]}),
    ("tiled_mlp_types", {**TILED, "plugins": [CCE_PLUGIN]}),
    ("tiled_mlp_one", TILED),
    ("tiled_mlp_rows", TILED),
    ("tiled_mlp_rows", {**TILED, "micro_batch_size": 2, "tiled_mlp_num_shards": 1}),
    ("tiled_mlp_rows", {**TILED, **FLASH, "micro_batch_size": 2, "sample_packing": True}),
    ("tiled_mlp_one", {**TILED, **FLASH, "tiled_mlp_num_shards": None, "sequence_len": 20000, "micro_batch_size": 2,
                       "sample_packing": True}),
]  # fmt: skip


@pytest.mark.parametrize(("code", "changes", "effect"), SAID)
def test_said(code: str, changes: dict[str, Any], effect: Effect) -> None:
    """With what comes of it, and a fix, where there is one, resolves it."""
    found = findings(changes)[code]
    assert found.effect is effect
    if found.fix is not None:
        after = {**changes, **found.fix.set} | dict.fromkeys(found.fix.unset)
        assert code not in findings(after)


@pytest.mark.parametrize(("code", "changes"), UNSAID)
def test_unsaid(code: str, changes: dict[str, Any]) -> None:
    """Nothing is said of what is well."""
    assert code not in findings(changes)


def test_fp16_weights_give_way_to_what_the_card_can_train_in() -> None:
    """bf16, or fp32 before Ampere."""

    def advised(card: Hardware | None) -> dict[str, Any]:
        fix = findings(HALF, card=card)["float16_residual"].fix
        return {} if fix is None else dict(fix.set)

    assert advised(None) == {"bf16": True}
    assert advised(TURING) == {"bf16": False, "fp16": False}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({}, True),
        ({"unfrozen_parameters": ["model.layers.0."]}, True),
        ({"unfrozen_parameters": ["^lm_head.weight$"]}, False),
        ({"unfrozen_parameters": ["^lm_head.weight$"], "attn_implementation": "flash_attention_2"}, True),
        ({"unfrozen_parameters": ["^lm_head.weight$", "model.layers.0."]}, True),
        ({"unfrozen_parameters": ["nothing"]}, True),
        ({"unfrozen_parameters": ["("]}, True),
    ],
)
def test_fp32_parts_train_beside_fp16(more: dict[str, Any], said: bool) -> None:
    """A head that Axolotl keeps in fp32, as it does where attention does not ask for 16 bits."""
    head = Module(path="lm_head", kind=Kind.HEAD, shape=(64, 1000))
    model = architecture(extra=(head,))
    assert ("fp16_weights" in findings({**FULL, "fp16": True, **more}, model)) is said


@pytest.mark.parametrize(("model", "said"), [(LLAMA, True), (MOE, True), (None, False)])
def test_of_a_model_that_nobody_knows_no_layers_are_asked_for(model: Architecture | None, said: bool) -> None:
    """A path that is wrong in a known one is right somewhere."""
    found = findings({**TURNS, "lisa_layers_attribute": "backbone.layers"}, model)
    assert ("lisa_layers" in found) is said


def test_layer_norms_feed_tiles_in_fp32() -> None:
    """But a packed base casts what it reads."""
    block = replace(LLAMA.blocks[0], norm=NormForm.LAYER)
    normed = replace(LLAMA, model_type="phi", blocks=(block,))
    given = {**TILED, **FLASH, "plugins": [CCE_PLUGIN]}
    assert "tiled_mlp_types" in findings(given, normed)
    assert "tiled_mlp_types" not in findings(given, None)
    assert "tiled_mlp_types" not in findings({**ADAPTED, "load_in_8bit": True}, normed)
    for alone in ({"bf16": False}, {"bf16": False, "float16": True}):
        assert "tiled_mlp_types" not in findings({**given, **alone}, normed)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, True),
        ({"lora_mlp_kernel": True}, True),
        ({"lora_mlp_kernel": True, "rl": "orpo"}, True),
        ({"lora_target_modules": None, "lora_target_linear": True}, True),
        ({"lora_target_modules": ["gate_proj", "up_proj", "down_proj"]}, True),
        ({"lora_mlp_kernel": False}, False),
        ({"lora_qkv_kernel": True}, False),
        ({"load_in_8bit": True}, False),
        ({"trust_remote_code": True}, False),
        ({"reward_model": True}, False),
        ({"rl": "orpo"}, False),
        ({"lora_target_modules": ["q_proj", "v_proj"]}, False),
        ({"lora_target_modules": ["gate_proj", "up_proj"]}, False),
        ({"lora_target_modules": ["nothing_of_it"]}, False),
        ({"peft_layers_to_transform": [0]}, False),
        ({"lora_r": "many"}, False),
        (FULL, False),
    ],
)
def test_a_kernel_in_the_place_of_tiles(changes: dict[str, Any], said: bool) -> None:
    """Where it runs, and every feed-forward has all that it takes."""
    given = {**ADAPTED, "lora_target_modules": list(SEVEN), **changes}
    found = findings(given, WHOLE)
    assert ("tiled_mlp_kernel" in found) is said
    assert "tiled_mlp_kernel" not in findings(given, None)
    if said:
        fix = found["tiled_mlp_kernel"].fix
        assert fix is not None
        assert fix.safe


def test_models_whose_mlp_cannot_be_tiled_are_those_that_axolotls_patch_cannot_take() -> None:
    """Of all that are described."""
    recorded = json.loads(TILES.read_text(encoding="utf-8"))
    answers: dict[str, str] = recorded["answers"]
    assert answers.keys() == set(supported_model_types())
    assert {model_type for model_type, why in answers.items() if why} == NO_TILED_MLP
    generic: dict[str, str] = recorded["generic"]
    assert generic.keys() == answers.keys() - NO_TILED_MLP
    assert {model_type for model_type, wrong in generic.items() if wrong.startswith("lacks ")} == NO_GENERIC_MLP
    assert {model_type for model_type, wrong in generic.items() if wrong == "differs"} == OTHER_MLP


@pytest.mark.parametrize(
    ("model_type", "changes", "said"),
    [
        ("phi3", {}, "tiled_mlp_generic"),
        ("falcon_h1", {}, "tiled_mlp_other"),
        ("llama", {}, None),
        ("phi3", {"tiled_mlp_use_original_mlp": True}, None),
        ("phi3", {"tiled_mlp": False}, None),
        ("falcon_h1", {"tiled_mlp_use_original_mlp": "true"}, None),
    ],
)
def test_one_mlp_in_the_place_of_every_models_own(model_type: str, changes: dict[str, Any], said: str | None) -> None:
    """Fails where its parts are not there, and trains something else where they are and more."""
    given = {**TILED, **FLASH, "tiled_mlp_use_original_mlp": False, **changes}
    model = replace(LLAMA, model_type=model_type)
    found = {code: one for code, one in findings(given, model).items() if code in GENERIC}
    assert list(found) == ([said] if said else [])
    for one in found.values():
        assert one.fix is not None
        assert one.effect is GENERIC[one.code]
        assert one.fix.safe is (one.effect is Effect.FAILS_AT_RUN)
        assert not GENERIC.keys() & findings({**given, **one.fix.set}, model)


def test_a_kernel_takes_the_place_of_the_generic_mlp_too() -> None:
    """So nothing fails."""
    given = {**ADAPTED, "lora_target_modules": list(SEVEN), "tiled_mlp_use_original_mlp": False}
    falcon = replace(WHOLE, model_type="falcon_h1")
    assert "tiled_mlp_kernel" not in findings(given, falcon), "none is patched for this one"
    assert "tiled_mlp_other" in findings(given, falcon)
    llama = findings(given, WHOLE)
    assert "tiled_mlp_kernel" in llama
    assert not GENERIC.keys() & llama.keys()


@pytest.mark.parametrize(("model", "said"), [(MOE, False), (None, False), (LLAMA, True)])
def test_scattered_experts_are_tiled_as_blocks(model: Architecture | None, said: bool) -> None:
    """What their feed-forwards lack does not count then."""
    given = {**TILED, **FLASH, "tiled_mlp_use_original_mlp": False, "use_scattermoe": True}
    for model_type, code in (("gpt_oss", "tiled_mlp_generic"), ("mixtral", "tiled_mlp_type")):
        one = None if model is None else replace(model, model_type=model_type)
        assert (code in findings({**given, "base_model": model_type}, one)) is said


def test_a_model_without_an_mlp_to_patch() -> None:
    """Whatever else is set."""
    found = findings(TILED, replace(LLAMA, model_type="mixtral"))
    assert found["tiled_mlp_type"].effect is Effect.FAILS_AT_RUN
