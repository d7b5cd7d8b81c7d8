"""Rules about kinds of values: what pydantic refuses before any of Axolotl's own checks looks at it."""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from app.core.axolotl.judging import Fault, judge, judge_key, judge_model
from app.core.axolotl.schema import Key, Schema
from app.core.axolotl.subject import Rule, Subject, info, misleads, rejected
from app.core.findings import Finding, Fix
from app.core.lookalikes import described, is_bullet, number_of
from app.core.nearest import nearest
from app.core.shown import path_shown, shown
from app.core.values import FALSE_WORDS, TRUE_WORDS

LONGEST_SHOWN = 80
SIMPLE = frozenset((bool, int, float, str, type(None)))
LONGEST_KEPT = 100
"""Characters of a text of which the judgement is kept."""
ROUGHLY_NUMBERS = ("optim_args", "lr_scheduler_kwargs", "gradient_checkpointing_kwargs", "bnb_config_kwargs")
"""Mappings that are handed on as they are: a number in text stays text there."""
CONVERTED = frozenset(
    """image_resize_algorithm qat.weight_dtype qat.activation_dtype quantization.weight_dtype
    quantization.activation_dtype""".split()
)
"""Where text passes through a table of Axolotl's first; ``precision_rules`` knows it."""
TAKEN_OUT = frozenset(
    "flash_attention sdp_attention eager_attention flex_attention xformers_attention sage_attention".split()
)
"""Old switches that are looked at and taken out before anything is read."""
READ_AS_NUMBER = (
    ("gc_steps", ("torch_empty_cache_steps", "gc_collect_steps")),
    ("tensor_parallel_size", ()),
)
"""Keys that Axolotl compares before pydantic has read them, with those that keep it from doing so."""
REWARDS = ("reward", "reward_model", "reward_trainer", "rm", "bradley_terry")
SUPERVISED = ("sft", "none", "false", "no", "instruct")
ONLINE = ("ppo", "reinforce", "rloo", "reinforce++", "remax", "online_dpo")
"""Online trainings that Axolotl does not have; what it has is GRPO."""
LISTS_OF_DATASETS = ("datasets", "test_datasets", "pretraining_dataset")
MEANT = ("rl", "chat_template", "gradient_checkpointing", "bf16")
"""Keys whose wrong words mean something that has another place."""
LARGEST_ROUNDED = 1e9
_COMMA = re.compile(r"[-+]?\d{1,6},\d{1,12}")
_THOUSANDS = re.compile(r"[-+]?\d{1,3}(,\d{3}){1,5}")
NAMES_OF_SWITCHES = {True: ("on", "yes"), False: ("no", "off")}
CODES = {
    "bound": "value_bound",
    "length": "value_length",
    "missing": "key_missing",
    "key": "key_kind",
}


def key_kinds(subject: Subject) -> Iterator[Finding]:
    """Top-level keys are names; ``on:`` and ``1:`` are none in YAML."""
    keys: Iterable[object] = subject.config
    for key in keys:
        if not isinstance(key, str):
            yield rejected("key_not_text", None, given=shown(key, LONGEST_SHOWN))


def types(subject: Subject) -> Iterator[Finding]:
    """Every value against what its key accepts."""
    schema = subject.schema
    if schema is None:
        return
    for name, kind in subject.kinds():
        key = schema.keys.get(name)
        if key is not None and kind in key.plain:
            continue
        value = subject.config[name]
        key = key or _key(name, subject, schema)
        if key is None or name == "datasets" or name in TAKEN_OUT:
            continue
        simple = type(value) in SIMPLE and (not isinstance(value, str) or len(value) <= LONGEST_KEPT)
        yield from (
            _kept_faults(schema, name, type(value).__name__, value) if simple else _faults(value, key, schema, name)
        )


def _faults(value: Any, key: Key, schema: Schema, name: str) -> Iterator[Finding]:
    """What is wrong with one key's value."""
    for fault in judge_key(value, key, schema, str(name)):
        if not (fault.path in CONVERTED and isinstance(fault.given, str)):
            yield complaint(fault, key if fault.path == name else None)


@lru_cache(maxsize=2048)
def _kept_faults(schema: Schema, name: str, _: str, value: Any) -> tuple[Finding, ...]:
    """The same, kept: while fixes are tried, all the other values are looked at again each time."""
    key = schema.key(name)
    return () if key is None else tuple(_faults(value, key, schema, name))


def required(subject: Subject) -> Iterator[Finding]:
    """Keys without a default."""
    schema = subject.schema
    if schema is None:
        return
    for key in schema.required:
        if not any(spelling in subject.config for spelling in (key.name, *key.aliases)):
            fix = Fix(set={key.name: 0.0002}) if key.name == "learning_rate" else None
            yield rejected("key_missing", key.name, fix=fix, key=key.name)


