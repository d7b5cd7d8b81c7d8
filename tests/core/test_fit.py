"""Fitting: the ladder's order, what each rung changes, and that the search finds what an exhaustive one finds."""

from collections.abc import Mapping
from itertools import product
from typing import Any

import pytest

from app.catalog.library import Catalog, load_catalog
from app.core.axolotl.rules import check
from app.core.findings import Severity
from app.core.fit import KEY_RUNGS, RUNG_KEYS, Ladder, Rung, build_ladder, climb
from app.core.hardware import Hardware
from app.core.plan import Install
from app.core.run import CCE_PLUGIN, LIGER_PLUGIN
from app.core.units import GIB
from app.services.measuring import Meter

LLAMA = "meta-llama/Llama-3.1-8B"
LORA: Mapping[str, Any] = {
    "base_model": LLAMA,
    "adapter": "lora",
    "lora_r": 64,
    "lora_alpha": 128,
    "lora_target_modules": ["q_proj", "v_proj"],
    "sequence_len": 4096,
    "micro_batch_size": 4,
    "gradient_accumulation_steps": 3,
    "attn_implementation": "flash_attention_2",
    "optimizer": "adamw_torch",
    "bf16": "auto",
    "datasets": [{"path": "x/y", "type": "alpaca"}],
}

EVALUATED: Mapping[str, Any] = {**LORA, "val_set_size": 0.05}
LIGER: Mapping[str, Any] = {"plugins": [LIGER_PLUGIN], "liger_fused_linear_cross_entropy": True}


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    """The product's own."""
    return load_catalog()


@pytest.fixture(scope="module")
def card(catalog: Catalog) -> Hardware:
    """A 24 GB card with bf16."""
    return catalog.gpus.get("rtx-4090").hardware()


def ladder(catalog: Catalog, card: Hardware, config: Mapping[str, Any] = LORA, **given: Any) -> Ladder:
    """The ladder of ``config``."""
    architecture = catalog.architecture(str(config["base_model"]))
    return build_ladder(config, architecture=architecture, hardware=card, **{"install": Install.DOCKER, **given})


def meter(catalog: Catalog, config: Mapping[str, Any] = LORA) -> Meter:
    """Measures variants of ``config``."""
    return Meter(catalog.architecture(str(config["base_model"])), None)


def test_the_ladder_stands_in_the_stated_order(catalog: Catalog, card: Hardware) -> None:
    """Least loss first; a LoRA that is evaluated has every rung."""
    assert ladder(catalog, card, EVALUATED).rungs == tuple(Rung)
    assert [rung.value for rung in Rung] == [
        "evaluation",
        "loss",
        "checkpointing",
        "micro_batch",
        "optimizer",
        "sequence",
        "rank",
        "quantization",
        "offloading",
    ]


def test_every_rung_has_a_key_that_stands_for_it() -> None:
    """What people name when they say what may vary."""
    assert set(KEY_RUNGS.values()) == set(Rung)
    assert all(key in RUNG_KEYS[rung] for key, rung in KEY_RUNGS.items())


def test_each_patch_is_smaller_than_the_one_before(catalog: Catalog, card: Hardware) -> None:
    """The bisection rests on this."""
    found, measure = ladder(catalog, card), meter(catalog).process_bytes
    for rung in found.rungs:
        count = len(found.patches[rung])
        sizes = [measure(found.at({rung: position})) for position in range(count + 1)]
        assert sizes == sorted(sizes, reverse=True), rung


def test_the_effective_batch_is_kept(catalog: Catalog, card: Hardware) -> None:
    """Accumulation makes up for smaller micro batches, whatever divides the batch."""
    patches = ladder(catalog, card).patches[Rung.MICRO_BATCH]
    assert [(p["micro_batch_size"], p["gradient_accumulation_steps"]) for p in patches] == [(3, 4), (2, 6), (1, 12)]


