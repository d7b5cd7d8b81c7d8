"""The decision tree: data in, a path with a reason per step out.

The tree itself is data (``app/data/decision_tree.yaml``). It is walked by facts, which are asked for only where a node
reads them, so that an estimate behind ``fits_lora`` is made only on the paths that need it; or by the answers that a
person gives one after the other.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from app.core.messages import Message, message
from app.core.plan import Decision, Step

Fact: TypeAlias = float | str | bool | None
"""None is a fact that is not known; it meets no condition."""
Facts: TypeAlias = Callable[[str], Fact]

FACTS = (
    "memory_gb",
    "bf16",
    "goal",
    "priority",
    "tasks",
    "rows",
    "steps",
    "moe",
    "packed",
    "saves_4bit",
    "fits_lora",
    "fits_dora",
    "fits_qdora",
    "fits_full",
    "method",
    "adapter",
    "quantized",
    "parameters_b",
)
"""What conditions may read, here and in the advice on knobs (``app/core/advice.py``)."""

ALWAYS_KNOWN = ("memory_gb",)
"""Numbers that no plan is made without."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """``fact`` lies in [at_least, below), or is one of ``one_of``."""

    fact: str
    at_least: float | None = None
    below: float | None = None
    one_of: tuple[Fact, ...] = ()

    def __post_init__(self) -> None:
        if self.fact not in FACTS:
            raise ValueError(f"unknown fact {self.fact!r}: one of {', '.join(FACTS)}")
        if not self.one_of and self.at_least is None and self.below is None:
            raise ValueError(f"the condition on {self.fact} says nothing")

    def holds(self, facts: Facts) -> bool:
        """Whether the fact meets the condition."""
        value = facts(self.fact)
        if value is None:
            return False
        if self.one_of:
            return value in self.one_of
        number = float(value)
        return (self.at_least is None or number >= self.at_least) and (self.below is None or number < self.below)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One way on from a node: to another node, to a leaf (a method's id), or, on a switch, nowhere."""

    id: str
    when: tuple[Condition, ...] = ()
    next: str | None = None
    leaf: str | None = None

    @property
    def target(self) -> str | None:
        """Where it leads: a node's or a method's id."""
        return self.next or self.leaf


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A question and its answers, tried in order.

    ``source`` is an address, or ``guide``; ``place`` where it is drawn, in columns and rows.
    """

    id: str
    answers: tuple[Answer, ...]
    source: str = "guide"
    place: tuple[float, float] | None = None

    def answer(self, facts: Facts) -> Answer:
        """The first answer whose conditions all hold."""
        return next(a for a in self.answers if all(condition.holds(facts) for condition in a.when))

    def named(self, answer_id: str) -> Answer | None:
        """The answer with this id."""
        return next((answer for answer in self.answers if answer.id == answer_id), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """Where paths end: a method of the registry and the knobs that there is advice on."""

    method: str
    knobs: tuple[str, ...] = ()
    place: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """All nodes and leaves by id, where walking starts, and the switch asked at every leaf.

    Raises:
        ValueError: a node or leaf is missing, unreachable, in a cycle, drawn where another is, or leaves a case without
            an answer.
    """

    root: str
    switch: str
    nodes: Mapping[str, Node]
    leaves: Mapping[str, Leaf]

    def __post_init__(self) -> None:
        reached: set[str] = set()
        self._follow(self.root, (), reached)
        unreachable = {*self.nodes, *self.leaves} - reached - {self.switch}
        if unreachable:
            raise ValueError(f"unreachable: {', '.join(sorted(unreachable))}")
        if any(answer.target for answer in self.nodes[self.switch].answers):
            raise ValueError(f"the switch {self.switch} leads on")
        drawn = [*(node.place for node in self.nodes.values()), *(leaf.place for leaf in self.leaves.values())]
        places = [place for place in drawn if place is not None]
        if len(places) != len(set(places)):
            raise ValueError("two nodes are drawn at one place")

    def _follow(self, node_id: str, above: tuple[str, ...], reached: set[str]) -> None:
        if node_id in above:
            raise ValueError(f"cycle through {node_id}")
        if node_id not in self.nodes:
            raise ValueError(f"no node {node_id}")
        reached.add(node_id)
        node = self.nodes[node_id]
        if not _covers_everything(node):
            raise ValueError(f"node {node_id} leaves cases without an answer")
        for answer in node.answers:
            if (answer.next is None) == (answer.leaf is None):
                raise ValueError(f"answer {node_id}.{answer.id} needs either a next node or a leaf")
            if answer.leaf is not None:
                if answer.leaf not in self.leaves:
                    raise ValueError(f"no leaf {answer.leaf}")
                reached.add(answer.leaf)
            if answer.next is not None:
                self._follow(answer.next, (*above, node_id), reached)

    def walk(self, facts: Facts, params: Mapping[str, Any]) -> Decision:
        """Ask from the root to a leaf, then the switch. ``params`` fill the texts (``memory_gb``, ``model``)."""
        path: list[Step] = []
        node_id: str | None = self.root
        leaf = ""
        while node_id is not None:
            answer = self.nodes[node_id].answer(facts)
            path.append(_step(node_id, answer.id, params))
            leaf = answer.leaf or leaf
            node_id = answer.next
        path.append(_step(self.switch, self.nodes[self.switch].answer(facts).id, params))
        return Decision(path=tuple(path), leaf=leaf, method=leaf)

    def follow(self, answers: Mapping[str, str]) -> tuple[tuple[tuple[Node, Answer], ...], Node | Leaf]:
        """The path that answers by node come to, and what stands at its end: the next question, or a leaf.

        Answers to other nodes are left alone; so is one that its node does not have, and the node is asked again.
        """
        path: list[tuple[Node, Answer]] = []
        node = self.nodes[self.root]
        while (answer := node.named(answers.get(node.id, ""))) is not None:
            path.append((node, answer))
            if answer.leaf is not None:
                return tuple(path), self.leaves[answer.leaf]
            node = self.nodes[answer.next or self.root]
        return tuple(path), node


def implied(path: Sequence[tuple[Node, Answer]]) -> Mapping[str, str]:
    """What a person's answers say of goal, priority and tasks: the first choice of each condition on them."""
    found: dict[str, str] = {}
    for _, answer in path:
        for condition in answer.when:
            if condition.fact in ("goal", "priority", "tasks") and condition.one_of:
                found.setdefault(condition.fact, str(condition.one_of[0]))
    return found


