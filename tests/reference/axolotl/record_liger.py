"""Records which model types' losses Liger's plugin reaches, as Axolotl and Liger themselves say.

    python -m tests.reference.axolotl.record_liger

Run it with an interpreter that has Axolotl (``docs/axolotl.md``), ``liger-kernel==0.8.1`` and ``triton``, without a GPU.
For every model type that is described here, and for each of Liger's two losses, a process of its own runs the plugin's
``pre_model_load`` and writes to ``tests/data/axolotl/liger-0.19.0.json`` what becomes of the class that Axolotl loads:
``patched`` where its own forward, or the function that its loss calls, is another one; ``generic`` where the forward is
Axolotl's own for models that Liger does not know, ``lacks`` with what that reads and the model has not; ``raises`` with
the error's name; empty where all stays as it was.
"""

import importlib
import inspect
import json
import os
import sys
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

os.environ["AXOLOTL_DO_NOT_TRACK"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"

import torch  # noqa: E402 - after the environment is set
import transformers  # noqa: E402
from transformers import CONFIG_MAPPING, AutoModelForCausalLM  # noqa: E402
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES  # noqa: E402

RECORDING = Path(__file__).parents[2] / "data" / "axolotl" / "liger-0.19.0.json"
LOSSES = ("liger_fused_linear_cross_entropy", "liger_cross_entropy")
IMPORTED = ("axolotl.integrations.liger.plugin", "liger_kernel.transformers.monkey_patch", "trl.experimental.orpo")


def loaded(model_type: str) -> type:
    """The class that ``ModelLoader._set_auto_model_loader`` comes to."""
    from axolotl.loaders.constants import MULTIMODAL_AUTO_MODEL_MAPPING  # noqa: PLC0415 - imports Axolotl

    name = MULTIMODAL_AUTO_MODEL_MAPPING.get(model_type) or MODEL_FOR_CAUSAL_LM_MAPPING_NAMES[model_type]
    return name if isinstance(name, type) else getattr(transformers, name)


def answer(asked: tuple[str, str]) -> str:
    """What one loss does to one model type; the process is not used again."""
    model_type, key = asked
    from axolotl.integrations.liger.plugin import LigerPlugin  # noqa: PLC0415 - imports Liger
    from axolotl.utils.dict import DictDefault  # noqa: PLC0415

    config = CONFIG_MAPPING[model_type]()
    # DeepSeek-V2's branch loads the checkpoint to find its module
    AutoModelForCausalLM.from_pretrained = lambda *_, **__: AutoModelForCausalLM.from_config(config)
    kind: Any = loaded(model_type)
    before, compared = kind.forward, torch.nn.functional.cross_entropy
    module = importlib.import_module(kind.__module__)
    names = {name: getattr(module, name, None) for name in ("CrossEntropyLoss",)}
    classes = torch.nn.CrossEntropyLoss
    source = inspect.getsource(before)
    try:
        LigerPlugin().pre_model_load(DictDefault(model_config_type=model_type, base_model=model_type, **{key: True}))
    except Exception as error:  # noqa: BLE001 - whatever it raises is the answer
        return f"raises {type(error).__name__}"
    if kind.forward is not before:
        return _lacking(kind)
    if torch.nn.functional.cross_entropy is not compared and "loss_function" in source:
        return "patched"
    if "nn.CrossEntropyLoss(" in source:
        changed = torch.nn.CrossEntropyLoss is not classes or torch.nn.functional.cross_entropy is not compared
        return "patched" if changed else ""
    named = "CrossEntropyLoss(" in source and getattr(module, "CrossEntropyLoss", None) is not names["CrossEntropyLoss"]
    return "patched" if named else ""


def _lacking(kind: Any) -> str:
    """What Axolotl's generic forward reads and this class does not make."""
    if not kind.forward.__module__.endswith("liger.models.base"):
        return "patched"
    made = inspect.getsource(kind.__init__)
    lacking = [name for name in ("model", "lm_head") if f"self.{name} = " not in made]
    return f"lacks {lacking[0]}" if lacking else "generic"


def main() -> None:
    """Ask for every model type."""
    from app.core.architectures import supported_model_types  # noqa: PLC0415 - after the environment is set

    asked = [(model_type, key) for model_type in sorted(supported_model_types()) for key in LOSSES]
    for name in IMPORTED + tuple(loaded(model_type).__module__ for model_type in supported_model_types()):
        importlib.import_module(name)  # once, for all processes that branch off from here
    with get_context("fork").Pool(1, maxtasksperchild=1) as pool:
        answers = dict(zip(asked, pool.map(answer, asked, chunksize=1), strict=True))
    rows = {
        "versions": {name: version(name) for name in ("axolotl", "transformers", "liger-kernel")},
        "script": "tests/reference/axolotl/record_liger.py",
        **{key: {model_type: answers[model_type, key] for model_type, one in asked if one == key} for key in LOSSES},
    }
    RECORDING.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
