"""Keys that nothing reads, by example."""

from collections.abc import Mapping
from typing import Any

import pytest

from app.core.axolotl.unread_rules import UNREAD, Needs
from app.core.findings import Effect
from tests.core.axolotl.good import FULL, LLAMA, QLORA, findings

CHATS = [{"path": "a", "type": "chat_template"}]
VALUES: Mapping[str, Any] = {
    "bnb_config_kwargs": {"bnb_4bit_use_double_quant": False},
    "gradient_checkpointing_kwargs": {"use_reentrant": True},
    "optim_target_modules": ["mlp"],
    "fp16": True,
}
ALONE: Mapping[str, Mapping[str, Any]] = {"fp16": {"bf16": True}}
MET: Mapping[str, Mapping[str, Any]] = {
    "bnb_config_kwargs": QLORA,
    "gradient_checkpointing_kwargs": {"gradient_checkpointing": True},
    "chunked_cross_entropy_num_chunks": {"chunked_cross_entropy": True},
    "loraplus_lr_embedding": {"loraplus_lr_ratio": 16},
    "rl_beta": {"rl": "dpo"},
    "lisa_step_interval": {**FULL, "lisa_n_layers": 1},
    "lisa_n_layers": {**FULL, "lisa_step_interval": 9},
    "optim_target_modules": {**FULL, "optimizer": "galore_adamw"},
    "fp16": {"bf16": "auto"},
}


@pytest.mark.parametrize(("key", "value"), [("fp16", "false"), ("fp16", "no"), ("bnb_config_kwargs", {})])
def test_a_key_that_is_switched_off_is_none(key: str, value: object) -> None:
    assert "unread_without" not in findings({key: value, **ALONE.get(key, {})})


@pytest.mark.parametrize("row", UNREAD, ids=lambda row: row.key)
def test_a_key_without_what_it_needs_has_no_effect(row: Needs) -> None:
    """With it, or with a plugin of one's own, which may read it, nothing is said."""
    given = {row.key: VALUES.get(row.key, 8)}
    found = findings({**given, **ALONE.get(row.key, {})})["unread_without"]
    assert (found.key, found.effect, found.message.params["needs"]) == (row.key, Effect.MISLEADS, row.needs)
    assert found.fix is not None
    assert (found.fix.unset, found.fix.safe) == ((row.key,), False), "what it needs may be what was forgotten"
    assert "unread_without" not in findings({**given, **MET[row.key]})
    assert "unread_without" not in findings({**given, **ALONE.get(row.key, {}), "plugins": ["mine.Plugin"]})
    assert "unread_without" not in findings({row.key: None, **ALONE.get(row.key, {})})


@pytest.mark.parametrize(
    ("given", "code", "fixed"),
    [
        ({"llm_int8_skip_module": ["lm_head"]}, "bnb_unknown_nearest", {"llm_int8_skip_modules": ["lm_head"]}),
        ({"bnb_4bit_quant_typ": "nf4", "x": 1}, "bnb_unknown_nearest", {"bnb_4bit_quant_type": "nf4", "x": 1}),
        ({"llm_int8_skip_module": [], "llm_int8_skip_modules": []}, "bnb_unknown_nearest", None),
        ({"zzz": 1}, "bnb_unknown", None),
        ({5: 1}, "bnb_unknown", None),
    ],
)
def test_a_setting_that_bitsandbytes_has_not_is_dropped(given: Mapping[Any, Any], code: str, fixed: Any) -> None:
    """``BitsAndBytesConfig`` puts it among its unused arguments."""
    found = findings({**QLORA, "bnb_config_kwargs": given})[code]
    assert (found.key, found.effect) == (f"bnb_config_kwargs.{next(iter(given))}", Effect.MISLEADS)
    assert (found.fix.set if found.fix else None) == ({"bnb_config_kwargs": fixed} if fixed else None)


@pytest.mark.parametrize(
    "given",
    [
        {"llm_int8_skip_modules": ["lm_head"], "bnb_4bit_use_double_quant": False, "load_in_4bit": True},
        {"blocksize": 64},
        {},
        None,
        "text",
    ],
)
def test_settings_that_are_read_are_not_complained_of(given: object) -> None:
    """Of ``blocksize`` where an adapter is merged."""
    assert not {"bnb_unknown", "bnb_unknown_nearest"} & findings({**QLORA, "bnb_config_kwargs": given}).keys()


def test_settings_that_are_not_read_at_all_are_not_looked_at() -> None:
    found = findings({"bnb_config_kwargs": {"zzz": 1}})
    assert "unread_without" in found
    assert "bnb_unknown" not in found


SKIPPED = {"llm_int8_skip_modules": ["lm_head"]}


