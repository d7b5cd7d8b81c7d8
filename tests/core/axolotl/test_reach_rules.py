"""Rules on what trains in fact, by example; each was run with PEFT and Axolotl on a small model."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.core.adapter import resolve_adapter
from app.core.architecture import Architecture, Kind, Module, Part
from app.core.architectures import describe
from app.core.axolotl.reach_rules import ADDED, REACH_RULES, trained_tokens, unfrozen
from app.core.axolotl.rules import check
from app.core.axolotl.run_reader import read_run
from app.core.axolotl.subject import Subject
from app.core.errors import InvalidInput
from app.core.findings import Effect
from app.texts import LANGUAGES, texts
from tests.core.axolotl.examples import LAYERS, SEVEN, architecture, schema
from tests.core.axolotl.good import FULL, GOOD, LLAMA, MOE, findings
from tests.core.test_adapter import COMMON, MODELS, POINTS

NORM = Module(path="model.layers.{}.input_layernorm", kind=Kind.NORM, shape=(64,), layers=LAYERS)
CONV = Module(path="model.layers.{}.conv.conv", kind=Kind.CONVOLUTION, shape=(64, 1, 3), groups=64, layers=LAYERS)
TABLE = Module(path="model.embed_tokens", kind=Kind.EMBEDDING, shape=(1000, 64))
HEAD = Module(path="lm_head", kind=Kind.HEAD, shape=(64, 1000))
NORMED = architecture(extra=(NORM, HEAD))
MAMBA = architecture("falcon_h1", names=(*SEVEN, "out_proj"))
PARTS = architecture(
    "qwen3_moe", extra=MOE.modules[-1:], expert_names={"gate_proj": "down_proj", "up_proj": "down_proj"}
)
WRAPPED = json.loads((Path(__file__).parents[2] / "data" / "parameters" / "wrapped.json").read_text())["rows"]
EMBEDDED = architecture(extra=(TABLE, HEAD))
TOKENS = "peft_trainable_token_indices"
TARGETS, PARAMETERS, UNFROZEN = "lora_target_modules", "lora_target_parameters", "unfrozen_parameters"

REFUSED: tuple[tuple[str, Mapping[str, Any], Architecture, str, Mapping[str, Any]], ...] = (
    ("target_refused", {TARGETS: ["q_proj", "out_proj"]}, MAMBA, TARGETS, {TARGETS: ["q_proj"]}),
    ("target_refused", {TARGETS: ["out_proj"]}, MAMBA, TARGETS, {TARGETS: list(SEVEN)}),
    ("target_refused", {TARGETS: ".*_proj"}, MAMBA, TARGETS, {TARGETS: list(SEVEN)}),
    (
        "target_refused",
        {TARGETS: None, "lora_target_linear": True},
        MAMBA,
        "lora_target_linear",
        {TARGETS: list(SEVEN)},
    ),
    ("target_unsupported", {TARGETS: ["q_proj", "input_layernorm"]}, NORMED, TARGETS, {TARGETS: ["q_proj"]}),
    ("target_unsupported", {TARGETS: ["q_proj", "x"]}, LLAMA, TARGETS, {TARGETS: ["q_proj"]}),
    ("target_unsupported", {PARAMETERS: ["input_layernorm.weight"]}, NORMED, PARAMETERS, {}),
    (
        "target_part_of_fused",
        {TARGETS: ["q_proj", "gate_proj"]},
        PARTS,
        TARGETS,
        {TARGETS: ["q_proj", "gate_proj", "up_proj"]},
    ),
    ("layers_none", {"peft_layers_to_transform": [100]}, LLAMA, "peft_layers_to_transform", {}),
    (
        "layers_with_pattern",
        {"peft_layers_to_transform": [1], TARGETS: ".*q_proj"},
        LLAMA,
        "peft_layers_to_transform",
        {},
    ),
    (
        "dora_on_parameters",
        {TARGETS: ["q_proj", "gate_proj", "up_proj"], "peft_use_dora": True},
        PARTS,
        "peft_use_dora",
        {},
    ),
)


@pytest.mark.parametrize(("code", "changes", "model", "key", "mended"), REFUSED)
def test_what_peft_refuses_fails(
    code: str, changes: Mapping[str, Any], model: Architecture, key: str, mended: Mapping[str, Any]
) -> None:
    """Said with the estimate's own words, and with a way out that is no safe one."""
    found = findings({**changes, "lora_mlp_kernel": False}, model)[f"error.{code}"]
    assert (found.key, found.effect) == (key, Effect.FAILS_AT_RUN)
    assert found.fix is not None
    assert (found.fix.set, found.fix.safe) == (mended, False)


