"""The answer to "what should I run": a decision followed step by step, a configuration and its estimate."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from app.core.estimate import Estimate
from app.core.findings import Finding
from app.core.messages import Message


class Goal(StrEnum):
    """What the fine-tune is for."""

    CHAT = "chat"
    INSTRUCTION = "instruction"
    COMPLETION = "completion"
    CONTINUED_PRETRAINING = "continued_pretraining"
    DPO = "dpo"
    ORPO = "orpo"
    KTO = "kto"
    SIMPO = "simpo"
    REWARD = "reward"


class Priority(StrEnum):
    """What to favour where there is a choice."""

    BALANCED = "balanced"
    QUALITY = "quality"
    MEMORY = "memory"
    SPEED = "speed"


class Tasks(StrEnum):
    """Whether one base is to serve one task or many, each with an adapter of its own."""

    ONE = "one"
    MANY = "many"


class Install(StrEnum):
    """Where Axolotl runs: its Docker image (flash-attn and cut cross entropy included) or a pip install."""

    DOCKER = "docker"
    PIP = "pip"


class Outcome(StrEnum):
    """Whether the plan fits the hardware."""

    FITS = "fits"
    DOES_NOT_FIT = "does_not_fit"


MOST_IMAGES = 1024
"""Of a row."""
MOST_SIDE = 1 << 16
"""Pixels of an image's side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """The training data, as far as a plan cares. Tokens are per sample."""

    path: str | None = None
    type: str | None = None
    rows: int | None = None
    mean_tokens: int | None = None
    max_tokens: int | None = None
    images_per_row: int | None = None
    """Images of a sample, where ``processor_type`` reads them; 1 where it is not said."""
    image_side: int | None = None
    """Pixels of an image's side, where the processor leaves it as it is and no ``image_size`` is set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a person asks a plan for, beside model and hardware."""

    goal: Goal = Goal.CHAT
    priority: Priority = Priority.BALANCED
    tasks: Tasks = Tasks.ONE
    sequence_len_tokens: int | None = None
    dataset: Dataset = field(default_factory=Dataset)
    overrides: Mapping[str, Any] = field(default_factory=dict)
    install: Install = Install.DOCKER
    whole: bool = False
    """Whether ``overrides`` are a whole file, to be planned as it stands: nothing is added, nothing changed to fit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One node of the decision tree as walked. ``node`` and ``answer_id`` are the tree's ids."""

    node: str
    answer_id: str
    question: Message
    answer: Message
    reason: Message


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The path through the tree and the leaf it ends at; ``method`` is a registry id."""

    path: tuple[Step, ...]
    leaf: str
    method: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """What one knob should be and why: ``least`` to ``most`` is usual. ``source`` is an address, or ``guide``."""

    key: str
    value: float | str
    least: float | None
    most: float | None
    reason: Message
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One key that was changed to fit, with what that saves in bytes of the process; None stands for a key left out.

    ``along`` is the key that this one goes along with, so that the training stays equivalent: accumulation makes up for
    smaller micro batches, alpha keeps the scale of a lower rank's update.
    """

    key: str
    before: Any
    after: Any
    saves_bytes: int
    along: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternative:
    """A road not taken, estimated for the same model and hardware.

    ``pace`` says how long it takes beside the plan, None where rates are not known; ``changes`` what of its template
    was cut to fit.
    """

    method: str
    config: Mapping[str, Any]
    estimate: Estimate
    reason: Message
    pace: Message | None = None
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A recommendation. ``config`` holds Axolotl's keys in writing order; ``findings`` concern the plan."""

    outcome: Outcome
    method: str
    decision: Decision
    config: Mapping[str, Any]
    estimate: Estimate
    alternatives: tuple[Alternative, ...]
    findings: tuple[Finding, ...]
    changes: tuple[Change, ...] = ()
    """What was changed of the method's template to fit, in the ladder's order."""
    advice: tuple[Advice, ...] = ()
    """What the method's knobs start from, each with its reason."""
