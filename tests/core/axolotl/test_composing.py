"""What is composed, held to what Axolotl 0.19 runs: by hand here, by its own validator in ``tests/conformance``."""

import itertools
from dataclasses import replace
from typing import Any

import pytest

from app.core.architecture import Kind
from app.core.axolotl.composing import compose
from app.core.axolotl.data_blocks import FALLBACK_TEMPLATE
from app.core.axolotl.keys import GROUP_OF, ORDER
from app.core.axolotl.rules import check
from app.core.axolotl.run_reader import read_run
from app.core.coverage import CHAT_TEMPLATES
from app.core.findings import Severity
from app.core.plan import Dataset, Goal, Install
from app.core.run import CCE_PLUGIN, LIGER_PLUGIN, LORA_KERNEL_KEYS
from tests.core.axolotl.examples import (
    AMPERE,
    HOPPER,
    INSTINCT,
    TURING,
    architecture,
    choice,
    experts,
    schema,
)

METHODS = ("full", "lora", "qlora", "dora", "qdora", "loftq", "relora")
CARDS = (AMPERE, HOPPER, TURING, INSTINCT, None)
MODELS = {
    "llama": architecture(),
    "phi3": architecture("phi3", names=("qkv_proj", "o_proj", "gate_up_proj", "down_proj")),
    "gpt2": architecture("gpt2", kind=Kind.CONV1D, names=("c_attn", "c_proj", "c_fc")),
    "qwen3_moe": architecture("qwen3_moe", extra=(experts(),), experts=4, experts_per_token=2),
    "gpt_oss": architecture("gpt_oss", extra=(experts(),), experts=4, experts_per_token=2),
    "mistral": architecture("mistral", sliding_window=1024),
    "gemma4": architecture("gemma4", head_dim=512, value_head_dim=512),
    "jamba": architecture("jamba", mixer_width=64),
    "nemotron_h": architecture("nemotron_h", mixer_width=64),
    "granite": architecture("granite"),
    "gptj": architecture("gptj"),
    "mpt": architecture("mpt"),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("goal", Goal)
def test_every_method_and_goal_is_without_errors_on_every_model_and_card(method: str, goal: Goal) -> None:
    """Our own rules find nothing that fails or misleads; known keys only, in writing order, readable as a run."""
    for (name, model), card, install in itertools.product(MODELS.items(), CARDS, Install):
        config = compose(
            choice(
                base_model=f"someone/{name}",
                architecture=model,
                hardware=card,
                install=install,
                method=method,
                goal=goal,
                targets=tuple(leaf for leaf in model.by_leaf if leaf not in model.expert_names),
                chat_template=None,
            )
        )
        unavoidable = ("experts_16bit", "card_rocm") if card is INSTINCT else ()
        found = [f for f in check(config, model, card, schema()) if f.severity is not Severity.INFO]
        assert [f.code for f in found if f.code not in unavoidable] == [], (name, card and card.name, install)
        assert list(config) == [key for key in ORDER if key in config]
        assert set(config) <= set(GROUP_OF)
        run = read_run(config)
        assert run.sequence_len_tokens == 2048
        assert run.micro_batch_size == 2


def test_lora_over_a_frozen_16_bit_base() -> None:
    config = compose(choice())
    assert config["adapter"] == "lora"
    assert config["lora_target_modules"] == [
        "q_proj",
        "k_proj",
        "v_proj",
        "o_proj",
        "gate_proj",
        "up_proj",
        "down_proj",
    ]
    assert (config["lora_r"], config["lora_alpha"], config["lora_dropout"]) == (16, 32, 0.05)
    assert "load_in_4bit" not in config
    assert "lora_target_linear" not in config
    assert config["learning_rate"] == 0.0002
    assert config["num_epochs"] == 3
    assert isinstance(config["num_epochs"], int)
    assert config["neftune_noise_alpha"] == 5
    assert config["special_tokens"] == {"pad_token": "<|pad|>"}
    assert config["gradient_checkpointing"] is True
    assert config["evals_per_epoch"] == 4


def test_full_fine_tuning_has_no_adapter_key_at_all() -> None:
    config = compose(choice(method="full", pad_token=None, gradient_checkpointing=False, num_epochs=1.5))
    assert not [key for key in config if GROUP_OF[key] == "adapter"]
    assert "special_tokens" not in config
    assert "gradient_checkpointing" not in config
    assert config["num_epochs"] == 1.5
    assert config["output_dir"] == "./outputs/full"


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("qlora", {"adapter": "qlora", "load_in_4bit": True}),
        ("dora", {"adapter": "lora", "peft_use_dora": True}),
        ("qdora", {"adapter": "qlora", "load_in_4bit": True, "peft_use_dora": True}),
        ("loftq", {"adapter": "lora", "peft": {"loftq_config": {"loftq_bits": 4}}}),
        ("relora", {"adapter": "lora", "relora": True, "jagged_restart_steps": 200}),
    ],
)
def test_each_method_has_its_own_keys_and_no_other(method: str, expected: dict[str, Any]) -> None:
    config = compose(choice(method=method))
    switches = ("adapter", "load_in_4bit", "peft_use_dora", "peft", "relora", "jagged_restart_steps")
    assert {key: config[key] for key in switches if key in config} == expected