@pytest.mark.parametrize(
    ("given", "key", "fixed"),
    [
        ({**QLORA, **SKIPPED}, "llm_int8_skip_modules", {"bnb_config_kwargs": SKIPPED}),
        (
            {**QLORA, **SKIPPED, "bnb_config_kwargs": {"llm_int8_threshold": 5.0}},
            "llm_int8_skip_modules",
            {"bnb_config_kwargs": {"llm_int8_threshold": 5.0, **SKIPPED}},
        ),
        ({**QLORA, **SKIPPED, "bnb_config_kwargs": {"llm_int8_skip_modules": []}}, "llm_int8_skip_modules", None),
        ({**QLORA, **SKIPPED, "bnb_config_kwargs": "text"}, "llm_int8_skip_modules", None),
        ({**SKIPPED, "load_in_8bit": True}, "llm_int8_skip_modules", None),
        ({"use_reentrant": False, "gradient_checkpointing": True}, "use_reentrant", {"gradient_checkpointing_kwargs": {"use_reentrant": False}}),
        ({"use_reentrant": False, "gradient_checkpointing": False}, "use_reentrant", None),
        ({"loftq_config": {"loftq_bits": 4}}, "loftq_config", {"peft": {"loftq_config": {"loftq_bits": 4}}}),
    ],
)  # fmt: skip
def test_a_key_that_stands_one_level_down(given: Mapping[str, Any], key: str, fixed: Any) -> None:
    """It is moved there where something reads it; Axolotl's validator takes the file as it is and drops the key."""
    found = findings(given)["unknown_key_within"]
    assert (found.key, found.effect) == (key, Effect.MISLEADS)
    assert (found.fix.set if found.fix else None) == fixed
    assert found.fix is None or found.fix.unset == (key,)


def test_a_plugin_of_one_s_own_may_know_it() -> None:
    assert "unknown_key_within" not in findings({**QLORA, **SKIPPED, "plugins": ["mine.Plugin"]})


def test_quantisation_settings_are_read_for_four_bits_alone() -> None:
    """Axolotl never looks at them for a base in 8 bits."""
    settings = {"bnb_config_kwargs": {"llm_int8_threshold": 5.0}}
    assert "unread_without" in findings({**settings, "load_in_8bit": True, "lora_mlp_kernel": False})


@pytest.mark.parametrize("key", ["overrides_of_model_kwargs", "model_kwargs"])
def test_the_type_of_the_weights_is_axolotls_own(key: str) -> None:
    """It writes both names over."""
    assert findings({key: {"torch_dtype": "float32"}})["unread_dtype"].key == f"{key}.torch_dtype"
    assert findings({key: {"dtype": "float32"}})["unread_dtype"].effect is Effect.MISLEADS
    assert "unread_dtype" not in findings({key: {"use_cache": False}})


@pytest.mark.parametrize("key", ["roles_to_train", "train_on_eos", "train_on_eot", "field_messages"])
def test_turns_are_read_of_conversations_alone(key: str) -> None:
    """A prompt has none."""
    prompts = [{"path": "a", "type": "alpaca:chat", key: "all"}]
    found = findings({"datasets": prompts})["unread_by_type"]
    assert (found.key, found.effect) == (f"datasets[0].{key}", Effect.MISLEADS)
    for quiet in (
        {"datasets": [{**CHATS[0], key: "all"}]},
        {"datasets": [{"path": "a", "type": {"format": "x"}, key: "all"}]},
        {"datasets": prompts, "processor_type": "AutoProcessor"},
        {"datasets": prompts, "rl": "dpo"},
        {"datasets": prompts, "plugins": ["mine.Plugin"]},
    ):
        assert "unread_by_type" not in findings(quiet)


def test_evaluation_alone_is_not_packed() -> None:
    """Its collator lays a batch end to end all the same, where there is something to evaluate on."""
    alone = {"eval_sample_packing": True, "val_set_size": 0.1}
    assert findings(alone)["evaluation_packed_alone"].effect is Effect.MISLEADS
    for quiet in (
        {**alone, "val_set_size": 0},
        {**alone, "eval_sample_packing": False},
        {**alone, "sample_packing": True},
        {**alone, "rl": "kto"},
    ):
        assert "evaluation_packed_alone" not in findings(quiet)


def test_a_template_of_another_family_is_told_of_a_dataset_too() -> None:
    """Where its strategy reads one."""
    found = findings({"datasets": [{**CHATS[0], "chat_template": "gemma"}]})["template_foreign"]
    assert (found.key, found.effect) == ("datasets[0].chat_template", Effect.MISLEADS)
    for quiet in (
        {"datasets": [{**CHATS[0], "chat_template": "llama3"}]},
        {"datasets": [{**CHATS[0], "chat_template": 5}]},
        {"datasets": [{"path": "a", "type": "alpaca", "chat_template": "gemma"}]},
        {"datasets": [{"path": "a", "type": "chat_template.default", "chat_template": "gemma"}], "rl": "dpo"},
    ):
        assert "template_foreign" not in findings(quiet, LLAMA)
    assert "template_foreign" not in findings({"datasets": [{**CHATS[0], "chat_template": "gemma"}]}, None)
