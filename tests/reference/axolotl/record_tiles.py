"""Records which model types ``tiled_mlp`` cannot be had with, as Axolotl's own patch says.

    python -m tests.reference.axolotl.record_tiles

Run it with an interpreter that has Axolotl (``docs/axolotl.md``). It patches every model type that is described here
and writes why not to ``tests/data/axolotl/tiles-0.19.0.json``: ``raises``, with the error's name, or ``takes_more``
where the forward in the place of which the patch puts its own is called with more than one tensor. Of those that can
be patched ``generic`` tells what becomes of them under ``tiled_mlp_use_original_mlp: false``, which puts one forward
in the place of all: what it ``lacks`` in a small module of the class, or ``differs`` where it computes something
else. DeepSpeed, which the patch imports and one process does not use, is an empty module here.
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

import torch  # noqa: E402 - after the environment is set
from transformers import CONFIG_MAPPING  # noqa: E402

RECORDING = Path(__file__).parents[2] / "data" / "axolotl" / "tiles-0.19.0.json"
SMALL = 8, 16
"""The hidden and the intermediate size of a module that is made to be tried."""
SHARDED = "deepspeed.runtime.sequence_parallel.ulysses_sp"


def patched(patch: Any, model_type: str) -> tuple[str, str | None]:
    """Why this model type cannot be patched, empty where it can; and what is wrong with the generic forward then."""
    found: list[type] = []
    prepare, patch._prepare_target_class = patch._prepare_target_class, found.append
    forwards = _forwards(model_type)
    try:
        patch.patch_tiled_mlp(model_type, use_original_mlp=True)
    except Exception as error:  # noqa: BLE001 - whatever it raises is the answer
        return f"raises {type(error).__name__}", None
    finally:
        patch._prepare_target_class = prepare
    needed = [
        parameter
        for parameter in inspect.signature(forwards[found[0]]).parameters.values()
        if parameter.default is inspect.Parameter.empty
    ]
    if len(needed) > 2:  # noqa: PLR2004 - the module itself and one tensor
        return "takes_more", None
    return "", _generic(found[0], model_type, forwards[found[0]])


def _generic(mlp: type, model_type: str, forward: Any) -> str:
    """What is wrong with the forward of ``use_original_mlp=False``, of which this repeats the one expression."""
    config = CONFIG_MAPPING[model_type]().get_text_config()
    config.hidden_size, config.intermediate_size = SMALL
    if hasattr(config, "mlp_multipliers"):
        config.mlp_multipliers = [2.0, 3.0]  # a published Falcon H1 has some; by default they are one
    given = {"config": config, "layer_idx": 0, "hidden_size": SMALL[0], "intermediate_size": SMALL[1]}
    parameters = inspect.signature(mlp.__init__).parameters
    module: Any = mlp(**{name: value for name, value in given.items() if name in parameters})
    lacking = [name for name in ("gate_proj", "up_proj", "down_proj", "act_fn") if not hasattr(module, name)]
    if lacking:
        return f"lacks {lacking[0]}"
    module.eval()
    x = torch.randn(4, SMALL[0])
    generic = module.down_proj(module.act_fn(module.gate_proj(x)) * module.up_proj(x))
    return "" if torch.allclose(forward(module, x), generic, atol=1e-6) else "differs"


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
    found = {model_type: patched(patch, model_type) for model_type in sorted(supported_model_types())}
    answers = {model_type: why for model_type, (why, _) in found.items()}
    generic = {model_type: wrong for model_type, (_, wrong) in found.items() if wrong is not None}
    versions = {name: version(name) for name in ("axolotl", "transformers")}
    rows = {
        "versions": versions,
        "script": "tests/reference/axolotl/record_tiles.py",
        "answers": answers,
        "generic": generic,
    }
    RECORDING.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
