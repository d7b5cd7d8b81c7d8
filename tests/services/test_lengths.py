"""Memory against sequence length."""

import pytest

from app.catalog.library import load_catalog
from app.core.estimate import Memory, Verdict
from app.services.estimating import estimate_resolved
from app.services.inputs import resolve_hardware, resolve_model
from app.services.lengths import FINENESS, MOST, by_length
from app.services.measuring import Meter

CATALOG = load_catalog()
QLORA = {
    "adapter": "qlora",
    "load_in_4bit": True,
    "lora_r": 16,
    "lora_target_linear": True,
    "micro_batch_size": 2,
    "gradient_checkpointing": True,
    "optimizer": "adamw_torch_fused",
}


def process_bytes(model: str, gpu: str, tokens: int) -> int:
    """What ``/estimate`` expects."""
    return memory(model, gpu, tokens).process_bytes


def memory(model: str, gpu: str, tokens: int) -> Memory:
    """What ``/estimate`` says."""
    found = estimate_resolved(
        catalog=CATALOG,
        resolved=resolve_model(catalog=CATALOG, base_model=model, model=None),
        config={**QLORA, "base_model": model, "sequence_len": tokens},
        hardware=resolve_hardware(catalog=CATALOG, gpu=gpu, vram_gib=None),
    )
    return found.memory


@pytest.mark.parametrize("own", [512, 2048, 3000, 32768])
@pytest.mark.parametrize(
    ("model", "gpu"), [("meta-llama/Llama-3.1-8B", "rtx-3060-12gb"), ("Qwen/Qwen3-4B", "rtx-4090")]
)
def test_every_point_is_what_the_estimate_says(model: str, gpu: str, own: int) -> None:
    architecture = CATALOG.architecture(model)
    card = CATALOG.gpus.get(gpu).hardware()
    capacity = card.capacity_bytes
    found = by_length(meter=Meter(architecture, card), config={**QLORA, "sequence_len": own}, capacity_bytes=capacity)
    tokens = [point.sequence_len_tokens for point in found.points]
    assert own in tokens
    assert tokens == sorted(set(tokens))
    assert len(tokens) <= MOST
    for point in found.points:
        assert point.memory.process_bytes == process_bytes(model, gpu, point.sequence_len_tokens)
    assert found.longest is not None
    assert found.longest.verdict is Verdict.FITS
    longest = found.longest.sequence_len_tokens
    assert memory(model, gpu, longest).range_bytes[1] <= capacity
    if not found.whole_context:
        assert memory(model, gpu, longest + 2 * FINENESS).range_bytes[1] > capacity
        assert found.at_most is not None
        assert found.at_most.verdict is Verdict.TIGHT
        assert found.at_most.sequence_len_tokens > longest
        assert process_bytes(model, gpu, found.at_most.sequence_len_tokens) <= capacity
        assert process_bytes(model, gpu, found.at_most.sequence_len_tokens + 2 * FINENESS) > capacity


def test_where_nothing_fits_there_is_no_longest() -> None:
    architecture = CATALOG.architecture("meta-llama/Llama-3.3-70B-Instruct")
    found = by_length(meter=Meter(architecture, None), config={**QLORA, "sequence_len": 2048}, capacity_bytes=8 * 2**30)
    assert (found.longest, found.at_most) == (None, None)
    assert [point.sequence_len_tokens for point in found.points] == [512, 1024, 2048]


def test_a_roomy_card_takes_the_whole_context() -> None:
    architecture = CATALOG.architecture("HuggingFaceTB/SmolLM2-135M")
    found = by_length(
        meter=Meter(architecture, None), config={**QLORA, "sequence_len": 1024}, capacity_bytes=140 * 2**30
    )
    assert found.whole_context
    assert found.longest is not None
    assert found.longest == found.at_most
    assert found.longest.sequence_len_tokens == architecture.context_tokens