def test_own_accumulation_stays(catalog: Catalog, card: Hardware) -> None:
    """Then the effective batch shrinks."""
    patches = ladder(catalog, card, keep=frozenset({"gradient_accumulation_steps"})).patches[Rung.MICRO_BATCH]
    assert list(patches) == [{"micro_batch_size": 2}, {"micro_batch_size": 1}]


def test_alpha_goes_with_the_rank(catalog: Catalog, card: Hardware) -> None:
    """The update keeps its scale, unless alpha is the person's own."""
    patches = ladder(catalog, card).patches[Rung.RANK]
    assert [(p["lora_r"], p["lora_alpha"]) for p in patches] == [(32, 64), (16, 32), (8, 16)]
    own = ladder(catalog, card, keep=frozenset({"lora_alpha"})).patches[Rung.RANK]
    assert all("lora_alpha" not in patch for patch in own)


@pytest.mark.parametrize("key", [key for keys in RUNG_KEYS.values() for key in keys])
def test_what_a_person_set_is_left_alone(catalog: Catalog, card: Hardware, key: str) -> None:
    """No patch touches a kept key."""
    found = ladder(catalog, card, {**EVALUATED, "gradient_checkpointing": False}, keep=frozenset({key}))
    assert all(key not in patch for rung in found.rungs for patch in found.patches[rung])


@pytest.mark.parametrize(
    ("install", "own", "patch", "plugins"),
    [
        (Install.DOCKER, {}, {"cut_cross_entropy": True}, [CCE_PLUGIN]),
        (Install.PIP, {}, {"liger_fused_linear_cross_entropy": True}, [LIGER_PLUGIN]),
        (
            Install.PIP,
            {"plugins": [LIGER_PLUGIN], "liger_cross_entropy": True},
            {"liger_fused_linear_cross_entropy": True},
            [LIGER_PLUGIN],
        ),
    ],
)
def test_the_loss_is_fused_with_its_plugin(
    catalog: Catalog,
    card: Hardware,
    install: Install,
    own: Mapping[str, Any],
    patch: Mapping[str, Any],
    plugins: list[str],
) -> None:
    """By what is installed."""
    found = ladder(catalog, card, {**LORA, **own}, install=install)
    assert list(found.patches[Rung.LOSS]) == [patch]
    assert found.at({Rung.LOSS: 1})["plugins"] == plugins


@pytest.mark.parametrize(
    ("install", "patch"),
    [(Install.DOCKER, {"cut_cross_entropy": True}), (Install.PIP, {"chunked_cross_entropy": True})],
)
def test_a_loss_that_makes_logits_in_evaluation_has_another_in_its_place(
    catalog: Catalog, card: Hardware, install: Install, patch: Mapping[str, Any]
) -> None:
    """Liger's; models with towers have no loss in chunks."""
    config = {**EVALUATED, **LIGER, "gradient_checkpointing": True, "micro_batch_size": 1}
    found = ladder(catalog, card, config, install=install)
    assert list(found.patches[Rung.LOSS]) == [patch]
    changed = found.at({Rung.LOSS: 1})
    assert "liger_fused_linear_cross_entropy" not in changed
    assert meter(catalog).process_bytes(changed) < meter(catalog).process_bytes(config)
    towers = {**config, "base_model": "google/gemma-3-4b-it"}
    assert Rung.LOSS not in ladder(catalog, card, towers, install=Install.PIP).rungs


def test_a_loss_that_reaches_nothing_has_another_in_its_place(catalog: Catalog, card: Hardware) -> None:
    """Liger's fused one of Mistral 3, which makes all logits; where it is fused it stays."""
    model = "mistralai/Mistral-Small-3.1-24B-Instruct-2503"
    given = {**LORA, **LIGER, "base_model": model, "gradient_checkpointing": True}
    found = ladder(catalog, card, given, install=Install.DOCKER)
    assert list(found.patches[Rung.LOSS]) == [{"cut_cross_entropy": True}]
    changed = found.at({Rung.LOSS: 1})
    assert "liger_fused_linear_cross_entropy" not in changed
    measure = meter(catalog, given).process_bytes
    assert measure(changed) < measure(given)
    assert Rung.LOSS not in ladder(catalog, card, {**LORA, **LIGER}, install=Install.DOCKER).rungs


