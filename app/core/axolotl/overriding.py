"""A person's own keys over a composed configuration: theirs win, and what contradicts them goes."""

from collections.abc import Callable, Mapping
from typing import Any

from app.core.axolotl.keys import in_order
from app.core.run import CCE_PLUGIN, LIGER_PLUGIN, LORA_KERNEL_KEYS

CCE_KEYS = ("cut_cross_entropy",)
LIGER_LOSS_KEYS = ("liger_fused_linear_cross_entropy", "liger_cross_entropy")
ADAPTER_KEYS = (
    "load_in_4bit",
    "load_in_8bit",
    "quantize_moe_experts",
    "embeddings_skip_upcast",
    "peft_use_dora",
    "peft",
    "relora",
    "relora_prune_method",
    "relora_prune_ratio",
    "jagged_restart_steps",
    "jagged_restart_warmup_steps",
    "jagged_restart_anneal_steps",
    "lora_r",
    "lora_alpha",
    "lora_dropout",
    "lora_target_modules",
    "lora_target_linear",
    "lora_fan_in_fan_out",
    *LORA_KERNEL_KEYS,
)
PLUGINS = ((CCE_PLUGIN, CCE_KEYS), (LIGER_PLUGIN, ("liger_",)))
"""Each loss's plugin with the beginnings of its keys, which are unknown without it."""
PLUGIN_KEYS = tuple(start for _, starts in PLUGINS for start in starts)
RELORA_KEYS = tuple(key for key in ADAPTER_KEYS if key.startswith(("relora", "jagged")))


def _adapter(value: object) -> tuple[str, ...]:
    if value == "lora":
        return ("load_in_4bit", "quantize_moe_experts", "embeddings_skip_upcast")
    return ("load_in_8bit",) if value == "qlora" else ADAPTER_KEYS


def _attention(value: object) -> tuple[str, ...]:
    return ("sample_packing", "eval_sample_packing") if value in ("eager", "sdpa", "fp8") else ()


def _when(truth: object, *keys: str) -> Callable[[object], tuple[str, ...]]:
    return lambda value: keys if value == truth and isinstance(value, bool) else ()


def _always(*keys: str) -> Callable[[object], tuple[str, ...]]:
    return lambda _: keys


CONTRADICTED_BY: Mapping[str, Callable[[object], tuple[str, ...]]] = {
    "adapter": _adapter,
    "relora": _when(False, *RELORA_KEYS),
    "lora_target_linear": _when(True, "lora_target_modules", "quantize_moe_experts"),
    "lora_target_modules": _always("lora_target_linear"),
    "attn_implementation": _attention,
    "sample_packing": _when(False, "eval_sample_packing"),
    "processor_type": _always("sample_packing", "eval_sample_packing"),
    "rl": _always("sample_packing", "eval_sample_packing", "neftune_noise_alpha"),
    "cut_cross_entropy": _when(True, *LIGER_LOSS_KEYS, "chunked_cross_entropy"),
    "chunked_cross_entropy": _when(True, *CCE_KEYS, *LIGER_LOSS_KEYS),
    "liger_fused_linear_cross_entropy": _when(True, *CCE_KEYS, "chunked_cross_entropy"),
    "liger_cross_entropy": _when(True, *CCE_KEYS, "liger_fused_linear_cross_entropy", "chunked_cross_entropy"),
    "fp16": _when(True, "bf16"),
    "bf16": _when(True, "fp16"),
    "gradient_checkpointing": _when(False, "activation_offloading"),
    "warmup_steps": _always("warmup_ratio"),
    "warmup_ratio": _always("warmup_steps"),
    "save_steps": _always("saves_per_epoch"),
    "save_strategy": _always("saves_per_epoch"),
    "eval_steps": _always("evals_per_epoch"),
    "eval_strategy": _always("evals_per_epoch"),
    "test_datasets": _always("val_set_size"),
    "pretraining_dataset": _always("datasets", "val_set_size", "evals_per_epoch"),
}
"""The composed keys that a person's value for a key rules out, by that key."""


def ruled_out(key: str, value: object) -> tuple[str, ...]:
    """The keys that a value for ``key`` rules out; taking one out rules out nothing, but for an adapter's own."""
    if value is None and key != "adapter":
        return ()
    return CONTRADICTED_BY.get(key, _always())(value)


def apply_overrides(config: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """``config``, which is in writing order, with a person's own keys where they belong.

    Their keys always stand as given; None takes a key out. A composed key that contradicts one of theirs goes,
    unless they set that one too. Where keys of a plugin come or go, so does the plugin; a person's list is theirs.
    """
    merged = dict(config)
    touched = list(overrides)
    for key, value in overrides.items():
        for other in ruled_out(key, value):
            if other in merged and other not in overrides:
                del merged[other]
                touched.append(other)
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = value
    if "plugins" not in overrides and any(key.startswith(PLUGIN_KEYS) for key in touched):
        _match_plugins(merged)
    return in_order(merged) if merged.keys() - config.keys() else merged


def _match_plugins(merged: dict[str, Any]) -> None:
    """List each loss's plugin exactly where its keys stand."""
    plugins = merged.get("plugins") or []
    if not isinstance(plugins, list):
        return
    for plugin, keys in PLUGINS:
        wanted = any(key.startswith(keys) for key in merged)
        if wanted and plugin not in plugins:
            plugins = [*plugins, plugin]
        elif not wanted:
            plugins = [name for name in plugins if name != plugin]
    if plugins:
        merged["plugins"] = plugins
    else:
        merged.pop("plugins", None)
