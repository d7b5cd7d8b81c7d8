"""How long one estimate takes in process, and where that time goes.

Distinct configurations of an 80-layer model: lengths, batches, ranks, optimizers, losses and checkpointing vary, and no
two are the same. What an architecture and its switches lead to is worked out within the measurement.
"""

import cProfile
import pstats
import random
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.catalog.library import load_catalog
from app.core.adapter import resolve_adapter
from app.core.architecture import Architecture
from app.core.axolotl.run_reader import read_run
from app.services.estimating import memory_of

MODEL = "meta-llama/Llama-3.1-70B"
SWEEP = 10_000
OPTIMIZERS = ("adamw_torch_fused", "adamw_torch", "adamw_8bit", "paged_adamw_8bit", "lion_8bit", "adafactor")
LOSSES: tuple[dict[str, Any], ...] = (
    {},
    {"chunked_cross_entropy": True},
    {"cut_cross_entropy": True, "plugins": ["axolotl.integrations.cut_cross_entropy.CutCrossEntropyPlugin"]},
)
CHECKPOINTING: tuple[dict[str, Any], ...] = (
    {"gradient_checkpointing": True},
    {"gradient_checkpointing": False},
    {"gradient_checkpointing": True, "activation_offloading": True},
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """Seconds of a sweep, of its median estimate, and the functions that take most of it: (name, share)."""

    seconds: float
    median_microseconds: float
    top: tuple[tuple[str, float], ...]


def variants(count: int, seed: int) -> Iterator[dict[str, Any]]:
    """Configurations that differ from one another."""
    rng = random.Random(seed)
    for number in range(count):
        yield {
            "base_model": MODEL,
            "adapter": "qlora",
            "load_in_4bit": True,
            "lora_target_linear": True,
            "sample_packing": True,
            "attn_implementation": "flash_attention_2",
            "sequence_len": 256 + number,
            "micro_batch_size": rng.randrange(1, 9),
            "lora_r": rng.randrange(4, 257),
            "optimizer": rng.choice(OPTIMIZERS),
            **rng.choice(LOSSES),
            **rng.choice(CHECKPOINTING),
        }


def estimate(architecture: Architecture, config: dict[str, Any]) -> int:
    """All of one estimate of memory: the configuration read, what trains resolved, the peak found."""
    run = read_run(config)
    return memory_of(architecture, run, resolve_adapter(architecture, run)).process_bytes


def measure() -> Sweep:
    """Time a sweep, then profile another."""
    architecture = load_catalog().architecture(MODEL)
    configs = list(variants(SWEEP, seed=1))
    took = []
    started = time.process_time()
    for config in configs:
        before = time.process_time()
        estimate(architecture, config)
        took.append(time.process_time() - before)
    seconds = time.process_time() - started
    top = profiled(lambda: [estimate(architecture, config) for config in variants(2000, seed=2)])
    return Sweep(seconds=seconds, median_microseconds=statistics.median(took) * 1e6, top=top)


def profiled(work: Callable[[], object], most: int = 5) -> tuple[tuple[str, float], ...]:
    """The functions that take most time of their own, as shares of all."""
    profiler = cProfile.Profile()
    profiler.enable()
    work()
    profiler.disable()
    rows = vars(pstats.Stats(profiler))["stats"]
    total = sum(own for _, _, own, *_ in rows.values())
    ordered = sorted(rows.items(), key=lambda item: -item[1][2])[:most]
    return tuple((_named(place), own / total) for place, (_, _, own, *_) in ordered)


def _named(place: tuple[str, int, str]) -> str:
    file, _, name = place
    return name.strip("<>{}") if file == "~" else f"{Path(file).name}: {name}"
