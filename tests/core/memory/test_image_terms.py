"""What images take has a term of its own, which says how it comes about and leaves all others as they are of text."""

from pathlib import Path
from typing import Any

import pytest

from app.catalog.library import Catalog, load_catalog
from app.core.architectures import describe
from app.core.estimate import Memory, Phase
from app.core.memory.breakdown import SOURCES
from app.core.plan import Dataset
from app.core.run import CCE_PLUGIN
from app.core.summand import formula
from app.services.estimating import estimate
from app.texts import LANGUAGES, texts
from tests.core.memory.recordings import estimated
from tests.core.memory.test_formulas import evaluated, holds
from tests.core.memory.test_images import CASES, MODELS, SEEING, SIGLIP, STACKED, TUNED, WINDOWED, memory

CHECKPOINTED = {"gradient_checkpointing": True}
DOCUMENT = (Path(__file__).parents[3] / "docs/memory.md").read_text(encoding="utf-8")


def sizes(found: Memory) -> dict[str, int]:
    """Bytes of each term."""
    return {term.code: term.bytes for term in found.breakdown}


def of(model: dict[str, Any], images: int = 1, side: int | None = None, **config: Any) -> Memory:
    """A row with so many images."""
    return memory(describe(model).reading(images, side), SEEING | TUNED | config)


@pytest.mark.parametrize("case", CASES, ids=[case["case"] for case in CASES])
def test_it_is_a_part_of_the_peak(case: dict[str, Any]) -> None:
    """Of whatever moment: nothing is counted twice, nothing is less than nothing, every product has its words."""
    found = estimated(case)
    assert sum(term.bytes for term in found.breakdown) == found.allocated_peak_bytes
    assert all(term.bytes >= 0 for term in found.breakdown)
    assert sizes(found)["images"] > 0
    holds(found)


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize("config", [{}, CHECKPOINTED], ids=["saved", "checkpointed"])
def test_more_images_add_to_it_alone(model: dict[str, Any], config: dict[str, Any]) -> None:
    """As much each, but for what the allocator rounds: tokens of a row stay as many."""
    two, four, six = (of(model, count, 448, **config) for count in (2, 4, 6))
    assert two.step_phase is four.step_phase is six.step_phase
    for code, size in sizes(two).items():
        if code not in ("images", "temporaries", "gradients"):
            assert sizes(four)[code] == sizes(six)[code] == size, code
    first, second = (sizes(more)["images"] - sizes(less)["images"] for less, more in ((two, four), (four, six)))
    assert first > 0
    assert first == pytest.approx(second, rel=1e-6)


def test_text_has_none() -> None:
    """Nor has a batch whose images are not described."""
    described = describe(SIGLIP)
    assert "images" not in sizes(memory(described, {"sequence_len": 2048} | TUNED))
    assert "images" not in sizes(memory(described.reading(0), SEEING | TUNED))
    assert "images" not in sizes(memory(described, SEEING | TUNED | {"rl": "dpo"}))


def test_a_tower_that_keeps_nothing_leaves_the_pixels_by_hand() -> None:
    """Qwen 3 VL's, frozen: 1,024 pixels a side, two frames, fp32; and two marks of 8 bytes for each token."""
    found = of(STACKED, gradient_checkpointing=True)
    assert found.step_phase is Phase.BACKWARD
    assert sizes(found)["images"] == 3 * 2 * 1024**2 * 4 + 16 * 2048
    assert formula(found.formulas["images"]) == "1 × 3 × 2 × 1,024 × 1,024 × 4 + 16 × 2,048"


def test_checkpoints_of_a_tower_by_hand() -> None:
    """Qwen 2.5 VL's in the language model's backward: pixels as 74 patches of 14 a side, then what the tower keeps.

    An input of each of its layers; behind them the merger's and the norm's, and sines and cosines in fp32.
    """
    found = of(WINDOWED, gradient_checkpointing=True)
    layers, width = WINDOWED["vision_config"]["depth"], WINDOWED["vision_config"]["hidden_size"]
    pixels, *rest = found.formulas["images"]
    assert pixels.factors == (1, 3, 2, 74 * 14, 74 * 14, 4)
    wide = next(summand for summand in rest if summand.code == "image_widths")
    assert wide.factors[1:] == (width, 2, 74**2, 1)
    assert layers <= wide.factors[0] <= layers + 4
    assert {summand.held for summand in rest} == {"before", ""}


def test_the_moments_of_a_tower_itself_are_images() -> None:
    """Where its own forward or backward is the peak, its activations are not the language model's."""
    cut = {"plugins": [CCE_PLUGIN], "cut_cross_entropy": True}
    found = of(SIGLIP, sequence_len=64, gradient_checkpointing=True, **cut)
    assert found.step_phase is Phase.BACKWARD
    made = [summand for summand in found.formulas["images"] if summand.held == "now"]
    assert made
    assert sizes(found)["images"] > 10 * sizes(found)["activations"]
    assert not [summand for summand in found.formulas["activations"] if summand.held == "now"]
    holds(found)


def test_evaluation_counts_its_own_batch() -> None:
    found = of(SIGLIP, 2, val_set_size=0.1, eval_batch_size=8, gradient_checkpointing=True)
    assert found.step_phase is Phase.EVALUATION
    (term,) = (term for term in found.breakdown if term.code == "images")
    assert term.explanation.params["images"] == 16
    pixels, features, marks = found.formulas["images"]
    assert (pixels.factors[0], features.factors[0], marks.factors) == (16, 16, (16, 8 * 2048))


def test_it_has_a_source_and_words() -> None:
    (term,) = (term for term in of(SIGLIP).breakdown if term.code == "images")
    assert term.source == SOURCES["images"]
    assert not term.sharded
    assert dict(term.explanation.params) == {"images": 1, "patches": 4096, "tokens": 256}
    for language in LANGUAGES:
        assert "4,096" in texts(language).render(term.explanation)


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    """The real one."""
    return load_catalog()


def test_the_document_s_example_is_today_s(catalog: Catalog) -> None:
    config = {"base_model": "google/gemma-3-4b-it", "processor_type": "AutoProcessor", "sequence_len": 2048}
    config |= {"adapter": "lora", "lora_r": 16, "gradient_checkpointing": True}
    config |= {"lora_target_modules": r".*language_model.*(q|k|v|o)_proj"}
    found = estimate(catalog=catalog, config=config, dataset=Dataset(images_per_row=1)).memory
    written = formula(found.formulas["images"])
    assert f"\n    {written} = {sizes(found)['images']:,}\n" in DOCUMENT
    assert evaluated(written) == sizes(found)["images"]