def test_evaluation_gives_way_before_the_training_does(catalog: Catalog, card: Hardware) -> None:
    """Where only its logits do not fit, one row at a time is all that changes."""
    config = {**EVALUATED, **LIGER, "gradient_checkpointing": True, "sequence_len": 2048}
    measure = meter(catalog).process_bytes
    assert measure(config) > card.capacity_bytes > measure({**config, "eval_batch_size": 1})
    found = climb(ladder(catalog, card, config), measure=measure, capacity_bytes=card.capacity_bytes)
    assert [(change.key, change.before, change.after) for change in found.changes] == [("eval_batch_size", None, 1)]


@pytest.mark.parametrize(
    ("own", "rung"),
    [
        ({"val_set_size": 0.05, "eval_batch_size": 1}, Rung.EVALUATION),
        ({"eval_batch_size": 8}, Rung.EVALUATION),
        (LIGER, Rung.LOSS),
        ({"plugins": [CCE_PLUGIN], "cut_cross_entropy": True}, Rung.LOSS),
        ({"rl": "dpo"}, Rung.LOSS),
        ({"gradient_checkpointing": True}, Rung.CHECKPOINTING),
        ({"micro_batch_size": 1}, Rung.MICRO_BATCH),
        ({"optimizer": "paged_adamw_8bit"}, Rung.OPTIMIZER),
        ({"sequence_len": 512}, Rung.SEQUENCE),
        ({"lora_r": 8}, Rung.RANK),
        ({"adapter": None}, Rung.RANK),
        ({"adapter": None}, Rung.QUANTIZATION),
        ({"adapter": "qlora", "load_in_4bit": True, "embeddings_skip_upcast": True}, Rung.QUANTIZATION),
        ({"peft": {"loftq_config": {"loftq_bits": 4}}}, Rung.QUANTIZATION),
        ({"gradient_checkpointing": True, "activation_offloading": True}, Rung.OFFLOADING),
    ],
)
def test_a_rung_with_nothing_to_change_is_left_out(
    catalog: Catalog, card: Hardware, own: Mapping[str, Any], rung: Rung
) -> None:
    """What is small already stays."""
    assert rung not in ladder(catalog, card, {**LORA, **own}).rungs


def test_models_without_fused_loss_or_linears_have_fewer_rungs(catalog: Catalog, card: Hardware) -> None:
    """GPT-2 has no linears that bitsandbytes quantises, MPT no checkpointing, BLOOM only a chunked loss."""
    gpt2 = {**LORA, "base_model": "openai-community/gpt2", "lora_target_modules": ["c_attn"]}
    assert Rung.QUANTIZATION not in ladder(catalog, card, gpt2).rungs
    mpt = {
        **LORA,
        "base_model": "mosaicml/mpt-7b-instruct",
        "lora_target_modules": ["Wqkv"],
        "chunked_cross_entropy": True,
    }
    assert not {Rung.CHECKPOINTING, Rung.OFFLOADING, Rung.LOSS} & set(ladder(catalog, card, mpt).rungs)


def test_experts_are_quantised_where_nothing_rules_it_out(catalog: Catalog, card: Hardware) -> None:
    """``quantize_moe_experts`` and ``lora_target_linear`` exclude each other."""
    moe = {**LORA, "base_model": "Qwen/Qwen3-30B-A3B"}
    assert ladder(catalog, card, moe).patches[Rung.QUANTIZATION][0]["quantize_moe_experts"] is True
    linear = {**moe, "lora_target_linear": True}
    assert "quantize_moe_experts" not in ladder(catalog, card, linear).patches[Rung.QUANTIZATION][0]


