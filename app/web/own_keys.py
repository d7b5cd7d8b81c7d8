"""Axolotl keys in an address or a text box: those that a field stands for go to it, the rest stay as YAML.

``?adapter=qlora&load_in_4bit=true&weight_decay=0.01`` -> ``method=qlora`` and ``keys=weight_decay: 0.01``. So an
address may be written with Axolotl's own names, and a whole YAML file may be pasted.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from app.core.axolotl.overriding import ruled_out
from app.core.axolotl.renamed import modern
from app.core.errors import FieldError, InvalidInput
from app.core.messages import message
from app.core.plan import Goal
from app.services.reading import read
from app.services.swapping import METHOD_KEYS as METHOD_SAYING_KEYS
from app.services.writing import flow_text
from app.web.fields import FIELDS, METHOD_KEYS, NEFTUNE_KEYS, PEFT_KEYS, field_of_key

METHOD_SAYING = METHOD_SAYING_KEYS | {"peft_config"}
"""What says which method it is: another choice takes it all out of the box."""
_KEYS_OF_METHOD: Mapping[str, Mapping[str, Any]] = {**METHOD_KEYS, **PEFT_KEYS}
_SPELLINGS = {"base_model": "model"}
_SAYS_METHOD = ("adapter", "load_in_4bit", "peft_use_dora", "peft", "relora")
_KEYS_OF = {
    "model": ("base_model",),
    "method": ("adapter", *sorted(METHOD_SAYING - {"adapter"})),
    "neftune": ("neftune_noise_alpha",),
    "goal": ("rl",),
    "dataset_path": ("datasets",),
    "dataset_type": ("datasets",),
}
"""The keys that a field stands for, where they are called otherwise; the first is the one to name."""
PREFERENCES = frozenset({Goal.DPO, Goal.ORPO, Goal.KTO, Goal.SIMPO})


@dataclass(frozen=True, slots=True, kw_only=True)
class Twice:
    """A key that the box says otherwise than the field that stands for it."""

    field: str
    key: str
    boxed: str
    """The box's value as a field would hold it."""

    @property
    def keys(self) -> tuple[str, ...]:
        """What goes from the box where the field's value is kept."""
        return keys_of(self.field)


def keys_of(field: str) -> tuple[str, ...]:
    """Axolotl's keys behind a field."""
    return _KEYS_OF.get(field, (field,))


def parse(text: str) -> dict[str, Any]:
    """The keys of a YAML mapping; none for a blank text.

    Raises:
        InvalidInput: it is too long, no YAML, no mapping of names, or has a name twice.
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
    twice = [
        found.message for found in reading.findings if found.code == "duplicate_key" and found.key in reading.config
    ]
    if twice:
        raise InvalidInput(*(FieldError("/form/keys", said) for said in twice))
    return reading.config


@lru_cache(maxsize=8)
def _in_the_box(text: str) -> Mapping[str, Any]:
    """``parse`` once for all links of a page: each says the same keys with a change."""
    return parse(text)


def contradictions(keys: Mapping[str, Any], fields: Mapping[str, str], said: Mapping[str, Any]) -> tuple[Twice, ...]:
    """Where ``keys`` of the box say otherwise than ``fields``, or than the keys that those have ``said``.

    A value that only says more than its field is none: NEFTune is on, and the box says how much.
    """
    found: dict[str, str] = {}
    _moved(modern(keys), found)
    twice = {
        name: Twice(field=name, key=keys_of(name)[0], boxed=text)
        for name, text in found.items()
        if name in fields and not _same(text, fields[name])
    }
    for key, value in keys.items():
        name = field_of_key(key)
        if key not in said or name is None or name not in fields or name in twice:
            continue
        if bool(value) != bool(said[key]) or (key == "adapter" and value != said[key]):
            twice[name] = Twice(field=name, key=key, boxed=flow_text(value))
    return tuple(twice.values())


def folded(values: Mapping[str, str], foreign: Iterable[tuple[str, str]], known: frozenset[str]) -> dict[str, str]:
    """``values`` of fields, with what ``foreign`` parameters say by Axolotl's names.

    Old names become today's, since a plan writes those and Axolotl refuses some pairs. Parameters that Axolotl does not
    know are somebody else's. A text that is no YAML, and a key that its field says otherwise, are left for the form to
    complain about.
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
    said = {key: value for key, value in patch.items() if value is not None}
    left = _moved(said, found)
    goes = {name for key, value in said.items() for name in ruled_out(key, value)}
    for key in (key for key, value in patch.items() if value is None):
        name = _SPELLINGS.get(key, key)
        if name in result and name in FIELDS:
            del result[name]
        elif key not in goes:  # what goes by itself need not be said
            left[key] = None
    try:
        own = _in_the_box(values.get("keys", ""))
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
        own = _in_the_box(values.get("keys", ""))
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
    """Give ``fields`` what they stand for; the keys that are left, those that a field says otherwise included."""
    left = dict(keys)
    method = _method(left) if "adapter" in left else None
    if method and _given(fields, method=method):
        for name in _SAYS_METHOD:
            left.pop(name, None)
    alpha = NEFTUNE_KEYS["on"]["neftune_noise_alpha"]
    if left.get("neftune_noise_alpha") == alpha and _given(fields, neftune="on"):
        del left["neftune_noise_alpha"]
    if left.get("rl") in PREFERENCES and _given(fields, goal=left["rl"]):
        del left["rl"]
    _move_dataset(left, fields)
    for key, value in tuple(left.items()):
        name = _SPELLINGS.get(key, key)
        field = FIELDS.get(name)
        if field is None or not (field.knob or name in ("model", "sequence_len")):
            continue
        if isinstance(value, str | int | float):
            text = str(value).lower() if isinstance(value, bool) else str(value)
            if _given(fields, **{name: text}):
                del left[key]
    return left


def _method(keys: Mapping[str, Any]) -> str | None:
    """The choice of method that ``keys`` come to, where there is one."""
    said = {name: keys[name] for name in _SAYS_METHOD if keys.get(name)}
    return next((name for name, own in _KEYS_OF_METHOD.items() if own == said), None) if said else "full"


def _move_dataset(left: dict[str, Any], fields: dict[str, str]) -> None:
    """One dataset of which only path and format are said has fields; anything more stays as it is written."""
    rows = left.get("datasets")
    if not isinstance(rows, list) or len(rows) != 1 or not isinstance(rows[0], dict):
        return
    row = rows[0]
    plain = set(row) <= {"path", "type"} and all(isinstance(value, str) for value in row.values())
    if plain and _given(fields, **{f"dataset_{name}": value for name, value in row.items()}):
        del left["datasets"]


def _given(fields: dict[str, str], **values: str) -> bool:
    """Give ``fields`` all of ``values``; whether none of them says otherwise already."""
    if any(name in fields and not _same(text, fields[name]) for name, text in values.items()):
        return False
    for name, text in values.items():
        fields.setdefault(name, text)
    return True


def _same(one: str, other: str) -> bool:
    """Whether two texts mean the same: ``2e-4`` and ``0.0002`` do."""
    try:
        return float(one) == float(other)
    except ValueError:
        return one.strip() == other.strip()


def _fault(code: str, **params: str | int) -> InvalidInput:
    return InvalidInput(FieldError("/form/keys", message(code, **params)))
