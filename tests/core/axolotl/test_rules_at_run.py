"""Rules on what passes Axolotl's validator and goes wrong later, or otherwise than meant.

The validator cannot say anything of these, so they are no part of its recorded verdicts. What each says was read in, or
run with, the release that the rule's docstring names.
"""

from collections.abc import Mapping
from typing import Any

import pytest

from app.core.architecture import Architecture
from app.core.axolotl.rules import check
from app.core.findings import Effect
from app.core.hardware import Hardware
from tests.core.axolotl.examples import AMPERE, HOPPER, architecture, experts, schema
from tests.core.axolotl.good import GOOD, GPT2, LLAMA, QLORA, findings

DIFFUSION = {"plugins": ["axolotl.integrations.diffusion.DiffusionPlugin"]}
NEMO_GYM = {"plugins": ["axolotl.integrations.nemo_gym.NemoGymPlugin"], "nemo_gym_enabled": True}
INIT = "peft_init_lora_weights"

BESIDE = {"lora_target_modules": ["c_proj"]}
FUSED = {"lora_target_parameters": ["mlp.experts.down_proj"], "lora_dropout": 0.0}
WITH_EXPERTS = architecture("qwen3_moe", extra=(experts(),), experts=4)
RELORA = {"relora": True, "jagged_restart_steps": 9, "lora_target_modules": ["c_attn"]}