@pytest.mark.parametrize("index", range(len(MODELS)), ids=[model["model_type"] for model in MODELS])
def test_peft_and_axolotl_say_the_same(index: int) -> None:
    """What PEFT took is not refused, and everything is frozen where nothing trained, in whatever was recorded."""
    model = describe(MODELS[index])
    for point in POINTS:
        if point["model"] != index:
            continue
        config = (COMMON if "lora_r" in point["config"] else {}) | point["config"]
        subject = Subject(config=config, architecture=model, hardware=None, schema=schema())
        said = {finding.code: finding.effect for rule in REACH_RULES for finding in rule(subject)}
        if point.get("refused"):
            continue
        assert not [code for code in said if code.startswith("error.") or code == "parameters_none"], config
        if "lora_r" not in config:
            assert ("unfrozen_none_fails" in said) == (point["trainable"] == 0), config


GRAVE = (Effect.REJECTED, Effect.FAILS_AT_RUN, Effect.MISLEADS)
BESIDE = frozenset(
    """key_missing datasets_missing kernels_unpatchable kernels_after_layer_norm targets_towers targets_towers_counted
    targets_experts targets_experts_counted""".split()
)
"""What is said of points that PEFT takes as well."""


def test_what_peft_refused_is_told() -> None:
    """By the estimate and by the check."""
    models = [describe(model) for model in MODELS]
    refused = [point for point in POINTS if point.get("refused")]
    told = 0
    for point in refused:
        config = (COMMON if "lora_r" in point["config"] else {}) | point["config"]
        model = models[point["model"]]
        with pytest.raises(InvalidInput):
            resolve_adapter(model, read_run(config))
        said = {finding.code for finding in check(config, model, None, schema()) if finding.effect in GRAVE}
        told += bool(said - BESIDE)
    assert told == len(refused) == 1413


def test_targets_within_a_block_that_is_saved_whole_are_none() -> None:
    """As PEFT takes out of the targets what is trained otherwise."""
    model = architecture("mixtral", names=("q_proj",), extra=MOE.modules[-1:])
    found = findings({TARGETS: ["q_proj"], "lora_modules_to_save": ["x"]}, model)["targets_saved"]
    assert (found.key, found.effect, found.message.params["names"]) == (
        "lora_modules_to_save",
        Effect.FAILS_AT_RUN,
        ("x",),
    )
    assert "targets_saved" not in findings({TARGETS: ["q_proj"], "lora_modules_to_save": ["x.y"]}, model)


def test_a_convolution_in_groups_wants_a_rank_that_they_divide() -> None:
    """There is no telling which other rank is meant."""
    model = architecture("lfm2", extra=(CONV,))
    found = findings({TARGETS: ["conv.conv"]}, model)["error.target_grouped"]
    assert (found.effect, found.key) == (Effect.FAILS_AT_RUN, TARGETS)
    assert "error.target_grouped" not in findings({TARGETS: ["conv.conv"], "lora_r": 64}, model)


@pytest.mark.parametrize(
    ("changes", "model"),
    [
        ({TARGETS: ["q_proj", "out_proj"]}, architecture("llama", names=(*SEVEN, "out_proj"))),
        ({TARGETS: ["q_proj", "out_proj"], "lora_model_dir": "a"}, MAMBA),
        ({TARGETS: ["q_proj", "out_proj"], "adapter": "ia3"}, MAMBA),
        ({TARGETS: ["q_proj", "out_proj"]}, replace(MAMBA, approximate=True)),
        ({TARGETS: ["q_proj", "out_proj"]}, None),
        ({TARGETS: ["q_proj"], "lora_r": "many"}, MAMBA),
        ({TARGETS: ["q_proj"]}, MAMBA),
        ({TARGETS: "all-linear"}, LLAMA),
        ({TARGETS: ".*q_proj", "lora_target_linear": True}, LLAMA),
        ({"peft_layers_to_transform": [1, 100]}, LLAMA),
        ({TARGETS: ["nothing"]}, LLAMA),
        ({PARAMETERS: ["mlp.experts.down_proj"], "peft_use_dora": True}, MOE),
    ],
)
def test_nothing_is_refused_that_peft_takes(changes: Mapping[str, Any], model: Architecture | None) -> None:
    """Nor where the model is not known, or other rules say it."""
    assert not [code for code in findings(changes, model) if code.startswith("error.")]


