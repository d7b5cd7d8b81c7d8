"""The memory bar: parts of the process against the card's capacity, in per cent of the bar's width."""

import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from app.core.axolotl.unmodelled import divided, shards_otherwise
from app.core.estimate import Estimate, Memory, Phase, Term
from app.core.summand import Summand
from app.services.telling import told
from app.texts import Texts
from app.web.contexts import FormulaView, MemoryBar, Segment

NARROW_PX = 560
"""The bar's width from which on its parts are labelled; the stylesheet hides the labels on a narrower one."""
LETTER_PX, BURMESE_PX, AROUND_PX = 6.3, 10, 10
"""px: what a letter takes, Latin and Burmese, whose marks take none of their own; and the room around a label."""
MARGIN = 1.015
FILLS = (
    "weights",
    "adapter",
    "gradients",
    "optimizer",
    "activations",
    "logits",
    "loss",
    "temporaries",
    "images",
    "overhead",
)
"""Which fill of the stylesheet each part has, always the same one, so that two plans compare at a glance."""


def memory_bar(estimate: Estimate, texts: Texts, *, config: Mapping[str, Any]) -> MemoryBar:
    """Draw ``estimate`` of ``config``. The last part is what the process takes beyond the allocator's peak.

    Terms that the run divides among GPUs are marked.
    """
    memory = estimate.memory
    capacity = estimate.capacity_bytes or memory.process_bytes
    low, high = memory.range_bytes
    scale = max(capacity, memory.process_bytes, high) * MARGIN / 100

    segments = memory_segments(estimate, scale, texts, divided=divided(config))
    over = max(0, memory.process_bytes - capacity)
    return MemoryBar(
        segments=segments,
        process=gib(memory.process_bytes, texts),
        capacity=gib(capacity, texts) if estimate.capacity_bytes is not None else "",
        capacity_percent=_percent(capacity / scale),
        capacity_label_end=capacity / scale > 60,
        overflow=over > 0,
        overflow_x_percent=_percent(capacity / scale),
        overflow_percent=_percent(over / scale),
        range_x_percent=_percent(low / scale),
        range_width_percent=_percent((high - low) / scale),
        range_low=gib(low, texts),
        range_high=gib(high, texts),
        largest=_largest(memory, texts) if over else "",
        description=texts.text(
            "web.bar.description" if estimate.capacity_bytes is not None else "web.bar.description.alone",
            process_bytes=memory.process_bytes,
            capacity_bytes=capacity,
            parts=tuple(f"{segment.label} {segment.value}" for segment in segments),
        ),
        formulas=tuple(
            _formula_view(term, memory.formulas[term.code], texts, marks=not shards_otherwise(config))
            for term in memory.breakdown
            if term.bytes
        ),
    )


def _formula_view(term: Term, summands: tuple[Summand, ...], texts: Texts, *, marks: bool) -> FormulaView:
    """One term's products, a line each; ``marks`` is whether to tell if full sharding divides it."""
    lines: list[tuple[str, str]] = []
    for summand in summands:
        sign = "− " if summand.bytes < 0 else "+ " if lines else ""
        lines.append((sign + summand.formula.removeprefix("−"), told(summand, texts)))
    return FormulaView(
        label=texts.text(f"term.{term.code}"),
        products=tuple(lines),
        total=texts.text("formulas.total", size_bytes=term.bytes),
        sharded=texts.text("formulas.sharded" if term.sharded else "formulas.own") if marks else "",
        source=texts.text("formulas.source", source=term.source),
    )


def memory_segments(
    estimate: Estimate, scale: float, texts: Texts, *, divided: frozenset[str] = frozenset()
) -> tuple[Segment, ...]:
    """The parts of ``estimate`` side by side; ``scale`` is the bytes of one per cent of the drawing's width.

    Those that the run has ``divided`` among GPUs say so.
    """
    memory = estimate.memory
    parts = [
        (term.code, texts.text(f"term.{term.code}"), term.bytes, texts.render(term.explanation))
        for term in memory.breakdown
        if term.bytes > 0
    ]
    overhead = memory.process_bytes - memory.allocated_peak_bytes
    if overhead > 0:
        label, why = "web.bar.overhead", "web.bar.overhead.explanation"
        if memory.peak_phase is Phase.LOAD:
            label, why = "memory.bar.loading", "memory.bar.overhead.loading"
        parts.append(("overhead", texts.text(label), overhead, texts.text(why)))

    segments = []
    start = 0
    for code, label, size, explanation in parts:
        segments.append(
            Segment(
                number=FILLS.index(code) if code in FILLS else len(FILLS) - 1,
                label=label,
                value=gib(size, texts),
                x_percent=_percent(start / scale),
                width_percent=_percent(size / scale),
                middle_percent=_percent((start + size / 2) / scale),
                labelled=has_room(label, size / scale),
                roomy=has_room(gib(size, texts), size / scale),
                share=texts.text("web.percent", share=100 * size / memory.process_bytes),
                explanation=explanation,
                sharded=texts.text("formulas.sharded") if code in divided else "",
            )
        )
        start += size
    return tuple(segments)


def has_room(text: str, percent: float) -> bool:
    """Whether ``text`` stands within a part of ``percent`` of the bar's width."""
    return _wide_px(text) + AROUND_PX <= percent / 100 * NARROW_PX


@lru_cache(maxsize=4096)
def _wide_px(text: str) -> float:
    letters = (letter for letter in text if not unicodedata.category(letter).startswith("M"))
    return sum(BURMESE_PX if "\u1000" <= letter <= "\u109f" else LETTER_PX for letter in letters)


def peak_text(memory: Memory, texts: Texts) -> str:
    """When memory is highest; where that is while the model loads, when a step's is as well."""
    phase = texts.text(f"phase.{memory.step_phase.value}")
    if memory.peak_phase is Phase.LOAD:
        return texts.text("memory.peak.loading", load_bytes=memory.load_bytes, phase=phase)
    return texts.text("web.result.peak", phase=phase)


def parts_of(memory: Memory) -> tuple[tuple[str, int], ...]:
    """Code and bytes of every part of the process, in the bar's order; the last is what the peak does not hold."""
    overhead = memory.process_bytes - memory.allocated_peak_bytes
    terms = [(term.code, term.bytes) for term in memory.breakdown if term.bytes > 0]
    return (*terms, ("overhead", overhead)) if overhead > 0 else tuple(terms)


def _largest(memory: Memory, texts: Texts) -> str:
    """The two parts that take most."""
    most = sorted(parts_of(memory), key=lambda part: -part[1])[:2]
    label = {"overhead": "web.bar.overhead"}
    return texts.text(
        "web.bar.largest",
        parts=tuple(f"{texts.text(label.get(code, f'term.{code}'))} {gib(size, texts)}" for code, size in most),
    )


@lru_cache(maxsize=4096)
def gib(size_bytes: int, texts: Texts) -> str:
    """Bytes for people. A plan says the size of its weights some ten times."""
    return texts.text("web.gib", size_bytes=size_bytes)


def _percent(value: float) -> str:
    return f"{value:.3f}%"