CASES: tuple[tuple[str, Mapping[str, Any], Architecture | None, Hardware | None, str, Effect], ...] = (
    ("relora_transposed", RELORA | {"load_in_8bit": True}, GPT2, None, "relora", Effect.FAILS_AT_RUN),
    ("relora_transposed", RELORA | QLORA, GPT2, None, "relora", Effect.FAILS_AT_RUN),
    (
        "virtual_tokens_packed",
        {"adapter": "prompt_tuning", "sample_packing": True, "attn_implementation": "flash_attention_2"},
        LLAMA,
        None,
        "sample_packing",
        Effect.MISLEADS,
    ),
    ("processor_unknown", {"processor_type": "Foo"}, LLAMA, None, "processor_type", Effect.FAILS_AT_RUN),
    ("processor_unknown", {"processor_type": "FooProcessor"}, LLAMA, None, "processor_type", Effect.FAILS_AT_RUN),
    ("processor_unknown", {"processor_type": "LogitsProcessor"}, LLAMA, None, "processor_type", Effect.FAILS_AT_RUN),
    ("processor_unknown", {"processor_type": "autoprocessor"}, LLAMA, None, "processor_type", Effect.FAILS_AT_RUN),
    ("init_prepared", {INIT: "corda"}, LLAMA, None, INIT, Effect.FAILS_AT_RUN),
    ("init_prepared", {INIT: "eva"}, LLAMA, None, INIT, Effect.MISLEADS),
    ("init_false", {INIT: False}, LLAMA, None, INIT, Effect.MISLEADS),
    ("init_pissa_4bit", {**QLORA, INIT: "pissa_niter_16"}, LLAMA, None, INIT, Effect.FAILS_AT_RUN),
    ("init_loftq", {INIT: "loftq"}, LLAMA, None, INIT, Effect.FAILS_AT_RUN),
    ("init_unknown", {INIT: "gausian"}, LLAMA, None, INIT, Effect.FAILS_AT_RUN),
    ("init_unknown", {INIT: "zzzz"}, LLAMA, None, INIT, Effect.FAILS_AT_RUN),
    (
        "targets_none",
        {"lora_target_modules": ["c_attn", "c_proj"]},
        LLAMA,
        None,
        "lora_target_modules",
        Effect.FAILS_AT_RUN,
    ),
    (
        "targets_some",
        {"lora_target_modules": ["q_proj", "c_proj"]},
        LLAMA,
        None,
        "lora_target_modules",
        Effect.MISLEADS,
    ),
    ("targets_some", BESIDE | {"lora_target_linear": True}, LLAMA, None, "lora_target_modules", Effect.MISLEADS),
    ("targets_some", BESIDE | FUSED, WITH_EXPERTS, None, "lora_target_modules", Effect.MISLEADS),
    (
        "targets_some",
        {"lora_target_modules": "nothing"} | FUSED,
        WITH_EXPERTS,
        None,
        "lora_target_modules",
        Effect.MISLEADS,
    ),
    (
        "targets_pattern",
        {"lora_target_modules": "nothing"} | FUSED,
        LLAMA,
        None,
        "lora_target_modules",
        Effect.FAILS_AT_RUN,
    ),
    (
        "saved_modules_missing",
        {"lora_modules_to_save": ["embed_tokenz", "lm_head"]},
        LLAMA,
        None,
        "lora_modules_to_save",
        Effect.MISLEADS,
    ),
    (
        "saved_modules_missing",
        {"lora_modules_to_save": ["zzzz"]},
        LLAMA,
        None,
        "lora_modules_to_save",
        Effect.MISLEADS,
    ),
    (
        "packing_leaks",
        {"sample_packing": True, "attn_implementation": "fp8"},
        LLAMA,
        HOPPER,
        "sample_packing",
        Effect.MISLEADS,
    ),
    (
        "packing_sdpa",
        {"sample_packing": True, "attn_implementation": "sdpa"},
        LLAMA,
        AMPERE,
        "sample_packing",
        Effect.MISLEADS,
    ),
    (
        "train_on_split",
        {"datasets": [{"path": "a/b", "type": "alpaca", "train_on_split": "train"}]},
        LLAMA,
        None,
        "datasets[0].train_on_split",
        Effect.MISLEADS,
    ),
    (
        "template_unknown",
        {"datasets": [{"path": "a/b", "type": "chat_template", "chat_template": "llama33"}]},
        LLAMA,
        None,
        "datasets[0].chat_template",
        Effect.MISLEADS,
    ),
    (
        "cosine_unread",
        {"lr_scheduler": "linear", "cosine_min_lr_ratio": 0.1},
        LLAMA,
        None,
        "cosine_min_lr_ratio",
        Effect.MISLEADS,
    ),
    ("adam_settings", {"optimizer": "muon", "adam_beta2": 0.95}, LLAMA, None, "adam_beta2", Effect.OK),
    (
        "polora_relora",
        {"optimizer": "polora", "relora": True, "jagged_restart_steps": 9},
        LLAMA,
        None,
        "relora",
        Effect.MISLEADS,
    ),
    ("plugin_own", {"plugins": ["mine.MyPlugin"]}, LLAMA, None, "plugins", Effect.OK),
    (
        "plugin_unknown",
        {"plugins": ["axolotl.integrations.ligar.LigerPlugin"]},
        LLAMA,
        None,
        "plugins",
        Effect.MISLEADS,
    ),
    ("plugin_unknown", {"plugins": ["axolotl.integrations.zzzz.Qq"]}, LLAMA, None, "plugins", Effect.MISLEADS),
    # The validator's environment cannot import this plugin; its ``DiffusionConfig`` was asked alone.
    (
        "mask_ratios",
        {**DIFFUSION, "diffusion": {"min_mask_ratio": 0.6, "max_mask_ratio": 0.4}},
        LLAMA,
        None,
        "diffusion.min_mask_ratio",
        Effect.REJECTED,
    ),
    (
        "mask_ratios",
        {**DIFFUSION, "diffusion": {"min_mask_ratio": 0.95}},
        LLAMA,
        None,
        "diffusion.min_mask_ratio",
        Effect.REJECTED,
    ),
    (
        "mask_ratios",
        {**DIFFUSION, "diffusion": {"max_mask_ratio": 0.05}},
        LLAMA,
        None,
        "diffusion.min_mask_ratio",
        Effect.REJECTED,
    ),
    # The plugin clones a repository before anything is validated; its ``NemoGymArgs`` was asked alone.
    ("plugin_needs", NEMO_GYM, LLAMA, None, "nemo_gym_config_paths", Effect.REJECTED),
    (
        "plugin_needs",
        {**NEMO_GYM, "nemo_gym_config_paths": ["a.yaml"]},
        LLAMA,
        None,
        "nemo_gym_datasets",
        Effect.REJECTED,
    ),
    (
        "plugin_needs",
        {**NEMO_GYM, "nemo_gym_auto_start": False},
        LLAMA,
        None,
        "nemo_gym_datasets",
        Effect.REJECTED,
    ),
    (
        "dpo_liger_first",
        {"rl": "dpo", "dpo_use_liger_kernel": True, "dpo_loss_type": ["sigmoid", "hinge"]},
        LLAMA,
        None,
        "dpo_use_liger_kernel",
        Effect.MISLEADS,
    ),
    ("hub_unsaved", {"hub_model_id": "a/b", "save_strategy": "no"}, LLAMA, None, "hub_model_id", Effect.MISLEADS),
    ("never_read", {"gptq_groupsize": 128}, LLAMA, None, "gptq_groupsize", Effect.MISLEADS),
    ("never_read_successor", {"adam_eps": 1e-8}, LLAMA, None, "adam_eps", Effect.MISLEADS),
)


