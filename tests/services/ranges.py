"""The guide's five ranges, at their boundaries and on real cards: what the guide says, what is planned, and why they differ.

``python -m tests.services.ranges`` writes the table of docs/planner.md; a test holds it.
"""

from collections.abc import Iterator
from pathlib import Path

from app.catalog.library import Catalog, load_catalog
from app.core.plan import Plan, Priority, Wish
from app.services.inputs import resolve_hardware
from app.services.planning import plan

DOCS = Path(__file__).parents[2] / "docs" / "planner.md"
START, END = "<!-- ranges -->\n", "<!-- /ranges -->"
MODELS = ("Qwen/Qwen3-0.6B", "meta-llama/Llama-3.1-8B-Instruct", "Qwen/Qwen2.5-32B-Instruct")
TYPED = (7.9, 8.0, 15.9, 16.0, 23.9, 24.0, 47.9, 48.0)
CARDS = (
    "rtx-3060-laptop",
    "rtx-3080-10gb",
    "rtx-2080-ti",
    "rtx-3060-12gb",
    "rtx-4060-ti-16gb",
    "rtx-4000-ada",
    "rtx-4090",
    "rtx-5090",
    "a100-40gb-sxm",
    "rtx-6000-ada",
    "quadro-rtx-8000",
    "a100-80gb-sxm",
    "rtx-pro-6000-blackwell",
    "h200-sxm",
    "b200",
)
GUIDE = {
    "under_8": ("qlora",),
    "from_8_to_16": ("qlora",),
    "from_16_to_24": ("lora", "qlora"),
    "from_24_to_48": ("lora", "dora"),
    "from_48": ("lora", "full"),
}
"""What the guide takes in each range."""
WHY = {
    ("room_8", "quality"): "small enough for 16 bits, quality first",
    ("room_8", "speed"): "small enough for 16 bits, speed first",
    ("room_24", "short"): "16 bits do not fit",
    ("packed", "useless"): "4 bits would save nothing",
    ("full", "too_large"): "all parameters do not fit",
    ("precision", "fp16"): "no bf16",
}
"""Answers that lead away from the guide's range, in the words of the table."""


def table(catalog: Catalog) -> Iterator[str]:
    """The table's lines."""
    names = [catalog.models.get(model).name for model in MODELS]
    yield (
        "| Memory | Card | The guide | "
        + " | ".join(f"{n}, {p}" for n in names for p in ("balanced", "quality"))
        + " |"
    )
    yield "|---|---|---|" + "---|" * (2 * len(MODELS))
    for gpu, vram in [*((None, size) for size in TYPED), *((card, None) for card in CARDS)]:
        hardware = resolve_hardware(catalog=catalog, gpu=gpu, vram_gib=vram)
        assert hardware is not None
        cells = []
        for model in MODELS:
            for priority in (Priority.BALANCED, Priority.QUALITY):
                wish = Wish(priority=priority)
                made = plan(catalog=catalog, base_model=model, model=None, hardware=hardware, wish=wish)
                cells.append(cell(made))
        guide = " or ".join(GUIDE[made.decision.path[0].answer_id])
        name = hardware.name if gpu else "typed"
        yield f"| {hardware.marketed_memory_gb:g} | {name} | {guide} | {' | '.join(cells)} |"


def cell(made: Plan) -> str:
    """A method, whether it fits, and why where the guide's range says otherwise."""
    said = made.method
    if made.method not in GUIDE[made.decision.path[0].answer_id]:
        why = next(
            (WHY[step.node, step.answer_id] for step in made.decision.path if (step.node, step.answer_id) in WHY), ""
        )
        said += f" ({why})"
    return said if made.outcome.value == "fits" else f"{said}, does not fit"


def main() -> None:
    """Put the table into the documentation."""
    text = DOCS.read_text("utf-8")
    head, _, rest = text.partition(START)
    tail = rest.partition(END)[2]
    DOCS.write_text(head + START + "\n".join(table(load_catalog())) + "\n" + END + tail, "utf-8")


if __name__ == "__main__":
    main()
