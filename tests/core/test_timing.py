"""Time: published runs lie in the band, more work takes longer, and unknowns stay unknown."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.catalog.library import Catalog, load_catalog
from app.core.adapter import resolve_adapter
from app.core.architecture import Architecture
from app.core.architectures import describe
from app.core.axolotl.run_reader import read_run
from app.core.estimate import Time
from app.core.hardware import Hardware
from app.core.memory.trained import trained_tensors
from app.core.timing import (
    Pace,
    Samples,
    adapter_disk_bytes,
    adapter_itemsize,
    estimate_time,
    linear_parameters,
    stored_parameters,
)

LORA: Mapping[str, Any] = {
    "adapter": "lora",
    "lora_r": 64,
    "lora_target_linear": True,
    "lora_dropout": 0.05,
    "gradient_checkpointing": True,
    "micro_batch_size": 1,
    "gradient_accumulation_steps": 8,
    "sequence_len": 2048,
    "attn_implementation": "flash_attention_2",
}
QLORA = LORA | {"adapter": "qlora", "load_in_4bit": True}
FULL = {key: value for key, value in LORA.items() if not key.startswith(("adapter", "lora"))}


def llama_like(hidden: int, middle: int, layers: int, heads: int, vocab: int) -> Architecture:
    """Qwen 1 has Llama's shape under other names."""
    return describe(
        {
            "model_type": "llama",
            "vocab_size": vocab,
            "hidden_size": hidden,
            "intermediate_size": middle,
            "num_hidden_layers": layers,
            "num_attention_heads": heads,
            "num_key_value_heads": heads,
            "max_position_embeddings": 32768,
            "tie_word_embeddings": False,
        }
    )


QWEN_7B = llama_like(4096, 11008, 32, 32, 151936)
QWEN_1_8B = llama_like(2048, 5504, 24, 16, 151936)


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    """The product's own."""
    return load_catalog()


def timed(
    architecture: Architecture,
    config: Mapping[str, Any],
    hardware: Hardware,
    *,
    samples: Samples | None = None,
    epochs: float = 1.0,
    max_steps: int | None = None,
    rl: str | None = None,
    price: float | None = None,
    fused: bool = False,
) -> Time:
    """The time of ``config``, which must be known."""
    run = read_run(config)
    found = estimate_time(
        architecture,
        run,
        resolve_adapter(architecture, run),
        hardware,
        samples=samples or Samples(),
        epochs=epochs,
        max_steps=max_steps,
        rl=rl,
        price_per_hour=price,
        fused_lora=fused,
    )
    assert found is not None
    return found


PUBLISHED = [
    # https://github.com/QwenLM/Qwen#profiling-of-memory-and-speed, one A100-SXM4-80GB, accumulation of 8
    *((QWEN_7B, LORA, length, seconds) for length, seconds in [(256, 1.2), (512, 1.5), (1024, 2.8), (2048, 5.2), (4096, 10.1), (8192, 21.3)]),
    *((QWEN_1_8B, LORA, length, seconds) for length, seconds in [(256, 1.0), (512, 1.0), (1024, 1.1), (2048, 1.7), (4096, 3.3), (8192, 6.8)]),
    *((QWEN_7B, QLORA, length, seconds) for length, seconds in [(256, 3.0), (512, 3.0), (1024, 3.5), (2048, 7.0), (4096, 11.6), (8192, 22.3)]),
    *((QWEN_1_8B, FULL, length, seconds) for length, seconds in [(2048, 2.3), (4096, 2.8), (8192, 5.6)]),
]  # fmt: skip


@pytest.mark.parametrize(("architecture", "config", "length", "seconds"), PUBLISHED)
def test_published_steps_lie_in_the_band(
    catalog: Catalog, architecture: Architecture, config: Mapping[str, Any], length: int, seconds: float
) -> None:
    """Seconds an optimizer step on an A100, by length and method."""
    hardware = catalog.gpus.get("a100-80gb-sxm").hardware()
    low, high = timed(architecture, config | {"sequence_len": length}, hardware).step_seconds_range
    assert low <= seconds <= high


