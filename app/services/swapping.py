"""One method in another's place: a configuration as it would be under another method."""

from collections.abc import Mapping
from typing import Any

from app.catalog.methods import MethodRow
from app.core.adapter import default_targets
from app.core.axolotl.overriding import apply_overrides
from app.core.methods.settings import VIRTUAL_TOKENS, PeftType
from app.services.inputs import ResolvedModel

KEYS_OF_METHOD: Mapping[str, Mapping[str, Any]] = {
    "full": {"adapter": None},
    "lora": {"adapter": "lora"},
    "qlora": {"adapter": "qlora", "load_in_4bit": True},
    "dora": {"adapter": "lora", "peft_use_dora": True},
    "qdora": {"adapter": "qlora", "load_in_4bit": True, "peft_use_dora": True},
    "loftq": {"adapter": "lora", "peft": {"loftq_config": {"loftq_bits": 4}}},
    "relora": {"adapter": "lora", "relora": True},
}
"""The keys by which a person asks for a method that Axolotl runs."""

METHOD_KEYS = frozenset(
    ("adapter", "load_in_4bit", "load_in_8bit", "peft_use_dora", "peft", "relora", "quantize_moe_experts")
)
"""Keys that say which method it is; a road not taken is composed without them."""

LORA_DEFAULTS: Mapping[str, Any] = {"lora_r": 32, "lora_alpha": 16, "lora_dropout": 0.05}
"""The guide's template, for a configuration that has no adapter of its own."""

TURNED_OFF = (
    METHOD_KEYS
    | {"load_in_8bit", "peft_config", "lora_target_parameters", "neftune_noise_alpha"}
    | {
        "relora_prune_method",
        "relora_prune_ratio",
        "jagged_restart_steps",
        "jagged_restart_warmup_steps",
        "jagged_restart_anneal_steps",
    }
)
"""What one method's keys leave behind that another must not find."""


def as_method(config: Mapping[str, Any], row: MethodRow, resolved: ResolvedModel) -> dict[str, Any]:
    """``config`` as it would be under another method: its own keys for everything that the method leaves open."""
    keys = row.config
    if row.id == "neftune":
        return apply_overrides(config, keys)
    bare = {key: value for key, value in config.items() if key not in TURNED_OFF}
    if row.id == "full":
        return apply_overrides(bare, {"adapter": None})
    if keys.get("adapter") not in ("lora", "qlora"):
        kept = {key: value for key, value in bare.items() if not key.startswith("lora_") or key.endswith("_kernel")}
        return apply_overrides(kept, {**keys, **_unfit(str(keys.get("adapter")), kept)})
    defaults = {key: value for key, value in LORA_DEFAULTS.items() if key not in bare}
    if not any(bare.get(key) for key in ("lora_target_modules", "lora_target_linear")):
        targets = default_targets(resolved.architecture)
        defaults["lora_target_modules"] = targets if isinstance(targets, str) else list(targets)
    return apply_overrides(bare, {**defaults, **keys})


def _unfit(adapter: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """What a method cannot be with, switched off where it is on."""
    unfit = ["sample_packing"] if adapter in VIRTUAL_TOKENS else []
    if adapter == PeftType.PREFIX_TUNING:
        unfit.append("gradient_checkpointing")
    return {key: False for key in unfit if config.get(key)}
