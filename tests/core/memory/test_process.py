"""What the process holds beyond the allocator's peak, against what the driver said on two cards."""

import json
import statistics
from collections.abc import Iterator
from typing import Any

import pytest

from app.catalog.library import Catalog
from app.core.architectures import describe
from app.core.axolotl.run_reader import read_run
from app.core.context import UNKNOWN
from app.core.memory.process import Process
from app.core.run import CCE_PLUGIN, LIGER_PLUGIN, Loss
from app.core.units import GIB, MIB
from tests.core.memory.recordings import DATA, described, recorded

CARD = recorded("gpu/h100.jsonl")
"""Trainings by Axolotl itself on an H100."""
T4 = json.loads((DATA / "fitcheck-t4.json").read_text("utf-8"))["runs"]


def _cases() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(DATA.glob("*.jsonl")):
        if not path.stem.endswith("refused") and path.stem != "others":
            for case in recorded(path.name):
                found.setdefault(case["case"], case)
    return found


def _on_h100(catalog: Catalog) -> Iterator[tuple[Process, int, int]]:
    """Each run's process, the allocator's peak, and what the process held at the most."""
    cases, card = _cases(), catalog.gpus.get("h100-sxm").hardware()
    for row in CARD:
        context = row["process_bytes"] - row["reserved_now_bytes"]
        peak = row["allocated_peak_bytes"] - row["cublas_workspace_bytes"]
        architecture, run = described(cases[row["case"]])
        yield Process.of(architecture, run.on(card)), peak, row["reserved_peak_bytes"] + context


def _on_t4(catalog: Catalog) -> Iterator[tuple[Process, int, int]]:
    card = catalog.gpus.get("t4").hardware()
    for row in T4:
        rows, tokens = row["rows"]
        config = {"adapter": "lora", "lora_r": 8, "micro_batch_size": rows, "sequence_len": tokens}
        run = read_run(config | {"attn_implementation": row["attention"]})
        yield (
            Process.of(describe(row["model"]), run.on(card)),
            round(row["allocated_mib"] * MIB) - card.context.workspace_bytes,
            round(row["process_mib"] * MIB),
        )


@pytest.mark.parametrize(("card", "count", "median"), [(_on_h100, 90, 0.035), (_on_t4, 61, 0.065)])
def test_the_band_holds_what_the_driver_said(catalog: Catalog, card: Any, count: int, median: float) -> None:
    """Every run lies in it, and most near the expected figure, with the context of the card that it ran on."""
    found = list(card(catalog))
    assert len(found) == count
    for process, peak, held in found:
        low, high = process.range_bytes(peak)
        assert low <= held <= high, (peak, held)
    assert statistics.median(abs(process.expected_bytes(peak) / held - 1) for process, peak, held in found) <= median


def test_a_small_card_holds_a_small_context(catalog: Catalog) -> None:
    """The same run takes less on a T4 than on an H100 by what their contexts and workspaces differ, in all figures."""
    model = describe(_cases()["llama-3.1-8b-qlora-cce-gc"]["model"])
    run = read_run({"adapter": "lora", "lora_r": 8})
    small, large, unknown = (
        Process.of(model, run.on(card and catalog.gpus.get(card).hardware())) for card in ("t4", "h100-sxm", None)
    )
    assert large.expected_bytes(GIB) - small.expected_bytes(GIB) == (
        large.context.beside_bytes - small.context.beside_bytes
    )
    assert small.expected_bytes(GIB) < unknown.expected_bytes(GIB) < large.expected_bytes(GIB)
    assert unknown.context == UNKNOWN
    assert unknown.range_bytes(GIB)[0] < small.range_bytes(GIB)[0]
    assert unknown.range_bytes(GIB)[1] >= large.range_bytes(GIB)[1] - large.context.workspace_bytes


