"""What a fault of an adapter's keys tells: what was given, and what may be."""

import pytest

from app.core.adapter import resolve_adapter
from app.core.architectures import describe
from app.core.axolotl.run_reader import read_run
from app.core.errors import InvalidInput
from app.core.shown import shown

LLAMA = describe(
    {"model_type": "llama", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
     "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 320}
)  # fmt: skip


def test_what_is_no_number_of_a_layer_or_a_row_is_told_as_it_was_given() -> None:
    lora = {"sequence_len": 512, "adapter": "lora", "lora_r": 8, "lora_target_modules": ["q_proj"]}
    for key, value in (("peft_layers_to_transform", ["first"]), ("peft_trainable_token_indices", {"lm_head": ["a"]})):
        with pytest.raises(InvalidInput) as caught:
            read_run(lora | {key: value})
        (found,) = [each for each in caught.value.errors if each.pointer.endswith(key)]
        assert str(found.message.params["given"]) == shown(value)


def test_the_largest_row_is_the_tables_last() -> None:
    config = {"sequence_len": 512, "adapter": "trainable_tokens", "peft_config": {"token_indices": [320]}}
    with pytest.raises(InvalidInput) as caught:
        resolve_adapter(LLAMA, read_run(config))
    (found,) = caught.value.errors
    assert (found.message.params["given"], found.message.params["least"], found.message.params["most"]) == (320, 0, 319)