@pytest.mark.parametrize(
    ("code", "changes", "effect", "fixed", "unset"),
    [
        ("parameters_some", {PARAMETERS: ["a.b"]}, Effect.MISLEADS, {}, (PARAMETERS,)),
        (
            "parameters_some",
            {PARAMETERS: ["a.b", "mlp.experts.down_proj"], TARGETS: None},
            Effect.MISLEADS,
            {PARAMETERS: ["mlp.experts.down_proj"]},
            (),
        ),
        (
            "parameters_none",
            {PARAMETERS: ["a.b"], TARGETS: None},
            Effect.FAILS_AT_RUN,
            {TARGETS: list(SEVEN)},
            (PARAMETERS,),
        ),
    ],
)
def test_parameters_that_no_model_has(
    code: str, changes: Mapping[str, Any], effect: Effect, fixed: Mapping[str, Any], unset: tuple[str, ...]
) -> None:
    """PEFT warns of them, and stops where they were all."""
    model = architecture("gpt_oss", extra=MOE.modules[-1:])
    found = findings(changes, model)[code]
    assert (found.effect, found.key) == (effect, PARAMETERS)
    assert found.fix is not None
    assert (found.fix.set, found.fix.unset) == (fixed, unset)


@pytest.mark.parametrize(
    ("changes", "model"),
    [
        ({PARAMETERS: ["mlp.experts.down_proj"]}, MOE),
        ({PARAMETERS: ["a.b"], "lora_model_dir": "a"}, MOE),
        ({PARAMETERS: ["a.b"], "adapter": "ia3"}, MOE),
        ({PARAMETERS: ["a.b"]}, None),
        ({PARAMETERS: ["a.b"]}, replace(MOE, approximate=True)),
    ],
)
def test_nothing_is_said_of_parameters_that_are_there(changes: Mapping[str, Any], model: Architecture | None) -> None:
    """Nor where nobody reads them."""
    assert not {"parameters_none", "parameters_some"} & findings(changes, model).keys()


@pytest.mark.parametrize(
    ("code", "changes", "effect"),
    [
        ("unfrozen_none_fails", {**FULL, UNFROZEN: ["layers.0"]}, Effect.FAILS_AT_RUN),
        ("unfrozen_none", {**FULL, UNFROZEN: ["layers.0"], "gradient_checkpointing": True}, Effect.MISLEADS),
        ("unfrozen_none", {**FULL, UNFROZEN: ["layers.0"], "gradient_checkpointing": "offload"}, Effect.MISLEADS),
        (
            "unfrozen_none_fails",
            {**FULL, UNFROZEN: ["layers.0"], "gradient_checkpointing": "false"},
            Effect.FAILS_AT_RUN,
        ),
        ("unfrozen_base", {UNFROZEN: ["base_model.model.lm_head"]}, Effect.MISLEADS),
        ("unfrozen_adapter", {UNFROZEN: ["^lm_head.weight$"]}, Effect.MISLEADS),
        ("unfrozen_adapter", {UNFROZEN: [".*lora_.*"]}, Effect.MISLEADS),
    ],
)
def test_everything_frozen(code: str, changes: Mapping[str, Any], effect: Effect) -> None:
    """A loss without gradients, or a run that changes no weight. A pattern's dot is a dot, but before a plus."""
    found = findings(changes, NORMED)[code]
    assert (found.key, found.effect) == (UNFROZEN, effect)


