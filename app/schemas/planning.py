"""The shapes of checked, planned, fitted and compared configurations."""

from typing import Any, Literal

from pydantic import Field

from app.core.estimate import Verdict
from app.core.findings import Effect
from app.core.objective import Objective
from app.core.plan import Outcome
from app.schemas.answer import Answer
from app.schemas.estimates import Estimate
from app.schemas.findings import Finding
from app.schemas.vocabulary import Config


class Check(Answer):
    """What is wrong with a configuration, and the same one with every safe fix applied."""

    valid: bool = Field(description="What Axolotl's validator would say.")
    verdict: Effect = Field(description="The gravest effect of any finding.")
    findings: list[Finding]
    config: dict[str, Any] = Field(description="Empty where the text says nothing.")
    yaml: str = Field(description="The text as given but for the fixes, order and comments kept.")
    estimate: Estimate | None = Field(description="Of `config`; null where its model is not known.")


class Step(Answer):
    """One question of the decision tree as answered."""

    node: str
    answer_id: str = Field(description="The answer's id in the tree, the same in every language.")
    question: str
    answer: str
    reason: str


class Advice(Answer):
    """What one knob starts from, and why."""

    key: str = Field(description="A key of Axolotl's, or `effective_batch`: micro batch times accumulation.")
    value: float | str
    usual: tuple[float, float] | None = Field(description="Beyond it, a value of your own becomes a finding.")
    reason: str
    source: str = Field(description="An address, or `guide`.")


class Decision(Answer):
    """The way through the decision tree."""

    path: list[Step]
    leaf: str


class Change(Answer):
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


class Alternative(Answer):
    """A method not taken, estimated for the same model and hardware."""

    method: str
    config: Config
    estimate: Estimate
    reason: str
    changes: list[Change] = Field(description="What was changed of its template to fit; empty where nothing fits.")


class Plan(Answer):
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


class Cell(Answer):
    """One combination of a grid."""

    x: int
    y: int
    process_bytes: int
    fits: bool
    verdict: Verdict


class Axis(Answer):
    """An axis of a grid."""

    key: str
    values: list[int]


class Grid(Answer):
    """Two keys varied against each other, the rest as in `config`."""

    x: Axis
    y: Axis
    rows: list[list[Cell]] = Field(description="One list for each value of y, along x.")


class FitAtMost(Answer):
    """What reaches further than the recommendation, without its headroom."""

    config: Config
    changes: list[Change]
    estimate: Estimate


class Fit(Answer):
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


class Compared(Answer):
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


class Comparison(Answer):
    """Configurations side by side."""

    items: list[Compared]
    total: int
