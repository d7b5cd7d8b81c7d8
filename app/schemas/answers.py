"""What the OpenAPI document promises of answers.

Answers are built as plain dictionaries, for speed, and held to these models by the contract tests.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.core.estimate import Phase, Verdict
from app.core.findings import Effect, Severity
from app.core.objective import Objective
from app.core.plan import Outcome
from app.core.prices import Trains
from app.schemas.vocabulary import Config, Model


class _Answer(BaseModel):
    """Documents what is given. Answers are not built from these, so they are compiled only when asked for."""

    model_config = ConfigDict(defer_build=True)


class Fix(_Answer):
    """A change that resolves a finding."""

    set: dict[str, Any] = Field(description="Keys to set, with their values.")
    unset: list[str] = Field(description="Keys to remove.")
    safe: bool = Field(description="Whether it never changes what a working file trains.")


class Finding(_Answer):
    """What a person should know about a configuration."""

    severity: Severity
    code: str = Field(description="Stable, the same in every language.")
    key: str | None = Field(description="Axolotl's key that it concerns.")
    line: int | None = Field(description="Where it stands in the text that was checked.")
    effect: Effect = Field(description="What Axolotl makes of it: `ok` where it runs as meant.")
    message: str
    fix: Fix | None


class EstimateModel(_Answer):
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


class ModuleCount(_Answer):
    """Trainable parameters of one kind of module."""

    module: str
    path: str = Field(description="Its place in the model, {} standing for the layer.")
    layers: int
    shape: list[int] = Field(description="[in, out]")
    trainable_parameters: int
    formula: str = Field(description="The count of one instance with its numbers filled in.")


class TermPart(_Answer):
    """One product of a term's formula."""

    part: str = Field(description="What the numbers are; stable, the same in every language.")
    label: str = Field(description="The same in words, in the order of the numbers.")
    formula: str
    bytes: int = Field(description="The product; negative where something is taken off, such as what is paged.")


class Term(_Answer):
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


class Memory(_Answer):
    """Memory per GPU."""

    allocated_peak_bytes: int = Field(description="Peak of PyTorch's caching allocator in a steady training step.")
    process_bytes: int = Field(description="What nvidia-smi shows: with reserved memory and the CUDA context.")
    range_bytes: tuple[int, int] = Field(description="An honest band around process_bytes.")
    peak_phase: Phase = Field(description="When the process takes the most; load where loading outgrows every step.")
    step_phase: Phase = Field(description="When a training step takes the most, which breakdown itemises.")
    load_bytes: int = Field(description="The most that weights take while they load.")
    breakdown: list[Term] = Field(description="Sums to allocated_peak_bytes exactly.")
    host_bytes: int = Field(description="CPU memory where something is offloaded or paged.")


class TimePart(_Answer):
    """What a step's time goes to."""

    part: Literal["arithmetic", "launching", "moving", "unpacking", "weighing", "offloading", "stepping"]
    label: str
    seconds: float


class Time(_Answer):
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


class RulePart(_Answer):
    """One reason why the estimate differs from the rule of thumb."""

    part: Literal["counted", "adapter", "optimizer", "activations", "loss", "process"]
    label: str
    bytes: int = Field(description="Negative where the rule counts more.")


class RuleOfThumb(_Answer):
    """The guide's rule of thumb beside the estimate."""

    bytes: int = Field(description="28, 14 or 6 GB per 7 billion parameters.")
    difference_bytes: int = Field(description="process_bytes less the rule's figure.")
    explanation: str
    parts: list[RulePart] = Field(description="Sums to difference_bytes exactly.")


class Knob(_Answer):
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


class Knobs(_Answer):
    """The price of each knob."""

    saves_most: str | None = Field(description="The one change that saves most, a `knob` of the items.")
    saves_most_training_the_same: str | None = Field(description="The one that saves most and trains the same.")
    items: list[Knob] = Field(description="What saves most first.")


class Estimate(_Answer):
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


