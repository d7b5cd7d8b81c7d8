"""Prices of knobs: each is the difference of two estimates, and every one has its words."""

from dataclasses import replace
from typing import Any

import pytest

from app.catalog.library import load_catalog
from app.core.axolotl.fixing import GRAVE
from app.core.axolotl.overriding import apply_overrides
from app.core.axolotl.rules import check
from app.core.axolotl.run_reader import read_run
from app.core.estimate import badge
from app.core.plan import Install
from app.core.prices import SAME_BYTES, Knobs, Trains, turns
from app.core.run import LIGER_PLUGIN
from app.services.estimating import estimate
from app.services.measuring import Meter
from app.services.pricing import NEVER_SAVING, price_knobs, price_savings
from app.texts import LANGUAGES, texts

CATALOG = load_catalog()
CARD = CATALOG.gpus.get("rtx-4090").hardware()
QLORA: dict[str, Any] = {
    "base_model": "meta-llama/Llama-3.1-8B",
    "adapter": "qlora",
    "load_in_4bit": True,
    "lora_r": 32,
    "lora_dropout": 0.05,
    "lora_target_linear": True,
    "sequence_len": 2048,
    "micro_batch_size": 2,
    "gradient_accumulation_steps": 4,
    "gradient_checkpointing": True,
    "attn_implementation": "flash_attention_2",
    "sample_packing": True,
}
CONFIGS: tuple[dict[str, Any], ...] = (
    QLORA,
    QLORA | {"adapter": "lora", "load_in_4bit": False, "peft_use_dora": True, "optimizer": "paged_adamw_8bit"},
    QLORA | {"adapter": "lora", "load_in_4bit": False, "load_in_8bit": True, "activation_offloading": True},
    QLORA | {"lora_modules_to_save": ["embed_tokens"], "lora_qkv_kernel": False, "chunked_cross_entropy": True},
    QLORA | {"sample_packing": False, "val_set_size": 0.1, "eval_batch_size": 4, "gradient_checkpointing": False},
    {"base_model": "Qwen/Qwen3-0.6B", "sequence_len": 1024, "optimizer": "adamw_8bit"},
    {"base_model": "openai/gpt-oss-20b", "adapter": "lora", "lora_r": 8, "lora_target_modules": ["q_proj"]},
)


def priced(config: dict[str, Any]) -> Knobs:
    """The knobs of ``config`` on the card."""
    return price_knobs(config, estimate(catalog=CATALOG, config=config, hardware=CARD), hardware=CARD)


@pytest.mark.parametrize("config", CONFIGS)
def test_a_price_is_the_difference_of_two_estimates(config: dict[str, Any]) -> None:
    """Nothing is rounded or guessed, in memory or in time."""
    before = estimate(catalog=CATALOG, config=config, hardware=CARD)
    found = priced(config)
    assert len(found.items) >= 8
    for knob in found.items:
        after = estimate(catalog=CATALOG, config=apply_overrides(config, knob.turn.patch), hardware=CARD)
        assert knob.process_bytes == after.memory.process_bytes
        assert knob.saves_bytes == before.memory.process_bytes - after.memory.process_bytes
        assert (knob.fits, knob.verdict, knob.host_bytes) == (after.fits, after.verdict, after.memory.host_bytes)
        assert before.time is not None
        assert after.time is not None
        assert knob.time_ratio == before.time.tokens_per_second / after.time.tokens_per_second


@pytest.mark.parametrize("config", CONFIGS)
def test_a_turn_changes_what_it_says(config: dict[str, Any]) -> None:
    """Every knob changes the run: none is offered where it stands already."""
    run = read_run(config)
    architecture = CATALOG.architecture(config["base_model"])
    for turn in turns(config, run, architecture, CARD):
        changed = apply_overrides(config, turn.patch)
        kernels = [turn.patch.get("lora_qkv_kernel"), config.get("lora_qkv_kernel")]
        assert read_run(changed) != run or None not in kernels, turn.knob


def test_what_saves_most_comes_first() -> None:
    """And the best that leaves the training alone is told apart."""
    found = priced(QLORA)
    saved = [knob.saves_bytes for knob in found.items]
    assert saved == sorted(saved, reverse=True)
    assert found.saves_most == found.items[0].turn.knob
    alike = next(knob for knob in found.items if knob.turn.trains is Trains.SAME)
    assert found.saves_most_training_the_same == alike.turn.knob


def test_known_directions() -> None:
    """Checkpointing off costs memory and saves time; a fused loss saves where there were logits; rank costs."""
    knobs = {knob.turn.knob: knob for knob in priced(QLORA).items}
    off = knobs["no_checkpointing"]
    assert off.saves_bytes < 0
    assert off.time_ratio is not None
    assert off.time_ratio < 0.9
    assert knobs["fused_loss"].saves_bytes > 0
    assert knobs["rank_lower"].saves_bytes > 0 > knobs["rank_higher"].saves_bytes
    assert knobs["base_16bit"].saves_bytes < 0
    assert knobs["micro_batch_smaller"].turn.patch == {"micro_batch_size": 1, "gradient_accumulation_steps": 8}


