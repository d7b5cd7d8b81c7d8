"""The answer to "how much will it take": counts, memory by term, verdict and findings."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Protocol

from app.core.architecture import Architecture
from app.core.findings import Finding
from app.core.messages import Message
from app.core.summand import Summand


class Phase(StrEnum):
    """The moment at which memory peaks: of a step, or before any."""

    LOAD = "load"
    FORWARD = "forward"
    BACKWARD = "backward"
    OPTIMIZER = "optimizer"
    EVALUATION = "evaluation"


class Verdict(StrEnum):
    """Whether the process fits the card: ``tight`` where its range crosses the capacity, whichever side is expected."""

    FITS = "fits"
    TIGHT = "tight"
    DOES_NOT_FIT = "does_not_fit"
    UNKNOWN = "unknown"


class Judged(Protocol):
    """What has a verdict, and whether it is expected to fit; None where there is no card."""

    @property
    def fits(self) -> bool | None:
        """Whether the expected value is within the card."""

    @property
    def verdict(self) -> Verdict:
        """How surely."""


def badge(judged: Judged) -> Verdict:
    """The one word for both: what is expected not to fit does not, however low its range begins."""
    return Verdict.DOES_NOT_FIT if judged.fits is False else judged.verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One part of the peak. ``code`` is stable (``weights``); ``explanation`` holds this model's numbers.

    ``sharded`` tells whether FSDP's full shard or DeepSpeed's ZeRO-3 would divide it among GPUs; ``source`` what its
    formula was written from.
    """

    code: str
    bytes: int
    explanation: Message
    sharded: bool = False
    source: str = ""


class Itemised(Protocol):
    """What can be told term by term."""

    def terms(self) -> tuple[Term, ...]:
        """All of it."""

    def formulas(self) -> Mapping[str, tuple[Summand, ...]]:
        """By a term's code what its bytes are the sum of."""


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Memory per GPU in bytes. ``breakdown`` sums to ``allocated_peak_bytes`` exactly; it is made when it is asked for.

    ``peak_phase`` is when the process takes the most, ``step_phase`` when a training step does, which the breakdown
    itemises: they differ where loading takes more than any step. ``load_bytes`` is the most that weights take while
    they load.
    """

    allocated_peak_bytes: int
    process_bytes: int
    range_bytes: tuple[int, int]
    peak_phase: Phase
    step_phase: Phase
    load_bytes: int
    itemised: Itemised
    host_bytes: int = 0

    @cached_property
    def breakdown(self) -> tuple[Term, ...]:
        """What lives at the peak, term by term."""
        return self.itemised.terms()

    @cached_property
    def formulas(self) -> Mapping[str, tuple[Summand, ...]]:
        """By a term's code what its bytes are the sum of, with this model's numbers; made when it is asked for."""
        return self.itemised.formulas()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleCount:
    """Trainable parameters of one row of modules."""

    module: str
    path: str
    layers: int
    shape: tuple[int, ...]
    trainable_parameters: int
    formula: Message | None = None
    """The count of one instance with this row's numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Time:
    """How long a run takes on one kind of GPU, in seconds, with a band around each figure.

    ``parts`` is what an optimizer step's time goes to and sums to ``step_seconds``. Steps, run, energy and price are
    None where the data's size, the card's power or its price are not known. Energy is at the cards' full power, so that
    the upper end of its range is what the run takes at the most.
    """

    step_seconds: float
    step_seconds_range: tuple[float, float]
    tokens_per_step: int
    tokens_per_second: float
    tokens_per_second_range: tuple[float, float]
    parts: tuple[tuple[str, float], ...]
    total_steps: int | None = None
    run_seconds: float | None = None
    run_seconds_range: tuple[float, float] | None = None
    energy_kwh: float | None = None
    energy_kwh_range: tuple[float, float] | None = None
    price_per_hour: float | None = None
    price: float | None = None
    price_range: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleOfThumb:
    """The guide's rule beside the estimate, in bytes.

    ``parts`` say why the process takes ``difference_bytes`` more (or less, where negative) and sum to it: ``counted``
    is what the rule counts too, the others what it leaves out. ``counts_gradients`` holds in full fine-tuning.
    """

    bytes: int
    difference_bytes: int
    counts_gradients: bool
    parts: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Everything that is known of one run on one kind of GPU.

    ``fits``, ``capacity_bytes`` and ``headroom_bytes`` are None without hardware, ``time`` without its rates.
    ``all_parameters`` are base and adapter together, PEFT's "all params", which ``trainable_percent`` is of.
    ``adapter_disk_bytes`` is what a checkpoint stores of it: the adapter, or the whole model.
    """

    model_id: str | None
    architecture: Architecture
    total_parameters: int
    trainable_parameters: int
    trainable_percent: float
    all_parameters: int
    modules: tuple[ModuleCount, ...]
    memory: Memory
    fits: bool | None
    verdict: Verdict
    capacity_bytes: int | None
    headroom_bytes: int | None
    rule_of_thumb: RuleOfThumb
    adapter_disk_bytes: int
    time: Time | None
    findings: tuple[Finding, ...]

    @property
    def rule_of_thumb_bytes(self) -> int:
        """The guide's figure."""
        return self.rule_of_thumb.bytes
