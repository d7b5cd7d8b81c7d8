"""The difference of two YAML files: by key, and line by line."""

from collections.abc import Mapping
from difflib import unified_diff
from typing import Any

from app.services.reading import read
from app.services.writing import flow_text
from app.web.compare.context import DifferenceView, DiffView, LineView

KINDS = {"+": "added", "-": "removed", "@": "place"}


class NotYaml(ValueError):
    """A pasted text that is no mapping in YAML; the message says where it breaks."""


def read_file(text: str) -> Mapping[str, Any]:
    """A pasted file's keys.

    Raises:
        NotYaml: it is none.
    """
    reading = read(text)
    if reading.config is not None:
        return reading.config
    params = reading.findings[0].message.params
    if reading.findings[0].code == "yaml_long":
        raise NotYaml(f"{params['given']} > {params['most']}")
    line = params.get("line", reading.findings[0].line)
    raise NotYaml(f"{line}:{params.get('column', 1)}" if line else "?")


def difference(
    left: tuple[str, Mapping[str, Any], str], right: tuple[str, Mapping[str, Any], str], unset: str
) -> DiffView:
    """Two files, each by name, keys and text."""
    keys = [*left[1], *(key for key in right[1] if key not in left[1])]
    lines = unified_diff(left[2].splitlines(), right[2].splitlines(), lineterm="", n=2)
    return DiffView(
        left=left[0],
        right=right[0],
        keys=tuple(
            DifferenceView(key=str(key), left=_shown(left[1], key, unset), right=_shown(right[1], key, unset))
            for key in keys
            if left[1].get(key) != right[1].get(key) or (key in left[1]) != (key in right[1])
        ),
        lines=tuple(
            LineView(kind=KINDS.get(line[:1], "same"), text=line)
            for line in lines
            if not line.startswith(("+++", "---"))
        ),
    )


def _shown(config: Mapping[str, Any], key: str, unset: str) -> str:
    if key not in config:
        return unset
    text = flow_text(config[key])
    return text if len(text) <= 200 else text[:199] + "…"
