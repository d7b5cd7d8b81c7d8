"""The shapes of an estimate: what a run takes, how long, and the price of each knob."""

from typing import Any, Literal

from pydantic import Field

from app.core.estimate import Phase, Verdict
from app.core.prices import Trains
from app.schemas.answer import Answer
from app.schemas.findings import Finding


class EstimateModel(Answer):
    """The model that was estimated, without any adapter."""

    id: str | None
    architecture: str = Field(description="Transformers' model_type.")
    total_parameters: int = Field(description="Tied weights once.")
    layers: int
    hidden_size: int
    vocab_size: int
    context_tokens: int | None
    mixture_of_experts: bool
    approximate: bool = Field(description="Whether the architecture was counted as the nearest known shape.")


class ModuleCount(Answer):
    """Trainable parameters of one kind of module."""

    module: str
    path: str = Field(description="Its place in the model, {} standing for the layer.")
    layers: int
    shape: list[int] = Field(description="[in, out]")
    trainable_parameters: int
    formula: str = Field(description="The count of one instance with its numbers filled in.")


class TermPart(Answer):
    """One product of a term's formula."""

    part: str = Field(description="What the numbers are; stable, the same in every language.")
    label: str = Field(description="The same in words, in the order of the numbers.")
    formula: str
    bytes: int = Field(description="The product; negative where something is taken off, such as what is paged.")


class Term(Answer):
    """One part of the peak."""

    term: str = Field(description="Stable, the same in every language.")
    label: str
    bytes: int
    explanation: str
    sharded: bool = Field(
        description="Whether FSDP's full shard or DeepSpeed's ZeRO-3 would divide its parameters, gradients or states "
        "among GPUs, whatever this configuration asks for; the others are each card's own, of its own batch."
    )
    formula: str = Field(description="With this model's numbers, in integers: it comes to bytes exactly.")
    parts: list[TermPart] = Field(description="The formula product by product; sums to bytes exactly.")
    source: str = Field(description="What the formula was written from; versions are in docs/accuracy.md.")


class Memory(Answer):
    """Memory per GPU."""

    allocated_peak_bytes: int = Field(description="Peak of PyTorch's caching allocator in a steady training step.")
    process_bytes: int = Field(description="What nvidia-smi shows: with reserved memory and the CUDA context.")
    range_bytes: tuple[int, int] = Field(description="An honest band around process_bytes.")
    peak_phase: Phase = Field(description="When the process takes the most; load where loading outgrows every step.")
    step_phase: Phase = Field(description="When a training step takes the most, which breakdown itemises.")
    load_bytes: int = Field(description="The most that weights take while they load.")
    breakdown: list[Term] = Field(description="Sums to allocated_peak_bytes exactly.")
    host_bytes: int = Field(description="CPU memory where something is offloaded or paged.")


class TimePart(Answer):
    """What a step's time goes to."""

    part: Literal["arithmetic", "launching", "moving", "unpacking", "weighing", "offloading", "stepping"]
    label: str
    seconds: float


class Time(Answer):
    """How long it takes: a roofline model of the card, never a measurement. Every figure has a band."""

    basis: Literal["model"] = Field(description="Always a model; `explanation` says of what.")
    explanation: str
    step_seconds: float = Field(description="One optimizer step, accumulation included.")
    step_seconds_range: tuple[float, float]
    tokens_per_step: int
    tokens_per_second: float
    tokens_per_second_range: tuple[float, float]
    parts: list[TimePart] = Field(description="Sums to step_seconds.")
    total_steps: int | None = Field(description="null where the data's size is not known.")
    run_seconds: float | None
    run_seconds_range: tuple[float, float] | None
    energy_kwh: float | None = Field(description="The cards' power limit over the run as expected.")
    energy_kwh_range: tuple[float, float] | None = Field(
        description="The same over the shortest and the longest run; the upper end is what it takes at the most."
    )
    price_per_hour: float | None = Field(description="As given, for one GPU.")
    price: float | None
    price_range: tuple[float, float] | None


class RulePart(Answer):
    """One reason why the estimate differs from the rule of thumb."""

    part: Literal["counted", "adapter", "optimizer", "activations", "loss", "process"]
    label: str
    bytes: int = Field(description="Negative where the rule counts more.")


class RuleOfThumb(Answer):
    """The guide's rule of thumb beside the estimate."""

    bytes: int = Field(description="28, 14 or 6 GB per 7 billion parameters.")
    difference_bytes: int = Field(description="process_bytes less the rule's figure.")
    explanation: str
    parts: list[RulePart] = Field(description="Sums to difference_bytes exactly.")


class Knob(Answer):
    """One change to the configuration and what it would save or cost, everything else as it is."""

    knob: str = Field(description="Stable, the same in every language: `checkpointing`, `sequence_shorter`, ...")
    label: str
    summary: str = Field(description="Both prices in a few words.")
    set: dict[str, Any] = Field(description="Keys to set.")
    unset: list[str] = Field(description="Keys to take out.")
    trains: Trains = Field(
        description="`same`: the same training; `rounded`: the same in fewer (or more) bits; `otherwise`: another one."
    )
    saves_bytes: int = Field(description="Of process_bytes; negative where it costs.")
    process_bytes: int = Field(description="After the change.")
    host_bytes: int = Field(description="CPU memory after the change.")
    fits: bool | None
    verdict: Verdict
    time_ratio: float | None = Field(description="Time of a token in times of the present one; a model's, see time.")


class Knobs(Answer):
    """The price of each knob."""

    saves_most: str | None = Field(description="The one change that saves most, a `knob` of the items.")
    saves_most_training_the_same: str | None = Field(description="The one that saves most and trains the same.")
    items: list[Knob] = Field(description="What saves most first.")


class Estimate(Answer):
    """What a run takes and whether it fits."""

    model: EstimateModel
    trainable_parameters: int
    trainable_percent: float = Field(description="Of `all_parameters`, as PEFT counts it.")
    all_parameters: int = Field(description="Base and adapter together; the model's own are `total_parameters`.")
    modules: list[ModuleCount]
    memory: Memory
    fits: bool | None = Field(description="process_bytes <= capacity_bytes; null without hardware.")
    verdict: Verdict = Field(
        description="`tight` where range_bytes crosses the capacity; with `fits` false it is expected not to fit."
    )
    capacity_bytes: int | None
    headroom_bytes: int | None = Field(description="May be negative.")
    rule_of_thumb_bytes: int = Field(description="28, 14 or 6 GB per 7 billion parameters.")
    rule_of_thumb: RuleOfThumb
    adapter_disk_bytes: int = Field(description="What a checkpoint stores: the adapter, or the whole model.")
    time: Time | None = Field(description="null without hardware, or where its rates are not known.")
    knobs: Knobs | None = Field(description="null unless asked for with `knobs=true`.")
    findings: list[Finding]
