"""Reading a configuration: Axolotl's defaults, its spellings, and every fault named."""

from collections.abc import Callable
from datetime import date
from itertools import product
from typing import Any

import pytest

from app.core.axolotl.run_reader import LONGEST_SAID, _Reader, read_run
from app.core.errors import FieldError, InvalidInput
from app.core.run import CCE_PLUGIN, LIGER_PLUGIN, Attention, Checkpointing, Loss, Method, Offloading, Quantization, Run
from app.core.values import LONGEST_SEQUENCE, WHOLE

LORA = {"adapter": "lora", "lora_r": 16}


def test_defaults_are_axolotls() -> None:
    """What a configuration leaves out."""
    run = read_run({})
    assert (run.method, run.sequence_len_tokens, run.micro_batch_size, run.gradient_accumulation_steps) == (
        Method.FULL,
        512,
        1,
        1,
    )
    assert (run.attention, run.checkpointing, run.loss) == (Attention.SDPA, Checkpointing.OFF, Loss.PLAIN)
    assert (run.optimizer, run.bf16, run.evaluates, run.lora) == ("adamw_torch_fused", True, False, None)


@pytest.mark.parametrize(
    ("config", "attribute", "value"),
    [
        (LORA | {"load_in_8bit": True}, "quantization", Quantization.INT8),
        (LORA | {"load_in_4bit": True}, "quantization", Quantization.FP32_UPCAST),
        (LORA | {"adapter": "qlora", "load_in_4bit": True}, "quantization", Quantization.NF4),
        ({"gradient_checkpointing": True}, "checkpointing", Checkpointing.REENTRANT),
        ({"gradient_checkpointing": "offload"}, "checkpointing", Checkpointing.OFFLOAD),
        ({"gradient_checkpointing": True, "activation_offloading": True}, "checkpointing", Checkpointing.OFFLOAD),
        (
            {"gradient_checkpointing": True, "gradient_checkpointing_kwargs": {"use_reentrant": False}},
            "checkpointing",
            Checkpointing.NON_REENTRANT,
        ),
        ({"attn_implementation": "eager"}, "attention", Attention.EAGER),
        ({"attn_implementation": "kernels-community/flash-attn3"}, "attention", Attention.FLASH),
        ({"plugins": [CCE_PLUGIN]}, "loss", Loss.CUT_CROSS_ENTROPY),
        ({"plugins": [CCE_PLUGIN], "cut_cross_entropy": False}, "loss", Loss.PLAIN),
        ({"plugins": [LIGER_PLUGIN], "liger_fused_linear_cross_entropy": True}, "loss", Loss.LIGER_FUSED_LINEAR),
        ({"plugins": LIGER_PLUGIN, "liger_cross_entropy": True}, "loss", Loss.LIGER),
        ({"chunked_cross_entropy": True}, "loss", Loss.CHUNKED),
        ({"liger_fused_linear_cross_entropy": True}, "loss", Loss.PLAIN),
        ({"sequence_len": "2048"}, "sequence_len_tokens", 2048),
        ({"sequence_len": 2048.0}, "sequence_len_tokens", 2048),
        ({"sample_packing": "yes"}, "sample_packing", True),
        ({"sample_packing": 0}, "sample_packing", False),
        (LORA, "fused_lora", None),
        (LORA | {"lora_mlp_kernel": False}, "fused_lora", False),
        (LORA | {"lora_qkv_kernel": True}, "fused_lora", True),
        (LORA | {"load_in_8bit": True}, "fused_lora", False),
        ({"val_set_size": 0.1}, "evaluates", True),
        ({"test_datasets": [{"path": "x"}]}, "evaluates", True),
        ({"fp16": True}, "bf16", False),
        ({"bf16": "no"}, "bf16", False),
        ({"bf16": "off"}, "autocast", False),
        ({"bf16": "False"}, "half", False),
        ({"bf16": "n"}, "half", False),
        ({"bf16": "yes"}, "bf16", True),
        ({"bf16": "yes"}, "autocast", True),
        ({"bf16": "no", "fp16": "on"}, "autocast", True),
        ({"sample_packing": "t"}, "sample_packing", True),
        ({"gradient_checkpointing": True, "activation_offloading": "no"}, "checkpointing", Checkpointing.REENTRANT),
        ({"gradient_checkpointing": True, "activation_offloading": "no"}, "offloading", Offloading.NONE),
        ({"micro_batch_size": 3}, "eval_batch_size", 3),
        ({"micro_batch_size": 3, "eval_batch_size": 1}, "eval_batch_size", 1),
        ({"neftune_noise_alpha": 5}, "neftune", True),
        ({"unfrozen_parameters": ["lm_head.*"]}, "unfrozen_parameters", ("lm_head.*",)),
        ({"freeze_mm_modules": True}, "frozen_towers", True),
    ],
)
def test_a_key_reaches_the_run(config: dict[str, Any], attribute: str, value: object) -> None:
    """Each switch, in the spellings that Axolotl takes."""
    assert getattr(read_run(config), attribute) == value


