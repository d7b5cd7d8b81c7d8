"""Small models, cards and choices that the tests of this folder share."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from app.core.architecture import Activation, Architecture, Block, Kind, Module, NormForm, Part
from app.core.axolotl.composing import Choice
from app.core.axolotl.schema import Schema, build_schema
from app.core.hardware import Hardware, Vendor
from app.core.plan import Dataset, Goal, Install

RECORDING = Path(__file__).parents[3] / "app" / "data" / "axolotl-0.19.0.json"
SEVEN = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
LAYERS = (0, 1)


@cache
def schema() -> Schema:
    """The recorded one."""
    return build_schema(json.loads(RECORDING.read_text(encoding="utf-8")))


def architecture(
    model_type: str = "llama",
    *,
    kind: Kind = Kind.LINEAR,
    names: tuple[str, ...] = SEVEN,
    extra: tuple[Module, ...] = (),
    expert_names: dict[str, str] | None = None,
    **block: Any,
) -> Architecture:
    """A two-layer decoder of this name; ``block`` changes the shape of its layers."""
    shape: dict[str, Any] = {
        "layers": LAYERS,
        "hidden_size": 64,
        "intermediate_size": 128,
        "attention_heads": 4,
        "key_value_heads": 4,
        "head_dim": 16,
        "value_head_dim": 16,
        "activation": Activation.SWIGLU,
        "gated": True,
        "norm": NormForm.RMS,
    }
    rows = [Module(path=f"model.layers.{{}}.x.{name}", kind=kind, shape=(64, 64), layers=LAYERS) for name in names]
    return Architecture(
        model_type=model_type,
        modules=(*rows, *extra),
        blocks=(Block(**{**shape, **block}),),
        hidden_size=64,
        vocab_size=1000,
        context_tokens=4096,
        tie_word_embeddings=False,
        multimodal=any(module.part is not Part.TEXT for module in extra),
        expert_names=expert_names or {},
    )


def tower() -> Module:
    """One linear of a vision tower."""
    return Module(path="vision.layers.{}.q_proj", kind=Kind.LINEAR, shape=(8, 8), layers=LAYERS, part=Part.VISION)


def experts() -> Module:
    """One fused expert parameter."""
    return Module(path="model.layers.{}.mlp.experts.down_proj", kind=Kind.EXPERTS, shape=(4, 8, 8), layers=LAYERS)


AMPERE = Hardware(
    name="RTX 3090",
    gpu_id="rtx-3090",
    vendor=Vendor.NVIDIA,
    capacity_bytes=24 << 30,
    marketed_memory_gb=24,
    compute_capability=(8, 6),
    bf16=True,
)
HOPPER = replace(AMPERE, name="H100", gpu_id="h100", compute_capability=(9, 0))
TURING = replace(AMPERE, name="T4", gpu_id="t4", compute_capability=(7, 5), bf16=False)
INSTINCT = replace(AMPERE, name="MI300X", gpu_id="mi300x", vendor=Vendor.AMD, compute_capability=None)


def choice(**changes: Any) -> Choice:
    """LoRA for chat on an Ampere card in the Docker image, with ``changes``."""
    given: dict[str, Any] = {
        "base_model": "someone/Model-8B",
        "architecture": architecture(),
        "hardware": AMPERE,
        "method": "lora",
        "goal": Goal.CHAT,
        "install": Install.DOCKER,
        "dataset": Dataset(),
        "sequence_len_tokens": 2048,
        "micro_batch_size": 2,
        "gradient_accumulation_steps": 4,
        "lora_r": 16,
        "lora_alpha": 32,
        "lora_dropout": 0.05,
        "learning_rate": 0.0002,
        "num_epochs": 3.0,
        "optimizer": "adamw_torch_fused",
        "gradient_checkpointing": True,
        "neftune": True,
        "chat_template": "llama3",
        "pad_token": "<|pad|>",
        "targets": SEVEN,
        "evaluate": True,
    }
    return Choice(**{**given, **changes})
