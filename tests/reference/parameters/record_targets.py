"""Records what targets reach: ``python -m tests.reference.parameters.record_targets`` from the repository's root.

Needs what ``record`` needs and Axolotl 0.19.0 beside it, whose own functions turn the keys into PEFT's configuration,
find the linears of ``lora_target_linear`` and unfreeze parameters; they are read from its files, so that none of the
packages that it would otherwise draw in is needed. Writes ``tests/data/parameters/targets.jsonl``; the first line
names the versions.

A point is ``{"model": index into the second line's list of config.json, "config": Axolotl's keys beside ``COMMON``, "trainable": PEFT's
count, "all": PEFT's count with the frozen, "names": adapted instances by the last part of their path}``, or has
``"refused": true`` where PEFT raises.
"""

from __future__ import annotations

import argparse
import ast
import importlib.util
import json
import logging
import os
import sys
import types
import warnings
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.reference.parameters.record import PACKAGES, ROOT, build, small_configs

POINTS = ROOT / "tests" / "data" / "parameters" / "targets.jsonl"
ADAPTER_FUNCTIONS = (
    "find_all_linear_names",
    "_patch_peft_clippable_linear",
    "_get_peft_task_type",
    "_build_lora_config_kwargs",
    "_build_peft_lora_config",
)
FREEZE_NAMES = ("freeze_layers_except", "LayerNamePattern", "_merge_ranges", "_invert_ranges")
COMMON = {"adapter": "lora", "lora_alpha": 8, "lora_dropout": 0.0}
"""What every configuration with a rank has beside what is written of it."""
LORA = {"lora_r": 4}
REASONS: Counter[str] = Counter()
"""Why PEFT refused what it refused, printed at the end."""
LARGE_RANKS = (1, 2, 16, 32, 128, 256)


class Keys(dict[str, Any]):
    """Axolotl's ``DictDefault``: what is not set is None."""

    def __getattr__(self, name: str) -> Any:
        return self.get(name)


def axolotl() -> dict[str, Any]:
    """Axolotl's functions by name, from its files."""
    import torch
    from peft import LoftQConfig, LoraConfig, PeftConfig, TaskType
    from transformers import PreTrainedModel

    spec = importlib.util.find_spec("axolotl")
    if spec is None or not spec.submodule_search_locations:
        raise ImportError("axolotl")
    home = Path(next(iter(spec.submodule_search_locations)))
    nothing = type("Nothing", (torch.nn.Module,), {})
    space: dict[str, Any] = {
        "Any": Any,
        "Callable": Any,
        "DictDefault": dict,
        "List": list,
        "LOG": logging.getLogger(),
        "LoftQConfig": LoftQConfig,
        "LoraConfig": LoraConfig,
        "PLUGIN_MANAGER": types.SimpleNamespace(get_lora_config_kwargs=lambda _: {}),
        "PeftConfig": PeftConfig,
        "PreTrainedModel": PreTrainedModel,
        "TaskType": TaskType,
        "Tuple": tuple,
        "Union": __import__("typing").Union,
        "bnb": types.SimpleNamespace(nn=types.SimpleNamespace(Linear4bit=nothing, Linear8bitLt=nothing)),
        "is_main_process": lambda: False,
        "torch": torch,
        "_create_freeze_parameters_hook": lambda _: lambda gradients: gradients,
    }
    space["re"] = __import__("re")
    for file, names in (
        ("loaders/utils.py", ("get_linear_embedding_layers",)),
        ("loaders/adapter.py", ADAPTER_FUNCTIONS),
        ("utils/freeze.py", FREEZE_NAMES),
    ):
        tree = ast.parse((home / file).read_text(encoding="utf-8"))
        tree.body = [node for node in tree.body if getattr(node, "name", None) in names]
        exec(compile(tree, str(home / file), "exec"), space)  # noqa: S102
    return space