def test_experts_are_quantised_only_where_targets_are_named_and_cuda_is_there() -> None:
    moe = MODELS["qwen3_moe"]
    assert compose(choice(architecture=moe, method="qlora"))["quantize_moe_experts"] is True
    assert compose(choice(architecture=moe, method="qlora", hardware=None))["quantize_moe_experts"] is True
    assert "quantize_moe_experts" not in compose(choice(architecture=moe, method="qlora", hardware=INSTINCT))
    assert "quantize_moe_experts" not in compose(choice(architecture=moe, method="lora"))
    linear = compose(choice(architecture=moe, method="qlora", targets=None))
    assert linear["lora_target_linear"] is True
    assert "quantize_moe_experts" not in linear
    assert "lora_target_modules" not in linear


def test_a_regular_expression_of_targets_stays_one() -> None:
    assert compose(choice(targets=r".*\.(q|v)_proj"))["lora_target_modules"] == r".*\.(q|v)_proj"


def test_conv1d_architectures_say_that_weights_are_transposed() -> None:
    assert compose(choice(architecture=MODELS["gpt2"]))["lora_fan_in_fan_out"] is True
    assert "lora_fan_in_fan_out" not in compose(choice())


@pytest.mark.parametrize(
    ("model", "goal", "off"),
    [("llama", Goal.CHAT, False), ("phi3", Goal.CHAT, True), ("phi3", Goal.DPO, False), ("llama", Goal.REWARD, True)],
)
def test_fused_kernels_are_off_exactly_where_they_would_switch_themselves_on_and_fail(
    model: str, goal: Goal, off: bool
) -> None:
    config = compose(choice(architecture=MODELS[model], goal=goal))
    assert [config.get(key) for key in LORA_KERNEL_KEYS] == [False if off else None] * 4


@pytest.mark.parametrize(
    ("model", "card", "install", "attention", "packing"),
    [
        ("llama", AMPERE, Install.DOCKER, "flash_attention_2", True),
        ("llama", AMPERE, Install.PIP, "sdpa", False),
        ("llama", HOPPER, Install.PIP, "sdpa", True),
        ("mistral", HOPPER, Install.PIP, "sdpa", False),
        ("mistral", HOPPER, Install.DOCKER, "flash_attention_2", True),
        ("llama", TURING, Install.DOCKER, "sdpa", False),
        ("llama", INSTINCT, Install.DOCKER, "sdpa", False),
        ("llama", None, Install.DOCKER, "sdpa", False),
        ("gemma4", AMPERE, Install.DOCKER, "sdpa", False),
        ("gemma4", HOPPER, Install.DOCKER, "sdpa", False),
        ("gpt_oss", AMPERE, Install.DOCKER, "eager", False),
        ("gpt_oss", HOPPER, Install.DOCKER, "kernels-community/vllm-flash-attn3", True),
        ("gpt_oss", HOPPER, Install.PIP, "eager", False),
        ("gptj", AMPERE, Install.PIP, "eager", False),
        ("gptj", AMPERE, Install.DOCKER, "flash_attention_2", True),
        ("mpt", AMPERE, Install.DOCKER, "eager", False),
        ("jamba", AMPERE, Install.DOCKER, "flash_attention_2", False),
        ("nemotron_h", AMPERE, Install.DOCKER, "flash_attention_2", True),
    ],
)
def test_packing_only_where_the_attention_keeps_samples_apart(
    model: str, card: Any, install: Install, attention: str, packing: bool
) -> None:
    config = compose(choice(architecture=MODELS[model], hardware=card, install=install))
    assert config["attn_implementation"] == attention
    assert config["sample_packing"] is packing
    assert config.get("eval_sample_packing") == (False if packing else None)


