"""Axolotl's own judgement of YAML files, without a GPU. Runs in Axolotl's environment, not in the product's.

Reads one JSON object a line from standard input (``name``, ``yaml``, ``model_type``, ``compute_capability``, ``bf16``)
and writes one a line to standard output: ``name``, ``valid``, ``error``, and lists ``unknown``, ``deprecated`` and
``lint``. What ``axolotl train`` does up to validation is done here with made-up GPU capabilities; no model and no data is
loaded. Each file is judged with no plugin left over from the one before.
"""

import io
import json
import logging
import os
import sys
import typing
import warnings
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

os.environ["AXOLOTL_DO_NOT_TRACK"] = "1"
os.environ["DO_NOT_TRACK"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["WANDB_MODE"] = "disabled"
warnings.filterwarnings("ignore")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))


class Deprecations(logging.Handler):
    """Gathers the log lines in which Axolotl gives something up."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep what speaks of deprecation."""
        text = record.getMessage()
        if "deprecat" in text.lower():
            self.lines.append(text)


def spellings(model: Any) -> dict[str, Any]:
    """Every spelling of every key of a pydantic model."""
    names: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        alias = field.validation_alias or field.alias
        for spelling in (name, *getattr(alias, "choices", [alias] if alias else [])):
            names[str(spelling)] = field
    return names


def nested(annotation: Any) -> list[Any]:
    """The pydantic models inside an annotation."""
    from pydantic import BaseModel

    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in typing.get_args(annotation) for model in nested(argument)]


def unknown_keys(value: Any, models: list[Any], path: str = "") -> list[str]:
    """Keys below ``value`` that none of ``models`` has: Axolotl drops them in silence."""
    if isinstance(value, list):
        return [key for i, item in enumerate(value) for key in unknown_keys(item, models, f"{path}[{i}]")]
    if not isinstance(value, dict) or not models:
        return []
    found = []
    tables = [spellings(model) for model in models]
    for key, inner in value.items():
        fields = [table[key] for table in tables if key in table]
        if not fields:
            found.append(f"{path}.{key}".lstrip("."))
        found += unknown_keys(inner, [m for field in fields for m in nested(field.annotation)], f"{path}.{key}")
    return found


def dataset_models(rl: str | None) -> list[Any]:
    """What Axolotl turns each dataset into before it validates the list."""
    from axolotl.utils.schemas import datasets

    if rl in ("dpo", "ipo", "simpo"):
        return [datasets.DPODataset]
    return [datasets.KTODataset] if rl == "kto" else [datasets.SFTDataset]


def judge(case: dict[str, Any]) -> dict[str, Any]:
    """Validate one file as Axolotl would on one such GPU."""
    import yaml
    from axolotl.integrations.base import PluginManager
    from axolotl.integrations.config import merge_input_args
    from axolotl.utils.config import prepare_plugins, validate_config
    from axolotl.utils.dict import DictDefault
    from axolotl.utils.schemas.config import AxolotlConfigWCapabilities

    from tests.conformance.lint import lint

    raw = yaml.safe_load(case["yaml"])
    verdict: dict[str, Any] = {"name": case["name"], "valid": False, "error": None}
    config = DictDefault(json.loads(json.dumps(raw)))
    PluginManager.get_instance().plugins.clear()
    prepare_plugins(config)
    missing = set(raw.get("plugins") or []) - set(PluginManager.get_instance().plugins)
    if missing:  # Axolotl only logs this and goes on
        return verdict | {
            "error": f"plugins did not load: {sorted(missing)}",
            "unknown": [],
            "deprecated": [],
            "lint": [],
        }
    model = merge_input_args()[0] if config.plugins else AxolotlConfigWCapabilities
    names = spellings(model)
    outside = {key: value for key, value in raw.items() if key != "datasets"}
    inside = unknown_keys(raw.get("datasets"), dataset_models(raw.get("rl")), "datasets")
    verdict["unknown"] = unknown_keys(outside, [model]) + inside
    deprecations = Deprecations()
    root = logging.getLogger("axolotl")
    root.addHandler(deprecations)
    capability = case["compute_capability"]
    capabilities = {
        "bf16": case["bf16"],
        "fp8": int(capability.removeprefix("sm_")) >= 90,
        "tf32": case["bf16"],
        "n_gpu": 1,
        "n_node": 1,
        "compute_capability": capability,
    }
    try:
        validate_config(config, capabilities=capabilities, env_capabilities={"torch_version": "2.12.0"})
        verdict["valid"] = True
    except Exception as error:  # noqa: BLE001 - Axolotl raises many kinds, and each is its verdict
        verdict["error"] = f"{type(error).__name__}: {error}"
    finally:
        root.removeHandler(deprecations)
    verdict["deprecated"] = [key for key in raw if key in names and names[key].deprecated] + deprecations.lines
    verdict["lint"] = lint(raw, case["model_type"])
    return verdict


def main() -> None:
    """Judge line after line."""
    out = sys.stdout
    for line in sys.stdin:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            verdict = judge(json.loads(line))
        out.write(json.dumps(verdict) + "\n")
        out.flush()


if __name__ == "__main__":
    main()
