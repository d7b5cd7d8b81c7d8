"""Keys with two spellings, and knobs where a model or a file says little."""

from typing import Any

import pytest

from app.core.adapter import resolve_adapter
from app.core.advice import Knob, Rule, build_advisor
from app.core.architectures import describe
from app.core.axolotl.renamed import modern
from app.core.axolotl.run_reader import read_run
from app.core.errors import InvalidInput
from app.core.fit import Rung
from app.core.formula import formula_of
from app.core.knobs import starting_knobs
from app.core.objective import faster
from app.core.plan import Advice
from app.core.run import Attention
from tests.core.test_adapter import LLAMA, QWEN3_30B
from tests.core.test_objective import LORA, ladder


@pytest.mark.parametrize(
    ("given", "rank"),
    [
        ({"rank": 64}, 64),
        ({"rank": "64"}, 64),
        ("rank=64, update_proj_gap=100", 64),
        ("update_proj_gap=100,rank = 8", 8),
        ("rank", 128),
        ("update_proj_gap=100", 128),
        ({"rank": "many"}, 128),
        ({"rank": 0}, 128),
        (None, 128),
    ],
)
def test_optimizer_arguments_are_a_mapping_or_text(given: object, rank: int) -> None:
    """As Transformers' Trainer splits them; 128 is its own default."""
    assert read_run({"optimizer": "galore_adamw", "optim_args": given}).optimizer_rank == rank


@pytest.mark.parametrize(
    ("targets", "hit"),
    [
        ("all-linear", True),
        ("all_linear", True),
        ("self_attn", False),
        (r".*\.self_attn\..*", True),
        ("(.*a)*b", False),
        ("(", False),
        (["mlp", "attn"], True),
        (["mlp"], False),
        ([r".*.attn.*", r".*.mlp.*"], True),
        (["attn$"], False),
        (None, False),
    ],
)
def test_a_low_rank_optimizer_takes_parts_of_names(targets: object, hit: bool) -> None:
    """A list of parts of names, or of patterns of all of one; a text is such a pattern (Transformers 5.16)."""
    run = read_run({"optimizer": "galore_adamw", "optim_target_modules": targets})
    assert run.targets_optimizer("model.layers.{}.self_attn.q_proj", (0, 1)) == 2 * hit


def test_a_low_rank_optimizer_may_take_some_layers() -> None:
    run = read_run({"optimizer": "galore_adamw", "optim_target_modules": [r".*layers\.[13]\..*", "layers.0."]})
    assert run.targets_optimizer("model.layers.{}.self_attn.q_proj", range(5)) == 3
    assert run.targets_optimizer("lm_head") == 0


@pytest.mark.parametrize(
    ("key", "attention"),
    [
        ("flash_attention", Attention.FLASH),
        ("sdp_attention", Attention.SDPA),
        ("eager_attention", Attention.EAGER),
        ("flex_attention", Attention.FLEX),
    ],
)
def test_an_old_switch_of_attention_is_read(key: str, attention: Attention) -> None:
    """The new key wins over it."""
    assert read_run({key: True}).attention is attention
    assert read_run({key: False}).attention is Attention.SDPA
    assert read_run({key: True, "attn_implementation": "eager"}).attention is Attention.EAGER


def test_old_names_that_are_read_become_todays() -> None:
    old = {"flash_attention": True, "dpo_beta": 0.2, "evaluation_strategy": "steps", "relora_steps": 5, "lora_r": 8}
    assert modern(old) == {
        "attn_implementation": "flash_attention_2",
        "rl_beta": 0.2,
        "eval_strategy": "steps",
        "relora_steps": 5,
        "lora_r": 8,
    }
    assert modern({"dpo_beta": 0.2, "rl_beta": 0.1}) == {"rl_beta": 0.1}
    assert modern({"flash_attention": False}) == {}


