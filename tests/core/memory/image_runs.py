"""Runs that read images, for laws of any tower."""

from typing import Any

from app.core.adapter import resolve_adapter
from app.core.architecture import Architecture
from app.core.axolotl.run_reader import read_run
from app.core.estimate import Memory
from app.core.memory import estimate_memory

SEEING: dict[str, Any] = {"processor_type": "AutoProcessor", "sequence_len": 2048}
TUNED: dict[str, Any] = {"adapter": "lora", "lora_r": 16, "lora_target_modules": r".*language_model.*q_proj"}
LINEAR: dict[str, Any] = {"adapter": "lora", "lora_r": 16, "lora_target_linear": True}


def memory(architecture: Architecture, config: dict[str, Any]) -> Memory:
    """Of a configuration."""
    run = read_run(config)
    return estimate_memory(architecture, run, resolve_adapter(architecture, run), fused_lora=False)


def peak(architecture: Architecture, config: dict[str, Any]) -> int:
    """What tensors take."""
    return memory(architecture, config).allocated_peak_bytes
