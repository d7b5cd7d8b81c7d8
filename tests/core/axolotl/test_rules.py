"""Each rule fires on what it is about, says so under a stable code, and its fix settles it."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.architecture import Architecture
from app.core.axolotl.fixing import GRAVE, changed, kind
from app.core.axolotl.renamed import REMOVED, RENAMED
from app.core.axolotl.rules import check
from app.core.axolotl.target_rules import MOST_PATTERNS
from app.core.findings import Severity
from app.core.hardware import Hardware
from app.core.run import CCE_PLUGIN, LIGER_PLUGIN, LORA_KERNEL_KEYS
from tests.conformance.broken import BASES, broken
from tests.core.axolotl.examples import AMPERE, HOPPER, INSTINCT, SEVEN, TURING, architecture, schema
from tests.core.axolotl.good import FULL, GOOD, GPT2, LLAMA, MOE, PHI3, QLORA, VISION, findings
from tests.core.axolotl.rule_cases import CASES

PAIRS = [{"path": "a/b", "type": "chatml.intel"}]


def test_a_good_configuration_is_left_in_peace() -> None:
    assert findings({}) == {}
    assert findings(QLORA) == {}
    assert findings({**FULL, "bf16": "auto"}, card=None) == {}


@pytest.mark.parametrize(("code", "changes", "model", "card", "key", "severity"), CASES)
def test_each_rule_fires_under_its_code_at_its_key(
    code: str,
    changes: Mapping[str, Any],
    model: Architecture | None,
    card: Hardware | None,
    key: str | None,
    severity: Severity,
) -> None:
    found = findings(changes, model, card)
    assert code in found, sorted(found)
    assert found[code].key == key
    assert found[code].severity is severity


@pytest.mark.parametrize(("code", "changes", "model", "card", "key", "severity"), CASES)
def test_a_fix_settles_what_it_is_offered_for(
    code: str,
    changes: Mapping[str, Any],
    model: Architecture | None,
    card: Hardware | None,
    key: str | None,
    severity: Severity,
) -> None:
    """Applied, the finding is gone and no other error has come."""
    settles_all({**GOOD, **changes}, model, card)


OLD = {**dict.fromkeys(RENAMED, 1), "evaluation_strategy": False, "peft_use_loftq": True, "liger_swiglu": True}
MODELS = (None, LLAMA, PHI3, MOE, VISION)


def settles_all(config: Mapping[str, Any], model: Architecture | None, card: Hardware | None) -> int:
    """Every fix of every finding takes that finding away and brings no new refusal or failure; how many there were."""
    before = check(config, model, card, schema())
    grave = {kind(finding) for finding in before if finding.effect in GRAVE}
    fixed = 0
    for finding in before:
        if finding.fix is None:
            continue
        mended = deepcopy(dict(config))
        changed(mended, finding.fix)
        after = check(mended, model, card, schema(), trying=False)
        said = {(other.code, other.key) for other in after}
        new = {kind(other) for other in after if other.effect in GRAVE} - grave
        assert (finding.code, finding.key) not in said, (finding, config)
        assert not new, (finding, new, config)
        fixed += 1
    return fixed


@pytest.mark.parametrize("part", range(4))
def test_every_fix_of_every_rule_leaves_fewer_problems(part: int) -> None:
    """Over every way in which the conformance suite breaks a rule, for a few kinds of model in turn."""
    cases = [case for case in broken(schema()) if case.rule]
    fixed = 0
    for position, case in enumerate(cases[part::4]):
        fixed += settles_all(case.config, MODELS[position % len(MODELS)], case.hardware)
    assert fixed > 100


@pytest.mark.parametrize("base", BASES)
def test_every_old_key_is_put_right_on_every_kind_of_base(base: str) -> None:
    fixed = [settles_all({**BASES[base], key: value}, LLAMA, None) for key, value in OLD.items()]
    assert len([count for count in fixed if count]) > len(fixed) // 2


@pytest.mark.parametrize(
    "changes",
    [{"peft_use_loftq": True}, {"peft_init_lora_weights": "loftq"}, {"peft": {"loftq_config": {"loftq_bits": 4}}}],
)
def test_loftq_goes_where_the_base_is_in_4_bits_already(changes: Mapping[str, Any]) -> None:
    """It fails there on the packed weight, so no fix sets it up."""
    (key,) = changes
    found = next(f for f in check({**GOOD, **QLORA, **changes}, LLAMA, None, schema()) if f.fix is not None)
    assert found.fix is not None
    assert found.fix.set == {}
    assert found.fix.unset == (key,)


def test_a_fix_that_would_only_bring_another_fault_is_not_offered() -> None:
    changes = {**FULL, "relora_steps": 200}
    assert findings(changes)["ignored_key"].fix is None


@pytest.mark.parametrize(
    ("changes", "model", "card"),
    [
        ({"lora_mlp_kernel": False}, PHI3, None),
        ({"rl": "dpo", "datasets": PAIRS}, PHI3, None),
        ({"load_in_8bit": True}, PHI3, None),
        ({"trust_remote_code": True}, PHI3, None),
        (FULL, PHI3, None),
        ({}, None, None),
        ({"lora_r": None, "lora_alpha": None, "lora_target_modules": None, "lora_model_dir": "out"}, LLAMA, None),
        ({"sample_packing": True, "attn_implementation": "sdpa"}, LLAMA, None),
        ({"attn_implementation": "kernels-community/flash-attn2"}, LLAMA, None),
        ({"attn_implementation": "flash_attention_2"}, LLAMA, HOPPER),
        ({"sequence_len": 4096}, LLAMA, None),
        ({"sequence_len": 8192}, None, None),
        ({"sequence_len": True}, LLAMA, None),
        ({"bf16": True}, LLAMA, AMPERE),
        ({"bf16": "auto"}, LLAMA, TURING),
        ({**FULL, "bf16": False, "fp16": False}, LLAMA, TURING),
        ({"fp16": True, "bf16": False}, LLAMA, None),
        ({"plugins": [LIGER_PLUGIN], "liger_rope": True}, LLAMA, None),
        ({"plugins": ["a.MyAdapterPlugin"], "adapter": "mine"}, LLAMA, None),
        ({"plugins": [CCE_PLUGIN]}, LLAMA, None),
        ({"optimizer": "muon"}, LLAMA, None),
        ({"warmup_steps": 5}, LLAMA, None),
        ({"rl": "kto", "remove_unused_columns": False, "micro_batch_size": 2, "datasets": PAIRS}, LLAMA, None),
        ({"rl": "grpo", "datasets": [{"path": "a", "type": "rewards.transform"}], "trl": {}}, LLAMA, None),
        ({"rl": "dpo", "datasets": [{"path": "a"}]}, LLAMA, None),
        ({"skip_prepare_dataset": True, "datasets": [{"path": "a", "type": "anything"}]}, LLAMA, None),
        ({"datasets": [{"path": "a", "type": "alpaca:chat"}]}, LLAMA, None),
        ({"datasets": [{"path": "a", "type": "stepwise_supervised"}], "process_reward_model": True}, LLAMA, None),
        ({"datasets": [{"path": "a/b", "type": "alpaca", "ds_type": "jsonl"}]}, LLAMA, None),
        ({"datasets": [{"path": "./a.csv", "type": "alpaca", "ds_type": "csv"}]}, LLAMA, None),
        ({"lora_target_modules": r".*\.(q_proj|v_proj)"}, LLAMA, None),
        ({"lora_target_modules": "all-linear"}, LLAMA, None),
        ({"lora_target_modules": "(unclosed"}, LLAMA, None),
        ({"lora_target_modules": "nothing"}, None, None),
        ({"special_tokens": {"pad_token": "<pad>", "eos_token": "</s>"}}, LLAMA, None),
        ({"tokens": ["<a>"], "peft_trainable_token_indices": [7]}, LLAMA, None),
        ({"tokens": ["<a>"], "lora_modules_to_save": ["embed_tokens", "lm_head"]}, None, None),
        ({**FULL, "tokens": ["<a>"]}, LLAMA, None),
        ({"wandb_name": "nobody"}, LLAMA, None),
        (
            {
                **FULL,
                "datasets": None,
                "pretraining_dataset": [{"path": "a"}],
                "streaming": True,
                "max_steps": 9,
                "learning_rate": 1e-3,
            },
            LLAMA,
            None,
        ),
        ({"datasets": None, "pretraining_dataset": [{"path": "a"}], "streaming": True, "max_steps": 9}, LLAMA, None),
        ({**QLORA, "quantize_moe_experts": True}, MOE, AMPERE),
        ({**QLORA, "base_model": "unsloth/gpt-oss-20b-BF16"}, LLAMA, None),
        ({"lora_target_modules": ["q_proj"]}, MOE, None),
        ({"lora_target_linear": True, "lora_target_modules": None}, LLAMA, None),
        ({"relora": True, "jagged_restart_steps": 9, "optimizer": "paged_adamw_8bit"}, LLAMA, None),
        ({"relora": True, "jagged_restart_steps": 9, "optimizer": None}, LLAMA, None),
        ({"peft": {"loftq_config": None}}, LLAMA, None),
        ({"model_type": "LlamaForCausalLM"}, LLAMA, None),
        ({"datasets": [{"path": "synthetic", "type": "_synthetic", "length": 9}]}, LLAMA, None),
    ],
)
def test_no_rule_fires_on_what_is_right(
    changes: Mapping[str, Any], model: Architecture | None, card: Hardware | None
) -> None:
    told = {"card_memory", "plugin_own", "memory_not_priced", "memory_not_priced_less", "memory_not_priced_more"}
    told |= {"not_priced_generating"}
    assert set(findings(changes, model, card)) <= told


@pytest.mark.parametrize("key", RENAMED)
def test_each_renamed_key_ends_in_keys_that_axolotl_knows(key: str) -> None:
    row = RENAMED[key]
    assert row.successor.partition(".")[0] in schema().known
    assert set(row.mend(1)) <= schema().known
    code = "renamed_key" if row.mapped else "ignored_key"
    finding = findings({key: "epoch" if key == "evaluation_strategy" else 1})[code]
    assert finding.key == key
    assert finding.fix is not None
    assert finding.fix.unset == (key,)
    assert finding.fix.safe is row.mapped


def test_a_successor_that_is_already_there_wins() -> None:
    found = findings({"dpo_beta": 0.1, "rl_beta": 0.5})
    assert found["renamed_key"].fix is not None
    assert found["renamed_key"].fix.set == {}


def test_an_old_switch_that_is_off_is_only_taken_out() -> None:
    for key in ("flash_attention", "peft_use_loftq"):
        (finding,) = check({**GOOD, key: False}, LLAMA, None, schema())
        assert finding.fix is not None
        assert finding.fix.set == {}


def test_removed_keys_point_to_keys_that_axolotl_knows() -> None:
    assert {successor for row in REMOVED.values() for successor in row} <= schema().known


@pytest.mark.parametrize(("given", "fixed"), [("offload", True), ("offload_disk", "disk")])
def test_offloading_is_asked_for_by_its_own_key(given: str, fixed: object) -> None:
    fix = findings({"gradient_checkpointing": given})["renamed_value"].fix
    assert fix is not None
    assert fix.set == {"gradient_checkpointing": True, "activation_offloading": fixed}


@pytest.mark.parametrize(("rank", "alpha"), [(16, 32), ("16", 32), (None, 32), (8, 16)])
def test_a_missing_alpha_becomes_twice_the_rank(rank: object, alpha: int) -> None:
    fix = findings({"lora_alpha": None, "lora_r": rank})["lora_alpha_missing"].fix
    assert fix is not None
    assert fix.set == {"lora_alpha": alpha}


def test_experts_give_way_to_attention_and_only_where_there_is_one() -> None:
    fix = findings({"lora_target_modules": list(SEVEN)}, MOE)["targets_experts"].fix
    assert fix is not None
    assert fix.set == {"lora_target_modules": ["q_proj", "k_proj", "v_proj", "o_proj"]}
    bare = architecture("x", names=("w1",), expert_names={"gate_proj": "gate_up_proj"})
    changes = {"lora_target_modules": ["gate_proj"], "lora_mlp_kernel": False}
    assert findings(changes, bare)["targets_experts"].fix is None


def test_experts_that_cannot_be_quantised_get_no_fix() -> None:
    assert findings(QLORA, MOE, INSTINCT)["experts_16bit"].fix is None
    assert findings({**QLORA, "lora_target_linear": True}, MOE)["experts_16bit"].fix is None


def test_a_plugin_is_added_to_those_listed_and_only_for_what_is_on() -> None:
    fix = findings({"plugins": ["a.B"], "liger_rope": True})["plugin_missing"].fix
    assert fix is not None
    assert fix.set == {"plugins": ["a.B", LIGER_PLUGIN]}
    assert findings({"liger_rope": False})["plugin_missing"].fix is None


def test_a_precision_that_the_person_ruled_out_is_not_switched_on() -> None:
    changes = {"plugins": [CCE_PLUGIN], "cut_cross_entropy": True, "bf16": False}
    assert findings(changes)["cut_needs_half"].fix is None


def test_an_attention_like_no_other_gets_no_fix() -> None:
    assert findings({"attn_implementation": "zzzz"})["attention_name"].fix is None
    assert findings({"lr_scheduler": "zzzz"})["scheduler"].fix is None


def test_flash_attention_gives_way_to_what_the_architecture_has() -> None:
    for model, instead in ((LLAMA, "sdpa"), (architecture("gptj"), "eager")):
        fix = findings({"attn_implementation": "flash_attention_2", "lora_mlp_kernel": False}, model, TURING)[
            "flash_attention_card"
        ].fix
        assert fix is not None
        assert fix.set == {"attn_implementation": instead}


def test_errors_come_first() -> None:
    found = check({**GOOD, "lora_rr": 1, "datasets": None}, LLAMA, AMPERE, schema())
    assert [finding.severity for finding in found] == [Severity.ERROR, Severity.WARNING, Severity.INFO]


def test_a_bare_set_of_names_does_for_a_schema() -> None:
    assert [f.key for f in check({**GOOD, "oops": 1, "vllm": {"x": 1}}, LLAMA, None, schema().known)] == ["oops"]


def test_only_a_dozen_unknown_keys_are_given_a_nearest_one() -> None:
    config = {**GOOD, **{f"lora_r{i}": 1 for i in range(50)}}
    codes = [finding.code for finding in check(config, LLAMA, None, schema())]
    assert codes.count("unknown_key_nearest") == 12
    assert codes.count("unknown_key") == 38


def test_memory_as_typed_is_not_held_against_a_box() -> None:
    assert findings({}, LLAMA, replace(AMPERE, gpu_id=None)) == {}


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(schema().known | set(RENAMED) | set(REMOVED))), VALUES, max_size=12))
def test_no_value_of_any_key_breaks_a_rule(config: dict[str, Any]) -> None:
    for card in (None, TURING, INSTINCT):
        for model in (None, MOE, GPT2):
            for finding in check(config, model, card, schema(), trying=card is None and model is MOE):
                assert finding.message.code == f"finding.{finding.code}"


@pytest.mark.parametrize("kernel", LORA_KERNEL_KEYS)
def test_kernels_of_an_unpatchable_model_are_all_switched_off(kernel: str) -> None:
    fix = findings({}, PHI3)["kernels_unpatchable"].fix
    assert fix is not None
    assert fix.set[kernel] is False
    assert fix.safe


def test_of_very_many_expressions_it_says_how_many_were_tried() -> None:
    patterns = [f"layers.{number}.(" for number in range(MOST_PATTERNS)]
    assert "partly_read" not in findings({"lora_target_modules": patterns})
    assert findings({"lora_target_modules": [*patterns, "(", "q_proj"]})["partly_read"].message.params == {
        "key": "lora_target_modules",
        "most": MOST_PATTERNS,
    }


def test_a_share_of_the_steps_to_warm_up_in_is_a_ratio() -> None:
    for steps, fixed in ((0.1, {"warmup_ratio": 0.1}), (10.4, {"warmup_steps": 10})):
        fix = findings({"warmup_steps": steps})["value_type"].fix
        assert fix is not None
        assert fix.set == fixed


@pytest.mark.parametrize(
    ("changes", "safe"),
    [
        ({"optimizer": "ao_adamw_4bit"}, {"optimizer": "adamw_torch_4bit"}),
        ({"optimizer": "lion_pytorch"}, None),
        ({"optimizer": "sgdé"}, None),
        ({"optimizer": "AdamW"}, {"optimizer": "adamw_torch"}),
        ({"optimizer": "adam"}, None),
        ({"optimizer": "adamw_troch"}, None),
        ({"lr_scheduler": "Cosine"}, {"lr_scheduler": "cosine"}),
        ({"lr_scheduler": "cosin"}, None),
    ],
)
def test_only_another_name_of_the_same_is_put_in_its_place_unasked(
    changes: dict[str, str], safe: dict[str, str] | None
) -> None:
    (fix,) = (finding.fix for finding in findings(changes).values() if finding.key in changes)
    assert fix is not None
    assert (fix.set if fix.safe else None) == safe
