"""The decision tree: drawn whole, walked by the wizard's query and by a person, who may change any answer."""

from urllib.parse import parse_qs, urlsplit

import pytest

from app.catalog.library import Catalog
from app.texts import LANGUAGES

from .conftest import GPU, MODEL, Get

PLAN = {"model": MODEL, "gpu": GPU, "priority": "quality"}


@pytest.mark.parametrize("language", list(LANGUAGES))
def test_the_tree_is_drawn_whole_and_listed(get: Get, catalog: Catalog, language: str) -> None:
    page = get("/tree", {"lang": language})
    tree = catalog.tree
    assert page.status == 200
    boxes = page.document.select(".tree-box")
    assert len(boxes) == len(tree.nodes) - 1 + len(tree.leaves)
    answers = [answer for node in tree.nodes.values() if node.id != tree.switch for answer in node.answers]
    assert len(page.document.select(".tree-edge")) == len(answers)
    listed = {str(item["id"]) for item in page.document.select(".tree-node")}
    assert listed == {f"node-{name}" for name in tree.nodes} | {f"leaf-{name}" for name in tree.leaves}
    for link in page.document.select(".tree-box, .tree-answers a"):
        assert str(link["href"]).removeprefix("#") in listed
    drawing = page.one(".tree-drawing")
    for box in page.document.select(".tree-box rect"):
        assert float(str(box["x"])) + float(str(box["width"])) <= float(str(drawing["width"]))
        assert float(str(box["y"])) + float(str(box["height"])) <= float(str(drawing["height"]))
    places = [
        (float(str(r["x"])), float(str(r["y"])), float(str(r["width"])), float(str(r["height"])))
        for r in page.document.select(".tree-box rect")
    ]
    for i, (x, y, width, height) in enumerate(places):
        for other_x, other_y, other_width, other_height in places[i + 1 :]:
            apart = x + width <= other_x or other_x + other_width <= x
            assert apart or y + height + 16 <= other_y or other_y + other_height + 16 <= y, "the letters need room"


def test_the_wizards_query_lights_the_plans_path(get: Get) -> None:
    plan, page = get("/plan", PLAN), get("/tree", PLAN)
    stated = [item.get_text() for item in plan.document.select(".path .path-answer")]
    walked = [item.find(string=True).strip() for item in page.document.select(".path .path-answer")]  # type: ignore[union-attr]
    assert walked == stated[:-1]
    assert len(page.document.select(".tree-box.is-lit")) == len(walked) + 1
    assert len(page.document.select(".tree-edge.is-lit")) == len(walked)
    assert page.one(".tree-leaf h2").text == "DoRA"
    assert get(str(page.one(".tree-leaf .button")["href"])).document.select(".verdict")


def test_a_person_walks_question_by_question_to_a_plan(get: Get) -> None:
    page, answers = get("/tree"), ["from_24_to_48", "enough", "fine_tune", "lora"]
    for answer in answers:
        form = page.one(".tree-question")
        radio = form.select_one(f"input[value={answer}]")
        assert radio is not None
        query = {str(field["name"]): str(field["value"]) for field in form.select("input[type=hidden]")}
        page = get(str(form["action"]).partition("#")[0], query | {str(radio["name"]): answer})
        assert page.status == 200
    assert page.one(".tree-leaf h2").text == "LoRA"
    assert len(page.document.select(".tree-knobs tbody tr")) == 8
    plan = urlsplit(str(page.one(".tree-leaf .button")["href"]))
    assert (plan.path, parse_qs(plan.query)) == ("/plan", {"method": ["lora"]})


def test_an_answer_can_be_changed_and_those_before_it_stay(get: Get) -> None:
    page = get("/tree", PLAN)
    change = page.document.select(".path-change")[1]
    page = get(str(change["href"]).partition("#")[0])
    assert [item.text for item in page.document.select(".path .path-question")] == ["How much VRAM does the GPU have?"]
    assert page.text(".tree-question legend") == "Does the 16-bit model leave room for LoRA?"
    assert page.document.select(".tree-question input[type=hidden][name=model]")
    assert page.one(".tree-box.is-asked")


def test_answers_go_into_the_plan_as_wishes(get: Get) -> None:
    query = {"model": MODEL, "gpu": GPU, "a.vram": "from_24_to_48", "a.room_24": "spare", "a.packed": "plain"}
    page = get("/tree", query | {"a.goal_short": "continued_pretraining"})
    plan = parse_qs(urlsplit(str(page.one(".tree-leaf .button")["href"])).query)
    assert plan["method"] == ["qlora"]
    assert (plan["goal"], plan["priority"]) == (["continued_pretraining"], ["memory"])


def test_nonsense_is_asked_again_and_faults_are_named(get: Get) -> None:
    page = get("/tree", {"a.vram": "enormous", "a.nothing": "x"})
    assert page.status == 200
    assert page.one(".tree-question")
    page = get("/tree", {"model": MODEL, "gpu": "zzz"})
    assert page.status == 422
    assert "zzz" in page.text(".error-summary")


def test_nothing_is_inline(get: Get) -> None:
    page = get("/tree", PLAN)
    assert not page.document.select("[style], style, script:not([src])")
