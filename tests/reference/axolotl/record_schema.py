"""Records what the installed Axolotl accepts as data: names, types, values, defaults; no prose of theirs.

    python -m tests.reference.axolotl.record_schema app/data/axolotl-0.19.0.json [older.json]

Run it with an interpreter that has Axolotl (``docs/axolotl.md`` says how to install one without a GPU). With a
second file, an older recording, it prints what changed since. The shape of the file is described in
``app/core/axolotl/schema.py``, which reads it.
"""

import ast
import enum
import hashlib
import importlib.util
import inspect
import json
import os
import pkgutil
import re
import sys
import textwrap
import types
import typing
import warnings
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ["AXOLOTL_DO_NOT_TRACK"] = "1"
os.environ["DO_NOT_TRACK"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"
warnings.filterwarnings("ignore")

SIMPLE = {bool: "boolean", int: "integer", float: "number", str: "text", type(None): "null", dict: "mapping"}
BOUNDS = ("gt", "ge", "lt", "le", "min_length", "pattern")


class Recorder:
    """Turns pydantic fields into facts, gathering the nested models that they mention."""

    def __init__(self) -> None:
        self.models: dict[str, dict[str, Any]] = {}
        self.strict: set[str] = set()
        self.validators: dict[str, str] = {}

    def fields(self, model: type) -> dict[str, Any]:
        """Facts of every field of a pydantic model, by name."""
        self.note_validators(model)
        known = model.model_fields  # type: ignore[attr-defined]
        rows = {name: self.facts(name, field, known) for name, field in known.items()}
        return dict(sorted(rows.items()))

    def note_validators(self, model: type) -> None:
        """Names of a model's validators with a fingerprint of each one's code: a release may change what is allowed."""
        decorators = model.__pydantic_decorators__  # type: ignore[attr-defined]
        for kind in ("model_validators", "field_validators"):
            for name, decorator in getattr(decorators, kind).items():
                function = getattr(decorator.func, "__func__", decorator.func)
                source = ast.unparse(ast.parse(textwrap.dedent(inspect.getsource(function))))
                self.validators[name] = hashlib.sha256(source.encode()).hexdigest()[:12]

    def facts(self, name: str, field: Any, known: Any) -> dict[str, Any]:
        """What one field takes."""
        row: dict[str, Any] = {"accepts": self.alternatives(field.annotation)}
        row |= bounds(field.metadata)
        if field.is_required():
            row["required"] = True
        elif (default := plain(field.get_default(call_default_factory=True))) is not None:
            row["default"] = default
        others = [spelling for spelling in spellings(field) if spelling != name]
        if others:
            row["aliases"] = others
        if field.deprecated:
            row["deprecated"] = True
            row["successors"] = successors(name, str(field.deprecated), known)
        return row

    def alternatives(self, annotation: Any) -> list[Any]:
        """What an annotation lets pass, in its order: names of simple kinds, or one-key objects around what is inside."""
        from pydantic import BaseModel

        origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
        if origin in (typing.Union, types.UnionType):
            return [kind for argument in arguments for kind in self.alternatives(argument)]
        if origin is typing.Annotated:
            limits = bounds(arguments[1:])
            inner = self.alternatives(arguments[0])
            return [{"bounded": inner, **limits}] if limits else inner
        if origin is typing.Literal:
            return [{"values": list(arguments)}]
        if origin in (list, set):
            return [{"list": self.alternatives(arguments[0])}]
        if origin is tuple:
            return [{"tuple": [self.alternatives(argument) for argument in arguments]}]
        if origin is dict:
            return [{"mapping": [self.alternatives(argument) for argument in arguments]}]
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            name = annotation.__name__
            if name not in self.models:
                self.models[name] = {}
                self.models[name] = self.fields(annotation)
                if annotation.model_config.get("extra") == "forbid":
                    self.strict.add(name)
            return [{"model": name}]
        if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
            return [{"values": [m.value if isinstance(m.value, str | int) else m.name for m in annotation]}]
        return [SIMPLE.get(annotation, "any")]


def bounds(metadata: Any) -> dict[str, Any]:
    """The limits among a field's or an annotation's metadata."""
    found = {}
    for constraint in metadata:
        general = getattr(constraint, "__dict__", {}).get("_general_metadata", {})
        for bound in BOUNDS:
            value = getattr(constraint, bound, None) if not general else general.get(bound)
            if value is not None:
                found[bound] = value
    return found


def successors(name: str, notice: str, known: Any) -> list[str]:
    """The keys that a notice of deprecation names, in its order."""
    words = dict.fromkeys(re.findall(r"[a-z][a-z0-9_]*(?:\.[a-z0-9_]+)*", notice))
    return [word for word in words if word != name and word.partition(".")[0] in known]


def spellings(field: Any) -> list[str]:
    """Every other name that a field answers to."""
    alias = field.validation_alias or field.alias
    if alias is None:
        return []
    return [str(getattr(choice, "path", [choice])[0]) for choice in getattr(alias, "choices", [alias])]


def plain(value: Any) -> Any:
    """A default as JSON holds it, None for what JSON cannot."""
    if isinstance(value, enum.Enum):
        value = value.value if isinstance(value.value, str | int) else value.name
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value if isinstance(value, str | int | float | bool) else None


def plugins(recorder: Recorder) -> tuple[dict[str, Any], dict[str, str]]:
    """The keys of each bundled plugin package, and which package each plugin class belongs to."""
    from axolotl import integrations
    from pydantic import BaseModel

    keys: dict[str, Any] = {}
    classes: dict[str, str] = {}
    for package in pkgutil.iter_modules(integrations.__path__):
        if not package.ispkg:
            continue
        folder = Path(integrations.__path__[0]) / package.name
        for name in plugin_classes(folder):
            classes[f"axolotl.integrations.{package.name}.{name}"] = package.name
        if not (folder / "args.py").is_file():
            continue
        arguments = load_alone(f"axolotl.integrations.{package.name}.args", folder / "args.py")
        own = [
            value
            for value in vars(arguments).values()
            if isinstance(value, type) and issubclass(value, BaseModel) and value.__module__ == arguments.__name__
        ]
        nested = {name for cls in own for row in recorder.fields(cls).values() for name in models_in(row["accepts"])}
        rows = {key: row for cls in own if cls.__name__ not in nested for key, row in recorder.fields(cls).items()}
        keys[package.name] = dict(sorted(rows.items()))
    return keys, dict(sorted(classes.items()))


def models_in(accepts: Any) -> Iterator[str]:
    """Names of the models below some alternatives."""
    if isinstance(accepts, list):
        for part in accepts:
            yield from models_in(part)
    elif isinstance(accepts, dict):
        if "model" in accepts:
            yield accepts["model"]
        yield from models_in([part for part in accepts.values() if isinstance(part, list)])


def load_alone(name: str, file: Path) -> types.ModuleType:
    """A module without its package's ``__init__``, which may want CUDA or packages that nothing here needs."""
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError(name)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def plugin_classes(folder: Path) -> Iterator[str]:
    """Names of the plugin classes of a package, read without importing it: some need CUDA to import."""
    for file in sorted(folder.glob("*.py")):
        yield from re.findall(r"^class (\w+)\(BasePlugin\)", file.read_text(encoding="utf-8"), re.MULTILINE)


PREFERENCES = ("dpo", "ebft", "kto", "orpo")


def dataset_types() -> dict[str, list[str]]:
    """What a dataset's ``type`` may name, by the kind of training: the functions that Axolotl looks up by that name."""
    spec = importlib.util.find_spec("axolotl")
    assert spec is not None and spec.submodule_search_locations  # noqa: S101
    home = Path(next(iter(spec.submodule_search_locations)))
    folder = home / "prompt_strategies"
    wrappers = ast.parse((home / "utils" / "data" / "wrappers.py").read_text(encoding="utf-8"))
    handlers = next(
        node.value
        for node in wrappers.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "DATASET_HANDLERS"
    )
    found = {"sft": [*ast.literal_eval(ast.unparse(ast.List([*handlers.keys], ast.Load()))), "messages"]}
    found["sft"] += supervised(folder)
    found["reward"] = [f"bradley_terry.{name}" for name in supervised(folder / "bradley_terry")]
    for kind in PREFERENCES:
        found[kind] = [
            name
            for file in strategies(folder / kind)
            for function in functions(file)
            if not function.startswith("_")
            for name in (f"{file.stem}.{function}", *([file.stem] if function == "default" else []))
        ]
    return {kind: sorted(dict.fromkeys(names)) for kind, names in sorted(found.items())}


def supervised(folder: Path) -> list[str]:
    """Modules with a ``load``, and their other loaders."""
    return [
        name
        for file in strategies(folder)
        for function in functions(file)
        if function == "load" or function.startswith("load_")
        for name in ((file.stem, f"{file.stem}.load") if function == "load" else (f"{file.stem}.{function}",))
    ]


def strategies(folder: Path) -> list[Path]:
    """The modules of a folder."""
    return [file for file in sorted(folder.glob("*.py")) if file.stem != "__init__"]


def functions(file: Path) -> list[str]:
    """Names at a module's top that can be called: functions, and what is made of one by ``partial``."""
    body = ast.parse(file.read_text(encoding="utf-8")).body
    made = [node for node in body if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call | ast.Name)]
    return [node.name for node in body if isinstance(node, ast.FunctionDef)] + [
        target.id for node in made for target in node.targets if isinstance(target, ast.Name) and target.id.islower()
    ]


