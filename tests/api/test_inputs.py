"""Who and what a request is about."""

import pytest

from app.catalog.library import Catalog
from app.core.errors import InvalidInput, UnknownName
from app.core.units import GIB
from app.services.inputs import resolve_hardware, resolve_model

TINY = {"model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2, "vocab_size": 100, "intermediate_size": 128}


def pointers(error: InvalidInput) -> list[str]:
    """Where the faults are."""
    return [fault.pointer for fault in error.errors]


def test_a_config_json_overrides_the_catalogue(catalog: Catalog) -> None:
    """The row stays at hand for what a config.json does not say."""
    resolved = resolve_model(catalog=catalog, base_model="meta-llama/llama-3.1-8b", model=TINY)
    assert resolved.architecture.hidden_size == 64
    assert resolved.row is not None
    assert resolved.id == "meta-llama/Llama-3.1-8B"


def test_a_config_json_names_itself(catalog: Catalog) -> None:
    """Where nothing else names it."""
    resolved = resolve_model(catalog=catalog, base_model=None, model={**TINY, "_name_or_path": "me/mine"})
    assert (resolved.id, resolved.row) == ("me/mine", None)
    assert resolve_model(catalog=catalog, base_model="", model=TINY).id is None


@pytest.mark.parametrize("base_model", [None, "", "  ", 5, ["x"]])
def test_a_model_must_be_named(catalog: Catalog, base_model: object) -> None:
    """By a text."""
    with pytest.raises(InvalidInput) as caught:
        resolve_model(catalog=catalog, base_model=base_model, model=None)
    assert pointers(caught.value) == ["/base_model"]


def test_an_unknown_model(catalog: Catalog) -> None:
    """The catalogue says what comes nearest."""
    with pytest.raises(UnknownName, match="unknown model"):
        resolve_model(catalog=catalog, base_model="meta-llama/Llama-9", model=None)


def test_bare_memory_is_taken_for_ampere(catalog: Catalog) -> None:
    """The tree reads it as typed, the capacity is that many GiB."""
    hardware = resolve_hardware(catalog=catalog, vram_gib=23.5)
    assert hardware is not None
    assert (hardware.capacity_bytes, hardware.marketed_memory_gb) == (round(23.5 * GIB), 23.5)
    assert (hardware.compute_capability, hardware.bf16, hardware.gpu_id) == ((8, 0), True, None)


def test_an_older_card_has_no_bf16(catalog: Catalog) -> None:
    """Turing and before."""
    hardware = resolve_hardware(catalog=catalog, vram_gib=16, compute_capability="7.5")
    assert hardware is not None
    assert not hardware.bf16


def test_nothing_named_is_no_hardware(catalog: Catalog) -> None:
    """An estimate does without."""
    assert resolve_hardware(catalog=catalog) is None


def test_every_fault_is_reported(catalog: Catalog) -> None:
    """Not just the first."""
    with pytest.raises(InvalidInput) as caught:
        resolve_hardware(catalog=catalog, gpu="rtx-4090", vram_gib=-1, count=0, nodes=10**9, compute_capability="eight")
    assert pointers(caught.value) == [
        "/hardware/count",
        "/hardware/nodes",
        "/hardware/vram_gib",
        "/hardware/compute_capability",
    ]


@pytest.mark.parametrize("vram_gib", [0, -1, float("nan"), float("inf"), 1e9])
def test_memory_that_cannot_be(catalog: Catalog, vram_gib: float) -> None:
    """Above 0 and within reason."""
    with pytest.raises(InvalidInput):
        resolve_hardware(catalog=catalog, vram_gib=vram_gib)


def test_a_config_json_without_any_size_is_refused(catalog: Catalog) -> None:
    """It would be counted as some model that nobody asked for."""
    with pytest.raises(InvalidInput) as caught:
        resolve_model(catalog=catalog, base_model=None, model={"model_type": "llama"})
    assert pointers(caught.value) == [
        "/model/hidden_size",
        "/model/num_hidden_layers",
        "/model/num_attention_heads",
        "/model/vocab_size",
    ]


def test_sizes_left_to_defaults_are_said(catalog: Catalog) -> None:
    """A size in ``text_config`` or by an older name is stated."""
    assert resolve_model(catalog=catalog, base_model=None, model=TINY).unstated == ("num_attention_heads",)
    gpt2 = {"model_type": "gpt2", "n_embd": 64, "n_layer": 2, "n_head": 4, "vocab_size": 100}
    assert resolve_model(catalog=catalog, base_model=None, model=gpt2).unstated == ()
    gemma = {"model_type": "gemma3", "text_config": {"hidden_size": 64, "num_hidden_layers": 2}}
    assert resolve_model(catalog=catalog, base_model=None, model=gemma).unstated == (
        "num_attention_heads",
        "vocab_size",
    )