def _step(node: str, answer: str, params: Mapping[str, Any]) -> Step:
    def text(suffix: str) -> Message:
        return message(f"tree.{node}.{suffix}", **params)

    return Step(
        node=node,
        answer_id=answer,
        question=text("question"),
        answer=text(f"{answer}.answer"),
        reason=text(f"{answer}.reason"),
    )


def _covers_everything(node: Node) -> bool:
    """Whether some answer holds whatever the facts: one without conditions, or ranges that meet from -inf to inf."""
    if any(not answer.when for answer in node.answers):
        return True
    edge: float | None = None
    for position, answer in enumerate(node.answers):
        condition = answer.when[0]
        bounded = len(answer.when) == 1 and not condition.one_of and condition.fact in ALWAYS_KNOWN
        if not bounded or (position > 0 and condition.at_least != edge):
            return False
        edge = condition.below
    return node.answers[0].when[0].at_least is None and edge is None


def build_conditions(rows: Sequence[Mapping[str, Any]]) -> tuple[Condition, ...]:
    """Conditions from their rows in a data file.

    Raises:
        ValueError, KeyError, TypeError: a row is not a condition.
    """
    return tuple(
        Condition(
            fact=row["fact"], at_least=row.get("at_least"), below=row.get("below"), one_of=tuple(row.get("is", ()))
        )
        for row in rows
    )


def build_tree(data: Mapping[str, Any]) -> Tree:
    """A tree from its parsed data file.

    Raises:
        ValueError, KeyError, TypeError: the data is not a tree; see ``Tree``.
    """
    nodes = {}
    for row in data["nodes"]:
        answers = tuple(
            Answer(
                id=answer["id"],
                when=build_conditions(answer.get("when", ())),
                next=answer.get("next"),
                leaf=answer.get("leaf"),
            )
            for answer in row["answers"]
        )
        nodes[row["id"]] = Node(
            id=row["id"], answers=answers, source=row.get("source", "guide"), place=_place(row.get("place"))
        )
    leaves = {
        row["method"]: Leaf(method=row["method"], knobs=tuple(row.get("knobs", ())), place=_place(row.get("place")))
        for row in data.get("leaves", ())
    }
    return Tree(root=data["root"], switch=data["switch"], nodes=nodes, leaves=leaves)


def _place(row: Sequence[float] | None) -> tuple[float, float] | None:
    return None if row is None else (float(row[0]), float(row[1]))
