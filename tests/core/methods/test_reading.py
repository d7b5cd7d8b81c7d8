"""Settings of a method: read with PEFT's defaults, every fault named."""

from typing import Any

import pytest

from app.core.architectures import describe
from app.core.axolotl.run_reader import read_run
from app.core.errors import InvalidInput
from app.core.methods.reading import read_method
from app.core.methods.resolving import resolve_peft
from app.core.methods.settings import Bias, Decomposed, PeftType, Targets
from app.core.run import Method
from app.texts import texts

LLAMA = {"model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 320}
PAIR = {"target_modules": ["q_proj", "down_proj"]}


def fault(adapter: str, given: object, model: dict[str, Any] = LLAMA) -> tuple[str, str]:
    """Where and why settings are refused."""
    with pytest.raises(InvalidInput) as caught:
        resolve_peft(describe(model), read_method(PeftType(adapter), given))
    first = caught.value.errors[0]
    assert None not in first.message.params.values()
    assert texts("en").render(first.message) != first.message.code
    assert texts("my").render(first.message) != first.message.code
    return first.pointer.removeprefix("/config/peft_config").lstrip("/"), first.message.code


@pytest.mark.parametrize(
    ("adapter", "given", "key", "code"),
    [
        ("ia3", [1], "", "error.peft.mapping"),
        ("ia3", {"target_module": ["q_proj"]}, "target_module", "error.peft.unknown_nearest"),
        ("ia3", {"zzzzzz": 1}, "zzzzzz", "error.peft.unknown"),
        ("prompt_tuning", {}, "num_virtual_tokens", "error.peft.missing"),
        ("prompt_tuning", {"num_virtual_tokens": 0}, "num_virtual_tokens", "error.config.range"),
        ("prompt_tuning", {"num_virtual_tokens": "20"}, "num_virtual_tokens", "error.config.integer"),
        ("prompt_tuning", {"num_virtual_tokens": True}, "num_virtual_tokens", "error.config.integer"),
        (
            "prompt_tuning",
            {"num_virtual_tokens": 4, "prompt_tuning_init": "TEXT"},
            "prompt_tuning_init_text",
            "error.peft.needed_with",
        ),
        (
            "prompt_tuning",
            {"num_virtual_tokens": 4, "prompt_tuning_init": "TXT"},
            "prompt_tuning_init",
            "error.config.choice_nearest",
        ),
        (
            "p_tuning",
            {"num_virtual_tokens": 4, "encoder_reparameterization_type": "GRU?"},
            "encoder_reparameterization_type",
            "error.config.choice",
        ),
        ("p_tuning", {"num_virtual_tokens": 4, "encoder_dropout": "x"}, "encoder_dropout", "error.config.number"),
        ("p_tuning", {"num_virtual_tokens": 4, "encoder_dropout": 2}, "encoder_dropout", "error.config.range"),
        (
            "prefix_tuning",
            {"num_virtual_tokens": 4, "prefix_projection": 1},
            "prefix_projection",
            "error.config.boolean",
        ),
        ("ia3", {"target_modules": 3}, "target_modules", "error.config.names"),
        ("ia3", PAIR, "feedforward_modules", None),
        ("ia3", PAIR | {"feedforward_modules": ["fc2"]}, "feedforward_modules", "error.peft.subset"),
        ("ia3", PAIR | {"feedforward_modules": "(x"}, "feedforward_modules", "error.target_pattern"),
        ("ia3", {"target_modules": ["q_prj"], "feedforward_modules": []}, "target_modules", "error.target_unmatched"),
        ("ia3", {"target_modules": [], "feedforward_modules": []}, "target_modules", "error.target_unmatched"),
        ("ia3", {"target_modules": ["mlp"], "feedforward_modules": []}, "target_modules", "error.peft.container"),
        ("ia3", {"target_modules": ["norm"], "feedforward_modules": []}, "target_modules", "error.peft.unsupported"),
        ("ia3", {"target_modules": "(.*a)*b", "feedforward_modules": []}, "target_modules", "error.target_pattern"),
        ("ia3", PAIR | {"exclude_modules": "(x", "feedforward_modules": []}, "exclude_modules", "error.target_pattern"),
        (
            "ia3",
            PAIR | {"modules_to_save": ["(x"], "feedforward_modules": []},
            "modules_to_save",
            "error.target_pattern",
        ),
        ("adalora", PAIR, "total_step", "error.peft.missing"),
        ("adalora", PAIR | {"total_step": 10, "tinit": 6, "tfinal": 5}, "tinit", "error.peft.schedule"),
        ("adalora", PAIR | {"total_step": 10, "init_r": 0}, "init_r", "error.config.range"),
        (
            "adalora",
            {"target_modules": ".*q_proj", "total_step": 10, "layers_to_transform": [0]},
            "layers_to_transform",
            "error.layers_with_pattern",
        ),
        ("loha", PAIR | {"layers_to_transform": "x"}, "layers_to_transform", "error.config.layers"),
        ("loha", PAIR | {"layers_pattern": "layers"}, "layers_pattern", "error.peft.layers_pattern"),
        ("loha", PAIR | {"rank_pattern": {"q_proj": 0}}, "rank_pattern", "error.config.rank_pattern"),
        ("lokr", PAIR | {"decompose_factor": 0}, "decompose_factor", "error.config.range"),
        ("vera", PAIR | {"bias": "both"}, "bias", "error.config.choice"),
        ("oft", PAIR | {"r": 4}, "oft_block_size", "error.peft.one_of_two"),
        ("trainable_tokens", {}, "token_indices", "error.peft.missing"),
        ("trainable_tokens", {"token_indices": ["a"]}, "token_indices", "error.peft.token_indices"),
        ("trainable_tokens", {"token_indices": [320]}, "token_indices", "error.config.range"),
        (
            "trainable_tokens",
            {"token_indices": [1], "target_modules": ["norm"]},
            "target_modules",
            "error.peft.unsupported",
        ),
        ("bottleneck", {"placement": "houlsbi"}, "placement", "error.config.choice_nearest"),
        ("bottleneck", {"bottleneck_size": 0}, "bottleneck_size", "error.config.range"),
        ("ln_tuning", {"target_modules": ["mlp", "down_proj"]}, "target_modules", "error.peft.nested"),
    ],
)
def test_a_bad_setting_is_named(adapter: str, given: object, key: str, code: str | None) -> None:
    """The field, and why; in both languages. What PEFT completes by itself is no fault."""
    if code is None:
        assert resolve_peft(describe(LLAMA), read_method(PeftType(adapter), given)).trainable_parameters
        return
    assert fault(adapter, given) == (key, code)


def test_what_peft_cannot_choose_is_asked_for() -> None:
    """No default targets for the model, no heads in its configuration."""
    phi3 = {"model_type": "phi3"}
    assert fault("ia3", {}, phi3) == ("target_modules", "error.peft.no_default")
    assert fault("ia3", {"target_modules": ["qkv_proj"]}, phi3) == ("feedforward_modules", "error.peft.no_default")
    mpt = {"model_type": "mpt"}
    assert fault("prefix_tuning", {"num_virtual_tokens": 4}, mpt) == ("num_attention_heads", "error.peft.missing_size")
    assert fault("adalora", {"total_step": 9, "target_modules": ["out_proj"]}, {"model_type": "falcon_h1"}) == (
        "target_modules",
        "error.target_refused",
    )


def test_nonsense_in_every_setting_is_told_at_once() -> None:
    """All faults, not the first."""
    with pytest.raises(InvalidInput) as caught:
        read_method(PeftType.LOKR, {"r": -1, "module_dropout": 3, "decompose_both": "x", "nope": 1})
    assert len(caught.value.errors) == 4


def test_layers_and_biases_are_read() -> None:
    """A single layer will do; PEFT's name for the adapted modules' biases."""
    method = read_method(
        PeftType.ADALORA, PAIR | {"total_step": 5, "layers_to_transform": 1, "bias": "lora_only", "lora_dropout": 0.1}
    )
    assert method.settings == Decomposed(
        targets=Targets(modules=("q_proj", "down_proj"), layers=(1,)), rank=12, bias=Bias.ONLY, dropout=True
    )


@pytest.mark.parametrize(
    ("config", "pointer"),
    [
        ({"adapter": "ia3", "load_in_4bit": True}, "/config/load_in_4bit"),
        ({"adapter": "ia3", "load_in_8bit": True}, "/config/load_in_8bit"),
        (
            {
                "adapter": "prefix_tuning",
                "gradient_checkpointing": True,
                "peft_config": {"num_virtual_tokens": 4},
            },
            "/config/gradient_checkpointing",
        ),
        ({"adapter": "ia3", "peft_config": {"fan": 1}}, "/config/peft_config/fan"),
        ({"adapter": "ia4"}, "/config/adapter"),
    ],
)
def test_a_run_is_refused_at_its_key(config: dict[str, Any], pointer: str) -> None:
    """Beside the method's own settings, what it cannot be with."""
    with pytest.raises(InvalidInput) as caught:
        read_run(config)
    assert [error.pointer for error in caught.value.errors] == [pointer]


def test_a_run_knows_its_method() -> None:
    """And its virtual tokens."""
    run = read_run({"adapter": "prompt_tuning", "peft_config": {"num_virtual_tokens": 7}})
    assert run.method is Method.PEFT
    assert run.virtual_tokens == 7
    assert read_run({"adapter": "ia3"}).virtual_tokens == read_run({}).virtual_tokens == 0


def test_a_target_that_matches_nothing_is_passed_over_where_another_matches() -> None:
    """PEFT 0.20 stops only where none does."""
    settings = {"feedforward_modules": []}
    some, one = (
        resolve_peft(describe(LLAMA), read_method(PeftType.IA3, {"target_modules": names} | settings))
        for names in (["k_proj", "c_attn"], ["k_proj"])
    )
    assert (some.unmatched, some.modules) == (("c_attn",), one.modules)