def test_heads_whose_keys_and_values_differ_in_width_are_not_packed_under_sdpa() -> None:
    model = architecture("deepseek_v3", head_dim=24, value_head_dim=16)
    assert compose(choice(architecture=model, hardware=HOPPER, install=Install.PIP))["sample_packing"] is False


@pytest.mark.parametrize(("model_type", "packing"), [("qwen2_vl", False), ("qwen2_5_vl", False), ("qwen3_vl", True)])
def test_the_first_two_qwen_vl_are_not_packed(model_type: str, packing: bool) -> None:
    """They make no mask of the positions that Axolotl packs with."""
    config = compose(choice(architecture=architecture(model_type), hardware=HOPPER))
    assert config["attn_implementation"] == "flash_attention_2"
    assert config["sample_packing"] is packing


@pytest.mark.parametrize(("model_type", "packing"), [("mistral4", False), ("afmoe", True)])
def test_what_flash_attention_is_not_told_is_not_packed(model_type: str, packing: bool) -> None:
    """Mistral 4's attention keeps the positions to itself; Trinity's hands them on."""
    assert compose(choice(architecture=architecture(model_type), hardware=HOPPER))["sample_packing"] is packing


@pytest.mark.parametrize(
    ("model", "card", "install", "loss"),
    [
        ("llama", AMPERE, Install.DOCKER, "cut_cross_entropy"),
        ("llama", AMPERE, Install.PIP, "liger_fused_linear_cross_entropy"),
        ("llama", INSTINCT, Install.DOCKER, "liger_fused_linear_cross_entropy"),
        ("llama", TURING, Install.DOCKER, "chunked_cross_entropy"),
        ("llama", None, Install.DOCKER, "chunked_cross_entropy"),
        ("granite", AMPERE, Install.DOCKER, "cut_cross_entropy"),
        ("granite", AMPERE, Install.PIP, "chunked_cross_entropy"),
        ("gpt2", AMPERE, Install.DOCKER, "chunked_cross_entropy"),
    ],
)
def test_one_loss_that_is_installed_and_covers_the_model(model: str, card: Any, install: Install, loss: str) -> None:
    config = compose(choice(architecture=MODELS[model], hardware=card, install=install))
    assert [key for key in config if key.endswith("cross_entropy")] == [loss]
    plugin = {"cut_cross_entropy": [CCE_PLUGIN], "liger_fused_linear_cross_entropy": [LIGER_PLUGIN]}.get(loss)
    assert config.get("plugins") == plugin


def test_precision_follows_the_card() -> None:
    """Without bf16 an adapter trains in fp16, full fine-tuning in fp32: fp16 gradients are never unscaled."""
    assert compose(choice())["bf16"] == "auto"
    assert "fp16" not in compose(choice(hardware=None))
    old = compose(choice(hardware=TURING))
    assert (old["bf16"], old["fp16"], old["tf32"]) == (False, True, False)
    full = compose(choice(hardware=TURING, method="full"))
    assert (full["bf16"], full["fp16"]) == (False, False)


@pytest.mark.parametrize(("form", "named"), [("mxfp4", "Mxfp4Config"), ("fp8", "FineGrainedFP8Config")])
def test_what_is_published_quantised_is_unpacked_unless_it_is_quantised_anew(form: str, named: str) -> None:
    model = replace(MODELS["gpt_oss"], published_in=form)
    config = compose(choice(architecture=model))
    assert config["model_quantization_config"] == named
    assert config["model_quantization_config_kwargs"] == {"dequantize": True}
    for other in (choice(architecture=model, method="qlora"), choice(architecture=MODELS["gpt_oss"])):
        assert "model_quantization_config" not in compose(other)


def test_mpt_is_never_checkpointed() -> None:
    assert "gradient_checkpointing" not in compose(choice(base_model="mosaicml/mpt-7b"))


@pytest.mark.parametrize("goal", [Goal.DPO, Goal.ORPO, Goal.KTO, Goal.SIMPO, Goal.REWARD])
def test_preferences_are_neither_packed_nor_noised_nor_given_another_loss(goal: Goal) -> None:
    config = compose(choice(goal=goal))
    assert config["sample_packing"] is False
    assert not {"neftune_noise_alpha", "plugins", "chunked_cross_entropy", "eval_sample_packing"} & set(config)
    assert config.get("rl") == (None if goal is Goal.REWARD else goal.value)