@pytest.mark.parametrize(("code", "changes", "model", "card", "key", "effect"), CASES)
def test_it_is_said_and_its_fix_settles_it(
    code: str,
    changes: Mapping[str, Any],
    model: Architecture | None,
    card: Hardware | None,
    key: str,
    effect: Effect,
) -> None:
    before = findings(changes, model, card)
    assert code in before, sorted(before)
    assert (before[code].key, before[code].effect) == (key, effect)
    fix = before[code].fix
    if fix is None:
        return
    mended: dict[str, Any] = {**GOOD, **changes}
    for name in fix.unset:
        mended.pop(name, None)
    mended |= {name: value for name, value in fix.set.items() if "." not in name}
    if all("." not in name for name in (*fix.set, *fix.unset)):
        assert code not in {finding.code for finding in check(mended, model, card, schema())}


@pytest.mark.parametrize(
    "changes",
    [
        {**DIFFUSION, "diffusion": {"min_mask_ratio": 0.4, "max_mask_ratio": 0.6}},
        {**DIFFUSION, "diffusion": {"min_mask_ratio": 0.5, "max_mask_ratio": 0.5}},
        {"diffusion": None},
        {**NEMO_GYM, "nemo_gym_config_paths": ["a.yaml"], "nemo_gym_datasets": [{"path": "a.jsonl"}]},
        {**NEMO_GYM, "nemo_gym_auto_start": False, "nemo_gym_datasets": [{"path": "a.jsonl"}]},
        {"peft_init_lora_weights": "pissa_niter_16"},
        {"peft_init_lora_weights": "loftq", "peft": {"loftq_config": {"loftq_bits": 4}}},
        {"datasets": [{"path": "a", "type": "chat_template", "chat_template": "{{ messages }}"}]},
        {"datasets": [{"path": "a", "type": "chat_template", "chat_template": "tokenizer_default_fallback_chatml"}]},
        {"plugins": ["mine.MyPlugin"], "my_own_key": 5, "adam_eps": 1e-8},
    ],
)
def test_what_is_right_is_not_complained_of(changes: Mapping[str, Any]) -> None:
    said = {code for code, finding in findings(changes).items() if finding.effect is not Effect.OK}
    assert said <= {"memory_not_priced_less", "memory_not_priced_more"}


@pytest.mark.parametrize(
    "name",
    [
        "AutoProcessor",
        "Qwen2_5_VLProcessor",
        "Qwen2VLImageProcessorFast",
        "Gemma3Processor",
        "Gemma4Processor",
        "AutoTokenizer",
    ],
)
def test_a_processor_s_name_is_not_complained_of(name: str) -> None:
    assert "processor_unknown" not in findings({"processor_type": name})


def test_an_old_dataset_keeps_the_columns_that_it_names() -> None:
    """``sharegpt`` becomes a chat template; what says where the turns stand stays, and is not written twice."""

    def fix(**item: Any) -> Mapping[str, Any]:
        found = findings({"datasets": [{"path": "a", "type": "sharegpt", **item}]})["sharegpt"].fix
        assert found is not None
        return {"unset": found.unset, **{name.removeprefix("datasets[0]."): v for name, v in found.set.items()}}

    columns = {"role": "from", "content": "value"}
    chat = {"type": "chat_template"}
    assert fix() == {**chat, "field_messages": "conversations", "message_property_mappings": columns, "unset": ()}
    assert fix(field_messages="turns") == {**chat, "message_property_mappings": columns, "unset": ()}
    assert fix(field_messages="turns", message_field_role="who") == {**chat, "unset": ()}
    assert fix(conversation="chatml") == {
        **chat,
        "field_messages": "conversations",
        "message_property_mappings": columns,
        "unset": ("datasets[0].conversation",),
    }


def test_relora_over_transposed_weights_in_16_bits_runs() -> None:
    """It asks the layer which way round its weight lies; of others the quantised merge is right too."""
    assert "relora_transposed" not in findings(RELORA | {"peft_use_dora": True}, GPT2)
    assert "relora_transposed" not in findings({**RELORA, "load_in_8bit": True, "lora_target_modules": ["q_proj"]})
    assert "relora_packed" not in findings(RELORA | QLORA | {"lora_mlp_kernel": False}, GPT2)
