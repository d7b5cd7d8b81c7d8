"""Axolotl's verdict on configurations, one JSON object a line in and out. Runs in Axolotl's environment.

In: ``name``, ``config`` or ``yaml``, ``capability``, ``gpus``, ``values`` (whether the validated values are wanted).
Out: ``name``, ``valid``, ``error``, and ``values`` where asked for.
"""

import io
import json
import os
import sys
import types
import warnings
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

os.environ["AXOLOTL_DO_NOT_TRACK"] = "1"
os.environ["DO_NOT_TRACK"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["WANDB_MODE"] = "disabled"
warnings.filterwarnings("ignore")

STUBS = ("ring_flash_attn",)
"""Packages that a validator imports only to see that they are there, and that need CUDA to build."""


def add_stubs() -> None:
    """Stand-ins for what needs CUDA."""
    import importlib.util

    for name in STUBS:
        if importlib.util.find_spec(name) is None:
            module = types.ModuleType(name)
            module.__spec__ = importlib.util.spec_from_loader(name, loader=None)
            sys.modules[name] = module


def judge(case: dict[str, Any]) -> dict[str, Any]:
    """One verdict, as ``axolotl train`` would come to it on such a card."""
    import yaml
    from axolotl.integrations.base import PluginManager
    from axolotl.utils.config import prepare_plugins, validate_config
    from axolotl.utils.dict import DictDefault

    verdict: dict[str, Any] = {"name": case["name"], "valid": False, "error": None}
    capability = int(case["capability"].removeprefix("sm_"))
    capabilities = {
        "bf16": capability >= 80,
        "fp8": capability >= 89,
        "tf32": capability >= 80,
        "n_gpu": case["gpus"],
        "n_node": 1,
        "compute_capability": case["capability"],
    }
    PluginManager.get_instance().plugins.clear()
    try:
        raw = yaml.safe_load(case["yaml"]) if "yaml" in case else case["config"]
        if any(not str(name).startswith("axolotl.integrations.") for name in (raw or {}).get("plugins") or []):
            foreign = [n for n in raw["plugins"] if not str(n).startswith("axolotl.integrations.")]
            if any("." in str(name) for name in foreign):
                raise ValueError(f"foreign plugins are not imported here: {foreign}")
        config = DictDefault(raw)
        prepare_plugins(config)
        found = validate_config(config, capabilities=capabilities, env_capabilities={"torch_version": "2.12.0"})
        verdict["valid"] = True
        if case.get("values"):
            verdict["values"] = json.loads(json.dumps(found.to_dict(), default=str, sort_keys=True))
    except BaseException as error:  # noqa: BLE001 - Axolotl raises many kinds, and each is its verdict
        verdict["error"] = f"{type(error).__name__}: {error}"[:600]
    return verdict


def main() -> None:
    """Judge line after line."""
    out = sys.stdout
    add_stubs()
    for line in sys.stdin:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            verdict = judge(json.loads(line))
        out.write(json.dumps(verdict) + "\n")
        out.flush()


if __name__ == "__main__":
    main()
