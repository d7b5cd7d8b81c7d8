"""Exports: a plugin, PEFT's configuration, a script. ``tests/conformance/exports.py`` runs them on real code."""

import ast
import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from app.catalog.library import Catalog, load_catalog
from app.core.errors import InvalidInput
from app.core.methods.settings import PeftType
from app.services.exporting import CONFIG_CLASSES, File, Target, export
from app.texts import texts

MODEL = "meta-llama/Llama-3.1-8B"
LORA = {
    "base_model": MODEL,
    "adapter": "lora",
    "lora_r": 8,
    "lora_alpha": 16,
    "lora_target_linear": True,
    "lora_modules_to_save": ["lm_head"],
    "lora_rank_pattern": {"q_proj": 4},
    "peft_layers_to_transform": [0, 1],
}
SETTINGS: Mapping[str, dict[str, Any]] = {
    "prompt_tuning": {"num_virtual_tokens": 20},
    "prefix_tuning": {"num_virtual_tokens": 20},
    "p_tuning": {"num_virtual_tokens": 20},
    "adalora": {"total_step": 100},
    "trainable_tokens": {"token_indices": [1, 2]},
}


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    """The product's own."""
    return load_catalog()


def config_of(adapter: str, **keys: Any) -> dict[str, Any]:
    """A configuration of a method."""
    return {"base_model": MODEL, "adapter": adapter, "peft_config": SETTINGS.get(adapter, {})} | keys


def made(catalog: Catalog, config: Mapping[str, Any], target: str, language: str = "en", **more: Any) -> File:
    """An export."""
    return export(catalog=catalog, config=config, target=Target(target), texts=texts(language), **more)


def refused(catalog: Catalog, config: Mapping[str, Any], target: str) -> tuple[str, str]:
    """Where and why there is none."""
    with pytest.raises(InvalidInput) as caught:
        made(catalog, config, target)
    (error,) = caught.value.errors
    assert texts("my").render(error.message) != error.message.code
    return error.pointer, error.message.code


@pytest.mark.parametrize("adapter", list(CONFIG_CLASSES))
def test_the_plugin_comes_with_its_yaml(catalog: Catalog, adapter: PeftType) -> None:
    """The configuration as it was, and the plugin listed behind a person's own; the same bytes each time."""
    config = config_of(adapter.value, plugins=["axolotl.integrations.liger.LigerPlugin"])
    file = made(catalog, config, "plugin")
    assert file.content == made(catalog, config, "plugin").content
    assert file.name == f"llama-3.1-8b-{adapter.value.replace('_', '-')}-plugin.zip"
    with zipfile.ZipFile(io.BytesIO(file.content)) as archive:
        names = archive.namelist()
        read = yaml.safe_load(archive.read(names[1]))
        ast.parse(archive.read("axoplan_peft.py"))
        assert b"PYTHONPATH=. axolotl train" in archive.read(names[1])
    assert read["plugins"] == ["axolotl.integrations.liger.LigerPlugin", "axoplan_peft.AxoplanPeftPlugin"]
    assert {key: value for key, value in read.items() if key != "plugins"} == {
        key: value for key, value in config.items() if key != "plugins"
    }


def test_without_comments_the_yaml_has_none(catalog: Catalog) -> None:
    """One plugin named as text is kept too."""
    file = made(catalog, config_of("ia3", plugins="a.B"), "plugin", comments=False)
    with zipfile.ZipFile(io.BytesIO(file.content)) as archive:
        text = archive.read("llama-3.1-8b-ia3.yaml").decode()
    assert "#" not in text
    assert yaml.safe_load(text)["plugins"] == ["a.B", "axoplan_peft.AxoplanPeftPlugin"]


@pytest.mark.parametrize("adapter", list(CONFIG_CLASSES))
def test_pefts_configuration_holds_the_settings(catalog: Catalog, adapter: PeftType) -> None:
    """Under PEFT's type, for causal language models."""
    file = made(catalog, config_of(adapter.value), "peft")
    read = json.loads(file.content)
    assert (file.name, read["peft_type"]) == ("adapter_config.json", adapter.value.upper())
    assert read["task_type"] == "CAUSAL_LM"
    assert read["base_model_name_or_path"] == MODEL
    assert SETTINGS.get(adapter.value, {}).items() <= read.items()