@pytest.mark.parametrize(
    ("changes", "model"),
    [
        ({**FULL, UNFROZEN: ["^lm_head.weight$[:9]"]}, NORMED),
        ({**FULL, UNFROZEN: ["("]}, NORMED),
        ({**FULL, UNFROZEN: ["layers.0"]}, None),
        ({**FULL, UNFROZEN: ["layers.0"]}, replace(NORMED, approximate=True)),
        ({UNFROZEN: [".+lora_.+"]}, NORMED),
        ({UNFROZEN: ["base_model.model.lm_head", ".+lora_B.+"]}, NORMED),
        ({UNFROZEN: [".+lora_.+"], TARGETS: ["nothing"]}, NORMED),
        ({UNFROZEN: [".+lora_.+"], "lora_r": "many"}, NORMED),
        ({UNFROZEN: ["layers.0"], "rl": "dpo"}, NORMED),
        ({UNFROZEN: ["layers.0"], "adapter": "ia3"}, NORMED),
        ({UNFROZEN: ["layers.0"], "lora_model_dir": "a"}, NORMED),
    ],
)
def test_what_is_left_to_train_is_not_complained_of(changes: Mapping[str, Any], model: Architecture | None) -> None:
    """TRL puts the adapter in after the freezing."""
    said = {"unfrozen_none", "unfrozen_none_fails", "unfrozen_adapter", "unfrozen_base"}
    assert not said & findings(changes, model).keys()


def test_a_tied_head_has_no_name_of_its_own() -> None:
    """PyTorch lists a shared tensor once, as the embedding's."""
    tied = architecture(extra=(replace(HEAD, tied_to="model.embed_tokens"),))
    assert "unfrozen_none_fails" in findings({**FULL, UNFROZEN: ["lm_head"]}, tied)


@pytest.mark.parametrize(
    ("code", "changes", "key", "effect"),
    [
        ("not_positive", {"lora_r": 0}, "lora_r", Effect.FAILS_AT_RUN),
        ("not_positive", {"lora_r": -1}, "lora_r", Effect.FAILS_AT_RUN),
        ("not_positive", {"eval_batch_size": -1, "val_set_size": 0.1}, "eval_batch_size", Effect.FAILS_AT_RUN),
        ("alpha_zero", {"lora_alpha": 0}, "lora_alpha", Effect.MISLEADS),
        ("decay_negative", {"weight_decay": -0.1}, "weight_decay", Effect.MISLEADS),
        ("validation_share", {"val_set_size": 1.0}, "val_set_size", Effect.FAILS_AT_RUN),
        ("validation_share", {"val_set_size": -0.1}, "val_set_size", Effect.FAILS_AT_RUN),
        ("validation_rl", {"val_set_size": 500, "rl": "dpo"}, "val_set_size", Effect.FAILS_AT_RUN),
    ],
)
def test_numbers_that_come_to_nothing(code: str, changes: Mapping[str, Any], key: str, effect: Effect) -> None:
    """No validator looks at them."""
    found = findings(changes)[code]
    assert (found.key, found.effect) == (key, effect)


@pytest.mark.parametrize("more", [{}, {"peft_use_dora": True}, {"lora_modules_to_save": ["lm_head"]}])
@pytest.mark.parametrize("language", LANGUAGES)
def test_without_alpha_the_factors_alone_are_said_to_learn_nothing(more: Mapping[str, Any], language: str) -> None:
    """DoRA's magnitudes train all the same, and modules that are saved whole."""
    said = texts(language).render(findings({"lora_alpha": 0, **more})["alpha_zero"].message)
    assert "lora_A" in said
    assert "lora_B" in said
    assert "adapter" not in said


@pytest.mark.parametrize(
    "changes",
    [
        {"lora_r": 0, "lora_rank_pattern": {"q_proj": 8}},
        {"lora_r": 0, "lora_model_dir": "a"},
        {"eval_batch_size": -1},
        {"eval_batch_size": 0, "val_set_size": 0.1},
        {"lora_alpha": 0, "lora_alpha_pattern": {"q_proj": 8}},
        {"weight_decay": 0.0},
        {"val_set_size": 500},
        {"val_set_size": 0.05, "rl": "dpo"},
        {"val_set_size": 1, "test_datasets": [{"path": "a", "split": "test"}]},
        {"val_set_size": 1, "streaming": True},
    ],
)
def test_numbers_that_run(changes: Mapping[str, Any]) -> None:
    """Some of them mean that nothing is set."""
    said = findings({**GOOD, **changes})
    assert not {"not_positive", "alpha_zero", "decay_negative", "validation_share", "validation_rl"} & said.keys()


