"""Exports of a configuration: Axolotl's YAML, a plugin with its YAML, PEFT's adapter_config.json, a training script.

Axolotl runs LoRA and full fine-tuning itself; for PEFT's other methods the last three are the way.
"""

import io
import json
import re
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from app.catalog.exports import PLUGIN_CLASS, PLUGIN_MODULE, export_template, export_text
from app.catalog.library import Catalog
from app.core.adapter import linear_names, resolve_adapter
from app.core.axolotl.rules import check
from app.core.axolotl.run_reader import read_run
from app.core.errors import FieldError, InvalidInput
from app.core.findings import Effect, Finding, by_gravity
from app.core.messages import Param, message
from app.core.methods.bottleneck import places_of
from app.core.methods.settings import Bottleneck, PeftType
from app.core.run import LoraSettings, Method, Quantization, Run
from app.core.values import limit_of_steps
from app.services.inputs import ResolvedModel, resolve_model
from app.services.writing import write_yaml
from app.texts import Texts

MOST_REASONS = 5
"""Why a file does not run, at its head."""
PEFT_VERSION = "0.20.0"
ZIP_DATE = (1980, 1, 1, 0, 0, 0)
"""The same for every file, so that the same configuration gives the same bytes."""


class Target(StrEnum):
    """What an export is for."""

    AXOLOTL = "axolotl"
    PLUGIN = "plugin"
    PEFT = "peft"
    SCRIPT = "script"


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file to download."""

    name: str
    media_type: str
    content: bytes


CONFIG_CLASSES: Mapping[PeftType, str] = {
    PeftType.PROMPT_TUNING: "PromptTuningConfig",
    PeftType.PREFIX_TUNING: "PrefixTuningConfig",
    PeftType.P_TUNING: "PromptEncoderConfig",
    PeftType.IA3: "IA3Config",
    PeftType.ADALORA: "AdaLoraConfig",
    PeftType.LOHA: "LoHaConfig",
    PeftType.LOKR: "LoKrConfig",
    PeftType.VERA: "VeraConfig",
    PeftType.OFT: "OFTConfig",
    PeftType.LN_TUNING: "LNTuningConfig",
    PeftType.TRAINABLE_TOKENS: "TrainableTokensConfig",
}


def export(
    *,
    catalog: Catalog,
    config: Mapping[str, Any],
    target: Target,
    texts: Texts,
    model: Mapping[str, Any] | None = None,
    comments: bool = True,
) -> File:
    """``config`` as the file that ``target`` takes.

    Raises:
        InvalidInput: the configuration holds what cannot be, or the target cannot have it.
        UnknownName: the catalogue does not hold ``base_model``, where the model has to be known.
    """
    run = read_run(config)
    if not config.get("base_model") or not isinstance(config["base_model"], str):
        raise InvalidInput(FieldError("/config/base_model", message("error.base_model.missing")))
    stem = file_stem(config)
    if target is Target.AXOLOTL:
        if run.peft is not None:
            raise _refused("export.error.no_adapter", adapter=run.peft.type.value)
        against = by_gravity(check(config, None, None, catalog.axolotl, trying=False))
        yaml = write_yaml(config, texts, comments=comments, header=reasons(against, texts))
        return File(name=f"{stem}.yaml", media_type="application/yaml", content=yaml.encode())
    resolved = resolve_model(catalog=catalog, base_model=config["base_model"], model=model)
    resolve_adapter(resolved.architecture, run)
    if target is Target.PLUGIN:
        return _plugin(config, run, stem, texts, comments=comments)
    if target is Target.PEFT:
        content = json.dumps(adapter_config(config, run, resolved), indent=2, ensure_ascii=False) + "\n"
        return File(name="adapter_config.json", media_type="application/json", content=content.encode())
    script = training_script(config, run, resolved, texts)
    return File(name=f"{stem}.py", media_type="text/x-python", content=script.encode())


def file_stem(config: Mapping[str, Any]) -> str:
    """What the download is called: ``llama-3.1-8b-instruct-qlora``."""
    model = str(config.get("base_model") or "").rstrip("/").rpartition("/")[2]
    method = str(config.get("adapter") or "full")
    words = re.sub(r"[^a-z0-9.]+", "-", f"{model}-{method}".lower()[:100]).strip("-.")
    return words or "axolotl"


def reasons(against: Iterable[Finding], texts: Texts) -> tuple[str, ...]:
    """Why a file does not run, as its first lines."""
    found = [finding for finding in against if finding.effect in (Effect.REJECTED, Effect.FAILS_AT_RUN)]
    return tuple(
        texts.text(f"planner.yaml.{finding.effect.value}", why=texts.render(finding.message))
        for finding in found[:MOST_REASONS]
    )


def _refused(code: str, **params: Param) -> InvalidInput:
    return InvalidInput(FieldError("/config/adapter", message(code, **params)))


def _plugin(config: Mapping[str, Any], run: Run, stem: str, texts: Texts, *, comments: bool) -> File:
    """The plugin and a YAML that lists it, in one archive."""
    if run.peft is None:
        raise _refused("export.error.native", adapter=str(config.get("adapter") or "full"))
    if run.peft.type is PeftType.BOTTLENECK:
        raise _refused("export.error.bottleneck")
    files = {
        f"{PLUGIN_MODULE}.py": export_text(PLUGIN_MODULE),
        f"{stem}.yaml": plugin_yaml(config, texts, comments=comments),
    }
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name, ZIP_DATE), text)
    return File(name=f"{stem}-plugin.zip", media_type="application/zip", content=held.getvalue())


def plugin_yaml(config: Mapping[str, Any], texts: Texts, *, comments: bool = True) -> str:
    """The YAML that runs with the plugin beside it."""
    listed = config.get("plugins") or []
    plugins = [listed] if isinstance(listed, str) else list(listed)
    whole = {**config, "plugins": [*plugins, PLUGIN_CLASS]}
    command = f"PYTHONPATH=. axolotl train {file_stem(config)}.yaml"
    header = (texts.text("export.plugin.header", command=command),)
    return write_yaml(whole, texts, comments=comments, header=header if comments else ())


def adapter_config(config: Mapping[str, Any], run: Run, resolved: ResolvedModel) -> dict[str, Any]:
    """What PEFT reads as ``adapter_config.json``.

    Raises:
        InvalidInput: PEFT has no such method.
    """
    head = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "peft_version": PEFT_VERSION,
        "base_model_name_or_path": config["base_model"],
        "inference_mode": False,
    }
    if run.lora is not None:
        return head | lora_config(config, run.lora, resolved)
    if run.peft is None or run.peft.type is PeftType.BOTTLENECK:
        raise _refused("export.error.no_peft", adapter=str(config.get("adapter") or "full"))
    given = dict(config.get("peft_config") or {})
    if run.peft.type is PeftType.OFT:
        given = {"r": 0, "oft_block_size": 32} | given
    return given | head | {"peft_type": run.peft.type.value.upper()}


def lora_config(config: Mapping[str, Any], lora: LoraSettings, resolved: ResolvedModel) -> dict[str, Any]:
    """Axolotl's LoRA keys in PEFT's names."""
    targets: list[str] | str | None = None
    if isinstance(lora.target_modules, str) and not lora.target_linear:
        targets = lora.target_modules
    else:
        given = (lora.target_modules,) if isinstance(lora.target_modules, str) else lora.target_modules or ()
        linears = linear_names(resolved.architecture) if lora.target_linear else ()
        targets = list(dict.fromkeys((*given, *linears)))
    found: dict[str, Any] = {
        "r": lora.r,
        "lora_alpha": lora.alpha,
        "lora_dropout": lora.dropout,
        "target_modules": targets,
        "use_dora": lora.dora,
        "use_rslora": bool(config.get("peft_use_rslora")),
        "bias": "none",
        "fan_in_fan_out": resolved.architecture.model_type == "gpt2",
    }
    if lora.target_parameters:
        found["target_parameters"] = list(lora.target_parameters)
    if lora.modules_to_save:
        found["modules_to_save"] = list(lora.modules_to_save)
    if lora.token_rows:
        tables = {name: list(rows) for name, rows in lora.token_rows}
        found["trainable_token_indices"] = tables.get("", tables)
    if lora.rank_pattern:
        found["rank_pattern"] = dict(lora.rank_pattern)
    if lora.layers_to_transform is not None:
        found["layers_to_transform"] = list(lora.layers_to_transform)
    return found


KNOWN_TYPES = ("chat_template", "alpaca", "completion")
PARTS = {
    "chat_template": """    turns = row.get(MESSAGES) or row.get("messages") or row["conversations"]
    messages = [
        {
            "role": ROLES.get(turn.get("role") or turn["from"], turn.get("role") or turn.get("from")),
            "content": turn["content"] if "content" in turn else turn["value"],
        }
        for turn in turns
    ]
    return messages, None
