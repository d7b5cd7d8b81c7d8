"""Objectives: the most of one key is the most, and what goes along goes along."""

from collections.abc import Mapping
from typing import Any

import pytest

from app.catalog.library import load_catalog
from app.core.axolotl.run_reader import read_run
from app.core.fit import Ladder, Rung, build_ladder
from app.core.objective import candidates, faster, most, with_value
from app.core.plan import Install
from app.core.units import GIB
from app.services.measuring import Meter

CATALOG = load_catalog()
LLAMA = CATALOG.architecture("meta-llama/Llama-3.1-8B")
CARD = CATALOG.gpus.get("rtx-4090").hardware()
LORA: Mapping[str, Any] = {
    "base_model": "meta-llama/Llama-3.1-8B",
    "adapter": "qlora",
    "load_in_4bit": True,
    "lora_r": 32,
    "lora_alpha": 64,
    "lora_target_modules": ["q_proj", "v_proj"],
    "sequence_len": 2048,
    "micro_batch_size": 2,
    "gradient_accumulation_steps": 4,
    "gradient_checkpointing": True,
}
FULL = {"base_model": "meta-llama/Llama-3.1-8B", "sequence_len": 1000, "micro_batch_size": 1}


def ladder(config: Mapping[str, Any], *rungs: Rung) -> Ladder:
    """The ladder of ``config`` with these rungs."""
    return build_ladder(config, architecture=LLAMA, hardware=CARD, install=Install.DOCKER, rungs=rungs)


@pytest.mark.parametrize(
    ("key", "value", "patch"),
    [
        ("micro_batch_size", 4, {"micro_batch_size": 4, "gradient_accumulation_steps": 2}),
        ("micro_batch_size", 3, {"micro_batch_size": 3, "gradient_accumulation_steps": 3}),
        ("micro_batch_size", 64, {"micro_batch_size": 64, "gradient_accumulation_steps": 1}),
        ("lora_r", 8, {"lora_r": 8, "lora_alpha": 16}),
        ("sequence_len", 4096, {"sequence_len": 4096}),
    ],
)
def test_what_goes_along(key: str, value: int, patch: Mapping[str, Any]) -> None:
    """Accumulation with the micro batch, alpha with the rank."""
    changed = with_value(LORA, key, value)
    assert {name: changed[name] for name in changed if changed[name] != LORA.get(name)} == {
        name: new for name, new in patch.items() if LORA[name] != new
    }


def test_a_rank_without_an_adapter_is_only_written() -> None:
    """Nothing goes along where there is no alpha."""
    assert with_value(FULL, "lora_r", 8)["lora_r"] == 8


@pytest.mark.parametrize("gib", [7, 8, 10, 16, 24])
@pytest.mark.parametrize("key", ["sequence_len", "micro_batch_size", "lora_r"])
@pytest.mark.parametrize("rungs", [(), (Rung.LOSS, Rung.OPTIMIZER)])
def test_the_most_is_the_most(gib: int, key: str, rungs: tuple[Rung, ...]) -> None:
    """Going through every value one by one finds no larger one."""
    measure = Meter(LLAMA, None).process_bytes
    made = ladder(LORA, *rungs)
    values = candidates(key, LLAMA, read_run(LORA))[:200]
    found = most(key, made, values=values, measure=measure, capacity_bytes=gib * GIB)
    floor = made.at(made.floor())
    fitting = [value for value in values if measure(with_value(floor, key, value)) <= gib * GIB]
    if not fitting:
        assert found is None
        return
    assert found is not None
    assert found[0] == max(fitting)
    assert found[1].fits
    assert found[1].config[key] == max(fitting)


def test_lengths_go_up_to_the_context() -> None:
    """Or to what is set, where that is more."""
    assert candidates("sequence_len", LLAMA, read_run(LORA))[-1] == LLAMA.context_tokens
    longer = read_run({**LORA, "sequence_len": 1 << 19})
    assert candidates("sequence_len", LLAMA, longer)[-1] == 1 << 19


@pytest.mark.parametrize("rungs", [(), tuple(Rung)])
@pytest.mark.parametrize("own", [{}, {"gradient_checkpointing": False}, {"adapter": "lora", "load_in_4bit": False}])
def test_every_way_to_run_it_keeps_the_training(own: Mapping[str, Any], rungs: tuple[Rung, ...]) -> None:
    """The same effective batch, length and rank."""
    config = {**LORA, **own}
    found = list(faster(config, rungs, ladder(config, *rungs)))
    assert found[0] == config or rungs
    assert len(found) == len({str(sorted(c.items(), key=str)) for c in found}) or rungs
    for changed in found:
        run = read_run(changed)
        assert run.micro_batch_size * run.gradient_accumulation_steps == 8
        assert (changed["sequence_len"], changed["lora_r"]) == (2048, 32)


def test_a_huge_effective_batch_is_searched_in_bounded_time() -> None:
    """Micro batches beyond what any card takes are not tried."""
    config = {"micro_batch_size": 1 << 16, "gradient_accumulation_steps": 1 << 20}
    ladder = Ladder(config=config, patches={})
    found = list(faster(config, {Rung.MICRO_BATCH}, ladder))
    assert 0 < len(found) <= 12