def test_a_long_list_of_patterns_is_not_tried() -> None:
    """Each against every parameter: a file of hundreds would take seconds."""
    said = [
        {
            finding.code
            for rule in REACH_RULES
            for finding in rule(
                Subject(
                    config={"unfrozen_parameters": ["nothing"] * count},
                    architecture=describe(MODELS[0]),
                    hardware=None,
                    schema=schema(),
                )
            )
        }
        for count in (20, 21)
    ]
    assert said == [{"unfrozen_none_fails"}, set()]


@pytest.mark.parametrize("row", WRAPPED, ids=lambda row: "-".join(row["config"]))
def test_every_name_that_peft_gives_a_parameter_is_known(row: Mapping[str, Any]) -> None:
    """A pattern that means one of them leaves something to train, of the adapter or of the model alone."""
    model = describe(row["model"])
    for name in row["names"]:
        config = {**COMMON, "adapter": "lora", **row["config"], UNFROZEN: [f"^{name}$"]}
        subject = Subject(config=config, architecture=model, hardware=None, schema=schema())
        added = any(part in name for part in ADDED)
        assert [finding.code for finding in unfrozen(subject)] == ([] if added else ["unfrozen_base"]), name
    for pattern in ("base_model.+lora_B.+", "base_model.+lora_A.+"):
        config = {**COMMON, "adapter": "lora", **row["config"], UNFROZEN: [pattern]}
        assert not list(unfrozen(Subject(config=config, architecture=model, hardware=None, schema=schema())))


LAST = EMBEDDED.vocab_size - 1


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({TOKENS: [0, LAST]}, {}),
        ({TOKENS: [LAST + 1, LAST + 64]}, {}),
        ({TOKENS: [1, LAST + 65]}, {"tokens_row": {"given": (str(LAST + 65),), "last": LAST}}),
        ({TOKENS: [-1]}, {"tokens_row": {"given": ("-1",), "last": LAST}}),
        ({TOKENS: [LAST + 65], "tokens": ["<a>"]}, {}),
        ({TOKENS: {"embed_tokens": [1], "lm_head": [1]}}, {}),
        ({TOKENS: {"tokens": [1], 7: [1]}}, {}),
        ({TOKENS: {"embed_tokenz": [1], "lm_head": [LAST + 65]}}, {"tokens_table", "tokens_row"}),
        ({TOKENS: [1], "lora_modules_to_save": ["embed_tokens"]}, {"tokens_saved": {"names": ("embed_tokens",)}}),
        ({TOKENS: [1], "lora_modules_to_save": ["lm_head"]}, {}),
        ({TOKENS: {"lm_head": [1]}, "lora_modules_to_save": ["lm_head"]}, {"tokens_saved": {"names": ("lm_head",)}}),
        ({TOKENS: [-1], "adapter": None}, {}),
        ({TOKENS: [-1], "lora_model_dir": "./out"}, {}),
        ({TOKENS: ["x", 1.5, True]}, {}),
        ({TOKENS: 7}, {}),
    ],
)
def test_rows_that_train_are_in_a_table(config: Mapping[str, Any], said: Any) -> None:
    """PEFT 0.20.0 stops at a table, and PyTorch at a row, that is not there, as they were run on a small Llama."""
    subject = Subject(config={**GOOD, **config}, architecture=EMBEDDED, hardware=None, schema=schema())
    found = list(trained_tokens(subject))
    assert {finding.code for finding in found} == set(said)
    assert all(finding.effect is Effect.FAILS_AT_RUN and finding.key == TOKENS for finding in found)
    if isinstance(said, dict):
        assert all(finding.message.params == said[finding.code] for finding in found)


TIED = architecture(extra=(TABLE, replace(HEAD, tied_to=TABLE.path)))
SIGHTED = architecture(extra=(TABLE, HEAD, Module(path="v.position_embedding", kind=Kind.EMBEDDING, shape=(16, 8))))
SAVED = "lora_modules_to_save"