def test_what_fits_is_left_as_it_is(catalog: Catalog, card: Hardware) -> None:
    """No change without need."""
    found = climb(ladder(catalog, card), measure=meter(catalog).process_bytes, capacity_bytes=1 << 50)
    assert (found.fits, found.changes, dict(found.config)) == (True, (), dict(LORA))


def test_what_never_fits_is_as_small_as_it_gets(catalog: Catalog, card: Hardware) -> None:
    """Every rung that saves anything is used."""
    found = climb(ladder(catalog, card), measure=meter(catalog).process_bytes, capacity_bytes=1)
    assert not found.fits
    assert found.config["sequence_len"] == 512
    assert found.config["adapter"] == "qlora"


@pytest.mark.parametrize("gib", [6.5, 7, 8, 10, 12, 16, 18, 20, 22, 24, 30, 40, 60])
def test_changes_add_up_and_the_result_fits_and_runs(catalog: Catalog, card: Hardware, gib: float) -> None:
    """Savings sum to the difference; the file is one that Axolotl takes."""
    measure = meter(catalog).process_bytes
    found = climb(ladder(catalog, card), measure=measure, capacity_bytes=round(gib * GIB))
    assert found.process_bytes == measure(found.config)
    assert found.fits == (found.process_bytes <= gib * GIB)
    assert sum(change.saves_bytes for change in found.changes) == measure(LORA) - found.process_bytes
    for change in found.changes:
        assert (LORA.get(change.key), found.config.get(change.key)) == (change.before, change.after)
    rules = check(found.config, catalog.architecture(LLAMA), card, catalog.known_keys)
    assert not [finding for finding in rules if finding.severity is Severity.ERROR]


@pytest.mark.parametrize("gib", [6.5, 8, 12, 18, 24, 40])
def test_no_rung_can_be_taken_back(catalog: Catalog, card: Hardware, gib: float) -> None:
    """Locally least: one step less of any change no longer fits."""
    measure = meter(catalog).process_bytes
    made = ladder(catalog, card)
    found = climb(made, measure=measure, capacity_bytes=round(gib * GIB))
    every = product(*(range(len(made.patches[rung]) + 1) for rung in made.rungs if rung is not Rung.SEQUENCE))
    assert found.fits or not any(
        measure(
            made.at(
                dict(zip([r for r in made.rungs if r is not Rung.SEQUENCE], at, strict=True))
                | {Rung.SEQUENCE: len(made.patches[Rung.SEQUENCE])}
            )
        )
        <= gib * GIB
        for at in every
    )
    if not found.fits:
        return
    used = {rung: position_of(made, rung, found.config) for rung in made.rungs}
    assert made.at(used) == found.config
    for rung, position in used.items():
        less = made.at({**used, rung: position - 1}) if position else found.config
        if less != found.config:  # offloading checkpoints too: the rung below it then changes nothing
            assert measure(less) > gib * GIB, rung


def position_of(made: Ladder, rung: Rung, config: Mapping[str, Any]) -> int:
    """Which patch of ``rung`` the configuration holds."""
    held = [
        position + 1
        for position in range(len(made.patches[rung]))
        if all(config.get(key) == value for key, value in made.patches[rung][position].items())
    ]
    if rung is Rung.CHECKPOINTING and not held:
        return 0
    return held[0] if held else 0


def test_long_sequences_are_cut_in_few_steps(catalog: Catalog, card: Hardware) -> None:
    """A million tokens make no ladder of thousands of measurements."""
    measured: list[int] = []
    measure = meter(catalog)

    def counting(config: Mapping[str, Any]) -> int:
        measured.append(1)
        return measure.process_bytes(config)

    config = {**LORA, "sequence_len": 1 << 20, "micro_batch_size": 1}
    found = climb(ladder(catalog, card, config), measure=counting, capacity_bytes=20 * GIB)
    assert found.fits
    assert len(measured) < 60
