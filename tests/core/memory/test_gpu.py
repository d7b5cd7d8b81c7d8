"""The estimate against real runs of Axolotl on an H100: ``tests/data/memory/gpu/h100.jsonl``.

A card's figure holds cuBLAS's workspaces, which a record tells apart. The third step is measured, after which a run may
evaluate: that moment is not in it. Preference training is held to the card in ``test_preferences_on_card``.
"""

import json
import statistics
from pathlib import Path
from typing import Any

from app.core.estimate import Phase
from tests.core.memory.test_peaks import DATA, estimated

SWITCHED_OFF = {"val_set_size", "eval_batch_size"}
"""Evaluation, which stands outside the step that was measured."""
ONE_DOCUMENT = "llama-3.2-1b-lora-sdpa-packed"
"""Its rows held one document each, where Axolotl leaves SDPA as it is."""


def _simulated() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(Path(DATA).glob("*.jsonl")):
        for line in path.read_text("utf-8").splitlines():
            record = json.loads(line)
            if "rows" in record:
                found.setdefault(record["case"], record)
    return found


def _error(case: dict[str, Any], run: dict[str, Any]) -> float:
    """How far the estimate is above the card, as a share."""
    config = {key: value for key, value in case["config"].items() if key not in SWITCHED_OFF}
    if case["case"] == ONE_DOCUMENT:
        config["sample_packing"] = False
    memory = estimated(case | {"config": config})
    assert memory.step_phase is not Phase.EVALUATION
    return memory.allocated_peak_bytes / (run["allocated_peak_bytes"] - run["cublas_workspace_bytes"]) - 1


def test_every_real_run_is_met_within_one_per_cent() -> None:
    cases, errors = _simulated(), {}
    for line in (DATA / "gpu" / "h100.jsonl").read_text("utf-8").splitlines():
        run = json.loads(line)
        case = cases[run["case"]]
        if not case["config"].get("rl"):
            errors[run["case"]] = _error(case, run)
    assert len(errors) >= 80
    assert {name: error for name, error in errors.items() if abs(error) > 0.01} == {}
    assert statistics.median(map(abs, errors.values())) <= 0.0005
