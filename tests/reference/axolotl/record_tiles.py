"""Records which model types ``tiled_mlp`` cannot be had with, as Axolotl's own patch says.

    python -m tests.reference.axolotl.record_tiles

Run it with an interpreter that has Axolotl (``docs/axolotl.md``). It patches every model type that is described here
and writes why not to ``tests/data/axolotl/tiles-0.19.0.json``: ``raises``, with the error's name, or ``takes_more``
where the forward in the place of which the patch puts its own is called with more than one tensor. DeepSpeed, which
the patch imports and one process does not use, is an empty module here.
"""

import importlib
import inspect
import json
import os
import sys
import types
from importlib.machinery import ModuleSpec
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ["AXOLOTL_DO_NOT_TRACK"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"

RECORDING = Path(__file__).parents[2] / "data" / "axolotl" / "tiles-0.19.0.json"
SHARDED = "deepspeed.runtime.sequence_parallel.ulysses_sp"


def patched(patch: Any, model_type: str) -> str:
    """Why this model type cannot be patched; empty where it can."""
    found: list[type] = []
    prepare, patch._prepare_target_class = patch._prepare_target_class, found.append
    forwards = _forwards(model_type)
    try:
        patch.patch_tiled_mlp(model_type, use_original_mlp=True)
    except Exception as error:  # noqa: BLE001 - whatever it raises is the answer
        return f"raises {type(error).__name__}"
    finally:
        patch._prepare_target_class = prepare
    needed = [
        parameter
        for parameter in inspect.signature(forwards[found[0]]).parameters.values()
        if parameter.default is inspect.Parameter.empty
    ]
    return "takes_more" if len(needed) > 2 else ""  # noqa: PLR2004 - the module itself and one tensor


def _forwards(model_type: str) -> dict[type, Any]:
    """The forward of each class of the model type's module, before any is patched."""
    try:
        module = importlib.import_module(f"transformers.models.{model_type}.modeling_{model_type}")
    except ImportError:
        return {}
    return {one: one.forward for one in vars(module).values() if isinstance(one, type) and hasattr(one, "forward")}


def main() -> None:
    """Ask for every model type."""
    from app.core.architectures import supported_model_types  # noqa: PLC0415 - after the environment is set

    for at in range(1, SHARDED.count(".") + 2):
        name = ".".join(SHARDED.split(".")[:at])
        sys.modules[name] = types.ModuleType(name)
        sys.modules[name].__spec__ = ModuleSpec(name, None)
    sys.modules[SHARDED].TiledMLP = object  # type: ignore[attr-defined]
    patch = importlib.import_module("axolotl.monkeypatch.tiled_mlp.patch")
    answers = {model_type: patched(patch, model_type) for model_type in sorted(supported_model_types())}
    versions = {name: version(name) for name in ("axolotl", "transformers")}
    rows = {"versions": versions, "script": "tests/reference/axolotl/record_tiles.py", "answers": answers}
    RECORDING.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
