"""What PEFT's other methods train: equal to PEFT's counts, refused where PEFT refuses.

The counts are recorded by ``tests/reference/parameters/record_methods.py``.
"""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from app.core.adapted import Adapter
from app.core.architecture import Architecture
from app.core.architectures import describe, supported_model_types
from app.core.errors import InvalidInput
from app.core.methods import defaults
from app.core.methods.bottleneck import places_of
from app.core.methods.reading import read_method
from app.core.methods.resolving import resolve_peft
from app.core.methods.settings import Bottleneck, PeftType
from app.texts import LANGUAGES, texts

LINES = (Path(__file__).parents[2] / "data" / "parameters" / "methods.jsonl").read_text(encoding="utf-8").splitlines()
MODELS: list[dict[str, Any]] = json.loads(LINES[1])
CHOICES: dict[str, Any] = json.loads(LINES[2])
POINTS: list[dict[str, Any]] = [json.loads(line) for line in LINES[3:]]
FEWEST_POINTS = 6000
LLAMA = MODELS[next(i for i, model in enumerate(MODELS) if model["model_type"] == "llama")]
LLAMA_8B = LLAMA | {
    "vocab_size": 128256,
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
}


def resolved(architecture: Architecture, adapter: str, config: dict[str, Any]) -> Adapter:
    """What trains under a method's settings."""
    return resolve_peft(architecture, read_method(PeftType(adapter), config))


def test_points_cover_every_model_type_and_method() -> None:
    """Each description is held to each method, ranks from 1 to 256."""
    assert len(POINTS) >= FEWEST_POINTS
    assert {model["model_type"] for model in MODELS} == set(supported_model_types())
    versions = json.loads(LINES[0])["versions"]
    assert (versions["transformers"], versions["peft"]) == ("5.16.1", "0.20.0")
    counted = Counter(point["adapter"] for point in POINTS if "refused" not in point)
    assert set(counted) == set(PeftType)
    assert min(counted.values()) >= 100
    assert {1, 64, 256} <= {point["config"].get("r") for point in POINTS}


@pytest.mark.parametrize("index", range(len(MODELS)), ids=[model["model_type"] for model in MODELS])
def test_bottlenecks_stand_where_they_were_counted(index: int) -> None:
    """The script puts an adapter behind each named part of each layer: together they are what was recorded to train."""
    architecture = describe(MODELS[index])
    for point in (point for point in POINTS if point["model"] == index and point["adapter"] == "bottleneck"):
        settings = read_method(PeftType.BOTTLENECK, point["config"]).settings
        assert isinstance(settings, Bottleneck)
        root, names, only = places_of(architecture, settings)
        places = {
            (layer, name)
            for module in architecture.modules
            for layer in module.layers or ()
            for name in names
            if f"{module.path}.".startswith(f"{root}.{name}.") and (only is None or layer in only)
        }
        width, size = architecture.hidden_size, settings.size
        each = 2 * width * size + (width + size) * settings.bias
        assert each * len(places) == point["trainable"], point["config"]


@pytest.mark.parametrize("index", range(len(MODELS)), ids=[model["model_type"] for model in MODELS])
def test_every_count_is_pefts(index: int) -> None:
    """Trainable and all, to the last one; refused where PEFT raises."""
    architecture = describe(MODELS[index])
    for point in POINTS:
        if point["model"] != index:
            continue
        if "refused" in point:
            with pytest.raises(InvalidInput):
                resolved(architecture, point["adapter"], point["config"])
            continue
        adapter = resolved(architecture, point["adapter"], point["config"])
        found = adapter.trainable_parameters, adapter.total_parameters
        assert found == (point["trainable"], point["all"]), (point["adapter"], point["config"])


@pytest.mark.parametrize("name", list(CHOICES["targets"]))
def test_defaults_are_pefts(name: str) -> None:
    """Its tables, for every model type that is described here."""
    own = defaults.IA3_FEEDFORWARD if name == "ia3_feedforward" else defaults.TARGETS[PeftType(name)]
    theirs = CHOICES["targets"][name]
    known = set(supported_model_types())
    assert set(own) == set(theirs) & known
    for model_type, names in own.items():
        given = theirs[model_type]
        assert (names if isinstance(names, str) else list(names)) == given, model_type


def test_settings_are_pefts() -> None:
    """Every setting that is read exists in PEFT; of AdaLoRA's, those of LoRA that change what trains are left out."""
    for name, theirs in CHOICES["fields"].items():
        own = set(defaults.FIELDS[PeftType(name)])
        assert own <= set(theirs), name
        if name != "adalora":
            assert own == set(theirs), name


@pytest.mark.parametrize(
    ("adapter", "config", "expected"),
    [
        ("prompt_tuning", {"num_virtual_tokens": 20}, 20 * 4096),
        ("prefix_tuning", {"num_virtual_tokens": 20}, 20 * 32 * 2 * 8 * 128),
        ("ia3", {}, 32 * (1024 + 1024 + 14336)),
        ("bottleneck", {"bottleneck_size": 64}, 2 * 32 * (2 * 4096 * 64 + 64 + 4096)),
        ("vera", {"r": 256}, 32 * (256 + 4096 + 256 + 1024)),
        ("ln_tuning", {}, 65 * 4096),
    ],
)
def test_the_guides_arithmetic_holds(adapter: str, config: dict[str, Any], expected: int) -> None:
    """20 virtual tokens of Llama's 4096 are 81,920; grouped-query attention quarters a prefix."""
    assert resolved(describe(LLAMA_8B), adapter, config).trainable_parameters == expected


@pytest.mark.parametrize("targets", [["q_proj", "k_proj"], r".*\.(q|k)_proj"])
@pytest.mark.parametrize("excluded", [["k_proj"], r".*\.k_proj"])
def test_what_is_excluded_does_not_train(targets: list[str] | str, excluded: list[str] | str) -> None:
    """Of names and of a pattern; PEFT's ``check_target_module_exists`` looks at what is excluded first."""
    config = {"target_modules": targets, "exclude_modules": excluded}
    assert {row.module.name for row in resolved(describe(LLAMA_8B), "loha", config).modules} == {"q_proj"}


@pytest.mark.parametrize("language", list(LANGUAGES))
def test_every_row_says_how_it_is_counted(language: str) -> None:
    """The formula is a text, and its numbers give the count: what is written is calculated again."""
    known = texts(language)
    architecture = describe(LLAMA)
    for point in POINTS:
        if "refused" in point or point["adapter"] == "lokr" or MODELS[point["model"]] != LLAMA:
            continue
        for row in resolved(architecture, point["adapter"], point["config"]).modules:
            if row.formula is None:
                assert row.own_parameters
                continue
            said = known.render(row.formula)
            arithmetic = said.replace("×", "*").replace("²", "**2").replace(",", "").replace("/ 2", "// 2")
            assert eval(arithmetic) * row.copies == row.trainable_parameters, said