def configs(config_json: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The configurations recorded for one model: what people write, and what they get wrong."""
    from app.core.adapter import default_targets
    from app.core.architecture import Kind
    from app.core.architectures import describe

    architecture = describe(config_json)
    rows = architecture.modules
    linears = [m for m in rows if m.kind in (Kind.LINEAR, Kind.CONV1D) and m.layers and m.part == "text"]
    first, last = linears[0], linears[-1]
    embed = next(m for m in rows if m.kind is Kind.EMBEDDING and m.part == "text")
    head = next(m for m in rows if m.kind is Kind.HEAD)
    norm = next(m for m in reversed(rows) if m.kind is Kind.NORM or m is head)
    default = default_targets(architecture)
    targets: Any = default if isinstance(default, str) else list(default)
    layer = first.layers[-1] if first.layers else 0
    once = first.path.replace("{}", str(layer), 1)

    def lora(targets: Any, **keys: Any) -> dict[str, Any]:
        return LORA | {"lora_target_modules": targets} | keys

    yield LORA | {"lora_target_linear": True}
    yield LORA | {"lora_target_linear": True, "peft_use_dora": True}
    yield LORA | {"lora_target_linear": True, "peft_layers_to_transform": [1]}
    yield LORA | {"lora_target_linear": True, "lora_target_modules": [embed.name, head.name]}
    yield lora("all-linear")
    yield lora([once])
    yield lora([once.partition(".")[2], last.name])
    yield lora(rf".*\.{layer}\..*{first.name}")
    yield lora(r"(?!.*(vision|audio|visual)).*_proj")
    yield lora([embed.name])
    yield lora([embed.name, first.name], peft_use_dora=True)
    yield lora([head.name])
    yield lora([head.name, first.name], peft_use_dora=True, peft_layers_to_transform=[0, 2])
    yield lora([first.name], peft_layers_to_transform=1)
    yield lora([first.name], peft_layers_to_transform=[layer, 99])
    yield lora([first.name], peft_layers_to_transform=[99])
    yield lora(rf".*{first.name}", peft_layers_to_transform=[0])
    yield lora(targets, lora_modules_to_save=[embed.name, head.name])
    yield lora([first.name, head.name], lora_modules_to_save=[head.name])
    yield lora([first.name], lora_modules_to_save=[norm.name])
    yield lora([first.name], lora_modules_to_save=["norm"])
    yield lora([first.name], lora_modules_to_save=[last.path.replace("{}", "1").rpartition(".")[2], "nothing_here"])
    holder = last.path.rpartition(".")[0]
    if not holder.endswith("{}"):
        yield lora([first.name], lora_modules_to_save=[holder.rpartition(".")[2]])
    yield lora(targets, lora_rank_pattern={first.name: 3})
    yield lora([first.name, last.name], lora_rank_pattern={rf"{layer}\..*": 2, last.name: 6})
    yield lora([first.name], peft_trainable_token_indices=[0, 3, 7])
    yield lora([first.name], peft_trainable_token_indices={embed.name: [1, 2]})
    yield lora([first.name], peft_trainable_token_indices={embed.name: [1, 2], head.name: [1, 2]})
    yield lora([first.name], peft_trainable_token_indices={embed.name: [1, 2], head.name: [5]})
    yield lora([first.name], peft_trainable_token_indices={"nothing_here": [1]})
    yield lora(["nothing_here"])
    yield lora("nothing_here")
    yield lora([])
    yield lora([norm.name])
    yield lora([holder.removesuffix(".{}").rpartition(".")[2], first.name])
    for convolution in [m for m in rows if m.kind is Kind.CONVOLUTION][:2]:
        yield lora([convolution.name])
        yield lora([convolution.name], lora_r=2 * convolution.groups, peft_use_dora=True)
    yield lora(r"model\..*")
    yield lora([], lora_target_parameters=[f"{first.name}.weight"])
    yield lora([first.name], lora_target_parameters=[f"{first.name}.weight"])
    for rank in LARGE_RANKS:
        yield lora([first.name, last.name], lora_r=rank)
    experts = [m for m in rows if m.kind is Kind.EXPERTS]
    if experts:
        names = [m.path.partition("{}.")[2] for m in experts]
        yield lora([], lora_target_parameters=names)
        yield lora(targets, lora_target_parameters=[names[-1]])
        yield lora(targets, lora_target_parameters=names, peft_use_dora=True)
        yield lora(targets, lora_target_parameters=names, lora_rank_pattern={names[0]: 2})
        yield lora(targets, lora_target_parameters=names, peft_layers_to_transform=[1])
    olds = list(architecture.expert_names)
    if olds:
        named = [*targets] if isinstance(targets, list) else [first.name]
        yield lora([*named, *olds[1:]])
        yield lora([*named, *olds[1:]], lora_r=16)
        yield lora([*named, *olds])
        yield lora(olds[3:4])
        yield lora(olds[1:2])
        yield lora(olds, peft_use_dora=True)
        yield lora(olds[1:], peft_layers_to_transform=[1])
        yield lora(rf".*\.(q_proj|{olds[1]}|{olds[2]})")
        yield lora(r"model\.layers\.1\.self_attn\.(q_proj|k_proj)")
        yield lora(olds[1:], lora_rank_pattern={"gate_up_proj": 3, "down_proj": 5})
    for pattern in (
        ["^lm_head.weight$"],
        [once, "^nothing"],
        [r".+layers.1..+", embed.path],
        [r".*\.1\..*"],
        [f"^{embed.path}.weight$[:32]"],
        [f"{norm.path}.bias", f"{norm.path}.weight"],
    ):
        yield {"unfrozen_parameters": pattern}


def counted(model: Any) -> dict[str, Any]:
    """PEFT's two numbers, and how many instances of each name are adapted."""
    from peft.tuners.lora import LoraLayer

    trainable, everything = model.get_nb_trainable_parameters()
    names = Counter(
        name.removesuffix(".base_layer").rpartition(".")[2]
        for name, module in model.named_modules()
        if isinstance(module, LoraLayer)
    )
    return {"trainable": int(trainable), "all": int(everything), "names": dict(sorted(names.items()))}


def point(functions: dict[str, Any], config_json: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    """What comes of one configuration."""
    import torch
    from peft import get_peft_model

    model = build(config_json)
    if "lora_r" not in config:
        functions["freeze_layers_except"](model, config["unfrozen_parameters"])
        trains = sum(p.numel() for p in model.parameters() if p.requires_grad)
        return {"trainable": trains, "all": sum(p.numel() for p in model.parameters())}
    try:
        with torch.device("meta"):
            return counted(get_peft_model(model, functions["_build_peft_lora_config"](model, Keys(COMMON | config))))
    except (ValueError, NotImplementedError) as error:
        REASONS[str(error).partition(".")[0][:60]] += 1
        return {"refused": True}


def kept(first: str, anew: list[str]) -> tuple[list[dict[str, Any]], list[str]]:
    """Models and points of the types that are not recorded anew, as the file holds them."""
    heading, listed, *points = POINTS.read_text(encoding="utf-8").splitlines()
    if heading != first:
        raise SystemExit("the others were recorded with other versions")
    models: list[dict[str, Any]] = []
    places: dict[int, int] = {}
    for place, model in enumerate(json.loads(listed)):
        if model["model_type"] not in anew:
            places[place] = len(models)
            models.append(model)
    found = [json.loads(line) for line in points]
    lines = [json.dumps(one | {"model": places[one["model"]]}) for one in found if one["model"] in places]
    return models, lines


def main() -> None:
    """Write the points."""
    from app.core.architectures import supported_model_types

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", help="record these model types anew and keep the others")
    given = parser.parse_args()
    os.environ["HF_HUB_OFFLINE"] = "1"
    warnings.filterwarnings("ignore")
    logging.disable(logging.CRITICAL)
    functions = axolotl()
    functions["_patch_peft_clippable_linear"]()
    first = json.dumps({"versions": {package: version(package) for package in (*PACKAGES, "axolotl")}})
    models, lines = kept(first, given.only) if given.only else ([], [])
    for model_type in given.only or supported_model_types():
        for config_json in small_configs(model_type):
            try:
                build(config_json)
            except Exception as error:  # noqa: BLE001
                print("not built:", model_type, repr(error)[:200], file=sys.stderr)
                continue
            models.append(config_json)
            for config in configs(config_json):
                found = point(functions, config_json, config)
                lines.append(json.dumps({"model": len(models) - 1, "config": config} | found))
        print(model_type, len(lines), flush=True)
    for reason, count in REASONS.most_common():
        print(count, "refused:", reason, file=sys.stderr)
    POINTS.parent.mkdir(parents=True, exist_ok=True)
    POINTS.write_text("".join(f"{line}\n" for line in (first, json.dumps(models), *lines)), encoding="utf-8")


if __name__ == "__main__":
    main()