def test_logits_that_are_made_leave_room_unused() -> None:
    """A loss that makes them reserves more than one that does not, in half precision less."""
    model = _cases()["llama-3.1-8b-qlora-cce-gc"]["model"]
    base = {"adapter": "lora", "lora_r": 8, "sequence_len": 2048}
    plain = Process.of(describe(model), read_run(base))
    chunked = Process.of(describe(model), read_run(base | {"chunked_cross_entropy": True}))
    fused = Process.of(
        describe(model), read_run(base | {"liger_fused_linear_cross_entropy": True, "plugins": [LIGER_PLUGIN]})
    )
    assert plain.widest_bytes == 2 * chunked.widest_bytes == 4 * 2048 * 128256
    assert plain.range_bytes(GIB)[1] > chunked.range_bytes(GIB)[1] > fused.range_bytes(GIB)[1]
    assert plain.expected_bytes(GIB) == fused.expected_bytes(GIB)
    assert read_run(base).loss is Loss.PLAIN


def test_logits_of_evaluation_are_a_block_too() -> None:
    """Of more rows than train, and under Liger's fused loss, which makes none in training; cut cross entropy makes none."""
    model = describe(_cases()["llama-3.1-8b-qlora-cce-gc"]["model"])
    base = {"adapter": "lora", "lora_r": 8, "sequence_len": 2048, "val_set_size": 0.1, "eval_batch_size": 4}
    liger = {"liger_fused_linear_cross_entropy": True, "plugins": [LIGER_PLUGIN]}
    cut = {"cut_cross_entropy": True, "plugins": [CCE_PLUGIN]}
    rows = 4 * 2048 * 128256
    assert [Process.of(model, read_run(base | loss)).widest_bytes for loss in ({}, liger, cut)] == [
        4 * rows,
        4 * rows,
        0,
    ]
    pairs = base | {"rl": "dpo", "eval_batch_size": 1, "micro_batch_size": 4}
    assert Process.of(model, read_run(pairs)).widest_bytes == 2 * 4 * rows


@pytest.mark.parametrize(
    "loss", [{"cut_cross_entropy": True, "plugins": [CCE_PLUGIN]}, {"chunked_cross_entropy": True}]
)
def test_a_preference_makes_all_logits_whatever_loss_is_set(loss: dict[str, Any]) -> None:
    """TRL reads them itself."""
    model = describe(_cases()["llama-3.1-8b-qlora-cce-gc"]["model"])
    base = {"adapter": "lora", "lora_r": 8, "rl": "dpo"}
    assert Process.of(model, read_run(base | loss)) == Process.of(model, read_run(base))


def test_a_reward_makes_no_logits() -> None:
    """Its head has one output."""
    model = _cases()["llama-3.1-8b-qlora-cce-gc"]["model"]
    assert not Process.of(
        describe(model), read_run({"adapter": "lora", "lora_r": 8, "reward_model": True})
    ).widest_bytes


@pytest.mark.parametrize(
    ("changes", "key_value_heads", "makes"),
    [
        ({"bf16": False}, 2, True),
        ({"bf16": False}, 4, False),
        ({"bf16": False, "sample_packing": True}, 2, False),
        ({}, 2, False),
        ({"before_ampere": True}, 2, True),
        ({"attn_implementation": "eager"}, 4, True),
    ],
)
def test_scores_of_every_pair_are_a_block_where_they_are_made(
    changes: dict[str, Any], key_value_heads: int, makes: bool
) -> None:
    """Under SDPA with grouped keys alone, in fp32 or before Ampere; under eager attention always."""
    model = {
        "model_type": "llama",
        "hidden_size": 256,
        "intermediate_size": 512,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": key_value_heads,
        "vocab_size": 1000,
    }
    config = {"attn_implementation": "sdpa", "adapter": "lora", "lora_r": 8, "lora_target_linear": True} | changes
    found = Process.of(*described({"model": model, "config": config, "rows": [1, 2048]}))
    assert found.widest_bytes == (4 * 4 * 2048 * 2048 if makes else 4 * 1000 * 2048)
