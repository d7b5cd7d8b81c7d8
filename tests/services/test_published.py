"""What others publish as fitting, or not: Axolotl's sizes and examples, and others' tables, row by row."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.catalog.library import Catalog
from app.core.adapter import default_targets
from app.core.architectures import describe
from app.core.run import CCE_PLUGIN
from app.services.estimating import estimate
from app.services.inputs import resolve_hardware

ROOT = Path(__file__).parents[2]
ROWS: list[dict[str, Any]] = yaml.safe_load((ROOT / "tests" / "data" / "published.yaml").read_text("utf-8"))
STACK: Mapping[str, Any] = {
    "micro_batch_size": 1,
    "gradient_accumulation_steps": 1,
    "sequence_len": 2048,
    "attn_implementation": "flash_attention_2",
    "gradient_checkpointing": True,
    "bf16": "auto",
}
LORA: Mapping[str, Any] = {"adapter": "lora", "lora_r": 32, "lora_alpha": 16}
QLORA: Mapping[str, Any] = {"adapter": "qlora", "load_in_4bit": True, "lora_r": 32, "lora_alpha": 16}
CCE: Mapping[str, Any] = {"plugins": [CCE_PLUGIN], "cut_cross_entropy": True}
UNFUSED: Mapping[str, Any] = dict.fromkeys(("lora_mlp_kernel", "lora_qkv_kernel", "lora_o_kernel"), False)
BASES: Mapping[str, Mapping[str, Any]] = {
    "qlora": {**STACK, **QLORA, **CCE, "optimizer": "paged_adamw_8bit"},
    "lora": {**STACK, **LORA, **CCE, "optimizer": "adamw_8bit"},
    "full": {**STACK, **CCE, "optimizer": "adamw_8bit"},
    "example": {**STACK, **QLORA, **CCE, "micro_batch_size": 2, "sample_packing": True, "optimizer": "adamw_bnb_8bit"},
    "plain_lora": {**STACK, **LORA, **UNFUSED, "lora_r": 64, "optimizer": "adamw_torch"},
    "plain_qlora": {**STACK, **QLORA, **UNFUSED, "lora_r": 8, "optimizer": "adamw_torch"},
    "peft_lora": {
        **STACK,
        **LORA,
        **UNFUSED,
        "gradient_checkpointing": False,
        "micro_batch_size": 4,
        "sequence_len": 256,
        "lora_target_modules": ["q_proj", "v_proj"],
        "optimizer": "adamw_torch",
    },
    "peft_full": {
        **STACK,
        "gradient_checkpointing": False,
        "micro_batch_size": 4,
        "sequence_len": 256,
        "optimizer": "adamw_torch",
    },
}
"""Axolotl's stack, with a fused loss; the plain one of Transformers and PEFT, which others measured; PEFT's own runs."""


def config_of(row: Mapping[str, Any], catalog: Catalog) -> dict[str, Any]:
    """The configuration of a row, LoRA on every linear of the layers unless it says otherwise."""
    config = {"base_model": row.get("model"), **BASES[row["base"]], **row.get("config", {})}
    if config.get("adapter") and "lora_target_modules" not in config:
        given = row.get("config_json")
        targets = default_targets(describe(given) if given else catalog.architecture(row["model"]))
        config["lora_target_modules"] = targets if isinstance(targets, str) else list(targets or ())
    return config


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_what_is_published_as_fitting_fits(catalog: Catalog, row: dict[str, Any]) -> None:
    """Or the row says why not, and then it must not."""
    hardware = resolve_hardware(catalog=catalog, gpu=row.get("gpu"), vram_gib=row.get("vram_gib"))
    found = estimate(catalog=catalog, config=config_of(row, catalog), model=row.get("config_json"), hardware=hardware)
    assert row["source"].startswith("https://")
    wanted = row["fits"] if "explained" not in row else not row["fits"]
    assert found.fits is wanted, (
        f"{found.memory.process_bytes / 2**30:.1f} GiB of {(found.capacity_bytes or 0) / 2**30:.1f}"
    )


def test_the_list_is_long_and_mostly_unexplained() -> None:
    """Half a hundred pairs, both outcomes among them, one in ten explained at most."""
    assert len(ROWS) >= 50
    assert sum(not row["fits"] for row in ROWS) >= 12
    assert sum("explained" in row for row in ROWS) <= len(ROWS) / 10