""",
    "alpaca": """    shown = row["instruction"] + (f"\\n\\n{row['input']}" if row.get("input") else "")
    return [{"role": "user", "content": shown}, {"role": "assistant", "content": row["output"]}], None
""",
    "completion": """    return None, ("", row[FIELD])
""",
}
ROLES = {"human": "user", "gpt": "assistant"}
SCHEDULERS = ("linear", "cosine", "cosine_with_restarts", "polynomial", "constant", "constant_with_warmup")
OWN_OPTIMIZERS = frozenset(("adopt_adamw", "adamc", "came_pytorch", "muon", "dion", "sinkgd", "polora"))


def training_script(config: Mapping[str, Any], run: Run, resolved: ResolvedModel, texts: Texts) -> str:
    """A whole script around Transformers and PEFT for this model, method and data.

    Raises:
        InvalidInput: the data is of a form that the script does not read.
    """
    data = _dataset(config)
    kind = str(data.pop("type"))
    values = {
        "title": texts.text("export.script.title", model=_one_line(config["base_model"]), adapter=_method_name(config)),
        "install": texts.text("export.script.install"),
        "file_name": f"{file_stem(config)}.py",
        "model": _literal(config["base_model"]),
        "data": _literal(data),
        "sequence_len": _literal(run.sequence_len_tokens),
        "training": _literal(training_arguments(config, run)),
        "model_class": "AutoModelForImageTextToText" if resolved.architecture.multimodal else "AutoModelForCausalLM",
        "parts": PARTS[kind],
        "standard_import": "import re\n" if run.peft is not None and run.peft.type is PeftType.BOTTLENECK else "",
        **_method(config, run, resolved),
    }
    values["sequence_len"] += _names(kind, config)
    values["imports"] = "\n".join(f"    {name}," for name in sorted(_imports(values["model_class"], run)))
    return export_template("train").substitute(values)


def _imports(model_class: str, run: Run) -> set[str]:
    """What the script takes from Transformers."""
    names = {model_class, "AutoTokenizer", "DataCollatorForSeq2Seq", "Trainer", "TrainingArguments"}
    if run.quantization is Quantization.NF4:
        names.add("BitsAndBytesConfig")
    if run.peft is not None and run.peft.type is PeftType.ADALORA:
        names.add("TrainerCallback")
    return names


def _names(kind: str, config: Mapping[str, Any]) -> str:
    """The fields that the data calls otherwise."""
    datasets = config.get("datasets")
    first = datasets[0] if isinstance(datasets, list) and datasets and isinstance(datasets[0], Mapping) else {}
    if kind == "chat_template":
        field = first.get("field_messages")
        return f"\nMESSAGES = {_literal(field if isinstance(field, str) else 'messages')}\nROLES = {_literal(ROLES)}"
    if kind == "completion":
        field = first.get("field")
        return f"\nFIELD = {_literal(field if isinstance(field, str) else 'text')}"
    return ""


def _dataset(config: Mapping[str, Any]) -> dict[str, Any]:
    """Path, split, name and form of the first dataset; a placeholder where there is none."""
    datasets = config.get("datasets")
    first = datasets[0] if isinstance(datasets, list) and datasets else {}
    if not isinstance(first, Mapping):
        first = {}
    path, kind = first.get("path") or "data.jsonl", first.get("type") or "chat_template"
    if not isinstance(kind, str) or kind.partition(".")[0] not in KNOWN_TYPES:
        given = str(kind)[:60]
        raise InvalidInput(
            FieldError("/config/datasets/0/type", message("export.error.data", given=given, allowed=KNOWN_TYPES))
        )
    named = {key: str(first[key]) for key in ("split", "name") if isinstance(first.get(key), str)}
    return {"path": str(path), **named, "type": kind.partition(".")[0]}


def _method(config: Mapping[str, Any], run: Run, resolved: ResolvedModel) -> dict[str, str]:
    """The parts of the script that differ by method."""
    found = {"peft_import": "", "quantized": "", "adapter": "None"}
    if run.peft is not None and isinstance(run.peft.settings, Bottleneck):
        settings = run.peft.settings
        root, names, layers = places_of(resolved.architecture, settings)
        shown = {
            "bottleneck_size": settings.size,
            "bias": settings.bias,
            "non_linearity": settings.activation.value,
        }
        numbers = r"\d+" if layers is None else f"({'|'.join(map(str, layers))})"
        pattern = re.escape(root).replace(re.escape("{}"), numbers)
        places = f"{_literal(shown)}\nPLACES = {_literal(list(names))}\nLAYERS = re.compile({_literal(pattern)})"
        return found | {
            "adapter": places,
            "peft_import": "from safetensors.torch import save_file",
            "method": export_text("method_bottleneck"),
        }
    if run.method is Method.FULL:
        return found | {"method": export_text("method_full")}
    settings_of = {
        key: value
        for key, value in adapter_config(config, run, resolved).items()
        if key not in ("peft_type", "task_type", "peft_version", "base_model_name_or_path", "inference_mode")
    }
    name = CONFIG_CLASSES[run.peft.type] if run.peft is not None else "LoraConfig"
    adalora = run.peft is not None and run.peft.type is PeftType.ADALORA
    method = export_template("method_peft").substitute(
        config_class=name,
        callbacks="[UpdateRanks()]" if adalora else "[]",
        extra=export_text("update_ranks") if adalora else "",
    )
    found |= {
        "adapter": _literal(settings_of),
        "peft_import": f"from peft import {name}, get_peft_model",
        "method": method,
    }
    if run.quantization is Quantization.NF4:
        found["quantized"] = ", quantization_config=QUANTIZED"
        found["adapter"] += (
            '\nQUANTIZED = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", '
            "bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=torch.bfloat16)"
        )
    return found


def training_arguments(config: Mapping[str, Any], run: Run) -> dict[str, Any]:
    """The configuration in the names of Transformers' ``TrainingArguments``."""
    scheduler = config.get("lr_scheduler")
    arguments: dict[str, Any] = {
        "output_dir": str(config.get("output_dir") or "./model-out"),
        "per_device_train_batch_size": run.micro_batch_size,
        "gradient_accumulation_steps": run.gradient_accumulation_steps,
        "learning_rate": float(config.get("learning_rate") or 1e-4),
        "num_train_epochs": float(config.get("num_epochs") or 1),
        "lr_scheduler_type": scheduler if scheduler in SCHEDULERS else "cosine",
        "optim": "adamw_torch_fused" if run.optimizer in OWN_OPTIMIZERS else run.optimizer,
        "gradient_checkpointing": bool(config.get("gradient_checkpointing")),
        "logging_steps": 1,
        "save_strategy": "epoch",
    }
    steps = limit_of_steps(config)
    if steps is not None:
        arguments["max_steps"] = steps
    for key in ("weight_decay", "warmup_ratio", "warmup_steps", "max_grad_norm", "seed"):
        value = config.get(key)
        if isinstance(value, int | float) and not isinstance(value, bool):
            arguments[key] = value
    if arguments["gradient_checkpointing"]:
        arguments["gradient_checkpointing_kwargs"] = {"use_reentrant": False}
    return arguments


def _method_name(config: Mapping[str, Any]) -> str:
    return _one_line(str(config.get("adapter") or "full fine-tuning"))


def _one_line(text: str) -> str:
    """Fit for a comment or a docstring: no line breaks, no quotes that end it."""
    return re.sub(r"[^\w ./:@+-]", " ", text)[:200]


def _literal(value: object) -> str:
    """A value as Python writes it; a dictionary an entry a line."""
    if isinstance(value, dict) and value:
        inner = "".join(f"    {_inline(key)}: {_inline(item)},\n" for key, item in value.items())
        return f"{{\n{inner}}}"
    return _inline(value)


def _inline(value: object) -> str:
    """The same on one line, texts in double quotes."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_inline(key)}: {_inline(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_inline(item) for item in value) + "]"
    return repr(value)
