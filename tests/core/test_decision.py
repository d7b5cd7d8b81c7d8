"""The decision tree: the guide's ranges on their boundaries, every leaf and answer reached, nonsense refused."""

from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml

from app.core.decision import Fact, Leaf, Node, Tree, build_tree, implied
from app.texts import LANGUAGES, texts

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
        "bf16": True,
        "tasks": "one",
        "rows": None,
        "steps": None,
        "moe": False,
        "packed": False,
        "saves_4bit": True,
        "fits_lora": True,
        "fits_dora": True,
        "fits_qdora": True,
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
        ({"memory_gb": 6, "priority": "quality"}, "lora"),
        ({"memory_gb": 12}, "qlora"),
        ({"memory_gb": 12, "priority": "speed"}, "lora"),
        ({"memory_gb": 12, "priority": "speed", "fits_lora": False}, "qlora"),
        ({"memory_gb": 12, "priority": "quality", "fits_lora": False}, "qlora"),
        ({"memory_gb": 12, "goal": "continued_pretraining"}, "qlora"),
        ({"memory_gb": 16}, "lora"),
        ({"memory_gb": 16, "fits_lora": False}, "qlora"),
        ({"memory_gb": 16, "priority": "memory"}, "qlora"),
        ({"memory_gb": 16, "goal": "continued_pretraining"}, "relora"),
        ({"memory_gb": 16, "goal": "continued_pretraining", "steps": 399}, "lora"),
        ({"memory_gb": 16, "goal": "continued_pretraining", "steps": 400}, "relora"),
        ({"memory_gb": 16, "goal": "continued_pretraining", "tasks": "many"}, "lora"),
        ({"memory_gb": 16, "fits_lora": False, "packed": True}, "lora"),
        ({"memory_gb": 24}, "lora"),
        ({"memory_gb": 24, "priority": "quality"}, "dora"),
        ({"memory_gb": 24, "priority": "quality", "tasks": "many"}, "lora"),
        ({"memory_gb": 24, "priority": "quality", "moe": True}, "lora"),
        ({"memory_gb": 24, "priority": "quality", "fits_dora": False}, "lora"),
        ({"memory_gb": 24, "fits_lora": False}, "qlora"),
        ({"memory_gb": 24, "fits_lora": False, "priority": "quality"}, "qdora"),
        ({"memory_gb": 24, "fits_lora": False, "priority": "quality", "fits_qdora": False}, "qlora"),
        ({"memory_gb": 24, "fits_lora": False, "priority": "quality", "tasks": "many"}, "qlora"),
        ({"memory_gb": 24, "fits_lora": False, "priority": "quality", "moe": True}, "qlora"),
        ({"memory_gb": 24, "fits_lora": False, "priority": "quality", "packed": True}, "lora"),
        ({"memory_gb": 24, "priority": "memory"}, "qlora"),
        ({"memory_gb": 24, "priority": "memory", "saves_4bit": False}, "lora"),
        ({"memory_gb": 24, "priority": "quality", "fits_lora": False, "saves_4bit": False}, "lora"),
        ({"memory_gb": 24, "goal": "continued_pretraining"}, "relora"),
        ({"memory_gb": 80}, "lora"),
        ({"memory_gb": 80, "priority": "quality"}, "full"),
        ({"memory_gb": 80, "priority": "quality", "fits_full": False}, "dora"),
        ({"memory_gb": 80, "priority": "quality", "bf16": False}, "dora"),
        ({"memory_gb": 80, "priority": "quality", "tasks": "many"}, "lora"),
        ({"memory_gb": 80, "priority": "quality", "goal": "dpo"}, "dora"),
        ({"memory_gb": 80, "priority": "quality", "goal": "orpo"}, "full"),
        ({"memory_gb": 80, "priority": "quality", "rows": 9999}, "dora"),
        ({"memory_gb": 80, "priority": "quality", "rows": 10000}, "full"),
    ],
)
def test_leaf_follows_from_the_facts(tree: Tree, given: dict[str, Fact], leaf: str) -> None:
    """The guide's advice and what decides beside it, case by case."""
    assert tree.walk(facts(**given), {}).leaf == leaf


GRID: dict[str, tuple[Fact, ...]] = {
    "memory_gb": (6, 12, 16, 24, 80),
    "goal": ("chat", "continued_pretraining", "dpo"),
    "priority": ("balanced", "quality", "memory", "speed"),
    "bf16": (True, False),
    "tasks": ("one", "many"),
    "rows": (None, 100),
    "steps": (None, 100),
    "moe": (False, False, True),
    "packed": (False, False, True),
    "saves_4bit": (True, True, False),
    "fits_lora": (True, False),
    "fits_dora": (True, False),
    "fits_qdora": (True, False),
    "fits_full": (True, False),
}


