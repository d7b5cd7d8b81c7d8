"""Configurations broken on purpose, each with a name: what the product says of them is held to Axolotl's own verdicts.

Four kinds: every key with values of every kind (``kind``), nested keys likewise (``nested``), keys misspelt (``typo``)
and combinations that a rule is about, together with near misses that are fine (``rule``, ``again``). Nothing is drawn by
chance.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from app.core.axolotl.schema import Key, Schema, walk
from app.core.hardware import Hardware, Vendor

DATA = Path(__file__).parents[1] / "data" / "axolotl"
BROKEN_RULES = {"rule": "broken-rules.yaml", "again": "broken-rules-again.yaml"}
"""Files of what each rule is about: its code, the bases that it is tried on, and changes to them."""
SEVEN = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
COMMON: Mapping[str, Any] = {
    "base_model": "NousResearch/Llama-3.2-1B",
    "datasets": [{"path": "mhenrichsen/alpaca_2k_test", "type": "alpaca"}],
    "sequence_len": 2048,
    "micro_batch_size": 2,
    "gradient_accumulation_steps": 4,
    "num_epochs": 1,
    "optimizer": "adamw_torch_fused",
    "learning_rate": 0.0002,
    "bf16": "auto",
    "output_dir": "./out",
}
LORA: Mapping[str, Any] = {**COMMON, "adapter": "lora", "lora_r": 16, "lora_alpha": 32, "lora_target_modules": SEVEN}
BASES: Mapping[str, Mapping[str, Any]] = {
    "full": {**COMMON, "learning_rate": 2e-5, "gradient_checkpointing": True},
    "lora": LORA,
    "qlora": {
        **LORA,
        "adapter": "qlora",
        "load_in_4bit": True,
        "attn_implementation": "flash_attention_2",
        "sample_packing": True,
        "gradient_checkpointing": True,
        "val_set_size": 0.05,
    },
    "dpo": {
        **LORA,
        "rl": "dpo",
        "datasets": [{"path": "a/b", "type": "chat_template.default", "split": "train"}],
    },
}
VALUES: Mapping[str, Any] = {
    "word": "abc",
    "digits": "5",
    "whole": 5,
    "fraction": 1.5,
    "true": True,
    "false": False,
    "list": ["abc"],
    "mapping": {"abc": 1},
    "null": None,
    "empty": "",
    "zero": 0,
    "minus": -1,
}
NESTED_VALUES = ("word", "whole", "fraction", "list", "mapping", "null")
OPENS_FILES = frozenset(("deepspeed", "deepcompile"))
"""Keys whose checks open a file, here and not at the user's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """One configuration with its name and the card it is for."""

    name: str
    config: Mapping[str, Any]
    capability: str = "sm_90"
    gpus: int = 1
    vendor: Vendor = Vendor.NVIDIA
    rule: str = field(default="")

    @property
    def hardware(self) -> Hardware:
        """A card of that capability."""
        digits = self.capability.removeprefix("sm_")
        capability = (int(digits[:-1]), int(digits[-1]))
        return Hardware(
            name=self.capability,
            gpu_id=None,
            vendor=self.vendor,
            capacity_bytes=80 << 30,
            marketed_memory_gb=80,
            compute_capability=capability,
            bf16=capability >= (8, 0),
            count=self.gpus,
        )


def broken(schema: Schema) -> Iterator[Broken]:
    """All of them."""
    yield from kinds(schema)
    yield from nested(schema)
    yield from typos()
    yield from rules()


def kinds(schema: Schema) -> Iterator[Broken]:
    """Each key of the schema with a value of each kind, over a base in turn."""
    bases = list(BASES)
    names = sorted(name for name, key in schema.keys.items() if name not in OPENS_FILES)
    for position, name in enumerate(names):
        base = bases[position % len(bases)]
        for kind, value in VALUES.items():
            yield Broken(name=f"kind {base} {name} {kind}", config={**BASES[base], name: value})
        yield Broken(name=f"without {base} {name}", config={k: v for k, v in BASES[base].items() if k != name})


def nested(schema: Schema) -> Iterator[Broken]:
    """Each key below another, with a value of each kind."""
    for name in (
        "trl",
        "vllm",
        "ebft",
        "qat",
        "fsdp_config",
        "peft",
        "special_tokens",
        "datasets",
        "test_datasets",
        "lr_groups",
    ):
        for model in schema.keys[name].models:
            if name == "datasets" and model != "SFTDataset":
                continue
            if name == "test_datasets" and model != "SyntheticDataset":
                continue
            for inner in sorted(schema.models[model]):
                for kind in NESTED_VALUES:
                    block = {**_needed(schema.models[model]), inner: VALUES[kind]}
                    value = [block] if any(walk(schema.keys[name].accepts, "list")) else block
                    extra = {"fsdp_version": 2} if name == "fsdp_config" else {}
                    base = "full" if name == "qat" else "lora"
                    yield Broken(
                        name=f"nested {name} {model}.{inner} {kind}", config={**BASES[base], **extra, name: value}
                    )


def _needed(keys: Mapping[str, Key]) -> dict[str, Any]:
    """Values for the keys that a model cannot be without."""
    kinds: Mapping[str, Any] = {"text": "abc", "integer": 1, "number": 0.5, "boolean": True}
    needed = {}
    for name, key in keys.items():
        if key.required and key.name == name:
            first = key.accepts[0]
            needed[name] = kinds.get(first, ["abc"]) if isinstance(first, str) else ["abc"]
    if "path" in keys:
        needed["path"] = "a/b"
    return needed


def typos() -> Iterator[Broken]:
    """Each key of each base written wrong in three ways."""
    for base, config in BASES.items():
        for name in config:
            wrong = (name[:-1], name[0] + name[2:3] + name[1] + name[3:], name.replace("_", "", 1) + "s")
            for position, spelling in enumerate(wrong):
                renamed = {spelling if key == name else key: value for key, value in config.items()}
                yield Broken(name=f"typo {base} {name} {position}", config=renamed)


def rules() -> Iterator[Broken]:
    """What each rule is about, over every base that it makes sense on."""
    for kind, file in BROKEN_RULES.items():
        for row in _rows(file):
            for base in row["bases"].split():
                for position, variant in enumerate(row["changes"]):
                    yield _changed(f"{kind} {row['rule']} {base} {position}", row["rule"], base, variant)


@cache
def _rows(file: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = yaml.safe_load((DATA / file).read_text(encoding="utf-8"))
    return rows


def _changed(name: str, rule: str, base: str, variant: Mapping[str, Any]) -> Broken:
    changes = dict(variant)
    capability, gpus = changes.pop("@card", "sm_90"), changes.pop("@gpus", 1)
    vendor = Vendor(changes.pop("@vendor", Vendor.NVIDIA))
    merged = {**BASES[base], **changes}
    config = {key: value for key, value in merged.items() if value != "@gone"}
    return Broken(name=name, config=config, capability=capability, gpus=gpus, vendor=vendor, rule=rule)