def dataset_types(subject: Subject) -> Iterator[Finding]:
    """Each dataset as the kind that ``rl`` calls for."""
    schema, given = subject.schema, subject.config.get("datasets")
    if schema is None or given is None:
        return
    if not isinstance(given, list | tuple) or not given:
        for fault in judge(given, schema.keys["datasets"].accepts, schema, "datasets"):
            yield complaint(fault, schema.keys["datasets"])
        return
    for position, item in enumerate(given):
        path = f"datasets[{position}]"
        if not isinstance(item, Mapping):
            yield complaint(Fault(path=path, kind="type", given=item, expected=("mapping",)), None)
            continue
        for name in item:
            if not isinstance(name, str):
                yield rejected("key_not_text", path, given=shown(name, LONGEST_SHOWN))
        for fault in judge_model(item, dataset_model(subject, item), schema, path):
            yield complaint(fault, None)


def dataset_model(subject: Subject, item: Mapping[Any, Any]) -> str:
    """The model that Axolotl turns this dataset into (``validate_config``)."""
    rl = subject.text("rl")
    if rl in ("dpo", "ipo", "simpo"):
        return "DPODataset"
    if rl == "kto":
        return "KTODataset"
    return "SyntheticDataset" if item.get("type") == "_synthetic" else "SFTDataset"


def numbers_in_text(subject: Subject) -> Iterator[Finding]:
    """``2e-4`` is text in YAML 1.1. Axolotl's own keys are converted; what it hands on to others is not."""
    for name in (name for name in ROUGHLY_NUMBERS if name in subject.config):
        for key, value in subject.mapping(name).items():
            if isinstance(value, str) and (number := _number(value)) is not None:
                fix = Fix(set={f"{name}.{key}": number})
                yield misleads("number_in_text", f"{name}.{key}", fix=fix, key=f"{name}.{key}", given=value[:40])


def exponents(subject: Subject) -> Iterator[Finding]:
    """Where Axolotl converts it, the text of a number does no harm; the next tool may read it otherwise."""
    schema = subject.schema
    if schema is None:
        return
    for name, value in subject.texts():
        key = _key(name, subject, schema)
        if key is not None and "number" in key.accepts and _number(value) is not None:
            yield info(
                "exponent_text", name, fix=Fix(set={name: _number(value)}, safe=True), key=name, given=value[:40]
            )


def compared_early(subject: Subject) -> Iterator[Finding]:
    """A number in text is compared with a number before it is read as one, which is an error in Python."""
    for key, others in READ_AS_NUMBER:
        given = subject.config.get(key)
        if isinstance(given, str) and subject.number(key) is not None and not any(map(subject.given, others)):
            fix = Fix(set={key: int(given)}, safe=True) if given.strip().isdecimal() else None
            yield rejected("compared_early", key, fix=fix, key=key, given=given[:40])


def read_through_null(subject: Subject) -> Iterator[Finding]:
    """A key that is there and empty, where Axolotl looks inside without asking."""
    trl = "trl" in subject.config and subject.config["trl"] is None
    if trl and (subject.text("rl") == "gdpo" or subject.on("beta")):
        yield rejected("read_through_null", "trl", fix=Fix(unset=("trl",), safe=True), key="trl")
    tensor = "tensor_parallel_size" in subject.config and subject.config["tensor_parallel_size"] is None
    if tensor and "liger" in subject.listed_plugins and subject.on("liger_rms_norm"):
        key = "tensor_parallel_size"
        yield rejected("read_through_null", key, fix=Fix(unset=(key,), safe=True), key=key)


def processor(subject: Subject) -> Iterator[Finding]:
    """Two settings of the processor have keys of their own."""
    for key in ("revision", "trust_remote_code"):
        if key in subject.mapping("processor_kwargs"):
            path = f"processor_kwargs.{key}"
            yield rejected("processor_reserved", path, fix=Fix(unset=(path,)), key=key)


def complaint(fault: Fault, key: Key | None) -> Finding:
    """A fault in words, with a fix where what was meant is plain."""
    given, path = shown(fault.given, LONGEST_SHOWN), path_shown(fault.path)
    match fault.kind:
        case "type" if (odd := _odd(fault)) is not None:
            return odd
        case "type":
            fix = _mended(fault)
            return rejected("value_type", fault.path, fix=fix, key=path, given=given, expected=fault.expected)
        case "values" if fault.path in MEANT and (found := _meant(fault, given)) is not None:
            return found
        case "values":
            allowed = fault.allowed or tuple(str(value) for value in (key.values if key else ()))
            close = nearest(str(fault.given), allowed, count=1)
            fix = Fix(set={fault.path: close[0]}) if close else None
            if close:
                return rejected(
                    "value_choice_nearest",
                    fault.path,
                    fix=fix,
                    key=path,
                    given=given,
                    nearest=close[0],
                    allowed=allowed[:40],
                )
            return rejected("value_choice", fault.path, key=path, given=given, allowed=fault.expected[:40])
        case "extra":
            close = nearest(str(fault.given), fault.allowed, count=1)
            return rejected("key_refused", fault.path, key=path, allowed=close or fault.allowed)
        case _:
            return rejected(CODES[fault.kind], fault.path, key=path, given=given, expected=fault.expected)