class Check(_Answer):
    """What is wrong with a configuration, and the same one with every safe fix applied."""

    valid: bool = Field(description="What Axolotl's validator would say.")
    verdict: Effect = Field(description="The gravest effect of any finding.")
    findings: list[Finding]
    config: dict[str, Any] = Field(description="Empty where the text says nothing.")
    yaml: str = Field(description="The text as given but for the fixes, order and comments kept.")
    estimate: Estimate | None = Field(description="Of `config`; null where its model is not known.")


class Step(_Answer):
    """One question of the decision tree as answered."""

    node: str
    answer_id: str = Field(description="The answer's id in the tree, the same in every language.")
    question: str
    answer: str
    reason: str


class Advice(_Answer):
    """What one knob starts from, and why."""

    key: str = Field(description="A key of Axolotl's, or `effective_batch`: micro batch times accumulation.")
    value: float | str
    usual: tuple[float, float] | None = Field(description="Beyond it, a value of your own becomes a finding.")
    reason: str
    source: str = Field(description="An address, or `guide`.")


class Decision(_Answer):
    """The way through the decision tree."""

    path: list[Step]
    leaf: str


class Alternative(_Answer):
    """A method not taken, estimated for the same model and hardware."""

    method: str
    config: Config
    estimate: Estimate
    reason: str
    changes: list["Change"] = Field(description="What was changed of its template to fit; empty where nothing fits.")


class Change(_Answer):
    """One key that was changed to fit."""

    key: str
    before: Any = Field(alias="from", description="null where the key was left out.")
    after: Any = Field(alias="to", description="null where the key is taken out.")
    saves_bytes: int = Field(
        description="What it saves of process_bytes after the changes before it; 0 where it goes along with one."
    )
    along: str | None = Field(
        description="The key that this one goes along with, so that the training stays equivalent: accumulation with "
        "micro_batch_size (the same effective batch), lora_alpha with lora_r (the same scale). null for what varies."
    )


class Plan(_Answer):
    """A recommendation, ready to run."""

    outcome: Outcome
    method: str = Field(description="An id of GET /methods.")
    decision: Decision
    config: Config
    yaml: str = Field(
        description="The configuration as a file for Axolotl, with a reason beside each choice. For a method that only "
        "PEFT has: the file that runs beside the plugin of `/config?target=plugin`."
    )
    valid: bool = Field(description="What Axolotl's validator would say of `yaml`.")
    verdict: Effect = Field(description="What becomes of `yaml` under Axolotl: the gravest effect of any finding.")
    targets: list[Literal["axolotl", "plugin", "peft", "script"]] = Field(
        description="What `/config?target=` gives for this `config`."
    )
    estimate: Estimate
    advice: list[Advice] = Field(description="What the method's knobs start from; overrides stand, fitting may lower.")
    changes: list[Change] = Field(description="What was changed of the method's template to fit, least loss first.")
    alternatives: list[Alternative]
    findings: list[Finding]


class Cell(_Answer):
    """One combination of a grid."""

    x: int
    y: int
    process_bytes: int
    fits: bool
    verdict: Verdict


class Axis(_Answer):
    """An axis of a grid."""

    key: str
    values: list[int]


class Grid(_Answer):
    """Two keys varied against each other, the rest as in `config`."""

    x: Axis
    y: Axis
    rows: list[list[Cell]] = Field(description="One list for each value of y, along x.")


class FitAtMost(_Answer):
    """What reaches further than the recommendation, without its headroom."""

    config: Config
    changes: list[Change]
    estimate: Estimate


class Fit(_Answer):
    """What came of fitting."""

    outcome: Outcome
    objective: Objective
    config: Config = Field(
        description="With headroom (verdict `fits`) where that can be had. Where nothing fits, as small as what may "
        "vary allows."
    )
    changes: list[Change]
    estimate: Estimate
    at_most: FitAtMost | None = Field(
        description="The most of what the objective asks for that fits at all, so that it is tight; null where it is "
        "no more than `config`."
    )
    grid: Grid | None
    findings: list[Finding] = Field(description="Why nothing fits, and the smallest GPU that would do.")