READERS = ("Processor", "Tokenizer", "FeatureExtractor")
"""One of which is in every name of Transformers that a processor can be loaded by."""


def readers() -> list[str]:
    """Those names; what lacks a package here is there where the package is."""
    import transformers

    return [name for name in dir(transformers) if any(part in name for part in READERS) and loads(transformers, name)]


def loads(package: Any, name: str) -> bool:
    """Whether something is loaded by a name."""
    try:
        return hasattr(getattr(package, name), "from_pretrained")
    except ImportError:
        return True


def record() -> dict[str, Any]:
    """The whole recording."""
    from axolotl.utils.schemas import datasets
    from axolotl.utils.schemas.config import AxolotlConfigWCapabilities, AxolotlInputConfig

    recorder = Recorder()
    keys = recorder.fields(AxolotlInputConfig)
    recorder.note_validators(AxolotlConfigWCapabilities)
    for model in (datasets.SFTDataset, datasets.DPODataset, datasets.KTODataset, datasets.SyntheticDataset):
        recorder.alternatives(model)
    plugin_keys, classes = plugins(recorder)
    return {
        "axolotl": version("axolotl"),
        "keys": keys,
        "plugins": plugin_keys,
        "plugin_classes": classes,
        "dataset_types": dataset_types(),
        "readers": readers(),
        "models": dict(sorted(recorder.models.items())),
        "strict_models": sorted(recorder.strict),
        "validators": dict(sorted(recorder.validators.items())),
    }