@pytest.mark.parametrize(
    ("own", "tokens_per_second"), [({}, 6771), ({"peft_use_dora": True}, 5870), ({"adapter": None}, 2310)]
)
def test_published_rates_lie_in_the_band(catalog: Catalog, own: Mapping[str, Any], tokens_per_second: float) -> None:
    """PEFT's method comparison: Llama 3.2 3B on an L40S, batches of four samples of 210 tokens."""
    base = (
        FULL
        if "adapter" in own
        else LORA
        | {"lora_r": 32, "lora_dropout": 0.0, "lora_target_linear": False}
        | {"lora_target_modules": ["q_proj", "v_proj"]}
    )
    config = base | {
        "sequence_len": 210,
        "micro_batch_size": 4,
        "gradient_accumulation_steps": 1,
        "gradient_checkpointing": False,
        "optimizer": "adamw_torch",
    }
    hardware = catalog.gpus.get("l40s").hardware()
    found = timed(catalog.architecture("meta-llama/Llama-3.2-3B"), config | own, hardware)
    low, high = found.tokens_per_second_range
    assert low <= tokens_per_second <= high


@pytest.mark.parametrize(
    ("base", "own"),
    [
        (LORA, {"sequence_len": 4096}),
        (LORA, {"micro_batch_size": 2}),
        (LORA, {"gradient_accumulation_steps": 9}),
        (LORA, {"lora_r": 256}),
        (LORA, {"peft_use_dora": True}),
        (LORA, {"adapter": "qlora", "load_in_4bit": True}),
        (LORA, {"load_in_8bit": True}),
        (LORA, {"activation_offloading": True}),
        (LORA | {"gradient_checkpointing": False}, {"gradient_checkpointing": True}),
        (FULL | {"optimizer": "paged_adamw_8bit"}, {"optimizer": "adamw_torch"}),
    ],
)
def test_more_work_takes_longer(catalog: Catalog, base: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    """Each of these adds to a step."""
    hardware = catalog.gpus.get("rtx-4090").hardware()
    assert timed(QWEN_7B, {**base, **own}, hardware).step_seconds > timed(QWEN_7B, base, hardware).step_seconds


def test_preference_training_takes_two_answers_and_a_reference(catalog: Catalog) -> None:
    """ORPO twice the tokens, DPO a forward pass of the reference on top."""
    hardware = catalog.gpus.get("rtx-4090").hardware()
    plain, orpo, dpo = (timed(QWEN_7B, LORA, hardware, rl=rl).step_seconds for rl in (None, "orpo", "dpo"))
    assert plain < orpo < dpo


def test_parts_sum_to_the_step(catalog: Catalog) -> None:
    """Nothing is hidden."""
    found = timed(QWEN_7B, QLORA, catalog.gpus.get("rtx-4090").hardware())
    assert sum(seconds for _, seconds in found.parts) == pytest.approx(found.step_seconds)


def test_experts_count_as_they_are_used(catalog: Catalog) -> None:
    """A token passes eight of 128 experts; all of them are read."""
    architecture = catalog.architecture("Qwen/Qwen3-30B-A3B")
    layers, head = linear_parameters(architecture)
    assert 2.5e9 < layers + head < 3.5e9
    assert stored_parameters(architecture) > 28e9


def test_sliding_windows_bound_the_attention(catalog: Catalog) -> None:
    """A longer sequence of a windowed model costs less than that of one without."""
    gemma = catalog.architecture("google/gemma-3-1b-it")
    blocks = tuple(replace(block, sliding_window=None) for block in gemma.blocks)
    without = replace(gemma, blocks=blocks)
    hardware = catalog.gpus.get("rtx-4090").hardware()
    config = LORA | {"sequence_len": 32768, "lora_target_linear": False, "lora_target_modules": ["q_proj"]}
    assert timed(gemma, config, hardware).step_seconds < timed(without, config, hardware).step_seconds


def test_steps_follow_from_the_data(catalog: Catalog) -> None:
    """Unpacked, a sample is a sequence; packed, samples fill sequences; a limit limits."""
    hardware = catalog.gpus.get("rtx-4090").hardware()
    assert timed(QWEN_7B, LORA, hardware, samples=Samples(rows=801), epochs=3).total_steps == 303
    packed = LORA | {"sample_packing": True}
    assert timed(QWEN_7B, packed, hardware, samples=Samples(rows=1000)).total_steps is None
    filled = timed(QWEN_7B, packed, hardware, samples=Samples(rows=1000, mean_tokens=256)).total_steps
    assert filled == 17
    cut = timed(QWEN_7B, packed, hardware, samples=Samples(rows=1000, mean_tokens=999999)).total_steps
    assert cut == 132
    assert timed(QWEN_7B, LORA, hardware, samples=Samples(rows=801), max_steps=10).total_steps == 10
    assert timed(QWEN_7B, LORA, hardware, max_steps=10).total_steps == 10
    assert timed(QWEN_7B, LORA, replace(hardware, count=2), samples=Samples(rows=801)).total_steps == 51


def test_energy_and_price_follow_from_the_hours(catalog: Catalog) -> None:
    """At most the cards' power, and what a person says an hour costs."""
    hardware = replace(catalog.gpus.get("rtx-4090").hardware(), count=2)
    found = timed(QWEN_7B, LORA, hardware, max_steps=1000, price=0.5)
    assert found.run_seconds is not None
    assert found.price == pytest.approx(found.run_seconds / 3600 * 2 * 0.5)
    assert found.energy_kwh == pytest.approx(found.run_seconds / 3600 * 2 * 0.45)
    assert found.run_seconds_range is not None
    assert found.energy_kwh_range == pytest.approx([seconds / 3600 * 2 * 0.45 for seconds in found.run_seconds_range])
    assert found.price_range is not None
    assert found.run_seconds_range is not None
    assert found.run_seconds_range[0] < found.run_seconds < found.run_seconds_range[1]
    bare = timed(QWEN_7B, LORA, replace(hardware, power_watts=None))
    assert (bare.energy_kwh, bare.price, bare.run_seconds, bare.price_range) == (None, None, None, None)


def test_unknown_rates_give_no_time(catalog: Catalog) -> None:
    """A card known by its memory alone has none, nor has fp32 training on a card without bf16."""
    bare = replace(catalog.gpus.get("rtx-4090").hardware(), bf16_flops=None, fp16_flops=None)
    run = read_run(LORA)
    adapter = resolve_adapter(QWEN_7B, run)
    assert estimate_time(QWEN_7B, run, adapter, bare, samples=Samples(), epochs=1) is None
    t4 = catalog.gpus.get("t4").hardware()
    assert timed(QWEN_7B, LORA | {"fp16": True}, t4).step_seconds > 0
    full = read_run(FULL)
    assert estimate_time(QWEN_7B, full, resolve_adapter(QWEN_7B, full), t4, samples=Samples(), epochs=1) is None


@pytest.mark.parametrize(
    ("own", "stored"),
    [
        ({"adapter": "lora", "lora_r": 32, "lora_target_modules": ["q_proj", "v_proj"]}, 36_715_216),
        (
            {"adapter": "lora", "lora_r": 32, "lora_target_modules": ["q_proj", "v_proj"], "peft_use_dora": True},
            37_181_760,
        ),
        ({}, 6_425_499_648),
    ],
)
def test_a_checkpoint_is_as_large_as_published(catalog: Catalog, own: Mapping[str, Any], stored: int) -> None:
    """Files of PEFT's method comparison, tensor names aside."""
    architecture = catalog.architecture("meta-llama/Llama-3.2-3B")
    run = read_run(own)
    assert adapter_disk_bytes(run, resolve_adapter(architecture, run)) == pytest.approx(stored, rel=2e-3)


CHECKPOINTS = Path(__file__).parents[1] / "data" / "parameters" / "checkpoints.jsonl"


def test_a_checkpoint_holds_what_trains_in_the_dtype_that_it_trains_in() -> None:
    """As PEFT saves it, and TRL, which casts adapters on a quantised base to bf16 under DPO and KTO."""
    head, *cases = [json.loads(line) for line in CHECKPOINTS.read_text(encoding="utf-8").splitlines()]
    architecture = describe(head["model"])
    for case in cases:
        run = read_run(case["config"])
        adapter = resolve_adapter(architecture, run)
        assert adapter_disk_bytes(run, adapter) == case["stored_bytes"], case["config"]
        lora = adapter.trainable_parameters - adapter.own_parameters
        held = trained_tensors(architecture, run, adapter)
        priced = sum(tensor.bytes for tensor in held)
        assert priced == adapter_itemsize(run) * lora + 2 * adapter.own_parameters


@pytest.mark.parametrize(
    ("ratio", "wording", "times"),
    [
        (1.99, "slower", "2"),
        (2.0, "times_slower", "2"),
        (4.03, "times_slower", "4"),
        (2.46, "times_slower", "2.5"),
        (12.7, "times_slower", "13"),
        (0.5, "times_faster", "2"),
        (0.3, "times_faster", "3.3"),
        (0.8, "faster", "1.2"),
        (1.0, "same", "1"),
    ],
)
def test_twice_and_more_is_said_in_times(ratio: float, wording: str, times: str) -> None:
    """Nobody says "303 % slower"."""
    pace = Pace(ratio=ratio)
    assert (pace.wording, pace.times) == (wording, times)


@pytest.mark.parametrize(
    ("ratio", "kind", "percent"),
    [
        (1.0, "same", 0),
        (1.019, "same", 0),
        (0.981, "same", 0),
        (1.02, "slower", 2),
        (1.27, "slower", 27),
        (0.8, "faster", 20),
    ],
)
def test_a_pace_is_said_in_one_way(ratio: float, kind: str, percent: int) -> None:
    """Within what the model can tell it is the same."""
    pace = Pace(ratio=ratio)
    assert (pace.kind, pace.percent) == (kind, percent)


def test_a_pace_needs_both_times() -> None:
    """Cards without rates have none."""
    assert Pace.between(None, None) is None


@pytest.mark.parametrize(
    ("config", "samples", "row"),
    [
        ({"micro_batch_size": 1}, Samples(rows=8, mean_tokens=200), 200),
        ({"micro_batch_size": 2}, Samples(rows=8, mean_tokens=200), 300),
        ({"micro_batch_size": 2}, Samples(rows=8, mean_tokens=200, max_tokens=250), 250),
        ({"micro_batch_size": 2}, Samples(rows=8, mean_tokens=1900), 2048),
        ({"micro_batch_size": 2}, Samples(rows=8, mean_tokens=200, padded=True), 2048),
        ({"micro_batch_size": 2}, Samples(rows=8), 2048),
        ({"micro_batch_size": 2, "sample_packing": True}, Samples(rows=8, mean_tokens=200), 2048),
    ],
)
def test_rows_that_are_not_packed_are_as_long_as_the_longest_of_them(
    config: Mapping[str, Any], samples: Samples, row: int
) -> None:
    """Where the data's lengths are known; else the full length."""
    assert samples.row_tokens(read_run(LORA | config)) == row


QDORA = QLORA | {
    "lora_r": 8,
    "lora_target_linear": False,
    "lora_target_modules": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
    "peft_use_dora": True,
    "micro_batch_size": 16,
    "gradient_accumulation_steps": 2,
    "sequence_len": 512,
}
LLAMA_7B = llama_like(4096, 11008, 32, 32, 32000)


@pytest.mark.parametrize(("dropout", "seconds"), [(0.0, 279.2676 / 20), (0.05, 359.7298 / 20)])
def test_dora_with_dropout_computes_the_base_once_more(catalog: Catalog, dropout: float, seconds: float) -> None:
    """PEFT's pair of runs, 20 steps of Llama 7B in 4 bits: before the base's result was used again, and after.

    https://github.com/huggingface/peft/blob/main/docs/source/developer_guides/lora.md
    """
    card = catalog.gpus.get("rtx-4090").hardware()
    time = timed(LLAMA_7B, QDORA | {"lora_dropout": dropout}, card)
    low, high = time.step_seconds_range
    assert low <= seconds <= high
    without = timed(LLAMA_7B, QDORA | {"lora_dropout": 0.0}, card)
    assert time.step_seconds / without.step_seconds == pytest.approx(seconds / (279.2676 / 20), rel=0.15)


def test_only_peft_own_dora_minds_dropout(catalog: Catalog) -> None:
    """Axolotl's kernels drop the adapter's input alone, LoRA's base has no dropout, and TRL switches it off."""
    card = catalog.gpus.get("rtx-4090").hardware()
    dropped, kept = QDORA | {"lora_dropout": 0.05}, QDORA | {"lora_dropout": 0.0}
    assert timed(LLAMA_7B, dropped, card, fused=True) == timed(LLAMA_7B, kept, card, fused=True)
    for more in ({"peft_use_dora": False}, {"rl": "dpo"}):
        assert timed(LLAMA_7B, dropped | more, card) == timed(LLAMA_7B, kept | more, card)
