"""Knobs: the values a plan starts from.

Ranks, alphas, dropout, rates and batches are the guide's templates; the full fine-tuning rate is Axolotl's advice
(1e-5 to 5e-5, its documentation on choosing a method).
"""

from dataclasses import dataclass

EFFECTIVE_BATCH = 8
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
    optimizer: str
    gradient_checkpointing: bool


def starting_knobs(method: str, *, memory_gb: float, context_tokens: int | None, wanted_tokens: int | None) -> Knobs:
    """The guide's template for the method, within the model's context.

    Its LoRA template (24 GB and more) trains 4096 tokens in micro batches of 2, its QLoRA template (8 GB and more)
    2048 in micro batches of 1, both accumulated over 4 steps. A smaller card starts from the smaller one.
    """
    small = memory_gb < 24
    sequence = wanted_tokens or (2048 if small else 4096)
    if context_tokens is not None and wanted_tokens is None:
        sequence = min(sequence, context_tokens)
    micro = 1 if small else 2
    quantized = method in ("qlora", "qdora")
    return Knobs(
        sequence_len_tokens=sequence,
        micro_batch_size=micro,
        gradient_accumulation_steps=EFFECTIVE_BATCH // micro,
        lora_r=32,
        lora_alpha=16,
        lora_dropout=0.05,
        learning_rate=0.00002 if method == "full" else 0.0002,
        num_epochs=3.0 if method != "relora" else 1.0,
        optimizer="paged_adamw_8bit" if quantized or method == "full" else "adamw_torch_fused",
        gradient_checkpointing=True,
    )