def test_goals_have_the_keys_that_axolotl_refuses_to_go_without() -> None:
    assert compose(choice(goal=Goal.KTO))["remove_unused_columns"] is False
    simpo = compose(choice(goal=Goal.SIMPO))
    assert simpo["warmup_steps"] == 10
    assert "warmup_ratio" not in simpo
    reward = compose(choice(goal=Goal.REWARD))
    assert reward["reward_model"] is True
    assert reward["type_of_model"] == "AutoModelForSequenceClassification"
    assert reward["num_labels"] == 1
    assert reward["pad_to_sequence_len"] is True
    assert "warmup_ratio" in reward


@pytest.mark.parametrize(
    ("goal", "block"),
    [
        (
            Goal.CHAT,
            {
                "path": "d.jsonl",
                "ds_type": "json",
                "type": "chat_template",
                "field_messages": "messages",
                "roles_to_train": ["assistant"],
                "train_on_eos": "turn",
            },
        ),
        (Goal.INSTRUCTION, {"path": "d.jsonl", "ds_type": "json", "type": "alpaca"}),
        (Goal.COMPLETION, {"path": "d.jsonl", "ds_type": "json", "type": "completion", "field": "text"}),
        (
            Goal.DPO,
            {
                "path": "d.jsonl",
                "split": "train",
                "type": "chat_template.default",
                "field_messages": "messages",
                "field_chosen": "chosen",
                "field_rejected": "rejected",
            },
        ),
        (Goal.KTO, {"path": "d.jsonl", "split": "train", "type": "llama3.ultra"}),
        (Goal.REWARD, {"path": "d.jsonl", "ds_type": "json", "type": "bradley_terry.chat_template"}),
    ],
)
def test_ones_own_file_is_read_as_the_goal_reads_it(goal: Goal, block: dict[str, str]) -> None:
    assert compose(choice(goal=goal, dataset=Dataset(path="d.jsonl")))["datasets"] == [block]


def test_a_type_of_ones_own_is_kept() -> None:
    config = compose(choice(dataset=Dataset(path="a/b", type="input_output")))
    assert config["datasets"] == [{"path": "a/b", "type": "input_output"}]
    kto = compose(choice(goal=Goal.KTO, dataset=Dataset(type="user_defined.default")))
    assert kto["datasets"][0]["type"] == "user_defined.default"


def test_without_a_dataset_a_public_one_of_the_right_form_stands_in() -> None:
    for goal in Goal:
        (block,) = compose(choice(goal=goal))["datasets"]
        assert "/" in block["path"]
        assert block["type"]
    assert compose(choice(goal=Goal.DPO))["datasets"][0]["field_messages"] == "conversation"


@pytest.mark.parametrize(
    ("template", "goal", "written"),
    [
        ("llama3", Goal.CHAT, "llama3"),
        (None, Goal.CHAT, FALLBACK_TEMPLATE),
        ("phi_4", Goal.DPO, FALLBACK_TEMPLATE),
        ("llama3", Goal.INSTRUCTION, None),
        ("llama3", Goal.COMPLETION, None),
        ("llama3", Goal.KTO, None),
    ],
)
def test_chat_templates_are_ones_that_axolotl_has_and_the_goal_reads(
    template: str | None, goal: Goal, written: str | None
) -> None:
    assert compose(choice(chat_template=template, goal=goal)).get("chat_template") == written


def test_kto_without_llama_writes_chatml() -> None:
    assert compose(choice(goal=Goal.KTO, chat_template="qwen_25"))["datasets"][0]["type"] == "chatml.ultra"


def test_nothing_is_kept_aside_where_nothing_is_to_be_evaluated() -> None:
    config = compose(choice(evaluate=False))
    assert config["val_set_size"] == 0.0
    assert not {"evals_per_epoch", "eval_sample_packing"} & set(config)


def test_noise_is_left_out_on_request() -> None:
    assert "neftune_noise_alpha" not in compose(choice(neftune=False))


def test_the_chat_templates_are_the_schemas_own() -> None:
    key = schema().key("chat_template")
    assert key is not None
    assert set(key.values) == CHAT_TEMPLATES
