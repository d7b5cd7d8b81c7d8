"""Records what the installed Axolotl accepts as data: names, types, values, defaults; no prose of theirs.

    python -m tests.reference.axolotl.record_schema app/data/axolotl-0.19.0.json [older.json]

Run it with an interpreter that has Axolotl (``docs/axolotl.md`` says how to install one without a GPU). With a
second file, an older recording, it prints what changed since. The shape of the file is described in
``app/core/axolotl/schema.py``, which reads it.
"""

import enum
import importlib.util
import json
import os
import pkgutil
import re
import sys
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
BOUNDS = ("gt", "ge", "lt", "le")


class Recorder:
    """Turns pydantic fields into facts, gathering the nested models that they mention."""

    def __init__(self) -> None:
        self.models: dict[str, dict[str, Any]] = {}

    def fields(self, model: type) -> dict[str, Any]:
        """Facts of every field of a pydantic model, by name."""
        by_name = bool(model.model_config.get("populate_by_name"))  # type: ignore[attr-defined]
        rows = {name: self.facts(name, field, by_name) for name, field in model.model_fields.items()}  # type: ignore[attr-defined]
        return dict(sorted(rows.items()))

    def facts(self, name: str, field: Any, by_name: bool) -> dict[str, Any]:
        """What one field takes."""
        found: dict[str, list[Any]] = {"types": [], "values": [], "models": []}
        self.gather(field.annotation, found)
        row: dict[str, Any] = {"types": sorted(set(found["types"]))}
        if found["values"]:
            row["values"] = list(dict.fromkeys(found["values"]))
        if found["models"]:
            row["models"] = list(dict.fromkeys(found["models"]))
        for constraint in field.metadata:
            row |= {
                bound: getattr(constraint, bound) for bound in BOUNDS if getattr(constraint, bound, None) is not None
            }
        if field.is_required():
            row["required"] = True
        elif (default := plain(field.get_default(call_default_factory=True))) is not None:
            row["default"] = default
        others = [spelling for spelling in spellings(field) if spelling != name]
        if others:
            row["aliases"] = others
        if field.deprecated:
            row["deprecated"] = True
        return row

    def gather(self, annotation: Any, found: dict[str, list[Any]]) -> None:
        """Walk an annotation into JSON-like type names, allowed values and nested models."""
        from pydantic import BaseModel

        origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
        if origin in (typing.Union, types.UnionType):
            for argument in arguments:
                self.gather(argument, found)
        elif origin is typing.Annotated:
            self.gather(arguments[0], found)
        elif origin is typing.Literal:
            found["values"] += arguments
            found["types"] += ["value"]
        elif origin in (list, set, tuple):
            found["types"] += ["list"]
            inner: dict[str, list[Any]] = {"types": [], "values": [], "models": []}
            for argument in arguments:
                self.gather(argument, inner)
            found["models"] += inner["models"]
        elif origin is dict:
            found["types"] += ["mapping"]
        elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
            found["types"] += ["model"]
            found["models"] += [annotation.__name__]
            if annotation.__name__ not in self.models:
                self.models[annotation.__name__] = {}
                self.models[annotation.__name__] = self.fields(annotation)
        elif isinstance(annotation, type) and issubclass(annotation, enum.Enum):
            found["types"] += ["value"]
            found["values"] += [m.value if isinstance(m.value, str | int) else m.name for m in annotation]
        else:
            found["types"] += [SIMPLE.get(annotation, "any")]


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
        nested = {name for cls in own for row in recorder.fields(cls).values() for name in row.get("models", ())}
        rows = {key: row for cls in own if cls.__name__ not in nested for key, row in recorder.fields(cls).items()}
        keys[package.name] = dict(sorted(rows.items()))
    return keys, dict(sorted(classes.items()))


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


def record() -> dict[str, Any]:
    """The whole recording."""
    from axolotl.utils.schemas.config import AxolotlInputConfig

    recorder = Recorder()
    keys = recorder.fields(AxolotlInputConfig)
    plugin_keys, classes = plugins(recorder)
    return {
        "axolotl": version("axolotl"),
        "keys": keys,
        "plugins": plugin_keys,
        "plugin_classes": classes,
        "models": dict(sorted(recorder.models.items())),
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


def main(target: str, older: str | None = None) -> None:
    """Write the recording to ``target``; print what changed since ``older``."""
    previous = json.loads(Path(older).read_text(encoding="utf-8")) if older else None
    recording = record()
    lines = [f'"{name}": {json.dumps(part)}' for name, part in recording.items() if isinstance(part, str)]
    for name, part in recording.items():
        if isinstance(part, dict):
            rows = ",\n".join(f"  {json.dumps(key)}: {json.dumps(row)}" for key, row in part.items())
            lines.append(f'"{name}": {{\n{rows}\n }}')
    Path(target).write_text("{\n " + ",\n ".join(lines) + "\n}\n", encoding="utf-8")
    print(f"{len(recording['keys'])} keys, {sum(map(len, recording['plugins'].values()))} of plugins")
    for line in changes(previous, recording) if previous else ():
        print(line)


if __name__ == "__main__":
    main(*sys.argv[1:3])
