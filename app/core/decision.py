"""The decision tree: data in, a path with a reason per step out.

The tree itself is data (``app/data/decision_tree.yaml``); facts are asked for only where a node reads them, so
that an estimate behind ``fits_lora`` is made only on the paths that need it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from app.core.messages import Message, message
from app.core.plan import Decision, Step

Fact: TypeAlias = float | str | bool
Facts: TypeAlias = Callable[[str], Fact]

FACTS = ("memory_gb", "goal", "priority", "fits_lora", "fits_dora", "fits_full")


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A question and its answers, tried in order."""

    id: str
    answers: tuple[Answer, ...]

    def answer(self, facts: Facts) -> Answer:
        """The first answer whose conditions all hold."""
        return next(a for a in self.answers if all(condition.holds(facts) for condition in a.when))


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """All nodes by id, where walking starts, and the switch asked at every leaf.

    Raises:
        ValueError: a node is missing, unreachable, in a cycle, or leaves a case without an answer.
    """

    root: str
    switch: str
    nodes: Mapping[str, Node]

    def __post_init__(self) -> None:
        reached: set[str] = set()
        self._follow(self.root, (), reached)
        unreachable = set(self.nodes) - reached - {self.switch}
        if unreachable:
            raise ValueError(f"unreachable nodes: {', '.join(sorted(unreachable))}")
        if any(answer.next or answer.leaf for answer in self.nodes[self.switch].answers):
            raise ValueError(f"the switch {self.switch} leads on")

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
            if answer.next is not None:
                self._follow(answer.next, (*above, node_id), reached)

    @property
    def leaves(self) -> frozenset[str]:
        """Every method that the tree can end at."""
        return frozenset(answer.leaf for node in self.nodes.values() for answer in node.answers if answer.leaf)

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


def _step(node: str, answer: str, params: Mapping[str, Any]) -> Step:
    def text(suffix: str) -> Message:
        return message(f"tree.{node}.{suffix}", **params)

    return Step(node=node, question=text("question"), answer=text(f"{answer}.answer"), reason=text(f"{answer}.reason"))


def _covers_everything(node: Node) -> bool:
    """Whether some answer holds whatever the facts: one without conditions, or ranges that meet from -inf to inf."""
    if any(not answer.when for answer in node.answers):
        return True
    edge: float | None = None
    for position, answer in enumerate(node.answers):
        condition = answer.when[0]
        if len(answer.when) != 1 or condition.one_of or (position > 0 and condition.at_least != edge):
            return False
        edge = condition.below
    return node.answers[0].when[0].at_least is None and edge is None


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
                when=tuple(
                    Condition(
                        fact=condition["fact"],
                        at_least=condition.get("at_least"),
                        below=condition.get("below"),
                        one_of=tuple(condition.get("is", ())),
                    )
                    for condition in answer.get("when", ())
                ),
                next=answer.get("next"),
                leaf=answer.get("leaf"),
            )
            for answer in row["answers"]
        )
        nodes[row["id"]] = Node(id=row["id"], answers=answers)
    return Tree(root=data["root"], switch=data["switch"], nodes=nodes)
