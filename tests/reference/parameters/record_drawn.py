"""Records counts of drawn configurations: ``python -m tests.reference.parameters.record_drawn --seed 1126 --count 240``.

Models of the catalogue at their real widths, few layers of each; keys that a person would put together, at random.
Needs what ``record_targets`` needs. Writes ``tests/data/parameters/drawn.jsonl`` in the form of ``targets.jsonl``.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import warnings
from importlib.metadata import version
from typing import Any

from tests.reference.memory.catalogue import pool, shrunk
from tests.reference.parameters.record import PACKAGES, ROOT
from tests.reference.parameters.record_targets import axolotl, point

POINTS = ROOT / "tests" / "data" / "parameters" / "drawn.jsonl"
RANKS = (1, 2, 4, 8, 12, 16, 24, 32, 64, 128, 256, 512)


def drawn(random_: random.Random, config_json: dict[str, Any]) -> dict[str, Any]:
    """One configuration of a model."""
    from app.core.adapter import default_targets
    from app.core.architecture import Kind, Part
    from app.core.architectures import describe

    architecture = describe(config_json)
    pick, chance = random_.choice, random_.random
    default = default_targets(architecture)
    text = [m for m in architecture.modules if m.part is Part.TEXT and m.layers is not None]
    names = list(dict.fromkeys(m.name for m in text if m.kind in (Kind.LINEAR, Kind.CONV1D)))
    ends = [m.name for m in architecture.modules if m.kind in (Kind.EMBEDDING, Kind.HEAD) and m.part is Part.TEXT]
    config: dict[str, Any] = {"lora_r": pick(RANKS)}
    kind = random_.choices(["names", "default", "linear", "all", "pattern", "both"], [35, 20, 15, 5, 15, 10])[0]
    chosen = random_.sample(names, random_.randint(1, len(names)))
    if kind in ("linear", "both"):
        config["lora_target_linear"] = True
    if kind == "default":
        config["lora_target_modules"] = default if isinstance(default, str) else list(default)
    elif kind == "all":
        config["lora_target_modules"] = "all-linear"
    elif kind == "pattern":
        layers = pick([r"\d+", "[0-1]", "(0|2)"])
        config["lora_target_modules"] = rf".*layers\.{layers}\..*({'|'.join(chosen)})"
    elif kind != "linear":
        config["lora_target_modules"] = chosen + (random_.sample(ends, 1) if chance() < 0.15 else [])
    listed = isinstance(config.get("lora_target_modules", []), list)
    experts = [m.path.partition("{}.")[2] for m in text if m.kind is Kind.EXPERTS]
    if experts and chance() < 0.4:
        config["lora_target_parameters"] = random_.sample(experts, random_.randint(1, len(experts)))
    if chance() < 0.2:
        config["peft_use_dora"] = True
    if chance() < 0.25:
        config["lora_rank_pattern"] = {pick(chosen): pick(RANKS), rf"layers\.{random_.randint(0, 2)}\..*": pick(RANKS)}
    if listed and chance() < 0.25:
        config["peft_layers_to_transform"] = random_.sample(range(3), random_.randint(1, 3))
    if chance() < 0.25:
        config["lora_modules_to_save"] = random_.sample(ends, random_.randint(1, len(ends)))
    elif chance() < 0.1:
        config["peft_trainable_token_indices"] = sorted(random_.sample(range(200), random_.randint(1, 30)))
    return config


def main() -> None:
    """Write the points."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--count", type=int, required=True)
    given = parser.parse_args()
    os.environ["HF_HUB_OFFLINE"] = "1"
    warnings.filterwarnings("ignore")
    logging.disable(logging.CRITICAL)
    functions = axolotl()
    functions["_patch_peft_clippable_linear"]()
    random_ = random.Random(given.seed)  # noqa: S311
    kinds = pool()
    models: list[dict[str, Any]] = []
    lines: list[str] = []
    for index in range(given.count):
        kind = sorted(kinds)[index % len(kinds)]
        model = shrunk(random_.choice(kinds[kind]), 4)
        config = drawn(random_, model)
        try:
            found = point(functions, model, config)
        except Exception as error:  # noqa: BLE001
            print("not built:", kind, config, repr(error)[:200], flush=True)
            continue
        if model not in models:
            models.append(model)
        lines.append(json.dumps({"model": models.index(model), "config": config} | found))
        print(index, kind, config, found.get("trainable", "refused"), flush=True)
    first = json.dumps({"versions": {package: version(package) for package in (*PACKAGES, "axolotl")}})
    POINTS.write_text("".join(f"{line}\n" for line in (first, json.dumps(models), *lines)), encoding="utf-8")


if __name__ == "__main__":
    main()
