"""Reads the data files: YAML as people write it, or the same as JSON, which is read some fifty times faster.

    python -m app.catalog.files

compiles them after a change, as texts are compiled. Each line of ``COMPILED`` is the digest of a file and its content.
A file that has changed since has another digest and is read itself, so that nothing compiled can be out of date: the
service would only take longer to start.
"""

import json
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import yaml

DATA = Path(__file__).parent.parent / "data"
COMPILED = DATA / "compiled.txt"

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's loader is some ten times faster; the pure one reads the same where a build lacks it."""


class CatalogError(ValueError):
    """A data file holds something that it must not; the message names file, row and field."""


def read_yaml(path: Path) -> Any:
    """The content of a data file.

    Raises:
        CatalogError: the file is no YAML.
    """
    source = path.read_bytes()
    compiled = _compiled().get(_digest(source))
    return _parsed(path, source) if compiled is None else json.loads(compiled)


def compiled_lines() -> str:
    """What ``COMPILED`` is to hold."""
    lines = []
    for path in sorted(DATA.rglob("*.yaml")):
        source = path.read_bytes()
        content = json.dumps(_parsed(path, source), ensure_ascii=False, separators=(",", ":"))
        lines.append(f"{_digest(source)} {content}\n")
    return "".join(lines)


@cache
def _compiled() -> Mapping[str, str]:
    if not COMPILED.exists():
        return {}
    with COMPILED.open(encoding="utf-8") as lines:
        return {digest: content for digest, _, content in (line.partition(" ") for line in lines)}


def _digest(source: bytes) -> str:
    return sha256(source).hexdigest()


def _parsed(path: Path, source: bytes) -> Any:
    try:
        return yaml.load(source.decode("utf-8"), _LOADER)  # noqa: S506 - a safe loader either way
    except yaml.YAMLError as error:
        raise CatalogError(f"{path.name}: {error}") from error


if __name__ == "__main__":
    COMPILED.write_text(compiled_lines(), encoding="utf-8")
