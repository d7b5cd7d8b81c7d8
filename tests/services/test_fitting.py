"""Fitting as a service: each objective, grids, and why nothing fits."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from app.catalog.library import Catalog, load_catalog
from app.core.axolotl.fixing import GRAVE
from app.core.axolotl.rules import check
from app.core.errors import InvalidInput
from app.core.estimate import Verdict
from app.core.findings import Severity
from app.core.objective import MOST_OF, Objective
from app.core.plan import Install, Outcome
from app.services.estimating import estimate
from app.services.fitting import GRID_DEFAULTS, Axis, Fit, fit

CONFIG: Mapping[str, Any] = {
    "base_model": "meta-llama/Llama-3.1-8B",
    "adapter": "lora",
    "lora_r": 32,
    "lora_alpha": 64,
    "lora_target_linear": True,
    "sequence_len": 4096,
    "micro_batch_size": 4,
    "gradient_accumulation_steps": 2,
    "gradient_checkpointing": True,
    "attn_implementation": "flash_attention_2",
    "sample_packing": True,
}


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    """The product's own."""
    return load_catalog()


def fitted(catalog: Catalog, gpu: str = "rtx-4090", config: Mapping[str, Any] = CONFIG, **asked: Any) -> Fit:
    """``config`` fitted to ``gpu``."""
    return fit(catalog=catalog, config=config, model=None, hardware=catalog.gpus.get(gpu).hardware(), **asked)


@pytest.mark.parametrize("objective", list(Objective))
@pytest.mark.parametrize("vary", [None, ["micro_batch_size", "sequence_len"], ["adapter", "cut_cross_entropy"]])
@pytest.mark.parametrize("gpu", ["rtx-4060", "rtx-4090", "a100-80gb-sxm"])
def test_the_answer_holds(catalog: Catalog, gpu: str, objective: Objective, vary: list[str] | None) -> None:
    """What is said to fit fits, by the estimate of the configuration given back; changes sum to the difference."""
    found = fitted(catalog, gpu, objective=objective, vary=vary)
    hardware = catalog.gpus.get(gpu).hardware()
    again = estimate(catalog=catalog, config=found.config, hardware=hardware)
    assert again.memory == found.estimate.memory
    assert (found.outcome is Outcome.FITS) == (again.memory.process_bytes <= hardware.capacity_bytes)
    before = estimate(catalog=catalog, config=CONFIG, hardware=hardware).memory.process_bytes
    assert sum(change.saves_bytes for change in found.changes) == before - again.memory.process_bytes
    for change in found.changes:
        assert (CONFIG.get(change.key), found.config.get(change.key)) == (change.before, change.after)
    errors = [finding for finding in found.findings if finding.severity is Severity.ERROR]
    assert bool(errors) == (found.outcome is Outcome.DOES_NOT_FIT)


@pytest.mark.parametrize("objective", [o for o in Objective if o is not Objective.FITS])
@pytest.mark.parametrize("gpu", ["rtx-4090", "a100-80gb-sxm"])
def test_what_is_recommended_has_headroom_and_what_reaches_further_is_tight(
    catalog: Catalog, gpu: str, objective: Objective
) -> None:
    """The most with room to spare first; beside it, where it is more, the most that fits at all."""
    found = fitted(catalog, gpu, objective=objective, vary=["micro_batch_size", "cut_cross_entropy", "optimizer"])
    assert found.estimate.verdict is Verdict.FITS
    if objective in MOST_OF:
        key = MOST_OF[objective][0]
        if found.at_most is None:  # the most there is has room to spare, or one more does not fit at all
            one_more = {**found.config, key: found.config[key] + 1}
            fits = estimate(catalog=catalog, config=one_more, hardware=catalog.gpus.get(gpu).hardware()).fits
            assert found.config[key] >= 1024 or not fits
            return
        assert found.at_most.estimate.verdict is Verdict.TIGHT
        assert found.at_most.config[key] > found.config[key]
        more = {**found.at_most.config, key: found.at_most.config[key] + 64}
        assert not estimate(catalog=catalog, config=more, hardware=catalog.gpus.get(gpu).hardware()).fits
    elif found.at_most is not None:
        assert found.at_most.estimate.verdict is Verdict.TIGHT


def test_where_nothing_has_headroom_what_is_tight_is_the_answer(catalog: Catalog) -> None:
    """And nothing stands beside it."""
    config = {**CONFIG, "sequence_len": 512, "micro_batch_size": 1, "cut_cross_entropy": True}
    small = catalog.gpus.get("rtx-4090").hardware()
    least = estimate(catalog=catalog, config=config, hardware=small).memory.process_bytes
    card = replace(small, capacity_bytes=least + (1 << 20))
    found = fit(catalog=catalog, config=config, model=None, hardware=card, objective=Objective.LARGEST_MICRO_BATCH)
    assert (found.estimate.verdict, found.at_most) == (Verdict.TIGHT, None)


def test_what_goes_along_says_with_what(catalog: Catalog) -> None:
    """Accumulation keeps the effective batch, alpha the scale; only what varies stands for itself."""
    found = fitted(catalog, "rtx-4060", vary=["micro_batch_size", "lora_r"])
    along = {change.key: change.along for change in found.changes}
    assert along == {
        "micro_batch_size": None,
        "gradient_accumulation_steps": "micro_batch_size",
        "lora_r": None,
        "lora_alpha": "lora_r",
    }
    batches = [c["micro_batch_size"] * c["gradient_accumulation_steps"] for c in (CONFIG, found.config)]
    assert batches[0] == batches[1]


