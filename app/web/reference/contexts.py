"""What the reference pages are made from."""

from dataclasses import dataclass

from markupsafe import Markup

from app.web.contexts import FieldView, Link, Option, Shell, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a table that sorts. ``sorted`` is ``ascending``, ``descending`` or empty; ``url`` sorts by it."""

    name: str
    label: str
    url: str
    sorted: str
    numeric: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """The form above a table. ``carried`` are names and values that travel along unseen.

    ``faults`` says what is wrong with parameters that have no field.
    """

    action: str
    fields: tuple[FieldView, ...]
    carried: tuple[tuple[str, str], ...]
    sorting: tuple[tuple[str, str], ...]
    clear_url: str
    changed: bool
    faults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """Whether a method has room on a card: a verdict's kind, and the memory it needs at the least."""

    kind: str
    text: str
    memory: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelItem:
    """One row of the table of models."""

    id: str
    name: str
    url: str
    family: str
    architecture: str
    parameters: str
    context: str
    released: str
    source_url: str
    checked_on: str
    room: Room | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelsPage:
    """``/models``."""

    shell: Shell
    filter: Filter
    columns: tuple[Column, ...]
    items: tuple[ModelItem, ...]
    found: str
    hardware: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """A name and what holds for it."""

    name: str
    value: str
    code: bool = False
    url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartView:
    """One row of a model's modules."""

    path: str
    kind: str
    shape: str
    copies: str
    parameters: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CardView:
    """One card with what fits on it, method by method."""

    name: str
    segment: str
    memory: str
    rooms: tuple[Room, ...]
    plan_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SmallestView:
    """The smallest card for a method."""

    method: str
    method_url: str
    memory: str
    card: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPage:
    """``/models/{id}``."""

    shell: Shell
    name: str
    lead: str
    facts: tuple[Fact, ...]
    config: tuple[Fact, ...]
    targets: tuple[str, ...]
    modules: tuple[PartView, ...]
    smallest: tuple[SmallestView, ...]
    methods: tuple[str, ...]
    cards: tuple[CardView, ...]
    least: str
    plan_url: str
    models_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuItem:
    """One row of the table of GPUs."""

    id: str
    name: str
    architecture: str
    segment: str
    marketed: str
    memory: str
    basis: str
    capability: str
    bf16: str
    bandwidth: str
    tflops: str
    tflops_kind: str
    source_url: str
    checked_on: str
    fits_url: str
    plan_url: str
    room: Room | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GpusPage:
    """``/gpus``."""

    shell: Shell
    filter: Filter
    columns: tuple[Column, ...]
    items: tuple[GpuItem, ...]
    found: str
    model: str
    model_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyView:
    """One family of methods."""

    name: str
    text: str
    members: tuple[Link, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodCard:
    """A method at a glance."""

    name: str
    url: str
    family: str
    summary: str
    support: str
    support_text: str
    drawing: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SupportView:
    """What the guide says of a method's support and how it truly is."""

    name: str
    url: str
    guide: str
    guide_keys: tuple[str, ...]
    support: str
    truth: str
    keys: tuple[str, ...]
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetView:
    """Target modules of one kind of model. ``guide`` is the guide's list where it differs; a type may lack a link."""

    name: str
    guide: tuple[str, ...]
    modules: tuple[str, ...]
    remark: str
    why: str
    types: tuple[Link, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleView:
    """The guide's rule of thumb beside the estimate."""

    method: str
    guide: str
    weights: str
    process: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodsPage:
    """``/methods``."""

    shell: Shell
    families: tuple[FamilyView, ...]
    versus: tuple[tuple[str, str, str], ...]
    cards: tuple[MethodCard, ...]
    more: tuple[MethodCard, ...]
    supports: tuple[SupportView, ...]
    targets: tuple[TargetView, ...]
    rules: tuple[RuleView, ...]
    rules_about: str
    plan_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolView:
    """One sign of a formula and what it stands for."""

    sign: Markup
    meaning: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KnobView:
    """One key of a method, what it does and its usual values."""

    key: str
    meaning: str
    values: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CostView:
    """What a method costs on the chosen model and card, or why that cannot be said."""

    model: str
    hardware: str
    trainable: str = ""
    share: str = ""
    memory: str = ""
    disk: str = ""
    at: str = ""
    verdict: Verdict | None = None
    reasons: tuple[str, ...] = ()
    example: bool = False
    downloads: tuple[Link, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodPage:
    """``/methods/{id}``."""

    shell: Shell
    name: str
    family: str
    summary: str
    lessons: tuple[str, ...]
    formula: Markup
    symbols: tuple[SymbolView, ...]
    drawing: str
    drawing_text: str
    trained: Markup
    knobs: tuple[KnobView, ...]
    yaml: Markup
    yaml_note: str
    support: str
    support_text: str
    guide_text: str
    guide_keys: tuple[str, ...]
    note: str
    difference: str
    nearest: Link | None
    when: str
    cost: str
    gain: str
    paper_url: str
    price: CostView | None
    fields: dict[str, FieldView]
    model_options: tuple[Option, ...]
    models_url: str
    suggestions: dict[str, tuple[str, ...]]
    action: str
    lang: str
    plan_url: str
    plan_text: str
    methods_url: str
    previous: Link | None
    next: Link | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NotFoundPage:
    """An id that names nothing here, with those that it may have meant."""

    shell: Shell
    status: int
    headline: str
    detail: str
    nearest: tuple[Link, ...]
    all: Link


@dataclass(frozen=True, slots=True, kw_only=True)
class LicenceView:
    """Something of others that is shipped along."""

    name: str
    version: str
    licence: str
    text_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AboutPage:
    """``/about``."""

    shell: Shell
    versions: tuple[Fact, ...]
    data: tuple[Fact, ...]
    licences: tuple[LicenceView, ...]
    docs_url: str
    openapi_url: str
    accuracy_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One case of the scatter plot."""

    x: str
    y: str
    kind: str
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """One value of both axes."""

    x: str
    y: str
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Scatter:
    """Estimated against recorded, in the drawing's units."""

    left: int
    top: int
    right: int
    bottom: int
    points: tuple[Point, ...]
    ticks: tuple[Tick, ...]
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorsView:
    """How large the errors of some cases are."""

    name: str
    cases: str
    median: str
    high: str
    worst: str
    refused: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunView:
    """One published run in figures."""

    name: str
    url: str
    quantity: str
    setup: str
    measured: str
    estimated: str
    error: str
    remark: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseView:
    """One case in figures."""

    name: str
    reference: str
    estimated: str
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AccuracyPage:
    """``/accuracy``."""

    shell: Shell
    lead: str
    scatter: Scatter
    summary: tuple[ErrorsView, ...]
    methods: tuple[ErrorsView, ...]
    architectures: tuple[ErrorsView, ...]
    published: tuple[ErrorsView, ...]
    runs: tuple[RunView, ...]
    others: tuple[ErrorsView, ...]
    others_text: str
    card_text: str
    card: tuple[ErrorsView, ...]
    card_versions: tuple[Fact, ...]
    card_cases: tuple[CaseView, ...]
    versions: tuple[Fact, ...]
    cases: tuple[CaseView, ...]
