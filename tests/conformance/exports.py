"""Proves the exports on real code: ``python -m tests.conformance.exports [--all]`` from the root, with Axolotl's Python.

For each method and a few tiny random models: PEFT loads the exported ``adapter_config.json`` and counts what the product
counts; Axolotl's validator accepts the plugin's YAML, and the plugin wraps the model, which runs forward and backward;
the training script takes two steps and saves what it trained. Needs an interpreter with Axolotl 0.19, Transformers
5.16.1, PEFT 0.20.0, PyYAML and ``datasets``. Without ``--all``, one model and four scripts. Ends with a line that
counts, and with status 1 if anything fails.
"""

import argparse
import contextlib
import io
import json
import os
import runpy
import sys
import tempfile
import traceback
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["AXOLOTL_DO_NOT_TRACK"] = "1"
os.environ["DO_NOT_TRACK"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["CUDA_VISIBLE_DEVICES"] = ""
warnings.filterwarnings("ignore")

LLAMA = {
    "model_type": "llama",
    "vocab_size": 320,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
}
MODELS = (
    LLAMA,
    LLAMA | {"model_type": "qwen3", "head_dim": 16},
    LLAMA | {"model_type": "phi"},
    {"model_type": "gpt2", "vocab_size": 320, "n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 256},
)
METHODS: dict[str, dict[str, Any]] = {
    "prompt_tuning": {"num_virtual_tokens": 4},
    "prefix_tuning": {"num_virtual_tokens": 4, "prefix_projection": True},
    "p_tuning": {"num_virtual_tokens": 4},
    "ia3": {},
    "adalora": {"total_step": 10},
    "loha": {},
    "lokr": {},
    "vera": {"r": 8},
    "oft": {"oft_block_size": 8},
    "ln_tuning": {},
    "trainable_tokens": {"token_indices": [1, 2]},
    "bottleneck": {"bottleneck_size": 8},
}
SHORT_SCRIPTS = ("prefix_tuning", "ia3", "adalora", "bottleneck")
ROWS = [
    {"messages": [{"role": "user", "content": f"what is {n}"}, {"role": "assistant", "content": f"it is {n}"}]}
    for n in range(8)
]


def tiny(folder: Path, config_json: dict[str, Any]) -> Path:
    """A random model with a tokenizer, saved as people save them."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

    facts = dict(config_json)
    model_type = facts.pop("model_type")
    place = folder / model_type
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(model_type, **facts))
    model.save_pretrained(place)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {"<s>": 0, "</s>": 1} | {letter: n + 2 for n, letter in enumerate(alphabet)}
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="</s>")
    fast.save_pretrained(place)
    return place


def config_of(place: Path, adapter: str, data: Path, output: Path) -> dict[str, Any]:
    """A configuration as the product's users write it."""
    return {
        "base_model": str(place),
        "adapter": adapter,
        "peft_config": dict(METHODS[adapter]) | targets(adapter, place.name),
        "sequence_len": 64,
        "micro_batch_size": 2,
        "gradient_accumulation_steps": 1,
        "optimizer": "adamw_torch",
        "learning_rate": 0.001,
        "max_steps": 2,
        "bf16": False,
        "datasets": [{"path": str(data), "type": "chat_template"}],
        "output_dir": str(output),
    }


def targets(adapter: str, model_type: str) -> dict[str, Any]:
    """Targets where PEFT has none for the model, or none that the method can take."""
    if model_type == "gpt2" and adapter in ("loha", "lokr", "oft"):
        return {"target_modules": ["lm_head"]}
    if model_type == "phi" and adapter == "adalora":
        return {"target_modules": ["q_proj", "fc1"]}
    return {}


def export_of(config: dict[str, Any], model: dict[str, Any], target: str) -> Any:
    """The product's file."""
    from app.catalog.library import load_catalog
    from app.services.exporting import Target, export
    from app.texts import texts

    return export(catalog=load_catalog(), config=config, model=model, target=Target(target), texts=texts("en"))


def loads(config: dict[str, Any], model: dict[str, Any], folder: Path) -> None:
    """PEFT reads adapter_config.json, and counts what the product counts."""
    from peft import PeftConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    from app.core.adapter import resolve_adapter
    from app.core.architectures import describe
    from app.core.axolotl.run_reader import read_run

    file = export_of(config, model, "peft")
    (folder / file.name).write_bytes(file.content)
    read = PeftConfig.from_pretrained(str(folder))
    wrapped = get_peft_model(AutoModelForCausalLM.from_pretrained(config["base_model"]), read)
    trainable, _ = wrapped.get_nb_trainable_parameters()
    own = resolve_adapter(describe(model), read_run(config)).trainable_parameters
    if trainable != own:
        raise AssertionError(f"PEFT trains {trainable}, the product says {own}")


def wraps(config: dict[str, Any], model: dict[str, Any], folder: Path) -> None:
    """Axolotl accepts the plugin's YAML, and the plugin wraps the model."""
    import torch
    import yaml
    from axolotl.integrations.base import PluginManager
    from axolotl.utils.dict import DictDefault
    from transformers import AutoModelForCausalLM

    from tests.conformance.validate import judge

    with zipfile.ZipFile(io.BytesIO(export_of(config, model, "plugin").content)) as archive:
        archive.extractall(folder)
    text = next(folder.glob("*.yaml")).read_text(encoding="utf-8")
    sys.path.insert(0, str(folder))
    try:
        case = {
            "name": "x",
            "yaml": text,
            "model_type": model["model_type"],
            "compute_capability": "sm_80",
            "bf16": True,
        }
        found = judge(case)
        if not found["valid"] or found["unknown"] or found["error"]:
            raise AssertionError(f"the validator says {found}")
        manager = PluginManager.get_instance()
        manager.plugins.clear()
        manager.register(yaml.safe_load(text)["plugins"][0])
        base = AutoModelForCausalLM.from_pretrained(config["base_model"])
        wrapped, _ = manager.load_adapter(base, DictDefault(yaml.safe_load(text)))
        wrapped.train()
        tokens = torch.arange(12).reshape(2, 6)
        wrapped(input_ids=tokens, attention_mask=torch.ones_like(tokens), labels=tokens).loss.backward()
        if not any(p.grad is not None for p in wrapped.parameters() if p.requires_grad):
            raise AssertionError("nothing has a gradient")
    finally:
        sys.path.remove(str(folder))
        sys.modules.pop("axoplan_peft", None)


def trains(config: dict[str, Any], model: dict[str, Any], folder: Path) -> None:
    """The script takes two steps and saves the adapter."""
    file = export_of(config, model, "script")
    script = folder / file.name
    script.write_bytes(file.content)
    argv = sys.argv
    sys.argv = [str(script)]
    try:
        runpy.run_path(str(script), run_name="__main__")
    finally:
        sys.argv = argv
    saved = [path for path in Path(config["output_dir"]).glob("*.safetensors") if path.stat().st_size]
    if not saved:
        raise AssertionError("nothing was saved")


def main() -> int:
    """Try everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true", help="every model and every script")
    parser.add_argument("--only", default="", help="only methods whose name contains this")
    given = parser.parse_args()
    passed = failed = 0
    with tempfile.TemporaryDirectory() as held:
        home = Path(held)
        data = home / "data.jsonl"
        data.write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
        os.environ["HF_DATASETS_CACHE"] = str(home / "cache")
        for model in MODELS if given.all else MODELS[:1]:
            place = tiny(home, model)
            for adapter in METHODS:
                if given.only not in adapter:
                    continue
                steps: list[Callable[[dict[str, Any], dict[str, Any], Path], None]] = [loads, wraps]
                if adapter == "bottleneck":
                    steps = []
                if given.all or adapter in SHORT_SCRIPTS:
                    steps.append(trains)
                for step in steps:
                    folder = home / f"{model['model_type']}-{adapter}-{step.__name__}"
                    folder.mkdir()
                    noise = io.StringIO()
                    try:
                        with contextlib.redirect_stdout(noise), contextlib.redirect_stderr(noise):
                            step(config_of(place, adapter, data, folder / "out"), model, folder)
                    except Exception:  # noqa: BLE001 - whatever fails is told and counted
                        failed += 1
                        print(f"{model['model_type']} {adapter} {step.__name__}: {traceback.format_exc(limit=-4)}")
                        print(noise.getvalue()[-800:])
                    else:
                        passed += 1
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
