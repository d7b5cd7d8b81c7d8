"""The shapes of what is known of models, GPUs and methods."""

from typing import Any, Literal

from pydantic import Field

from app.schemas.answer import Answer
from app.schemas.vocabulary import Config, Model


class ModelSummary(Answer):
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


class ModelList(Answer):
    """Base models, best match first."""

    items: list[ModelSummary]
    total: int


class Gpu(Answer):
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


class GpuList(Answer):
    """All GPUs."""

    items: list[Gpu]
    total: int


class Support(Answer):
    """How far a method is supported."""

    support: Literal["native", "plugin", "peft", "none", "full", "supported", "limited", "absent"]
    label: str
    keys: dict[str, Any] = Field(description="The keys that ask for it.")


class Method(Answer):
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


class TargetModules(Answer):
    """What LoRA is put on in one kind of architecture."""

    id: str
    name: str
    architectures: list[str] = Field(description="Transformers' model_type.")
    modules: list[str] | str = Field(description="What a plan writes; a pattern where there are other towers.")
    document: list[str] | None = Field(description="What the guide has; null where it has nothing.")
    why: str | None = Field(description="Why it differs from the guide, or from every linear.")


class MethodList(Answer):
    """All methods, and the modules that they are put on."""

    items: list[Method]
    total: int
    target_modules: list[TargetModules]
