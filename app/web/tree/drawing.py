"""Draws the tree: boxes where the data places them, a line from each answer to where it leads."""

import unicodedata
from collections.abc import Mapping, Sequence
from math import ceil

from app.core.decision import Tree
from app.core.units import ceil_div
from app.web.tree.context import Box, Drawing, Edge, LeafView, NodeView

COLUMN = 197
ROW = {"en": 172, "my": 288}
"""px: from one row to the next, more where a box would reach the one below it."""
BETWEEN = 28
WIDTH = 183
"""Six columns of boxes, which a window of 1280 px shows whole."""
PADDING = 14
LINE = {"en": 15, "my": 21}
LETTERS_IN_LINE = {"en": 23, "my": 15}
PORT = 10
"""Room for the letters on the lower edge."""
LEAF_HEIGHT = 44


def draw(
    tree: Tree, nodes: Sequence[NodeView], leaves: Sequence[LeafView], *, language: str, description: str
) -> Drawing:
    """Every question and method in its place."""
    boxes: dict[str, Box] = {}
    heights = {view.id: _height(view, language) for view in nodes}
    row = _row(tree, heights, ROW[language])
    for view in nodes:
        place = tree.nodes[view.id].place
        if place is not None:
            boxes[view.id] = Box(
                x=_x(place),
                y=_y(place, row),
                width=WIDTH,
                height=heights[view.id],
                title=view.question,
                answers=tuple((answer.letter, answer.text, answer.taken) for answer in view.answers),
                number=view.number,
                lit=view.number > 0,
                asked=view.asked,
                leaf=False,
                url=f"#node-{view.id}",
            )
    for leaf in leaves:
        place = tree.leaves[leaf.id].place
        if place is not None:
            boxes[f"leaf {leaf.id}"] = Box(
                x=_x(place),
                y=_y(place, row) + ROW[language] // 4,
                width=WIDTH,
                height=LEAF_HEIGHT,
                title=leaf.name,
                answers=(),
                number=0,
                lit=leaf.reached,
                asked=False,
                leaf=True,
                url=f"#leaf-{leaf.id}",
            )
    edges = [edge for view in nodes for edge in _edges(tree, view, boxes)]
    return Drawing(
        width=max(box.x + box.width for box in boxes.values()) + PADDING,
        height=max(box.y + box.height for box in boxes.values()) + PADDING,
        boxes=tuple(boxes.values()),
        edges=tuple(sorted(edges, key=lambda edge: edge.lit)),
        description=description,
    )


def _x(place: tuple[float, float]) -> int:
    return PADDING + round(place[0] * COLUMN)


def _y(place: tuple[float, float], row: int) -> int:
    return PADDING + round(place[1] * row)


def _height(view: NodeView, language: str) -> int:
    rows = [view.question, *(answer.text for answer in view.answers)]
    return 2 * PADDING + sum(_lines(text, language) for text in rows) * LINE[language] + 3 * len(rows) + PORT


def _row(tree: Tree, heights: Mapping[str, int], least: int) -> int:
    """How far rows are apart, so that every box ends above what is below it."""
    places = [(node.place, heights[name]) for name, node in tree.nodes.items() if node.place is not None]
    ends = [node.place for node in tree.nodes.values()] + [leaf.place for leaf in tree.leaves.values()]
    return max(
        (
            ceil((height + BETWEEN) / (below[1] - place[1]))
            for place, height in places
            for below in ends
            if below is not None and below[1] > place[1] and abs(below[0] - place[0]) * COLUMN < WIDTH
        ),
        default=least,
    )


def _lines(text: str, language: str) -> int:
    """Lines that a text takes; marks sit on their letters and take no room."""
    letters = sum(not unicodedata.category(letter).startswith("M") for letter in text)
    return ceil_div(max(1, letters), LETTERS_IN_LINE[language])


def _edges(tree: Tree, view: NodeView, boxes: Mapping[str, Box]) -> list[Edge]:
    start = boxes.get(view.id)
    if start is None:
        return []
    found = []
    step = start.width / (len(view.answers) + 1)
    for position, (answer, shown) in enumerate(zip(tree.nodes[view.id].answers, view.answers, strict=True), start=1):
        end = boxes[answer.next or f"leaf {answer.leaf}"]
        x1, y1 = round(start.x + step * position), start.y + start.height
        x2, y2 = end.x + end.width // 2, end.y
        bend = max(30, (y2 - y1) // 2)
        found.append(
            Edge(
                path=f"M{x1} {y1}C{x1} {y1 + bend} {x2} {y2 - bend} {x2} {y2}",
                letter=shown.letter,
                x=x1,
                y=y1,
                lit=shown.taken,
            )
        )
    return found
