"""The fields of the plan's form, in the order in which people think and addresses are written."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from app.core.methods.settings import PeftType
from app.core.plan import MOST_IMAGES, MOST_SIDE, Goal, Install, Priority, Tasks
from app.services.reading import LONGEST
from app.services.swapping import KEYS_OF_METHOD


class File(StrEnum):
    """What the box for other keys is, where it is a file that somebody brought."""

    AS_IS = "as_is"
    """All of the configuration: nothing is added."""
    FILLED = "filled"
    """What it leaves open is filled in."""


class Kind(StrEnum):
    """What a field holds."""

    TEXT = "text"
    WHOLE = "whole"
    NUMBER = "number"
    CHOICE = "choice"


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field. ``name`` is its query parameter and, for a knob, Axolotl's key.

    ``default`` is what a blank or missing value means; a value equal to it stays out of addresses.
    ``least`` and ``highest`` bound a whole number, ``most`` the length of a text.
    """

    name: str
    kind: Kind
    default: str = ""
    choices: tuple[str, ...] = ()
    knob: bool = False
    least: int | None = None
    highest: int = 10**12
    most: int = 200


METHOD_KEYS: Mapping[str, Mapping[str, Any]] = KEYS_OF_METHOD
"""A person's own choice of method, as the keys that express it."""

PEFT_KEYS: Mapping[str, Mapping[str, Any]] = {method.value: {"adapter": method.value} for method in PeftType}
"""The same for methods that Axolotl does not have: taken along for PEFT, or by a plugin."""

NEFTUNE_KEYS: Mapping[str, Mapping[str, Any]] = {
    "on": {"neftune_noise_alpha": 5},
    "off": {"neftune_noise_alpha": None},
}

CHECKPOINTING: Mapping[str, Mapping[str, Any]] = {
    "true": {"gradient_checkpointing": True},
    "false": {"gradient_checkpointing": False},
    "offload": {"gradient_checkpointing": True, "activation_offloading": True},
}
"""What each choice says in Axolotl's keys; ``gradient_checkpointing: offload`` is an old spelling of the last."""


def _choice(name: str, choices: tuple[str, ...], default: str = "", *, knob: bool = False) -> Field:
    return Field(name=name, kind=Kind.CHOICE, choices=choices, default=default, knob=knob)


def _whole(name: str, highest: int = 10**12, *, least: int = 1, knob: bool = False) -> Field:
    return Field(name=name, kind=Kind.WHOLE, knob=knob, least=least, highest=highest)


FIELDS: Mapping[str, Field] = {
    field.name: field
    for field in (
        Field(name="model", kind=Kind.TEXT),
        Field(name="m", kind=Kind.TEXT, most=100_000),
        Field(name="gpu", kind=Kind.TEXT),
        Field(name="vram_gib", kind=Kind.NUMBER, least=0),
        _choice("goal", tuple(Goal), Goal.CHAT.value),
        _choice("priority", tuple(Priority), Priority.BALANCED.value),
        _choice("tasks", tuple(Tasks), Tasks.ONE.value),
        Field(name="dataset_path", kind=Kind.TEXT, most=300),
        Field(name="dataset_type", kind=Kind.TEXT),
        _whole("rows"),
        _whole("mean_tokens", 10**9),
        _whole("max_tokens", 10**9),
        _whole("images_per_row", MOST_IMAGES, least=0),
        _whole("image_side", MOST_SIDE),
        _whole("sequence_len", 1 << 24),
        _choice("method", (*METHOD_KEYS, *PEFT_KEYS)),
        _choice("neftune", tuple(NEFTUNE_KEYS)),
        _whole("lora_r", 1 << 16, knob=True),
        _whole("lora_alpha", 1 << 20, knob=True),
        Field(name="lora_dropout", kind=Kind.NUMBER, knob=True, least=0),
        _whole("micro_batch_size", 1 << 16, knob=True),
        _whole("gradient_accumulation_steps", 1 << 20, knob=True),
        Field(name="learning_rate", kind=Kind.NUMBER, knob=True, least=0),
        Field(name="num_epochs", kind=Kind.NUMBER, knob=True, least=0),
        Field(name="optimizer", kind=Kind.TEXT, knob=True),
        _choice("gradient_checkpointing", tuple(CHECKPOINTING), knob=True),
        _choice("install", tuple(Install), Install.DOCKER.value),
        Field(name="price_per_hour", kind=Kind.NUMBER, least=0),
        Field(name="keys", kind=Kind.TEXT, most=LONGEST),
        _choice("file", tuple(File)),
    )
}

POINTERS: Mapping[str, str] = {
    "/base_model": "model",
    "/config/base_model": "model",
    "/hardware/gpu": "gpu",
    "/hardware/vram_gib": "vram_gib",
    "/hardware/price_per_hour": "price_per_hour",
    "/config/sequence_len": "sequence_len",
    "/sequence_len": "sequence_len",
    "/config/adapter": "method",
    "/config/load_in_4bit": "method",
    "/config/peft_use_dora": "method",
    "/config/neftune_noise_alpha": "neftune",
    "/config/datasets": "dataset_path",
    "/config/attn_implementation": "install",
}
"""Which field a service's error or a finding is about; a knob's pointer ends in its own name."""

KEY_FIELDS: Mapping[str, str] = {
    pointer.removeprefix("/config/"): field for pointer, field in POINTERS.items() if pointer.startswith("/config/")
} | {"neftune_noise_alpha": "neftune", "rl": "goal", "relora": "method", "peft": "method"}
"""Which field an Axolotl key stands behind, knobs aside."""


def field_of_pointer(pointer: str) -> str | None:
    """The field that ``pointer`` is about, None where the form has none."""
    if pointer == "/model" or pointer.startswith("/model/"):
        return "model_json"
    return POINTERS.get(pointer) or field_of_key(pointer.removeprefix("/config/"))


def field_of_key(key: str) -> str | None:
    """The field behind an Axolotl key, dotted where nested."""
    top = key.partition(".")[0].partition("/")[0].partition("[")[0]
    if top in FIELDS and (FIELDS[top].knob or top == "sequence_len"):
        return top
    return KEY_FIELDS.get(top)
