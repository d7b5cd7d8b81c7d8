"""Knobs: the values a plan starts from, and the steps it takes when the start does not fit.

Ranks, alphas, dropout, rates and batches are the guide's templates; the full fine-tuning rate is Axolotl's advice
(1e-5 to 5e-5, its documentation on choosing a method).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

SHORTEST_SEQUENCE = 512
LEAST_RANK = 8
EFFECTIVE_BATCH = 8


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


def reductions(knobs: Knobs, *, keep: frozenset[str]) -> Iterator[tuple[str, Knobs]]:
    """Ever smaller knobs, each with the key it changed, in the order that loses least quality first.

    A smaller micro batch is made up by accumulation; then an 8-bit paged optimizer; then shorter sequences; then a
    lower rank. Keys in ``keep`` were set by the person and are left alone.
    """
    while knobs.micro_batch_size > 1 and "micro_batch_size" not in keep:
        accumulation = knobs.gradient_accumulation_steps
        if "gradient_accumulation_steps" not in keep:
            accumulation *= 2
        knobs = replace(knobs, micro_batch_size=knobs.micro_batch_size // 2, gradient_accumulation_steps=accumulation)
        yield "micro_batch_size", knobs
    if knobs.optimizer != "paged_adamw_8bit" and "optimizer" not in keep:
        knobs = replace(knobs, optimizer="paged_adamw_8bit")
        yield "optimizer", knobs
    while knobs.sequence_len_tokens > SHORTEST_SEQUENCE and "sequence_len" not in keep:
        knobs = replace(knobs, sequence_len_tokens=max(SHORTEST_SEQUENCE, knobs.sequence_len_tokens // 2))
        yield "sequence_len", knobs
    while knobs.lora_r > LEAST_RANK and "lora_r" not in keep:
        rank = max(LEAST_RANK, knobs.lora_r // 2)
        knobs = replace(knobs, lora_r=rank, lora_alpha=max(1, knobs.lora_alpha * rank // knobs.lora_r))
        yield "lora_r", knobs