def _odd(fault: Fault) -> Finding | None:
    """A number behind a sign that only looks like a minus, or a list's item behind what only looks like a hyphen."""
    given = fault.given
    if not isinstance(given, str) or given.isascii():
        return None
    found, wanted = number_of(given), {"integer", "number"} & {*fault.expected}
    if found is not None and wanted:
        number, sign = found
        whole = isinstance(number, int) or "number" in wanted
        fix = Fix(set={fault.path: number}, safe=True) if whole else None
        shown_sign = described(sign)
        return rejected(
            "value_minus", fault.path, fix=fix, key=path_shown(fault.path), given=given[:40], sign=shown_sign
        )
    if is_bullet(given):
        return rejected("value_bullet", fault.path, key=path_shown(fault.path), sign=described(given[0]))
    return None


def _meant(fault: Fault, given: str) -> Finding | None:
    """What a word says that is none of the key's, but another thing's."""
    word = str(fault.given).strip().lower()
    if fault.path == "gradient_checkpointing":
        # Of Axolotl up to 0.8: checkpoints kept in the host's memory by a function of Unsloth's.
        fix = Fix(set={"gradient_checkpointing": True, "activation_offloading": True})
        if word != "unsloth":
            return None
        return rejected("checkpointing_unsloth", fault.path, fix=fix, allowed=fault.expected)
    if fault.path == "bf16":
        return rejected("bf16_full", fault.path, fix=Fix(set={"bf16": "auto"})) if word == "full" else None
    if fault.path == "chat_template":
        if "." in word and " " not in word and "{" not in word:
            fix = Fix(unset=("chat_template",))
            return rejected("template_is_type", "chat_template", fix=fix, given=given)
        return None
    if word in REWARDS:
        fix = Fix(set={"reward_model": True}, unset=("rl",), safe=True)
        return rejected("rl_reward", "rl", fix=fix, given=given)
    if word in SUPERVISED:
        return rejected("rl_supervised", "rl", fix=Fix(unset=("rl",), safe=True), given=given)
    return rejected("rl_online", "rl", given=given) if word in ONLINE else None


def _mended(fault: Fault) -> Fix | None:
    """What a value of the wrong kind plainly was to be; Axolotl refuses the file as it is, so nothing can break."""
    given = fault.given
    if isinstance(given, bool):
        words = [word for word in NAMES_OF_SWITCHES[given] if word in fault.expected]
        if not words and fault.path in ("save_strategy", "eval_strategy", "evaluation_strategy", "hub_strategy"):
            words = ["no"] if given is False else []
        return Fix(set={fault.path: words[0]}, safe=True) if words else None
    if isinstance(given, int | float) and "string" in fault.expected:
        return Fix(set={fault.path: str(given)}, safe=True)
    if isinstance(given, str) and (number := _point(given, fault.expected)) is not None:
        return Fix(set={fault.path: number}, safe=True)
    if fault.path == "warmup_steps" and isinstance(given, float) and 0 < given < 1:
        return Fix(set={"warmup_ratio": given}, unset=("warmup_steps",))
    if isinstance(given, float) and "integer" in fault.expected and abs(given) < LARGEST_ROUNDED:
        return Fix(set={fault.path: round(given)})
    if isinstance(given, str) and fault.path in LISTS_OF_DATASETS and "list of mapping" in fault.expected:
        return Fix(set={fault.path: [{"path": given}]}, safe=True)
    if isinstance(given, list) and "mapping" in fault.expected and (merged := _merged(given)):
        return Fix(set={fault.path: merged}, safe=True)
    if isinstance(given, str) and "list of string" in fault.expected:
        return Fix(set={fault.path: [given]}, safe=True)
    if isinstance(given, Mapping) and "list of mapping" in fault.expected:
        return Fix(set={fault.path: [given]}, safe=True)
    if isinstance(given, str) and "true/false" in fault.expected:
        word = nearest(given, (*TRUE_WORDS[3:4], *FALSE_WORDS[3:4]), count=1)
        return Fix(set={fault.path: word[0] == "true"}) if word else None
    return None


def _point(text: str, expected: tuple[str, ...]) -> float | None:
    """A number with a comma where Python wants a point, or between its thousands."""
    if "integer" in expected:
        return int(text.replace(",", "")) if _THOUSANDS.fullmatch(text.strip()) else None
    if "number" in expected and _COMMA.fullmatch(text.strip()):
        return float(text.strip().replace(",", "."))
    return None


def _merged(given: list[Any]) -> dict[Any, Any]:
    """One mapping from a list of those that have nothing in common, else nothing."""
    if not all(isinstance(item, Mapping) for item in given):
        return {}
    merged = {key: value for item in given for key, value in item.items()}
    return merged if len(merged) == sum(map(len, given)) else {}


def _key(name: Any, subject: Subject, schema: Schema) -> Key | None:
    """The key as it is read: a plugin's only where the plugin is listed."""
    if not isinstance(name, str):
        return None
    if name in schema.keys:
        return schema.keys[name]
    package = schema.plugin_of.get(name)
    return schema.plugins[package][name] if package and package in subject.listed_plugins else None


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


TYPE_RULES: tuple[Rule, ...] = (
    key_kinds,
    types,
    required,
    dataset_types,
    numbers_in_text,
    exponents,
    compared_early,
    read_through_null,
    processor,
)