def test_a_fused_loss_is_not_offered_where_it_stands() -> None:
    """Its price is that of going back."""
    fused = apply_overrides(QLORA, {"cut_cross_entropy": True})
    knobs = {knob.turn.knob: knob for knob in priced(fused).items}
    assert "fused_loss" not in knobs
    assert knobs["plain_loss"].saves_bytes < 0


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_label_and_price_has_words(language: str) -> None:
    """In every language, with all parameters filled in."""
    words = texts(language)
    for config in CONFIGS:
        for knob in priced(config).items:
            assert knob.turn.label.code in words
            assert knob.summary.code in words
            assert words.render(knob.turn.label)
            assert words.render(knob.summary)


@pytest.mark.parametrize("config", CONFIGS)
def test_the_difference_from_the_rule_of_thumb_is_explained_to_the_byte(config: dict[str, Any]) -> None:
    """Its parts sum to it."""
    found = estimate(catalog=CATALOG, config=config, hardware=CARD)
    rule = found.rule_of_thumb
    assert rule.difference_bytes == found.memory.process_bytes - found.rule_of_thumb_bytes
    assert sum(size for _, size in rule.parts) == rule.difference_bytes
    for language in LANGUAGES:
        assert all(f"rule_of_thumb.{code}" in texts(language) for code, _ in rule.parts)


def test_ligers_kernels_are_offered_where_their_memory_is_confirmed_and_off() -> None:
    """All that are off at once; none for a model whose peak under them is not recorded."""
    config = QLORA | {"gradient_checkpointing": False, "cut_cross_entropy": True}
    knobs = {knob.turn.knob: knob for knob in price_knobs(config, estimate(catalog=CATALOG, config=config)).items}
    assert knobs["liger_kernels"].turn.trains is Trains.SAME
    assert knobs["liger_kernels"].saves_bytes > 1 << 30
    on = apply_overrides(config, knobs["liger_kernels"].turn.patch)
    assert LIGER_PLUGIN in on["plugins"]
    assert "liger_kernels" not in {k.turn.knob for k in price_knobs(on, estimate(catalog=CATALOG, config=on)).items}
    other = config | {"base_model": "google/gemma-2-9b-it"}
    priced = price_knobs(other, estimate(catalog=CATALOG, config=other)).items
    assert "liger_kernels" not in {knob.turn.knob for knob in priced}


@pytest.mark.parametrize(
    "config",
    [*CONFIGS, QLORA | {"adapter": "lora", "load_in_4bit": False, "peft": {"loftq_config": {"loftq_bits": 4}}}],
)
def test_a_change_brings_nothing_that_axolotl_refuses_or_that_fails(config: dict[str, Any]) -> None:
    """Where keys that are left out count, too: half precision is asked for by name beside cut cross entropy."""
    whole = {"datasets": [{"path": "a/b", "type": "alpaca"}], "learning_rate": 1e-4, "lora_alpha": 32, **config}
    if not config.get("adapter"):
        del whole["lora_alpha"]
    found = estimate(catalog=CATALOG, config=whole, hardware=CARD)
    before = {finding.code for finding in found.findings if finding.effect in GRAVE}
    for knob in price_knobs(whole, found, hardware=CARD).items:
        changed = apply_overrides(whole, knob.turn.patch)
        after = check(changed, found.architecture, CARD, CATALOG.axolotl, trying=False)
        assert not {finding.code for finding in after if finding.effect in GRAVE} - before, (knob.turn, changed)


@pytest.mark.parametrize("gpu", ["rtx-4090", "rtx-4060", "h100-sxm"])
@pytest.mark.parametrize("config", CONFIGS)
def test_what_saves_is_the_head_of_all_that_is_priced(config: dict[str, Any], gpu: str) -> None:
    """What a page leaves out unmeasured is known to save nothing; what it shows is said as of the whole price."""
    card = CATALOG.gpus.get(gpu).hardware()
    before = estimate(catalog=CATALOG, config=config, hardware=card)
    every = price_knobs(config, before, hardware=card).items
    assert not [knob for knob in every if knob.turn.knob in NEVER_SAVING and knob.saves_bytes >= SAME_BYTES]
    meter = Meter(before.architecture, card)
    found = price_savings(config, before, hardware=card, dataset=None, install=Install.DOCKER, meter=meter, most=4)
    saving = [knob for knob in every if knob.saves_bytes >= SAME_BYTES][:4]
    assert [(one.turn, one.saves_bytes, one.verdict, one.time_ratio, one.summary) for one in found] == [
        (knob.turn, knob.saves_bytes, badge(knob), knob.time_ratio, knob.summary) for knob in saving
    ]


def test_a_saving_on_a_card_whose_rates_are_not_known_is_untimed() -> None:
    """Its size is said alone."""
    card = replace(CARD, bf16_flops=None, fp16_flops=None)
    before = estimate(catalog=CATALOG, config=QLORA, hardware=card)
    meter = Meter(before.architecture, card)
    found = price_savings(QLORA, before, hardware=card, dataset=None, install=Install.DOCKER, meter=meter, most=4)
    assert found
    assert {one.time_ratio for one in found} == {None}
    assert all(one.summary.code == "knob.price.saves_untimed" for one in found)