def test_another_effective_batch_is_said(catalog: Catalog) -> None:
    """Where whole numbers cannot keep it."""
    found = fitted(catalog, "h200-sxm", objective=Objective.LARGEST_MICRO_BATCH)
    batch = found.config["micro_batch_size"] * found.config["gradient_accumulation_steps"]
    said = [finding.message.params for finding in found.findings if finding.code == "other_batch"]
    assert said == [{"before": 8, "after": batch}]


def test_only_what_may_vary_changes(catalog: Catalog) -> None:
    """The rest stays as given."""
    found = fitted(catalog, vary=["sequence_len"])
    assert {change.key for change in found.changes} == {"sequence_len"}


def test_the_fastest_keeps_the_training(catalog: Catalog) -> None:
    """And is no slower than what was given, where that fits."""
    config = {**CONFIG, "micro_batch_size": 1, "gradient_accumulation_steps": 8}
    hardware = catalog.gpus.get("a100-80gb-sxm").hardware()
    given = estimate(catalog=catalog, config=config, hardware=hardware)
    found = fitted(catalog, "a100-80gb-sxm", config, objective=Objective.FASTEST)
    assert given.time is not None
    assert found.estimate.time is not None
    assert found.estimate.time.tokens_per_second > given.time.tokens_per_second
    assert found.config["adapter"] == "lora"


def test_where_nothing_of_the_fastest_fits_the_ladder_is_used(catalog: Catalog) -> None:
    """The smallest is said to be too large."""
    found = fitted(catalog, "rtx-4060", objective=Objective.FASTEST, vary=["micro_batch_size"])
    assert found.outcome is Outcome.DOES_NOT_FIT
    assert found.findings[0].code == "smallest_gpu_kept"


def test_nothing_holds_the_largest(catalog: Catalog) -> None:
    """No single card does."""
    config = {**CONFIG, "base_model": "deepseek-ai/DeepSeek-R1", "lora_target_linear": False}
    found = fitted(catalog, config={**config, "lora_target_modules": ["o_proj"]}, vary=["micro_batch_size"])
    assert found.findings[0].code == "fits_no_gpu_kept"


def test_a_rank_needs_an_adapter(catalog: Catalog) -> None:
    """Full fine-tuning has none."""
    with pytest.raises(InvalidInput, match="no_rank"):
        fitted(catalog, config={"base_model": "openai-community/gpt2"}, objective=Objective.HIGHEST_RANK)


def test_the_fastest_needs_rates(catalog: Catalog) -> None:
    """A card of which only the memory is known has none."""
    bare = replace(catalog.gpus.get("h200-sxm").hardware(), bf16_flops=None, fp16_flops=None)
    with pytest.raises(InvalidInput, match="no_rates"):
        fit(catalog=catalog, config=CONFIG, model=None, hardware=bare, objective=Objective.FASTEST)


def test_a_grid_is_the_estimate_of_each_cell(catalog: Catalog) -> None:
    """Rows along y, each along x; memory grows both ways."""
    x = Axis(key="sequence_len", values=GRID_DEFAULTS["sequence_len"])
    y = Axis(key="micro_batch_size", values=(1, 2, 4))
    found = fitted(catalog, grid=(x, y))
    assert found.grid is not None
    assert [[(cell.x, cell.y) for cell in row] for row in found.grid.rows] == [
        [(across, down) for across in x.values] for down in y.values
    ]
    hardware = catalog.gpus.get("rtx-4090").hardware()
    for row in found.grid.rows:
        sizes = [cell.process_bytes for cell in row]
        assert sizes == sorted(sizes)
        for cell in row:
            whole = estimate(catalog=catalog, config=cell.config, hardware=hardware)
            assert (cell.process_bytes, cell.verdict) == (whole.memory.process_bytes, whole.verdict)
            assert cell.fits == whole.fits
    assert {cell.verdict for row in found.grid.rows for cell in row} >= {Verdict.FITS, Verdict.DOES_NOT_FIT}


def test_pip_has_no_cut_cross_entropy(catalog: Catalog) -> None:
    """The loss is Liger's there."""
    found = fitted(catalog, install=Install.PIP)
    assert found.config["liger_fused_linear_cross_entropy"] is True


BARE = {
    "base_model": "meta-llama/Llama-3.1-8B",
    "datasets": [{"path": "a/b", "type": "alpaca"}],
    "learning_rate": 1e-4,
    "sequence_len": 4096,
    "micro_batch_size": 8,
}
LORA = BARE | {"adapter": "lora", "lora_r": 16, "lora_alpha": 32, "lora_target_linear": True}


@pytest.mark.parametrize(
    "config",
    [
        BARE,
        LORA,
        LORA | {"load_in_8bit": True},
        LORA | {"adapter": "qlora", "load_in_4bit": True, "micro_batch_size": 64},
        LORA | {"peft": {"loftq_config": {"loftq_bits": 4}}},
        LORA | {"bf16": False, "fp16": True},
        LORA | {"bf16": False},
        LORA | {"base_model": "Qwen/Qwen3-30B-A3B", "lora_target_linear": False, "lora_target_modules": ["q_proj"]},
    ],
)
@pytest.mark.parametrize("gpu", ["rtx-4090", "rtx-3060-12gb", "rtx-4060"])
def test_what_was_made_to_fit_is_refused_for_nothing_new(catalog: Catalog, config: dict[str, Any], gpu: str) -> None:
    hardware = catalog.gpus.get(gpu).hardware()
    found = fit(catalog=catalog, config=config, model=None, hardware=hardware)
    architecture = catalog.architecture(config["base_model"])

    def grave(of: Mapping[str, Any]) -> set[str]:
        told = check(of, architecture, hardware, catalog.axolotl, trying=False)
        return {finding.code for finding in told if finding.effect in GRAVE}

    assert not grave(found.config) - grave(config)
