"""The decision tree: the guide's ranges on their boundaries, every leaf reached, nonsense refused."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from app.core.decision import Fact, Tree, build_tree

DATA = yaml.safe_load((Path(__file__).parents[2] / "app" / "data" / "decision_tree.yaml").read_text("utf-8"))


@pytest.fixture(scope="module")
def tree() -> Tree:
    """The product's own tree."""
    return build_tree(DATA)


def facts(**values: Fact) -> Any:
    """Facts with everything fitting, a chat goal and a balanced priority unless told otherwise."""
    known: dict[str, Fact] = {
        "goal": "chat",
        "priority": "balanced",
        "fits_lora": True,
        "fits_dora": True,
        "fits_full": True,
    } | values
    return known.__getitem__


@pytest.mark.parametrize(
    ("memory_gb", "answer"),
    [
        (0, "under_8"),
        (6, "under_8"),
        (7.9, "under_8"),
        (8, "from_8_to_16"),
        (12, "from_8_to_16"),
        (15.9, "from_8_to_16"),
        (16, "from_16_to_24"),
        (20, "from_16_to_24"),
        (23.9, "from_16_to_24"),
        (24, "from_24_to_48"),
        (40, "from_24_to_48"),
        (47.9, "from_24_to_48"),
        (48, "from_48"),
        (80, "from_48"),
        (180, "from_48"),
    ],
)
def test_ranges_include_their_lower_bound(tree: Tree, memory_gb: float, answer: str) -> None:
    """Each range of the guide takes its lower bound and leaves its upper one to the next."""
    path = tree.walk(facts(memory_gb=memory_gb), {}).path
    assert path[0].answer.code == f"tree.vram.{answer}.answer"


@pytest.mark.parametrize(
    ("given", "leaf"),
    [
        ({"memory_gb": 6}, "qlora"),
        ({"memory_gb": 12}, "qlora"),
        ({"memory_gb": 12, "goal": "continued_pretraining"}, "qlora"),
        ({"memory_gb": 16}, "lora"),
        ({"memory_gb": 16, "fits_lora": False}, "qlora"),
        ({"memory_gb": 16, "priority": "memory"}, "qlora"),
        ({"memory_gb": 16, "goal": "continued_pretraining"}, "relora"),
        ({"memory_gb": 24}, "lora"),
        ({"memory_gb": 24, "priority": "quality"}, "dora"),
        ({"memory_gb": 24, "priority": "quality", "fits_dora": False}, "lora"),
        ({"memory_gb": 24, "fits_lora": False}, "qlora"),
        ({"memory_gb": 24, "priority": "memory"}, "qlora"),
        ({"memory_gb": 24, "goal": "continued_pretraining"}, "relora"),
        ({"memory_gb": 80}, "lora"),
        ({"memory_gb": 80, "priority": "quality"}, "full"),
        ({"memory_gb": 80, "priority": "quality", "fits_full": False}, "dora"),
    ],
)
def test_leaf_follows_from_the_facts(tree: Tree, given: dict[str, Fact], leaf: str) -> None:
    """The guide's advice, case by case."""
    assert tree.walk(facts(**given), {}).leaf == leaf


def test_every_leaf_is_reached(tree: Tree) -> None:
    """The leaves are the guide's choices and nothing else."""
    assert tree.leaves == {"full", "lora", "qlora", "dora", "relora"}


@pytest.mark.parametrize(("goal", "answer"), [("chat", "along"), ("dpo", "without")])
def test_neftune_goes_along_in_supervised_fine_tuning_only(tree: Tree, goal: str, answer: str) -> None:
    """The switch is asked after the leaf."""
    last = tree.walk(facts(memory_gb=24, goal=goal), {}).path[-1]
    assert (last.node, last.answer.code) == ("neftune", f"tree.neftune.{answer}.answer")


def test_facts_are_asked_for_only_where_a_node_reads_them(tree: Tree) -> None:
    """A small card's path needs no estimate."""
    asked: list[str] = []

    def remember(name: str) -> Fact:
        asked.append(name)
        return facts(memory_gb=6)(name)

    tree.walk(remember, {})
    assert not [name for name in asked if name.startswith("fits_")]


def node(identifier: str, *answers: dict[str, Any]) -> dict[str, Any]:
    """A node of a broken tree."""
    return {"id": identifier, "answers": list(answers)}


SWITCH = node("switch", {"id": "on"})


@pytest.mark.parametrize(
    ("nodes", "complaint"),
    [
        ([node("a", {"id": "x", "next": "b"}), SWITCH], "no node b"),
        ([node("a", {"id": "x", "next": "a"}), SWITCH], "cycle through a"),
        ([node("a", {"id": "x", "leaf": "lora"}), node("b", {"id": "x", "leaf": "lora"}), SWITCH], "unreachable"),
        ([node("a", {"id": "x"}), SWITCH], "needs either"),
        ([node("a", {"id": "x", "leaf": "lora", "when": [{"fact": "goal", "is": ["chat"]}]}), SWITCH], "leaves cases"),
        (
            [
                node(
                    "a",
                    {"id": "x", "leaf": "l", "when": [{"fact": "memory_gb", "below": 8}]},
                    {"id": "y", "leaf": "l", "when": [{"fact": "memory_gb", "at_least": 9}]},
                ),
                SWITCH,
            ],
            "leaves cases",
        ),
        ([node("a", {"id": "x", "leaf": "l", "when": [{"fact": "memory_gb", "at_least": 1}]}), SWITCH], "leaves cases"),
        ([node("a", {"id": "x", "leaf": "l", "when": [{"fact": "colour", "is": [1]}]}), SWITCH], "unknown fact"),
        ([node("a", {"id": "x", "leaf": "l", "when": [{"fact": "goal"}]}), SWITCH], "says nothing"),
        ([node("a", {"id": "x", "leaf": "lora"}), node("switch", {"id": "on", "next": "a"})], "leads on"),
    ],
)
def test_a_broken_tree_is_refused(nodes: list[dict[str, Any]], complaint: str) -> None:
    """What is wrong with the data is said at load, not while walking."""
    with pytest.raises(ValueError, match=complaint):
        build_tree({"root": "a", "switch": "switch", "nodes": nodes})