def test_lora_is_told_to_peft_as_axolotl_has_it(catalog: Catalog) -> None:
    """lora_target_linear by names; a pattern stays one; experts by their parameters."""
    read = json.loads(made(catalog, LORA, "peft").content)
    assert read["target_modules"] == ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    assert (read["r"], read["lora_alpha"], read["modules_to_save"]) == (8, 16, ["lm_head"])
    assert (read["rank_pattern"], read["layers_to_transform"]) == ({"q_proj": 4}, [0, 1])
    pattern = {"base_model": MODEL, "adapter": "lora", "lora_r": 4, "lora_target_modules": ".*q_proj"}
    assert json.loads(made(catalog, pattern, "peft").content)["target_modules"] == ".*q_proj"
    for rows in ([1, 2], {"embed_tokens": [1], "lm_head": [2]}):
        read = json.loads(made(catalog, pattern | {"peft_trainable_token_indices": rows}, "peft").content)
        assert read["trainable_token_indices"] == rows
    both = pattern | {"lora_target_modules": "q_proj", "lora_target_linear": True}
    assert len(json.loads(made(catalog, both, "peft").content)["target_modules"]) == 7
    experts = {
        "base_model": "Qwen/Qwen3-30B-A3B",
        "adapter": "lora",
        "lora_r": 4,
        "lora_target_parameters": ["mlp.experts.down_proj"],
    }
    assert json.loads(made(catalog, experts, "peft").content)["target_parameters"] == ["mlp.experts.down_proj"]


@pytest.mark.parametrize("language", ["en", "my"])
@pytest.mark.parametrize("adapter", [*PeftType, "lora", "qlora", "full"])
def test_the_script_is_python(catalog: Catalog, adapter: str, language: str) -> None:
    """Whole, with this model, its data and its settings."""
    config: dict[str, Any] = config_of(adapter) if adapter in tuple(PeftType) else LORA | {"adapter": adapter}
    if adapter == "qlora":
        config["load_in_4bit"] = True
    if adapter == "full":
        config = {"base_model": MODEL}
    file = made(catalog, config, "script", language)
    text = file.content.decode()
    tree = ast.parse(text)
    named = {target.id: node.value for node in tree.body if isinstance(node, ast.Assign) for target in node.targets}  # type: ignore[attr-defined]
    assert ast.literal_eval(named["MODEL"]) == MODEL
    assert {"adapt", "callbacks", "save", "main"} <= {
        node.name for node in tree.body if isinstance(node, ast.FunctionDef)
    }
    assert "$" not in text
    if adapter in CONFIG_CLASSES:
        assert CONFIG_CLASSES[PeftType(adapter)] in text
        assert SETTINGS.get(adapter, {}).items() <= ast.literal_eval(named["ADAPTER"]).items()
    assert ("QUANTIZED" in named) == (adapter == "qlora")
    assert ("PLACES" in named) == (adapter == "bottleneck")


@pytest.mark.parametrize(
    ("dataset", "expected"),
    [
        (
            {"path": "a/b", "type": "chat_template", "field_messages": "turns", "split": "train[:9]"},
            'MESSAGES = "turns"',
        ),
        ({"path": "a/b", "type": "chat_template", "field_messages": 3}, 'MESSAGES = "messages"'),
        ({"path": "a/b", "type": "alpaca", "name": "x"}, '"name": "x"'),
        ({"path": "a/b", "type": "alpaca_chat.load_qa"}, None),
        ({"path": "a/b", "type": "completion", "field": "body"}, 'FIELD = "body"'),
        ({"path": "a/b", "type": "completion"}, 'FIELD = "text"'),
        ({"path": "a/b", "type": {"field_instruction": "q"}}, None),
        ("a/b", 'MESSAGES = "messages"'),
    ],
)
def test_data_is_read_in_its_form(catalog: Catalog, dataset: Any, expected: str | None) -> None:
    """Chats, instructions and plain text; another form is refused by its key."""
    config = config_of("ia3", datasets=[dataset])
    if expected is None:
        assert refused(catalog, config, "script") == ("/config/datasets/0/type", "export.error.data")
        return
    assert expected in made(catalog, config, "script").content.decode()


