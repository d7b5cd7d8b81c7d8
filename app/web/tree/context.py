"""What ``/tree`` shows."""

from dataclasses import dataclass

from app.web.contexts import Link, Shell


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerView:
    """One answer of a question. ``taken`` is whether the path goes on here; ``url`` walks on with it."""

    id: str
    letter: str
    text: str
    reason: str
    leads_to: Link
    taken: bool
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeView:
    """One question. ``number`` is its position on the path, 0 beside it; ``asked`` marks the next one to answer."""

    id: str
    question: str
    answers: tuple[AnswerView, ...]
    source: Link | None
    number: int
    asked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StepView:
    """One answered question, with the way back to it."""

    node: str
    question: str
    answer: str
    reason: str
    change_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KnobView:
    """What one knob starts from, and why."""

    key: str
    value: str
    usual: str
    reason: str
    source: Link | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LeafView:
    """A method at the end of a path."""

    id: str
    name: str
    summary: str
    reached: bool
    knobs: tuple[KnobView, ...] = ()
    plan: Link | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A question or a method as drawn, in SVG units; ``url`` leads to it in the list."""

    x: int
    y: int
    width: int
    height: int
    title: str
    answers: tuple[tuple[str, str, bool], ...]
    number: int
    lit: bool
    asked: bool
    leaf: bool
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """A line from an answer to where it leads; its letter sits at ``x``, ``y``."""

    path: str
    letter: str
    x: int
    y: int
    lit: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """The whole tree."""

    width: int
    height: int
    boxes: tuple[Box, ...]
    edges: tuple[Edge, ...]
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TreePage:
    """``/tree``."""

    shell: Shell
    own: bool
    about: str
    steps: tuple[StepView, ...]
    asked: NodeView | None
    leaf: LeafView | None
    nodes: tuple[NodeView, ...]
    leaves: tuple[LeafView, ...]
    drawing: Drawing
    action: str
    hidden: tuple[tuple[str, str], ...]
    own_url: str
    again_url: str
    plan_url: str
    errors: tuple[str, ...]
