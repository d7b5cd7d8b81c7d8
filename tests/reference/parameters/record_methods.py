"""Records what PEFT's other methods train: ``python -m tests.reference.parameters.record_methods`` from the root.

Needs what ``record`` needs. Every model is built on the meta device and wrapped by PEFT itself; bottleneck adapters,
which PEFT has not, are modules built by hand and hooked behind each layer's parts. Writes
``tests/data/parameters/methods.jsonl``: a line of versions, a line of the models' config.json, a line of what PEFT
chooses by itself (targets by model type, fields by method), then the points.

A point is ``{"model": index, "adapter": PEFT's type in lower case, "config": peft_config, "trainable": PEFT's count,
"all": PEFT's count with the frozen}``, or has ``"refused": PEFT's words`` instead of counts.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import json
import logging
import os
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.reference.parameters.record import PACKAGES, ROOT, build, small_configs

POINTS = ROOT / "tests" / "data" / "parameters" / "methods.jsonl"
RANKS = (1, 12, 64, 256)
VARIANT_SHARE = 3
"""Of a type's second and further configurations, every third case is recorded."""
DEFAULTS = {
    "adalora": "ADALORA",
    "ia3": "IA3",
    "ia3_feedforward": "IA3_FEEDFORWARD",
    "ln_tuning": "LNTUNING",
    "loha": "LOHA",
    "lokr": "LOKR",
    "oft": "OFT",
    "vera": "VERA",
}
TYPES = "prompt_tuning prefix_tuning p_tuning ia3 adalora loha lokr vera oft ln_tuning trainable_tokens".split()
ATTENDING = "self_attn attn attention self_attention linear_attn mamba conv mixer".split()
FEEDING = ("mlp", "feed_forward", "ffn", "block_sparse_moe", "moe", "fc2")


