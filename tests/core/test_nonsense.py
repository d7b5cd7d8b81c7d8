"""A config.json with nonsense in it is refused, and the field is named; an unknown kind of model is counted and flagged."""

from typing import Any

import pytest

from app.core.architectures import describe, supported_model_types
from app.core.errors import InvalidInput

SIZES = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 320,
}
LLAMA_LIKE = ("llama", "mistral", "qwen2", "qwen3", "gemma", "phi3", "olmo2", "granite", "smollm3", "starcoder2")


def refused(config_json: dict[str, Any]) -> str:
    """The field that is named."""
    with pytest.raises(InvalidInput) as caught:
        describe(config_json)
    return caught.value.errors[0].pointer.rpartition("/")[2]


@pytest.mark.parametrize("model_type", LLAMA_LIKE)
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("num_attention_heads", 0),
        ("num_attention_heads", -4),
        ("num_key_value_heads", 0),
        ("num_key_value_heads", 3),
        ("hidden_size", -64),
        ("hidden_size", 10**12),
        ("hidden_size", 64.5),
        ("hidden_size", "big"),
        ("hidden_size", True),
        ("hidden_size", []),
        ("vocab_size", 0),
        ("num_hidden_layers", 10**9),
        ("num_hidden_layers", 0),
        ("intermediate_size", -1),
    ],
)
def test_nonsense_is_named(model_type: str, field: str, value: object) -> None:
    """Zero heads, negative sizes, a billion layers, what is no number."""
    assert refused({"model_type": model_type} | SIZES | {field: value}) == field


@pytest.mark.parametrize("model_type", sorted(supported_model_types()))
def test_no_description_takes_a_billion_layers(model_type: str) -> None:
    """Whatever the field is called."""
    names = ("num_hidden_layers", "n_layer", "n_layers")
    facts = dict.fromkeys(names, 10**9)
    with pytest.raises(InvalidInput):
        describe({"model_type": model_type, **facts, "text_config": facts})


def test_an_unknown_kind_is_counted_as_the_nearest_and_flagged() -> None:
    """Where its fields allow; otherwise refused with the nearest known type."""
    known = describe({"model_type": "llama"} | SIZES)
    guessed = describe({"model_type": "lama9"} | SIZES)
    assert guessed.approximate
    assert not known.approximate
    assert guessed.total_parameters == known.total_parameters
    with pytest.raises(InvalidInput) as caught:
        describe({"model_type": "lama9", "hidden_size": 64})
    assert "llama" in str(caught.value.errors[0].message.params["nearest"])