def changes(old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    """One line for every key that came, went or means something else."""
    before = {"": old["keys"], **old["plugins"], **old.get("models", {})}
    after = {"": new["keys"], **new["plugins"], **new["models"]}
    for group in sorted({*before, *after}):
        had, has = before.get(group, {}), after.get(group, {})
        for key in sorted({*had, *has}):
            name = f"{group}.{key}" if group else key
            if key not in has:
                yield f"- {name}"
            elif key not in had:
                yield f"+ {name}"
            elif had[key] != has[key]:
                yield f"~ {name}: {json.dumps(had[key])} -> {json.dumps(has[key])}"
    had_readers, has_readers = set(old.get("readers", ())), set(new.get("readers", ()))
    for name in sorted(had_readers ^ has_readers):
        yield f"{'+' if name in has_readers else '-'} reader {name}"
    for name in ("plugin_classes", "dataset_types", "validators"):
        had, has = old.get(name, {}), new.get(name, {})
        for key in sorted({*had, *has}):
            if had.get(key) != has.get(key):
                sign = "+" if key not in had else "-" if key not in has else "~"
                yield f"{sign} {name.partition('_')[0].removesuffix('s')} {key}"


def main(target: str, older: str | None = None) -> None:
    """Write the recording to ``target``; print what changed since ``older``."""
    previous = json.loads(Path(older).read_text(encoding="utf-8")) if older else None
    recording = record()
    lines = [f'"{name}": {json.dumps(part)}' for name, part in recording.items() if isinstance(part, str)]
    for name, part in recording.items():
        if isinstance(part, list):
            lines.append(f'"{name}": {json.dumps(part)}')
        if isinstance(part, dict):
            rows = ",\n".join(f"  {json.dumps(key)}: {json.dumps(row)}" for key, row in part.items())
            lines.append(f'"{name}": {{\n{rows}\n }}')
    Path(target).write_text("{\n " + ",\n ".join(lines) + "\n}\n", encoding="utf-8")
    print(f"{len(recording['keys'])} keys, {sum(map(len, recording['plugins'].values()))} of plugins")
    for line in changes(previous, recording) if previous else ():
        print(line)


if __name__ == "__main__":
    main(*sys.argv[1:3])
