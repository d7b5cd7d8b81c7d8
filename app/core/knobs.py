"""Knobs: the values a plan starts from.

Lengths and micro batches follow the guide's two templates; everything else is advice (``app/data/advice.yaml``).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from app.core.advice import EFFECTIVE_BATCH
from app.core.plan import Advice

ROOM_SEQUENCE = 2048
"""The guide's smaller template: a method that must go below it has no room on the card."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Knobs:
    """What a plan may turn. Sequence length in tokens; the effective batch is micro batch x accumulation."""

    sequence_len_tokens: int
    micro_batch_size: int
    gradient_accumulation_steps: int
    lora_r: int
    lora_alpha: int
    lora_dropout: float
    learning_rate: float
    num_epochs: float
    warmup_ratio: float
    optimizer: str
    gradient_checkpointing: bool


def starting_knobs(
    advice: Mapping[str, Advice],
    *,
    memory_gb: float,
    context_tokens: int | None,
    wanted_tokens: int | None,
    least_micro_batch: int = 1,
    checkpointing: bool = True,
) -> Knobs:
    """The guide's template, within the model's context, with what is advised.

    Its LoRA template (24 GB and more) trains 4096 tokens in micro batches of 2, its QLoRA template (8 GB and more)
    2048 in micro batches of 1. A smaller card starts from the smaller one. Without ``checkpointing`` a plan takes it up
    only where it must.
    """
    small = memory_gb < 24
    sequence = wanted_tokens or (2048 if small else 4096)
    if context_tokens is not None and wanted_tokens is None:
        sequence = min(sequence, context_tokens)
    micro = max(least_micro_batch, 1 if small else 2)
    return Knobs(
        sequence_len_tokens=sequence,
        micro_batch_size=micro,
        gradient_accumulation_steps=max(1, round(float(advice[EFFECTIVE_BATCH].value) / micro)),
        lora_r=int(advice["lora_r"].value),
        lora_alpha=int(advice["lora_alpha"].value),
        lora_dropout=float(advice["lora_dropout"].value),
        learning_rate=float(advice["learning_rate"].value),
        num_epochs=float(advice["num_epochs"].value),
        warmup_ratio=float(advice["warmup_ratio"].value),
        optimizer=str(advice["optimizer"].value),
        gradient_checkpointing=checkpointing,
    )
