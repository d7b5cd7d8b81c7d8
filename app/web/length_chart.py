"""The picture of memory against sequence length: stacked columns, the card's limit across them."""

from collections.abc import Callable, Iterable

from app.core.estimate import badge
from app.core.units import GIB
from app.services.lengths import Lengths
from app.texts import Texts
from app.web.contexts import Link
from app.web.contexts.result import Column, LengthChart, Slice, Tick
from app.web.memory_bar import FILLS, gib, parts_of

TOP, HEIGHT, BOTTOM = 26, 190, 218
"""px: where the drawing begins, how high a full column is, and where the columns stand."""

ABOVE, FIGURE = 5, 11
"""px: how far above its column a figure stands, and how high it is."""

LEFT_PERCENT, GAP_PERCENT = 9.0, 1.6
"""Per cent of the width: room for the scale, and between columns."""

_PLACES = {code: place for place, code in enumerate(FILLS)}
STEPS_GIB = (1, 2, 4, 5, 10, 20, 25, 50, 100, 200, 400)
MOST_TICKS = 5


def length_chart(
    lengths: Lengths, *, capacity_bytes: int, own: int, texts: Texts, at: Callable[[int], str]
) -> LengthChart:
    """Draw ``lengths``; the column of the plan's own length is marked.

    ``at`` is the address of this very plan with another length and nothing else.
    """
    most = max(capacity_bytes, *(point.memory.process_bytes for point in lengths.points))
    scale = HEIGHT / (most * 1.06)
    wide = (100 - LEFT_PERCENT) / len(lengths.points)
    capacity_y = BOTTOM - capacity_bytes * scale
    stacks = [parts_of(point.memory) for point in lengths.points]
    codes = sorted(dict.fromkeys(code for stack in stacks for code, _ in stack), key=_order)
    columns = []
    for place, (point, stack) in enumerate(zip(lengths.points, stacks, strict=True)):
        x = LEFT_PERCENT + place * wide
        sizes = dict(stack)
        verdict = badge(point).value
        columns.append(
            Column(
                tokens=texts.text("web.number", number=point.sequence_len_tokens),
                total=gib(point.memory.process_bytes, texts),
                verdict=verdict,
                verdict_text=texts.text(f"web.verdict.{verdict}.short"),
                current=point.sequence_len_tokens == own,
                x_percent=f"{x + GAP_PERCENT / 2:.3f}%",
                width_percent=f"{wide - GAP_PERCENT:.3f}%",
                middle_percent=f"{x + wide / 2:.3f}%",
                total_y=f"{_total_y(BOTTOM - point.memory.process_bytes * scale, capacity_y):.1f}",
                slices=_slices(stack, scale),
                url=at(point.sequence_len_tokens),
                values=tuple([gib(sizes[code], texts) if code in sizes else "" for code in codes]),
            )
        )
    return LengthChart(
        columns=tuple(columns),
        ticks=_ticks(most, scale, texts),
        capacity_y=f"{capacity_y:.1f}",
        capacity=gib(capacity_bytes, texts),
        description=texts.text(
            "web.lengths.description",
            capacity_bytes=capacity_bytes,
            points=tuple(f"{column.tokens}: {column.total}" for column in columns),
        ),
        longest=_longest(lengths, texts),
        takes=_takes(lengths, own, texts, at),
        parts=tuple(_label(code, texts) for code in codes),
    )


def _total_y(top: float, capacity_y: float) -> float:
    """Where a column's figure stands: on the column, or on the card's line where that would cross it out."""
    return capacity_y - ABOVE if top - ABOVE - FIGURE < capacity_y < top else top - ABOVE


def _slices(stack: Iterable[tuple[str, int]], scale: float) -> tuple[Slice, ...]:
    slices = []
    top = 0
    for code, size in stack:
        top += size
        slices.append(Slice(min(_order(code), len(FILLS) - 1), f"{BOTTOM - top * scale:.2f}", f"{size * scale:.2f}"))
    return tuple(slices)


def _order(code: str) -> int:
    """A part's place in the bar, last where the bar does not know it."""
    return _PLACES.get(code, len(FILLS))


def _label(code: str, texts: Texts) -> str:
    return texts.text("web.bar.overhead" if code == "overhead" else f"term.{code}")


def _longest(lengths: Lengths, texts: Texts) -> str:
    """What fits with headroom, and what fits at all where that is more."""
    roomy, most = lengths.longest, lengths.at_most
    if most is None:
        return texts.text("web.lengths.none", tokens=lengths.points[0].sequence_len_tokens)
    said = [texts.text("planner.lengths.none_roomy")]
    if roomy is not None:
        code = "planner.lengths.context" if lengths.whole_context else "planner.lengths.longest"
        said = [texts.text(code, tokens=roomy.sequence_len_tokens)]
    if roomy is None or most.sequence_len_tokens > roomy.sequence_len_tokens:
        said.append(texts.text("planner.lengths.at_most", tokens=most.sequence_len_tokens))
    return " ".join(said)


def _takes(lengths: Lengths, own: int, texts: Texts, at: Callable[[int], str]) -> tuple[Link, ...]:
    """A link to each of the two, with the verdict that follows, but to where the plan is already."""
    found: dict[int, Link] = {}
    for point in (lengths.longest, lengths.at_most):
        if point is not None and point.sequence_len_tokens != own:
            tokens = point.sequence_len_tokens
            verdict = texts.text(f"web.verdict.{badge(point).value}.short")
            found[tokens] = Link(
                text=texts.text("planner.lengths.take", tokens=tokens, verdict=verdict), url=at(tokens)
            )
    return tuple(found.values())


def _ticks(most: int, scale: float, texts: Texts) -> tuple[Tick, ...]:
    step = next((step for step in STEPS_GIB if most / GIB / step <= MOST_TICKS), STEPS_GIB[-1] * 2)
    count = int(most * 1.06 / GIB / step)
    return tuple(
        Tick(y=f"{BOTTOM - place * step * GIB * scale:.1f}", text=texts.text("web.number", number=place * step))
        for place in range(count + 1)
    )
