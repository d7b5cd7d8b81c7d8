"""Axolotl's fused LoRA kernels: whether it switches them on by itself, and whether they run.

Source: Axolotl 0.19.0 ``utils/schemas/config.py`` (``check_auto_enable_lora_kernels``).
"""

from collections.abc import Mapping
from typing import Any

from app.core.coverage import LORA_KERNELS
from app.core.run import LORA_KERNEL_KEYS, Run

WITHOUT = ("load_in_8bit", "trust_remote_code", "rl", "reward_model")
"""Beside these no kernel is on unless it is named. Axolotl does switch them on in a reward model's run, which then
fails (``memory_rules.kernels_under_reward``)."""


def unnamed(config: Mapping[str, Any]) -> bool:
    """Whether a configuration says nothing of the kernels."""
    return all(config.get(key) is None for key in LORA_KERNEL_KEYS)


def on_by_themselves(config: Mapping[str, Any]) -> bool:
    """Whether Axolotl switches all kernels on under LoRA. It looks before types are read: a text is a yes."""
    return unnamed(config) and not any(map(config.get, WITHOUT))


def fuses(run: Run, model_type: str | None) -> bool:
    """Whether the kernels take the place of PEFT's forward; of a model that nobody knows they are taken to."""
    if run.fused_lora is not None:
        return run.fused_lora
    return model_type is None or model_type in LORA_KERNELS