@pytest.mark.parametrize(
    ("model", "config", "codes"),
    [
        (TIED, {TOKENS: [1], SAVED: ["lm_head"]}, {"tokens_saved"}),
        (TIED, {TOKENS: {"embed_tokens": [1]}, SAVED: ["lm_head"]}, {"tokens_saved"}),
        (TIED, {TOKENS: {"lm_head": [1]}, SAVED: ["embed_tokens"]}, set()),
        (EMBEDDED, {TOKENS: {"embed_tokens": [1]}, SAVED: ["model.embed_tokens"]}, {"tokens_saved"}),
        (EMBEDDED, {TOKENS: {"model.embed_tokens": [1]}, SAVED: ["tokens"]}, {"tokens_saved"}),
        (EMBEDDED, {TOKENS: [1], TARGETS: ["q_proj", "embed_tokens"]}, {"tokens_adapted"}),
        (EMBEDDED, {TOKENS: {"lm_head": [1]}, TARGETS: ["q_proj", "embed_tokens"]}, set()),
        (EMBEDDED, {TOKENS: [1], TARGETS: ["q_proj", "lm_head"]}, set()),
        (EMBEDDED, {TOKENS: {"embed_tokens": []}}, {"tokens_empty"}),
        (EMBEDDED, {TOKENS: {"embed_tokens": [], "lm_head": [1]}}, {"tokens_empty"}),
        (EMBEDDED, {TOKENS: []}, set()),
        (EMBEDDED, {TOKENS: [1], TARGETS: ["nothing"]}, set()),
        (LLAMA, {TOKENS: [1]}, set()),
        (SIGHTED, {TOKENS: [999], SAVED: ["position_embedding"]}, set()),
        (SIGHTED, {TOKENS: {"position_embedding": [15]}}, set()),
        (SIGHTED, {TOKENS: {"position_embedding": [16]}, "tokens": ["<a>"]}, {"tokens_row"}),
    ],
)
def test_rows_beside_copies_and_factors(model: Architecture, config: Mapping[str, Any], codes: set[str]) -> None:
    """PEFT 0.20.0 stopped at each that is said and took the others, as they were run on small Llamas and a GPT-2."""
    found = list(trained_tokens(Subject(config={**GOOD, **config}, architecture=model, hardware=None, schema=schema())))
    assert {finding.code for finding in found} == codes
    assert all(finding.effect is Effect.FAILS_AT_RUN for finding in found)


def test_wrong_rows_are_told_once_and_by_their_own_table() -> None:
    def told(model: Architecture, given: object) -> list[Mapping[str, Any]]:
        subject = Subject(config={**GOOD, TOKENS: given}, architecture=model, hardware=None, schema=schema())
        return [finding.message.params for finding in trained_tokens(subject)]

    assert told(SIGHTED, [9999]) == [{"given": ("9999",), "last": 999}]
    assert told(TIED, {"embed_tokens": [9999], "lm_head": [9999]}) == [{"given": ("9999",), "last": 999}]
    assert told(SIGHTED, {"position_embedding": [99]}) == [{"given": ("99",), "last": 15}]


TOWER = architecture(
    "gemma3",
    extra=(Module(path="vision_tower.layers.{}.fc1", kind=Kind.LINEAR, shape=(8, 8), layers=LAYERS, part=Part.VISION),),
)
FROZEN = {"freeze_mm_modules": True, TARGETS: ["fc1"]}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        (FROZEN, "frozen_all_fails"),
        (FROZEN | {"gradient_checkpointing": True}, "frozen_all"),
        (FROZEN | {TARGETS: ["fc1", "q_proj"]}, None),
        (FROZEN | {"freeze_mm_modules": False}, None),
        (FROZEN | {"rl": "dpo"}, None),
        (FROZEN | {"lora_model_dir": "./out"}, None),
        (FROZEN | {TARGETS: ["nothing"]}, None),
        (FROZEN | {"lora_r": "many"}, None),
        (FULL | {"freeze_mm_modules": True}, None),
        (FULL | {"freeze_mm_modules": True, UNFROZEN: ["vision_tower"]}, "frozen_all_fails"),
        (FULL | {"freeze_mm_modules": True, UNFROZEN: ["nothing"]}, None),
    ],
)
def test_towers_that_are_all_there_is_to_train(changes: Mapping[str, Any], code: str | None) -> None:
    """A small Gemma 3 with nothing left to train stopped in the backward pass, and ran on under checkpoints."""
    found = findings({"gradient_checkpointing": False, **changes}, TOWER)
    assert [each for each in found if each.startswith("frozen_all")] == ([code] if code else [])
    if code:
        assert found[code].effect is (Effect.MISLEADS if code == "frozen_all" else Effect.FAILS_AT_RUN)
