"""Axolotl keys in an address or a text box: those that a field stands for go to it, the rest stay as YAML.

``?adapter=qlora&load_in_4bit=true&weight_decay=0.01`` -> ``method=qlora`` and ``keys=weight_decay: 0.01``. So an
address may be written with Axolotl's own names, and a whole YAML file may be pasted.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from app.core.axolotl.overriding import ruled_out
from app.core.axolotl.renamed import modern
from app.core.errors import FieldError, InvalidInput
from app.core.messages import message
from app.core.plan import Goal
from app.services.reading import read
from app.services.writing import flow_text
from app.web.fields import FIELDS, METHOD_KEYS, NEFTUNE_KEYS, PEFT_KEYS

_SPELLINGS = {"base_model": "model"}
_SAYS_METHOD = ("adapter", "load_in_4bit", "peft_use_dora", "peft", "relora")
PREFERENCES = frozenset({Goal.DPO, Goal.ORPO, Goal.KTO, Goal.SIMPO})


def parse(text: str) -> dict[str, Any]:
    """The keys of a YAML mapping; none for a blank text.

    Raises:
        InvalidInput: it is too long, no YAML, or no mapping of names.
    """
    if not text.strip():
        return {}
    reading = read(text)
    if reading.config is None:
        found = reading.findings[0]
        if found.code == "yaml_empty":
            return {}
        raise (
            _fault("web.error.keys.mapping")
            if found.code == "yaml_no_mapping"
            else InvalidInput(FieldError("/form/keys", found.message))
        )
    if not all(isinstance(key, str) for key in reading.config):
        raise _fault("web.error.keys.mapping")
    return reading.config


def folded(values: Mapping[str, str], foreign: Iterable[tuple[str, str]], known: frozenset[str]) -> dict[str, str]:
    """``values`` of fields, with what ``foreign`` parameters say by Axolotl's names.

    Old names become today's, since a plan writes those and Axolotl refuses some pairs. A field that is set wins.
    Parameters that Axolotl does not know are somebody else's. A text that is no YAML is left for the form to complain
    about.
    """
    result = dict(values)
    lines = [f"{name}: {text}" for name, text in foreign if name in known and text.strip()]
    text = "\n".join([*lines, *([values["keys"]] if values.get("keys") else [])])
    if not text:
        return result
    result["keys"] = text
    try:
        keys = parse(text)
    except InvalidInput:
        return result
    left = _moved(modern(keys), result)
    if left != keys:
        result["keys"] = write(left)
    if not result["keys"]:
        del result["keys"]
    return result


def patched(values: Mapping[str, str], patch: Mapping[str, Any]) -> dict[str, str]:
    """``values`` of fields after a change of keys: to their fields where they have one, to the box otherwise.

    None takes a key out of a file, and a field back to its recommendation; a key of the box says so as null. What the
    box says of a changed key goes, and so does what the change rules out.
    """
    result = dict(values)
    found: dict[str, str] = {}
    left = _moved({key: value for key, value in patch.items() if value is not None}, found)
    for key in (key for key, value in patch.items() if value is None):
        name = _SPELLINGS.get(key, key)
        if name in result and name in FIELDS:
            del result[name]
        else:
            left[key] = None
    try:
        own = parse(values.get("keys", ""))
    except InvalidInput:
        own = {}
    gone = {*patch, *(name for key, value in patch.items() for name in ruled_out(key, value))} - left.keys()
    kept = {key: value for key, value in own.items() if key not in gone}
    if left or kept != own:
        found["keys"] = write(kept | left)
    return result | found


def without(values: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    """``values`` of fields with some keys out of the box; a text that is no YAML stays as it is."""
    result = dict(values)
    try:
        own = parse(values.get("keys", ""))
    except InvalidInput:
        return result
    left = {key: value for key, value in own.items() if key not in frozenset(names)}
    if len(left) < len(own):
        result["keys"] = write(left)
        if not left:
            del result["keys"]
    return result


def write(keys: Mapping[str, Any]) -> str:
    """Keys as YAML, one line each."""
    return "".join(f"{name}: {flow_text(value)}\n" for name, value in keys.items()).strip()


def _moved(keys: Mapping[str, Any], fields: dict[str, str]) -> dict[str, Any]:
    """Give ``fields`` what they stand for; the keys that are left."""
    left = dict(keys)
    says_method = {name: left[name] for name in _SAYS_METHOD if left.get(name)}
    full = "adapter" in left and not left["adapter"] and not says_method
    known = {**METHOD_KEYS, **PEFT_KEYS}
    method = "full" if full else next((name for name, own in known.items() if own == says_method), None)
    if method and "adapter" in left:
        fields.setdefault("method", method)
        for name in _SAYS_METHOD:
            left.pop(name, None)
    if left.get("neftune_noise_alpha") == NEFTUNE_KEYS["on"]["neftune_noise_alpha"]:
        fields.setdefault("neftune", "on")
        del left["neftune_noise_alpha"]
    if left.get("rl") in PREFERENCES:
        fields.setdefault("goal", left.pop("rl"))
    _move_dataset(left, fields)
    for key, value in tuple(left.items()):
        name = _SPELLINGS.get(key, key)
        field = FIELDS.get(name)
        if field is None or not (field.knob or name in ("model", "sequence_len")):
            continue
        if isinstance(value, str | int | float):
            fields.setdefault(name, str(value).lower() if isinstance(value, bool) else str(value))
            del left[key]
    return left


def _move_dataset(left: dict[str, Any], fields: dict[str, str]) -> None:
    """One dataset of which only path and format are said has fields; anything more stays as it is written."""
    rows = left.get("datasets")
    if not isinstance(rows, list) or len(rows) != 1 or not isinstance(rows[0], dict):
        return
    row = rows[0]
    if set(row) <= {"path", "type"} and all(isinstance(value, str) for value in row.values()):
        for name, value in row.items():
            fields.setdefault(f"dataset_{name}", value)
        del left["datasets"]


def _fault(code: str, **params: str | int) -> InvalidInput:
    return InvalidInput(FieldError("/form/keys", message(code, **params)))
