"""Which knobs a configuration has: what its model, card and training rule out is not offered."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from app.catalog.library import load_catalog
from app.core.architecture import Architecture
from app.core.axolotl.overriding import apply_overrides
from app.core.axolotl.run_reader import read_run
from app.core.estimate import Verdict
from app.core.hardware import Hardware
from app.core.prices import SAME_BYTES, Knob, Turn, turns
from app.core.run import LIGER_PLUGIN
from app.texts import LANGUAGES, texts

CATALOG = load_catalog()
LLAMA = CATALOG.architecture("meta-llama/Llama-3.1-8B")
GPT2 = CATALOG.architecture("openai-community/gpt2")
CARD = CATALOG.gpus.get("rtx-4090").hardware()
AMD = CATALOG.gpus.get("mi300x").hardware()
FULL: Mapping[str, Any] = {
    "base_model": "meta-llama/Llama-3.1-8B",
    "sequence_len": 2048,
    "micro_batch_size": 1,
    "optimizer": "adamw_torch_fused",
}
LORA = {**FULL, "adapter": "lora", "lora_r": 16, "lora_alpha": 32, "lora_target_modules": ["q_proj"]}
LIGER = {"plugins": [LIGER_PLUGIN], "liger_fused_linear_cross_entropy": True}
EVALUATED = {"val_set_size": 0.05, "eval_batch_size": 2}


def offered(
    config: Mapping[str, Any], architecture: Architecture = LLAMA, card: Hardware | None = CARD
) -> dict[str, Turn]:
    """The turns of a configuration by knob."""
    found = list(turns(config, read_run(config), architecture, card))
    assert len(found) == len({turn.knob for turn in found})
    return {turn.knob: turn for turn in found}


@pytest.mark.parametrize(
    ("config", "architecture", "card", "with_", "without"),
    [
        # Axolotl refuses checkpointing where it reads "mpt" in the name.
        ({**FULL, "base_model": "mosaicml/mpt-7b"}, LLAMA, CARD, "", "checkpointing no_checkpointing offloading"),
        # Preference and reward training compute their own loss, and pack nothing.
        ({**LORA, "rl": "dpo"}, LLAMA, CARD, "checkpointing", "fused_loss chunked_loss plain_loss packing no_packing"),
        ({**LORA, "reward_model": True}, LLAMA, CARD, "checkpointing", "fused_loss chunked_loss plain_loss"),
        # Liger's fused loss makes the logits in evaluation, cut cross entropy makes none.
        ({**LORA, **LIGER}, LLAMA, CARD, "plain_loss", "fused_loss chunked_loss"),
        ({**LORA, **LIGER, **EVALUATED}, LLAMA, CARD, "fused_loss chunked_loss eval_batch_smallest", ""),
        ({**LORA, **LIGER, **EVALUATED}, LLAMA, None, "chunked_loss plain_loss", "fused_loss"),
        # What keeps no states has none to make smaller.
        ({**FULL, "optimizer": "sgd"}, LLAMA, CARD, "", "optimizer_8bit optimizer_paged optimizer_32bit"),
        ({**FULL, "optimizer": "adamw_8bit"}, LLAMA, CARD, "optimizer_32bit optimizer_paged", "optimizer_8bit"),
        (
            {**FULL, "optimizer": "paged_adamw_32bit"},
            LLAMA,
            CARD,
            "optimizer_8bit optimizer_unpaged",
            "optimizer_paged",
        ),
        # One token is not halved, and nothing goes beyond the context.
        ({**FULL, "sequence_len": 1}, LLAMA, CARD, "sequence_longer", "sequence_shorter"),
        ({**FULL, "sequence_len": 65536}, LLAMA, CARD, "sequence_longer sequence_shorter", ""),
        ({**FULL, "sequence_len": 65537}, LLAMA, CARD, "sequence_shorter", "sequence_longer"),
        ({**FULL, "micro_batch_size": 2}, LLAMA, CARD, "micro_batch_smaller micro_batch_larger", ""),
        (FULL, LLAMA, CARD, "micro_batch_larger adapter", "micro_batch_smaller base_4bit rank_lower dora"),
        # bitsandbytes quantises linears; LoftQ starts from 16 bits; 8 bits want NVIDIA's cards.
        (LORA, LLAMA, CARD, "base_4bit base_8bit", "base_16bit adapter"),
        (LORA, LLAMA, None, "base_4bit base_8bit", "base_16bit"),
        (LORA, LLAMA, AMD, "base_4bit", "base_8bit base_16bit"),
        ({**LORA, "load_in_8bit": True}, LLAMA, CARD, "base_4bit base_16bit", "base_8bit"),
        ({**LORA, "adapter": "qlora", "load_in_4bit": True}, LLAMA, CARD, "base_16bit", "base_4bit base_8bit"),
        ({**LORA, "peft": {"loftq_config": {"loftq_bits": 4}}}, LLAMA, CARD, "dora", "base_4bit base_8bit base_16bit"),
        ({**LORA, "lora_target_modules": ["c_attn"]}, GPT2, CARD, "dora", "base_4bit base_8bit base_16bit"),
        # A GPTQ base is another checkpoint; neither DoRA nor the kernels can read its packed weights.
        (
            {**LORA, "gptq": True},
            LLAMA,
            CARD,
            "rank_lower rank_higher",
            "base_4bit base_8bit base_16bit dora no_fused_kernels fused_kernels",
        ),
        (LORA, LLAMA, CARD, "dora no_fused_kernels", "fused_kernels"),
        # A rank of one has no half.
        ({**LORA, "lora_r": 1}, LLAMA, CARD, "rank_higher", "rank_lower"),
        ({**LORA, "lora_dropout": 0.1, "peft_use_dora": True}, LLAMA, CARD, "no_dropout no_dora", "dora"),
        ({**LORA, "attn_implementation": "flash_attention_2"}, LLAMA, CARD, "packing", "flash_attention no_packing"),
        ({**LORA, "sample_packing": True}, LLAMA, CARD, "flash_attention no_packing", "packing"),
    ],
)
def test_what_is_offered(
    config: Mapping[str, Any], architecture: Architecture, card: Hardware | None, with_: str, without: str
) -> None:
    found = offered(config, architecture, card).keys()
    assert found >= set(with_.split())
    assert not found & set(without.split())


def test_alpha_keeps_its_share_of_the_rank() -> None:
    found = offered(LORA)
    assert found["rank_lower"].patch == {"lora_r": 8, "lora_alpha": 16}
    assert found["rank_higher"].patch == {"lora_r": 32, "lora_alpha": 64}
    assert offered({**LORA, "lora_r": 64, "lora_alpha": 1})["rank_lower"].patch["lora_alpha"] == 1


def test_a_smaller_micro_batch_is_made_up_where_it_divides() -> None:
    even = offered({**FULL, "micro_batch_size": 2, "gradient_accumulation_steps": 3})
    assert even["micro_batch_smaller"].patch == {"micro_batch_size": 1, "gradient_accumulation_steps": 6}
    assert even["micro_batch_larger"].patch == {"micro_batch_size": 3, "gradient_accumulation_steps": 2}
    odd = offered({**FULL, "micro_batch_size": 4, "gradient_accumulation_steps": 1})
    assert odd["micro_batch_larger"].patch == {"micro_batch_size": 5}


def test_kto_keeps_two_answers_in_a_micro_batch() -> None:
    """TRL refuses one alone."""
    assert "micro_batch_smaller" not in offered({**LORA, "rl": "kto", "micro_batch_size": 2})
    assert "micro_batch_smaller" in offered({**LORA, "rl": "kto", "micro_batch_size": 3})
    assert "micro_batch_smaller" in offered({**LORA, "rl": "dpo", "micro_batch_size": 2})


def test_what_is_published_quantised_is_offered_in_no_other_bits() -> None:
    """That is another checkpoint."""
    assert "base_4bit" in offered(LORA)
    assert not {"base_4bit", "base_8bit"} & set(offered(LORA, replace(LLAMA, published_in="fp8")))


def test_a_plain_loss_leaves_no_other_switched_on() -> None:
    config = {**FULL, "chunked_cross_entropy": True}
    turn = offered(config)["plain_loss"]
    assert read_run(apply_overrides(config, turn.patch)) == read_run(FULL)


@pytest.mark.parametrize(
    ("saves", "ratio", "code", "percent"),
    [
        (SAME_BYTES, None, "knob.price.saves_untimed", 0),
        (-SAME_BYTES, None, "knob.price.costs_untimed", 0),
        (SAME_BYTES - 1, 1.0, "knob.price.equal_same", 0),
        (SAME_BYTES, 1.25, "knob.price.saves_slower", 25),
        (-SAME_BYTES, 0.75, "knob.price.costs_faster", 25),
        (SAME_BYTES, 1.0199, "knob.price.saves_same", 0),
        (SAME_BYTES, 4.03, "knob.price.saves_times_slower", 303),
        (-SAME_BYTES, 0.25, "knob.price.costs_times_faster", 75),
        (0, 3.0, "knob.price.equal_times_slower", 200),
        (0, 0.4, "knob.price.equal_times_faster", 60),
    ],
)
def test_a_price_in_a_few_words(saves: int, ratio: float | None, code: str, percent: int) -> None:
    """Where the card's rates are not known, nothing is said of time."""
    knob = Knob(
        turn=offered(FULL)["checkpointing"],
        saves_bytes=saves,
        process_bytes=1 << 30,
        host_bytes=0,
        verdict=Verdict.FITS,
        fits=True,
        time_ratio=ratio,
    )
    assert (knob.summary.code, knob.summary.params["percent"]) == (code, percent)
    assert all(code in texts(language) for language in LANGUAGES)