@pytest.mark.parametrize(
    ("memory_gb", "context", "wanted", "tokens"),
    [
        (24, 131072, None, 4096),
        (23.9, 131072, None, 2048),
        (24, 1024, None, 1024),
        (24, None, None, 4096),
        (24, 1024, 8192, 8192),
    ],
)
def test_a_plan_starts_from_the_guides_length_within_what_the_model_reads(
    memory_gb: float, context: int | None, wanted: int | None, tokens: int
) -> None:
    """A model that does not say how much it reads is given the template's."""
    values: dict[str, float | str] = {
        "effective_batch": 8,
        "lora_r": 32,
        "lora_alpha": 16,
        "lora_dropout": 0.05,
        "learning_rate": 0.0002,
        "num_epochs": 3,
        "warmup_ratio": 0.03,
        "optimizer": "adamw_torch",
    }
    reason = formula_of(resolve_adapter(describe(LLAMA), read_run({})).modules[0])
    advice = {
        key: Advice(key=key, value=value, least=None, most=None, reason=reason, source="guide")
        for key, value in values.items()
    }
    knobs = starting_knobs(advice, memory_gb=memory_gb, context_tokens=context, wanted_tokens=wanted)
    assert knobs.sequence_len_tokens == tokens
    assert knobs.micro_batch_size * knobs.gradient_accumulation_steps == 8


def test_checkpointing_alone_brings_no_offloading() -> None:
    """For a search that may turn only that."""
    found = list(faster(LORA, {Rung.CHECKPOINTING}, ladder(LORA, Rung.CHECKPOINTING)))
    assert {config.get("gradient_checkpointing") for config in found} == {True, False}
    assert not any(config.get("activation_offloading") for config in found)


def test_a_knob_has_a_rule_that_always_holds_and_a_share_of_something() -> None:
    """Anything else is a slip in the data."""
    with pytest.raises(ValueError, match="the knob lora_r has no rule that always holds"):
        Knob(key="lora_r", rules=())
    with pytest.raises(ValueError, match="rule x bounds a text"):
        Rule(id="x", value="adamw_torch", source="guide", least=0.0, most=1.0)
    rows: list[dict[str, Any]] = [
        {"key": "lora_alpha", "of": "lora_r", "rules": [{"id": "x", "value": 0.5, "source": "guide"}]}
    ]
    with pytest.raises(ValueError, match="lora_alpha is a share of lora_r, which there is no advice on"):
        build_advisor(rows)
    assert set(build_advisor([*rows, {**rows[0], "key": "lora_r", "of": None}]).knobs) == {"lora_alpha", "lora_r"}


@pytest.mark.parametrize(
    ("model", "pointer"),
    [
        (LLAMA | {"hidden_act": "swish-ish"}, "/model/hidden_act"),
        ({"model_type": "falcon", "hidden_size": 4545, "num_attention_heads": 71}, "/model/num_attention_heads"),
    ],
)
def test_more_nonsense_is_refused_by_name(model: dict[str, Any], pointer: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        describe(model)
    assert [error.pointer for error in caught.value.errors] == [pointer]


def test_an_experts_formula_multiplies_out_to_its_parameters() -> None:
    """The rank for each expert: r x experts x (in + out)."""
    config = {
        "adapter": "lora",
        "lora_r": 4,
        "lora_alpha": 8,
        "lora_target_modules": ["q_proj"],
        "lora_target_parameters": ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"],
    }
    adapter = resolve_adapter(describe(QWEN3_30B), read_run(config))
    rows = [row for row in adapter.modules if formula_of(row).code == "formula.lora_experts"]
    assert len(rows) == 2
    for row in rows:
        params = formula_of(row).params
        rank, experts, inputs, outputs = (params[name] for name in ("rank", "experts", "inputs", "outputs"))
        assert isinstance(rank, int)
        assert isinstance(experts, int)
        assert isinstance(inputs, int)
        assert isinstance(outputs, int)
        assert row.copies * rank * experts * (inputs + outputs) == row.lora_a_parameters + row.lora_b_parameters


def test_a_tied_heads_bias_is_all_that_it_adds() -> None:
    """Its weight is the embedding's; GPT-J's head has a bias of its own."""
    model = {"model_type": "gptj", "vocab_size": 320, "n_embd": 64, "n_layer": 2, "n_head": 4, "rotary_dim": 8}
    adapter = resolve_adapter(describe(model | {"tie_word_embeddings": True}), read_run({}))
    head = next(row for row in adapter.modules if row.module.tied_to)
    assert formula_of(head).code == "formula.own"
    assert formula_of(head).params == {"parameters": 320}
    assert head.own_parameters == 320