def test_every_answer_and_leaf_is_reached_and_its_answers_lead_there_again(tree: Tree) -> None:
    """Over facts drawn at random; the stated answers alone lead to the same leaf."""
    reached: set[tuple[str, str]] = set()
    leaves: set[str] = set()
    checked: set[tuple[tuple[str, str], ...]] = set()
    draw = Random(0)
    for _ in range(8000):
        decision = tree.walk({fact: draw.choice(values) for fact, values in GRID.items()}.__getitem__, {})
        path = tuple((step.node, step.answer_id) for step in decision.path)
        if path in checked:
            continue
        checked.add(path)
        reached.update(path)
        leaves.add(decision.leaf)
        walked, end = tree.follow(dict(path))
        assert isinstance(end, Leaf)
        assert end.method == decision.leaf
        assert [(node.id, answer.id) for node, answer in walked] == list(path[:-1])
    assert leaves == set(tree.leaves) == {"full", "lora", "qlora", "dora", "qdora", "relora"}
    assert reached == {(node.id, answer.id) for node in tree.nodes.values() for answer in node.answers}


def test_a_person_is_asked_the_next_question(tree: Tree) -> None:
    """Where answers run out, or one is none of the node's."""
    assert tree.follow({}) == ((), tree.nodes["vram"])
    assert tree.follow({"vram": "enormous"}) == ((), tree.nodes["vram"])
    path, end = tree.follow({"vram": "from_16_to_24", "first": "quality"})
    assert [(node.id, answer.id) for node, answer in path] == [("vram", "from_16_to_24")]
    assert isinstance(end, Node)
    assert end.id == "room_16"


def test_answers_imply_wishes(tree: Tree) -> None:
    """What a person's answers say of goal, priority and tasks goes into the plan."""
    path, _ = tree.follow({"vram": "from_48", "first": "quality", "tasks": "many", "room_24": "enough"})
    assert implied(path) == {"priority": "quality", "tasks": "many"}


@pytest.mark.parametrize("language", list(LANGUAGES))
def test_every_question_answer_and_reason_has_its_text(tree: Tree, language: str) -> None:
    """In both languages."""
    known = texts(language)
    for node in tree.nodes.values():
        assert f"tree.{node.id}.question" in known, node.id
        for answer in node.answers:
            for part in ("answer", "reason"):
                assert f"tree.{node.id}.{answer.id}.{part}" in known, (node.id, answer.id)


def test_every_node_has_a_source_and_a_place_of_its_own(tree: Tree) -> None:
    """An address or the guide; the switch alone is drawn nowhere."""
    for node in tree.nodes.values():
        assert node.source == "guide" or node.source.startswith("https://"), node.id
        assert (node.place is None) == (node.id == tree.switch), node.id
    assert all(leaf.place is not None and leaf.knobs for leaf in tree.leaves.values())


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
        ([node("a", {"id": "x", "leaf": "none"}), SWITCH], "no leaf none"),
        ([node("a", {"id": "x", "next": "a"}), SWITCH], "cycle through a"),
        ([node("a", {"id": "x", "leaf": "lora"}), node("b", {"id": "x", "leaf": "lora"}), SWITCH], "unreachable"),
        ([node("a", {"id": "x"}), SWITCH], "needs either"),
        ([node("a", {"id": "x", "leaf": "lora", "when": [{"fact": "goal", "is": ["chat"]}]}), SWITCH], "leaves cases"),
        (
            [
                node(
                    "a",
                    {"id": "x", "leaf": "lora", "when": [{"fact": "memory_gb", "below": 8}]},
                    {"id": "y", "leaf": "lora", "when": [{"fact": "memory_gb", "at_least": 9}]},
                ),
                SWITCH,
            ],
            "leaves cases",
        ),
        (
            [node("a", {"id": "x", "leaf": "lora", "when": [{"fact": "memory_gb", "at_least": 1}]}), SWITCH],
            "leaves cases",
        ),
        ([node("a", {"id": "x", "leaf": "lora", "when": [{"fact": "colour", "is": [1]}]}), SWITCH], "unknown fact"),
        ([node("a", {"id": "x", "leaf": "lora", "when": [{"fact": "goal"}]}), SWITCH], "says nothing"),
        ([node("a", {"id": "x", "leaf": "lora"}), node("switch", {"id": "on", "next": "a"})], "leads on"),
    ],
)
def test_a_broken_tree_is_refused(nodes: list[dict[str, Any]], complaint: str) -> None:
    """What is wrong with the data is said at load, not while walking."""
    with pytest.raises(ValueError, match=complaint):
        build_tree({"root": "a", "switch": "switch", "nodes": nodes, "leaves": [{"method": "lora"}]})


def test_two_nodes_cannot_be_drawn_at_one_place() -> None:
    """Nor a leaf nobody reaches be named."""
    whole = node("a", {"id": "x", "leaf": "lora"}) | {"place": [0, 0]}
    for leaves, complaint in (
        ([{"method": "lora", "place": [0, 0]}], "one place"),
        ([{"method": "lora"}, {"method": "dora"}], "unreachable: dora"),
    ):
        with pytest.raises(ValueError, match=complaint):
            build_tree({"root": "a", "switch": "switch", "nodes": [whole, SWITCH], "leaves": leaves})
