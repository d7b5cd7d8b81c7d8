"""The recorded schema, as the product reads it."""

import pytest

from app.core.axolotl.keys import GROUP_OF, GROUPS, ORDER
from app.core.axolotl.presets import PRESETS
from app.core.axolotl.schema import build_schema
from app.core.run import CCE_PLUGIN, LIGER_PLUGIN
from tests.core.axolotl.examples import schema


def test_the_recording_is_of_the_release_that_the_product_writes_for() -> None:
    assert schema().version == "0.19.0"


def test_a_key_has_its_facts() -> None:
    bf16 = schema().key("bf16")
    assert bf16 is not None
    assert bf16.accepts == ({"values": ["auto"]}, "boolean", "null")
    assert bf16.values == ("auto",)
    assert bf16.default == "auto"
    assert not bf16.required
    base = schema().key("base_model")
    assert base is not None
    assert base.required
    ratio = schema().key("relora_prune_ratio")
    assert ratio is not None
    assert (ratio.ge, ratio.le, ratio.gt) == (0.0, 1.0, None)


def test_every_spelling_finds_its_key() -> None:
    assert schema().key("model_type") is schema().key("type_of_model")
    assert {"model_type", "type_of_model"} <= schema().known


def test_keys_that_are_being_given_up_say_so() -> None:
    given_up = {name for name, key in schema().keys.items() if key.deprecated}
    assert {"flash_attention", "sdp_attention", "dataset_processes"} <= given_up
    assert "attn_implementation" not in given_up


def test_plugins_bring_keys_of_their_own() -> None:
    assert schema().plugin_of["liger_rope"] == "liger"
    assert schema().plugin_of["cut_cross_entropy"] == "cut_cross_entropy"
    assert schema().class_of("liger") == LIGER_PLUGIN
    assert schema().class_of("cut_cross_entropy") == CCE_PLUGIN
    assert schema().class_of("nothing") is None
    assert "lora_r" not in schema().plugin_of
    cut = schema().key("cut_cross_entropy")
    assert cut is not None
    assert cut.default is True


def test_an_unknown_key_is_none() -> None:
    assert schema().key("relora_steps") is None
    assert schema().key("peft_use_loftq") is None


def test_nested_keys_are_known_too() -> None:
    assert {"datasets", "trl", "peft", "fsdp_config", "special_tokens"} <= schema().nested
    assert "lora_r" not in schema().nested
    value = {"loftq_config": {"loftq_bits": 4, "loftq_iter": 1}, "x": {}, 5: 1}
    found = [(path, key) for path, key, _ in schema().unknown_in(value, ("PeftConfig",), "peft")]
    assert found == [("peft.loftq_config.loftq_iter", "loftq_iter"), ("peft.x", "x"), ("peft.5", "5")]


def test_lists_are_walked_and_what_is_no_mapping_is_left() -> None:
    value = [{"path": "a", "pth": 1}, "text", None, {"type": {"field_input": "a", "field_inpt": "b"}}]
    found = [path for path, _, _ in schema().unknown_in(value, ("SFTDataset",), "datasets")]
    assert found == ["datasets[0].pth", "datasets[3].type.field_inpt"]
    assert list(schema().unknown_in("text", ("SFTDataset",), "datasets")) == []


def test_a_structure_that_holds_itself_is_walked_once() -> None:
    knot: dict[str, object] = {"loftq_config": None}
    knot["loftq_config"] = knot
    found = [path for path, _, _ in schema().unknown_in(knot, ("PeftConfig",), "peft")]
    assert found == ["peft.loftq_config.loftq_config"]


def test_what_is_no_recording_is_refused() -> None:
    with pytest.raises(KeyError):
        build_schema({"axolotl": "0.19.0"})


def test_every_key_that_has_a_place_is_known_and_has_one_place() -> None:
    assert set(ORDER) <= schema().known
    assert len(ORDER) == len(set(ORDER))
    assert set(GROUP_OF.values()) == set(GROUPS)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_hold_known_keys_in_writing_order(name: str) -> None:
    preset = PRESETS[name]
    assert set(preset) <= schema().known
    assert list(preset) == [key for key in ORDER if key in preset]


def test_presets_keep_the_guides_values() -> None:
    lora, qlora = PRESETS["lora_24gb"], PRESETS["qlora_8gb"]
    own = ("adapter", "lora_r", "lora_alpha", "sequence_len", "micro_batch_size", "optimizer")
    assert [lora[key] for key in own] == ["lora", 32, 16, 4096, 2, "adamw_torch"]
    assert [qlora[key] for key in own] == ["qlora", 64, 32, 2048, 1, "paged_adamw_8bit"]
    for preset in PRESETS.values():
        assert preset["base_model"] == "meta-llama/Llama-3.1-8B-Instruct"
        assert preset["lora_dropout"] == 0.05
        assert len(preset["lora_target_modules"]) == 7
        assert preset["gradient_accumulation_steps"] == 4
        assert preset["num_epochs"] == 3
        assert preset["learning_rate"] == 0.0002
        assert (preset["lr_scheduler"], preset["bf16"], preset["neftune_noise_alpha"]) == ("cosine", "auto", 5)
    assert qlora["load_in_4bit"] is True
    assert "load_in_4bit" not in lora