def test_lora_settings() -> None:
    """The LoRA keys, read together."""
    lora = read_run(
        LORA
        | {
            "lora_alpha": 8,
            "lora_dropout": 0.05,
            "peft_use_dora": True,
            "lora_target_modules": "q_proj|k_proj",
            "lora_rank_pattern": {"q_proj": 4},
            "peft_layers_to_transform": 3,
            "lora_modules_to_save": ["lm_head"],
        }
    ).lora
    assert lora is not None
    assert (lora.r, lora.alpha, lora.dropout, lora.dora, lora.target_modules) == (16, 8, 0.05, True, "q_proj|k_proj")
    assert (lora.rank_pattern, lora.layers_to_transform, lora.modules_to_save) == ({"q_proj": 4}, (3,), ("lm_head",))


@pytest.mark.parametrize(
    ("config", "key", "code"),
    [
        ({"sequence_len": "long"}, "sequence_len", "error.config.integer"),
        ({"sequence_len": True}, "sequence_len", "error.config.integer"),
        ({"sequence_len": 0}, "sequence_len", "error.config.range"),
        (LORA | {"lora_r": -4}, "lora_r", "error.config.range"),
        ({"adapter": "lora"}, "lora_r", "error.config.lora_r_missing"),
        (LORA | {"lora_dropout": 1.5}, "lora_dropout", "error.config.range"),
        ({"learning_rate": "fast"}, "learning_rate", "error.config.number"),
        ({"learning_rate": True}, "learning_rate", "error.config.number"),
        ({"sample_packing": "perhaps"}, "sample_packing", "error.config.boolean"),
        ({"flash_attention": "perhaps"}, "flash_attention", "error.config.boolean"),
        ({"plugins": 5}, "plugins", "error.config.names"),
        ({"adapter": "lorra"}, "adapter", "error.config.choice_nearest"),
        ({"optimizer": 7}, "optimizer", "error.config.choice"),
        ({"load_in_4bit": True}, "load_in_4bit", "error.config.quantized_full"),
        ({"load_in_8bit": True}, "load_in_8bit", "error.config.quantized_full"),
        ({"adapter": "qlora", "lora_r": 8}, "load_in_4bit", "error.config.qlora_needs_4bit"),
        (LORA | {"peft_layers_to_transform": "all"}, "peft_layers_to_transform", "error.config.layers"),
        (LORA | {"lora_rank_pattern": {"q_proj": 0}}, "lora_rank_pattern", "error.config.rank_pattern"),
        ({"sequence_len": "x" * 100}, "sequence_len", "error.config.integer"),
    ],
)
def test_a_bad_value_is_named(config: dict[str, Any], key: str, code: str) -> None:
    """The error points at the key."""
    with pytest.raises(InvalidInput) as caught:
        read_run(config)
    assert [(e.pointer, e.message.code) for e in caught.value.errors] == [(f"/config/{key}", code)]


def test_every_fault_is_reported_at_once() -> None:
    """Nobody mends one value to meet the next error."""
    with pytest.raises(InvalidInput) as caught:
        read_run({"sequence_len": 0, "micro_batch_size": -1, "optimizer": "adamw_trch"})
    assert {e.pointer for e in caught.value.errors} == {
        "/config/sequence_len",
        "/config/micro_batch_size",
        "/config/optimizer",
    }


def test_numbers_are_put_into_what_was_read_before() -> None:
    """Whatever stood there: another number, none, or none that is written as one."""
    plain = LORA | {"sequence_len": 512, "micro_batch_size": 2, "lora_alpha": 8, "eval_batch_size": 3}
    values = (
        *range(1, 40, 13),
        1 << 13,
        None,
        "16",
        8.0,
        True,
        0,
        -1,
        LONGEST_SEQUENCE,
        LONGEST_SEQUENCE + 1,
        "x",
        [1],
    )
    for key, value in product(WHOLE, values):
        for config in (plain | {key: value}, {key: value, "adapter": ""}, LORA | {key: value}):
            assert _outcome(read_run, config) == _outcome(lambda given: _Reader(given).run(), config), config


def test_what_is_said_beside_numbers_is_told_apart() -> None:
    """By value and by type, and whether a number that others follow is given."""
    assert read_run({"gradient_checkpointing": True}) != read_run({"gradient_checkpointing": False})
    assert read_run({"optim_target_modules": ["1"]}) != read_run({"optim_target_modules": "1"})
    assert read_run({"micro_batch_size": 4}).eval_batch_size == 4
    assert read_run({"micro_batch_size": 4, "eval_batch_size": 4}).eval_batch_size == 4
    assert read_run({"micro_batch_size": 5}).eval_batch_size == 5
    assert read_run({"micro_batch_size": 5, "eval_batch_size": 4}).eval_batch_size == 4


def test_what_cannot_be_kept_is_read_all_the_same() -> None:
    """A date has no bytes here, and a long text would fill the room of many."""
    for more in ({"seen": date(2026, 1, 1)}, {"seen": "x" * LONGEST_SAID}):
        assert read_run(LORA | more) == read_run(LORA)


def _outcome(read: Callable[[dict[str, Any]], Run], config: dict[str, Any]) -> Run | list[FieldError]:
    try:
        return read(config)
    except InvalidInput as refused:
        return list(refused.errors)


@pytest.mark.parametrize(("old", "new"), [("ao_adamw_4bit", "adamw_torch_4bit"), ("ao_adamw_8bit", "adamw_torch_8bit")])
def test_an_optimizer_that_nothing_builds_is_called_by_its_successor(old: str, new: str) -> None:
    """Not by the name that is spelt most like it."""
    with pytest.raises(InvalidInput) as caught:
        read_run({"optimizer": old})
    assert caught.value.errors[0].message.params["nearest"] == new
