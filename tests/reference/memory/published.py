"""Published peaks of real runs beside what the model says of them, each in the quantity that was measured."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import yaml

from app.catalog.library import Catalog, load_catalog
from app.core.adapter import resolve_adapter
from app.core.architectures import describe
from app.core.axolotl.run_reader import read_run
from app.core.collating import Padding
from app.core.context import Context
from app.core.estimate import Memory, Phase
from app.core.hardware import Hardware
from app.core.units import GB, GIB, MIB
from app.services.estimating import memory_of
from tests.core.memory.recordings import DATA

PUBLISHED = DATA / "published.yaml"
T4 = DATA / "fitcheck-t4.json"
UNITS: Mapping[str, int] = {"gib": GIB, "gb": GB, "bytes": 1}
FULL = "full"


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """One measured run.

    ``setup`` is ``full`` where all that moves memory is known; ``why`` explains an outlier, and ``otherwise_bytes`` is the
    estimate of what that explanation says was run.
    """

    id: str
    source: str
    quantity: str
    setup: str
    why: str | None
    measured_bytes: int
    estimated_bytes: int
    otherwise_bytes: int | None = None

    @property
    def error(self) -> float:
        """Signed, as a share of what was measured."""
        return self.estimated_bytes / self.measured_bytes - 1


def published() -> list[Published]:
    """All of them."""
    return [*_single(), *_t4()]


def _single() -> Iterator[Published]:
    catalog = load_catalog()
    for row in yaml.safe_load(PUBLISHED.read_text("utf-8"))["rows"]:
        config, otherwise, quantity = row["config"], row.get("otherwise"), row["quantity"]
        card = catalog.gpus.get(row["gpu"]).hardware() if "gpu" in row else None
        yield Published(
            id=row["id"],
            source=row["source"],
            quantity=quantity,
            setup=row["setup"],
            why=row.get("why"),
            measured_bytes=next(round(row[unit] * size) for unit, size in UNITS.items() if unit in row),
            estimated_bytes=_estimated(catalog, config, quantity, card),
            otherwise_bytes=_estimated(catalog, config | otherwise, quantity, card) if otherwise else None,
        )


def _estimated(catalog: Catalog, config: dict[str, Any], quantity: str, card: Hardware | None) -> int:
    architecture = catalog.architecture(config["base_model"])
    run = read_run(config).on(card)
    return in_quantity(memory_of(architecture, run, resolve_adapter(architecture, run)), quantity, run.context)


def in_quantity(memory: Memory, quantity: str, context: Context) -> int:
    """The estimate as the quantity that was measured: the allocator's figures hold cuBLAS's workspaces, no context."""
    match quantity:
        case "reserved":
            return memory.process_bytes - context.expected_bytes
        case "process":
            return memory.process_bytes
        case _:
            return memory.allocated_peak_bytes + context.workspace_bytes


def _t4() -> Iterator[Published]:
    data = json.loads(T4.read_text("utf-8"))
    card = load_catalog().gpus.get("t4").hardware()
    for row in data["runs"]:
        memory, held = on_t4(row, card)
        rows, tokens = row["rows"]
        base = "NF4" if row["quantization"] == "nf4" else "fp16"
        attention = row["attention"]
        name = row["model_id"].rpartition("/")[2]
        yield Published(
            id=f"fitcheck/{name} {base} r{row['rank']} {attention} {rows}x{tokens}",
            source=data["source"],
            quantity="allocated",
            setup=FULL,
            why=None,
            measured_bytes=round(row["allocated_mib"] * MIB),
            estimated_bytes=in_quantity(memory, "allocated", card.context) + held,
        )


def on_t4(row: Mapping[str, Any], card: Hardware) -> tuple[Memory, int]:
    """The model's answer, and the outputs that the loop holds besides.

    Without autocast everything beside a quantised base is computed in fp32, which ``bf16: false`` says; a base in 16
    bits computes in them. The loop's ``out`` holds the logits through the backward; Axolotl's Trainer lets them go.
    """
    rows, tokens = row["rows"]
    quantized = row["quantization"] == "nf4"
    config = {
        "adapter": "qlora" if quantized else "lora",
        "load_in_4bit": quantized,
        "bf16": False,
        "fp16": not quantized,
        "lora_r": row["rank"],
        "lora_target_modules": row["targets"],
        "gradient_checkpointing": True,
        "gradient_checkpointing_kwargs": {"use_reentrant": False},
        "micro_batch_size": rows,
        "sequence_len": tokens,
        "attn_implementation": row["attention"],
        "optimizer": "adamw_torch",
        "bnb_config_kwargs": {"bnb_4bit_use_double_quant": row["double_quant"]},
        "lora_mlp_kernel": False,
        "lora_qkv_kernel": False,
        "lora_o_kernel": False,
    }
    architecture = describe(row["model"])
    if row["attention"] == "sdpa":  # the loop repeats grouped keys by itself, or PyTorch would fall to its mathematics
        blocks = tuple(replace(block, key_value_heads=block.attention_heads) for block in architecture.blocks)
        architecture = replace(architecture, blocks=blocks)
    run = replace(read_run(config), padding=Padding.NEVER, row_multiple=1)  # rows of random tokens, as long as it says
    run = replace(run.on(card), ampere=run.ampere)  # the loop's own keys have the kernel: see above
    memory = memory_of(architecture, run, resolve_adapter(architecture, run))
    held = rows * tokens * architecture.vocab_size * run.itemsize if memory.step_phase is Phase.BACKWARD else 0
    return memory, held