def cases(config_json: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The methods and settings recorded for one model: every method, ranks 1 to 256, and odd settings."""
    from app.core.architecture import Kind
    from app.core.architectures import describe

    rows = describe(config_json).modules
    linears = [m for m in rows if m.kind in (Kind.LINEAR, Kind.CONV1D) and m.layers and m.part == "text"]
    first, last = linears[0], linears[-1]
    embed = next(m for m in rows if m.kind is Kind.EMBEDDING and m.part == "text")
    head = next(m for m in rows if m.kind is Kind.HEAD)
    norms = [m for m in rows if m.kind is Kind.NORM]
    convolutions = [m for m in rows if m.kind is Kind.CONVOLUTION]
    layer = last.layers[-1] if last.layers else 0
    once = last.path.replace("{}", str(layer), 1)
    pattern = rf".*\.{layer}\..*{last.name}"
    pair = [first.name, last.name]
    holder = last.path.rpartition(".")[0].removesuffix(".{}").rpartition(".")[2]

    for tokens in (1, 20, 100):
        yield "prompt_tuning", {"num_virtual_tokens": tokens}
    yield "prompt_tuning", {"num_virtual_tokens": 8, "modules_to_save": [head.name]}
    yield "prompt_tuning", {"num_virtual_tokens": 8, "token_dim": 48}
    yield "prompt_tuning", {"num_virtual_tokens": 8, "prompt_tuning_init": "TEXT"}
    for tokens in (1, 20):
        yield "prefix_tuning", {"num_virtual_tokens": tokens}
        yield "prefix_tuning", {"num_virtual_tokens": tokens, "prefix_projection": True}
    yield "prefix_tuning", {"num_virtual_tokens": 4, "prefix_projection": True, "encoder_hidden_size": 24}
    yield "prefix_tuning", {"num_virtual_tokens": 4, "num_layers": 2, "token_dim": 32, "num_attention_heads": 2}
    yield "p_tuning", {"num_virtual_tokens": 20}
    yield "p_tuning", {"num_virtual_tokens": 5, "encoder_hidden_size": 24}
    yield "p_tuning", {"num_virtual_tokens": 5, "encoder_num_layers": 5}
    yield "p_tuning", {"num_virtual_tokens": 5, "encoder_reparameterization_type": "LSTM"}
    yield (
        "p_tuning",
        {
            "num_virtual_tokens": 5,
            "encoder_reparameterization_type": "LSTM",
            "encoder_hidden_size": 24,
            "encoder_num_layers": 3,
        },
    )

    def targeted(type_: str, **more: Any) -> Iterator[tuple[str, dict[str, Any]]]:
        yield type_, more
        yield type_, more | {"target_modules": pair}
        yield type_, more | {"target_modules": [once]}
        yield type_, more | {"target_modules": pattern}
        yield type_, more | {"target_modules": "all-linear"}
        yield type_, more | {"target_modules": pair, "modules_to_save": [head.name, norms[-1].name if norms else "x"]}
        yield type_, more | {"target_modules": [head.name]}
        yield type_, more | {"target_modules": [embed.name]}
        yield type_, more | {"target_modules": ["nothing_here"]}
        yield type_, more | {"target_modules": []}
        yield type_, more | {"target_modules": [holder]}
        if convolutions:
            yield type_, more | {"target_modules": [convolutions[0].name]}
        if type_ != "vera":
            yield type_, more | {"target_modules": pair, "exclude_modules": [first.name]}
            yield type_, more | {"target_modules": pair, "exclude_modules": rf".*\.{layer}\..*"}

    yield from targeted("ia3", feedforward_modules=[])
    yield "ia3", {}
    yield "ia3", {"target_modules": pair, "feedforward_modules": [last.name]}
    yield "ia3", {"target_modules": pair, "feedforward_modules": rf".*\.{layer}\..*"}
    yield "ia3", {"target_modules": [first.name], "feedforward_modules": [last.name + "x"]}
    yield "ia3", {"target_modules": pair}
    yield from targeted("ln_tuning")
    yield "ln_tuning", {"target_modules": [m.name for m in norms[:2]] or [first.name]}
    yield "trainable_tokens", {"token_indices": [0, 3, 7]}
    yield "trainable_tokens", {"token_indices": [1], "target_modules": [embed.name, head.name]}
    yield "trainable_tokens", {"token_indices": [1, 2], "target_modules": [head.name]}
    yield "trainable_tokens", {"token_indices": [1, 2], "target_modules": [first.name]}
    yield "trainable_tokens", {"token_indices": [1, 2], "target_modules": [norms[0].name if norms else "x"]}

    for type_, steps in (("adalora", {"total_step": 100}), ("loha", {}), ("lokr", {}), ("vera", {}), ("oft", {})):
        yield from targeted(type_, **steps)
        yield type_, steps | {"target_modules": pair, "layers_to_transform": [1]}
        yield type_, steps | {"target_modules": pair, "layers_to_transform": layer}
        yield type_, steps | {"target_modules": pair, "layers_to_transform": [1], "layers_pattern": ["layers", "h"]}
        yield type_, steps | {"target_modules": pair, "layers_to_transform": [99]}
        yield type_, steps | {"target_modules": [once, first.name], "layers_to_transform": [0]}
        yield type_, steps | {"target_modules": pattern, "layers_to_transform": [0]}
        yield type_, steps | {"target_modules": pair, "layers_pattern": "layers"}
        if type_ != "oft":
            rank = "init_r" if type_ == "adalora" else "r"
            for value in RANKS:
                yield type_, steps | {"target_modules": pair, rank: value}
    for bias in ("all", "lora_only"):
        yield "adalora", {"total_step": 100, "target_modules": pair, "bias": bias}
    yield "adalora", {"target_modules": pair}
    yield "adalora", {"target_modules": pair, "total_step": 10, "tinit": 6, "tfinal": 5}
    yield "vera", {"target_modules": pair, "bias": "vera_only"}
    for type_ in ("loha", "lokr"):
        yield type_, {"target_modules": pair, "rank_pattern": {first.name: 3, rf"{layer}\..*": 5}}
        for convolution in convolutions[:2]:
            yield type_, {"target_modules": [convolution.name], "r": 3, "use_effective_conv2d": True}
    for factor in (-1, 4, 8, 7):
        for rank in (1, 4, 64):
            yield (
                "lokr",
                {"target_modules": pair, "r": rank, "decompose_factor": factor, "decompose_both": rank < 64},
            )
    for size in (4, 7, 24, 1000):
        yield "oft", {"target_modules": pair, "oft_block_size": size}
        yield "oft", {"target_modules": pair, "oft_block_size": 0, "r": size}
    yield "oft", {"target_modules": pair, "oft_block_size": 8, "r": 8}
    yield "oft", {"target_modules": pair, "block_share": True}
    yield "oft", {"target_modules": pair, "bias": "oft_only"}
    yield "oft", {"target_modules": pair, "bias": "all"}

    for placement in ("houlsby", "pfeiffer"):
        for size, bias in ((1, True), (64, True), (16, False)):
            yield "bottleneck", {"bottleneck_size": size, "placement": placement, "bias": bias}
    yield "bottleneck", {}


def bottleneck(config_json: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    """Adapters of two linears, hooked behind the parts of every decoder layer."""
    import torch

    size = config.get("bottleneck_size", 64)
    bias = config.get("bias", True)
    places = ("attending", "feeding") if config.get("placement", "houlsby") == "houlsby" else ("feeding",)
    model = build(config_json)
    model.requires_grad_(requires_grad=False)
    text = model.config.get_text_config()
    width, count = text.hidden_size, text.num_hidden_layers
    layers = next(
        module
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.ModuleList)
        and len(module) == count
        and not any(part in name for part in ("vision", "audio", "visual"))
        and any(child in (*ATTENDING, *FEEDING) for child, _ in module[0].named_children())
    )

    class Adapter(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.down = torch.nn.Linear(width, size, bias=bias)
            self.up = torch.nn.Linear(size, width, bias=bias)

        def forward(self, x: Any) -> Any:
            return x + self.up(torch.relu(self.down(x)))

    def behind(adapter: Any) -> Any:
        def hook(_module: Any, _inputs: Any, output: Any) -> Any:
            return (adapter(output[0]), *output[1:]) if isinstance(output, tuple) else adapter(output)

        return hook

    for layer in layers:
        found = {}
        for name, child in layer.named_children():
            feeds = name in FEEDING or type(child).__name__.endswith(("MLP", "MoE", "MOE"))
            if feeds and not type(child).__name__.endswith("Attention"):
                found.setdefault("feeding", child)
            elif name in ATTENDING:
                found.setdefault("attending", child)
        for place in places:
            if place in found:
                with torch.device("meta"):
                    adapter = Adapter()
                layer.add_module(f"adapter_{place}", adapter)
                found[place].register_forward_hook(behind(adapter))
    trains = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return {"trainable": trains, "all": sum(p.numel() for p in model.parameters())}


@lru_cache(maxsize=1)
def bare(config_json: str) -> Any:
    """The model of the configuration at hand, to be copied."""
    return build(json.loads(config_json))


def point(config_json: dict[str, Any], adapter: str, config: dict[str, Any]) -> dict[str, Any]:
    """What comes of one method."""
    import torch
    from peft import get_peft_model
    from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING

    if adapter == "bottleneck":
        return bottleneck(config_json, config)
    kinds = {str(getattr(kind, "value", kind)): made for kind, made in PEFT_TYPE_TO_CONFIG_MAPPING.items()}
    model = copy.deepcopy(bare(json.dumps(config_json)))
    try:
        with torch.device("meta"):
            made = kinds[adapter.upper()](task_type="CAUSAL_LM", **json.loads(json.dumps(config)))
            trainable, everything = get_peft_model(model, made).get_nb_trainable_parameters()
    except (ValueError, TypeError, NotImplementedError, AttributeError, KeyError) as error:
        return {"refused": f"{type(error).__name__}: {error}"[:120]}
    return {"trainable": int(trainable), "all": int(everything)}


def own_choices() -> dict[str, Any]:
    """What PEFT chooses by itself: targets by model type, and each method's fields."""
    from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING
    from peft.utils import constants

    kinds = {str(getattr(kind, "value", kind)): made for kind, made in PEFT_TYPE_TO_CONFIG_MAPPING.items()}
    tables = {}
    for name, part in DEFAULTS.items():
        suffix = "_MODULES_MAPPING" if part.endswith("FEEDFORWARD") else "_TARGET_MODULES_MAPPING"
        tables[name] = getattr(constants, f"TRANSFORMERS_MODELS_TO_{part}{suffix}")
    return {
        "targets": tables,
        "fields": {name: [field.name for field in dataclasses.fields(kinds[name.upper()])] for name in TYPES},
    }


def read(path: Path) -> dict[str, list[tuple[dict[str, Any], list[dict[str, Any]]]]]:
    """What is recorded already, by model type: each configuration with its points."""
    held: dict[str, list[tuple[dict[str, Any], list[dict[str, Any]]]]] = {}
    if path.exists():
        _, models, _, *points = map(json.loads, path.read_text(encoding="utf-8").splitlines())
        for index, model in enumerate(models):
            held.setdefault(model["model_type"], []).append((model, [p for p in points if p["model"] == index]))
    return held


def write(path: Path, held: dict[str, list[tuple[dict[str, Any], list[dict[str, Any]]]]]) -> None:
    """All of it, in the order of the model types."""
    recorded = [pair for model_type in sorted(held) for pair in held[model_type]]
    heading = (
        {"versions": {package: version(package) for package in PACKAGES}},
        [model for model, _ in recorded],
        own_choices(),
    )
    points = ({**found, "model": index} for index, (_, points) in enumerate(recorded) for found in points)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{json.dumps(line)}\n" for line in (*heading, *points)), encoding="utf-8")


def main() -> None:
    """Write the points, after each model type."""
    from app.core.architectures import supported_model_types

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=POINTS)
    parser.add_argument("--only", nargs="*", help="record these model types anew and keep the others")
    parser.add_argument("--share", type=int, default=1, help="record every so many-th case")
    given = parser.parse_args()
    os.environ["HF_HUB_OFFLINE"] = "1"
    warnings.filterwarnings("ignore")
    logging.disable(logging.CRITICAL)
    held = read(given.out) if given.only else {}
    reasons: Counter[str] = Counter()
    for model_type in given.only or supported_model_types():
        recorded = []
        for config_json in small_configs(model_type):
            try:
                build(config_json)
            except Exception as error:  # noqa: BLE001
                print("not built:", model_type, repr(error)[:200], file=sys.stderr)
                continue
            share = VARIANT_SHARE if recorded else given.share
            points = []
            for position, (adapter, config) in enumerate(cases(config_json)):
                if position % share:
                    continue
                found = point(config_json, adapter, config)
                if "refused" in found:
                    reasons[f"{adapter} {found['refused'][:60]}"] += 1
                points.append({"model": 0, "adapter": adapter, "config": config} | found)
            recorded.append((config_json, points))
        held[model_type] = recorded
        write(given.out, held)
        print(model_type, sum(len(points) for _, points in recorded), flush=True)
    for reason, count in reasons.most_common():
        print(count, "refused:", reason, file=sys.stderr)


if __name__ == "__main__":
    main()