def test_training_goes_over_in_transformers_names(catalog: Catalog) -> None:
    """Rates, steps and checkpointing; an optimizer that only Axolotl has becomes AdamW."""
    keys = {
        "learning_rate": "2e-4",
        "max_steps": 7,
        "warmup_ratio": 0.1,
        "weight_decay": True,
        "lr_scheduler": "rex",
        "optimizer": "muon",
        "gradient_checkpointing": True,
    }
    text = made(catalog, config_of("ia3", **keys), "script").content.decode()
    for line in (
        '"learning_rate": 0.0002,',
        '"max_steps": 7,',
        '"warmup_ratio": 0.1,',
        '"lr_scheduler_type": "cosine",',
        '"optim": "adamw_torch_fused",',
        '"gradient_checkpointing_kwargs": {"use_reentrant": False},',
    ):
        assert line in text
    assert "weight_decay" not in text


def test_nothing_typed_becomes_code(catalog: Catalog) -> None:
    """Names are quoted, and comments hold no line breaks."""
    evil = '"""\nimport os; os.system("x")\n"""'
    config = config_of("ia3", base_model=evil, datasets=[{"path": evil, "type": "completion"}])
    model = {"model_type": "llama", "hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 4}
    tree = ast.parse(made(catalog, config, "script", model=model).content)
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert imported == {"argparse", "torch"}


def test_bottleneck_places_are_the_models(catalog: Catalog) -> None:
    """Behind attention and feed-forward, or the feed-forward alone; OPT's feed-forward is two linears of the layer."""
    text = made(catalog, config_of("bottleneck"), "script").content.decode()
    assert 'PLACES = ["self_attn", "mlp"]' in text
    one = config_of("bottleneck", peft_config={"placement": "pfeiffer"})
    assert 'PLACES = ["mlp"]' in made(catalog, one, "script").content.decode()
    opt = {"model_type": "opt", "hidden_size": 64, "ffn_dim": 96, "num_hidden_layers": 2, "num_attention_heads": 4}
    assert (
        'PLACES = ["self_attn", "fc2"]' in made(catalog, config_of("bottleneck"), "script", model=opt).content.decode()
    )


def test_bottlenecks_stand_where_a_layer_is_one_part(catalog: Catalog) -> None:
    """Nemotron-H's layers are a mixer each, of whatever kind: behind all of them, or behind those that feed forward."""
    model = {"model_type": "nemotron_h", "hybrid_override_pattern": "M-*-", "num_hidden_layers": 4}
    text = made(catalog, config_of("bottleneck"), "script", model=model).content.decode()
    assert 'PLACES = ["mixer"]' in text
    assert r'layers\\.\\d+")' in text
    one = config_of("bottleneck", peft_config={"placement": "pfeiffer"})
    assert r'layers\\.(1|3)")' in made(catalog, one, "script", model=model).content.decode()


@pytest.mark.parametrize(
    ("config", "target", "code"),
    [
        (config_of("ia3"), "axolotl", "export.error.no_adapter"),
        (LORA, "plugin", "export.error.native"),
        ({"base_model": MODEL}, "plugin", "export.error.native"),
        (config_of("bottleneck"), "plugin", "export.error.bottleneck"),
        (config_of("bottleneck"), "peft", "export.error.no_peft"),
        ({"base_model": MODEL}, "peft", "export.error.no_peft"),
    ],
)
def test_what_cannot_be_had_is_said(catalog: Catalog, config: dict[str, Any], target: str, code: str) -> None:
    """At the adapter, with what to ask for instead."""
    assert refused(catalog, config, target) == ("/config/adapter", code)


def test_a_file_names_its_model(catalog: Catalog) -> None:
    """As for Axolotl's own file."""
    with pytest.raises(InvalidInput) as caught:
        made(catalog, {"adapter": "ia3"}, "plugin")
    assert caught.value.errors[0].pointer == "/config/base_model"
    assert made(catalog, {"base_model": MODEL}, "axolotl").name == "llama-3.1-8b-full.yaml"