class Compared(_Answer):
    """One configuration of a comparison."""

    label: str
    method: str | None = Field(description="An id of GET /methods, null for a variant.")
    config: Config
    estimate: Estimate | None = Field(description="null where the method cannot be on this model; see `reasons`.")
    reasons: list[str]
    relative_step_time: float | None = Field(
        description="Times the fastest that is expected to fit, or of all where none is, for as many tokens: below 1 "
        "for what would be faster and does not fit. null where the card's rates are not known."
    )
    gives_up: str | None = Field(description="What the method costs, in words; null for a variant.")


class Comparison(_Answer):
    """Configurations side by side."""

    items: list[Compared]
    total: int


class ModelSummary(_Answer):
    """A base model."""

    id: str
    name: str
    aliases: list[str]
    family: str
    architecture: str
    released: str | None
    context_tokens: int
    total_parameters: int
    source: str
    checked_on: str


class ModelDetail(ModelSummary):
    """A base model with the facts of its config.json."""

    chat_template: str | None
    pad_token: str | None
    published_parameters: int | None
    published_parameters_source: str | None
    source_note: str | None
    config: Model


class ModelList(_Answer):
    """Base models, best match first."""

    items: list[ModelSummary]
    total: int


class Gpu(_Answer):
    """A GPU."""

    id: str
    name: str
    aliases: list[str]
    vendor: Literal["nvidia", "amd"]
    segment: str
    architecture: str
    marketed_memory_gb: float
    memory_bytes: int = Field(description="What the driver offers.")
    memory_basis: str
    memory_source: str | None
    memory_note: str | None
    compute_capability: str | None
    gfx: str | None
    bf16: bool
    memory_bandwidth_gb_s: float
    bf16_tflops_dense: float | None
    fp16_tflops_dense: float | None
    tflops_note: str | None
    tdp_watts: float | None
    source: str
    spec_sources: list[str]
    checked_on: str


class GpuList(_Answer):
    """All GPUs."""

    items: list[Gpu]
    total: int


class ProblemError(_Answer):
    """One value that cannot be accepted."""

    pointer: str = Field(description="JSON pointer into the request body; /query/<name> for a query parameter.")
    detail: str
    code: str = Field(description="Stable, the same in every language.")
    nearest: list[str] = Field(description="Names that may have been meant.")


class Problem(_Answer):
    """An error, as RFC 9457 has it."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[ProblemError]


class Health(_Answer):
    """Whether the service lives."""

    status: Literal["ok"]


class Support(_Answer):
    """How far a method is supported."""

    support: Literal["native", "plugin", "peft", "none", "full", "supported", "limited", "absent"]
    label: str
    keys: dict[str, Any] = Field(description="The keys that ask for it.")


class Method(_Answer):
    """A way to fine-tune."""

    id: str
    name: str
    number: int | None = Field(description="Its number in the guide, null where it is not one of the guide's eleven.")
    family: Literal["full", "additive", "selective", "reparameterisation", "technique"]
    family_label: str
    quantised: bool
    formula: str
    trained: str = Field(description="How many parameters it trains.")
    config: Config = Field(description="The keys that ask for it in a configuration of this service, whoever runs it.")
    peft: str | None = Field(description="PEFT's type; null where PEFT has none.")
    nearest: str | None = Field(description="The method that Axolotl has itself, where this one needs another road.")
    axolotl: Support = Field(description="What Axolotl 0.19 does with it.")
    document: Support = Field(description="What the guide that this service follows says of it.")
    difference: str | None = Field(description="What the guide says that is otherwise today.")
    paper: str | None
    summary: str
    cost: str
    gain: str
    when: str = Field(description="When to use it.")
    note: str


class TargetModules(_Answer):
    """What LoRA is put on in one kind of architecture."""

    id: str
    name: str
    architectures: list[str] = Field(description="Transformers' model_type.")
    modules: list[str] | str = Field(description="What a plan writes; a pattern where there are other towers.")
    document: list[str] | None = Field(description="What the guide has; null where it has nothing.")
    why: str | None = Field(description="Why it differs from the guide, or from every linear.")


class MethodList(_Answer):
    """All methods, and the modules that they are put on."""

    items: list[Method]
    total: int
    target_modules: list[TargetModules]
