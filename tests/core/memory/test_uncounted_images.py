"""Images that are not described with a run, or for a model: never less than what is known, and room for the rest."""

from typing import Any

import pytest

from app.core.adapter import resolve_adapter
from app.core.architecture import Architecture
from app.core.architectures import describe
from app.core.axolotl.memory_rules import not_priced
from app.core.axolotl.run_reader import read_run
from app.core.axolotl.subject import Subject
from app.core.estimate import Memory
from app.core.memory import estimate_memory
from app.core.memory.sighted import counted, images_percent, left_aside, sees
from tests.core.axolotl.examples import schema
from tests.core.memory.image_runs import SEEING, TUNED
from tests.core.memory.test_images import SIGLIP, STACKED

CHECKPOINTS: dict[str, Any] = {"gradient_checkpointing": True}
UNSEEN = describe(
    {
        "model_type": "paligemma",
        "text_config": {
            "model_type": "gemma",
            "hidden_size": 256,
            "intermediate_size": 512,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 4,
            "vocab_size": 1000,
        },
    }
)


def memory(architecture: Architecture, config: dict[str, Any]) -> Memory:
    """Of a configuration."""
    run = read_run(config)
    return estimate_memory(architecture, run, resolve_adapter(architecture, run), fused_lora=False)


@pytest.mark.parametrize(
    ("config", "without", "keys"),
    [
        (CHECKPOINTS | {"activation_offloading": True}, CHECKPOINTS, ("activation_offloading",)),
        ({"gradient_checkpointing": "offload"}, CHECKPOINTS, ("activation_offloading",)),
        (
            CHECKPOINTS | {"gradient_checkpointing_kwargs": {"every_n_layers": 2}},
            {},
            ("gradient_checkpointing_kwargs.every_n_layers",),
        ),
        (CHECKPOINTS | {"selective_checkpointing": True}, {}, ("selective_checkpointing",)),
        ({"tiled_mlp": True}, {}, ("tiled_mlp",)),
        ({"lisa_n_layers": 1, "lisa_step_interval": 5}, {}, ("lisa_n_layers",)),
        (TUNED | CHECKPOINTS | {"layer_offloading": True}, TUNED | CHECKPOINTS, ("layer_offloading",)),
    ],
)
def test_what_they_are_not_described_with_is_left_aside(
    config: dict[str, Any], without: dict[str, Any], keys: tuple[str, ...]
) -> None:
    """The figure is that of the run without, so that no such key makes images vanish."""
    described = describe(SIGLIP).reading(8)
    run = read_run(SEEING | config)
    assert not sees(described, run)
    assert sees(described, counted(described, run))
    assert left_aside(described, run) == keys
    figure, plain = (memory(described, SEEING | one).allocated_peak_bytes for one in (config, without))
    assert figure == plain > memory(described.reading(0), SEEING | config).allocated_peak_bytes
    assert images_percent(described, run) == (40 if keys == ("activation_offloading",) else 0)
    assert left_aside(described.reading(0), run) == ()


@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpoints_that_leave_for_the_host_are_as_reentrant_as_is_asked(reentrant: bool) -> None:
    """Which decides whether Qwen 3 VL's tower is cut off."""
    asked = CHECKPOINTS | {"gradient_checkpointing_kwargs": {"use_reentrant": reentrant}}
    reaching = SEEING | TUNED | asked | {"lora_target_modules": ["q_proj", "qkv"]}
    described = describe(STACKED).reading(4)
    away, here = (read_run(reaching | more) for more in ({"activation_offloading": True}, {}))
    assert counted(described, away).checkpointing is here.checkpointing
    figures = [
        memory(described, reaching | more).allocated_peak_bytes for more in ({"activation_offloading": True}, {})
    ]
    assert figures[0] == pytest.approx(figures[1], rel=1e-3)


@pytest.mark.parametrize("config", [{"rl": "dpo"}, {"optimizer": "lomo"}])
def test_each_image_that_is_not_counted_has_room(config: dict[str, Any]) -> None:
    for architecture in (describe(SIGLIP), UNSEEN):
        highest = []
        for count in (0, 1, 2, 9):
            described = architecture.reading(count)
            found = memory(described, SEEING | config)
            assert images_percent(described, read_run(SEEING | config)) == 40 * count
            highest.append(found.range_bytes[1])
        assert highest == sorted(set(highest))


def test_no_image_has_none() -> None:
    """None in a row, packed rows, or no processor: the range is that of text."""
    text = {"sequence_len": 2048} | TUNED
    for architecture in (describe(SIGLIP), UNSEEN):
        for off in ("false", None):
            seen = memory(architecture.reading(5), SEEING | TUNED | {"processor_type": off})
            assert seen.range_bytes == memory(architecture, text).range_bytes
        assert images_percent(architecture.reading(5), read_run(SEEING | {"sample_packing": True})) == 0
        assert images_percent(architecture.reading(0), read_run(SEEING)) == 0


def test_the_check_says_how_much_room() -> None:
    def said(architecture: Architecture | None, config: dict[str, Any]) -> list[object]:
        subject = Subject(config=SEEING | config, architecture=architecture, hardware=None, schema=schema())
        return [each.message.params["more"] for each in not_priced(subject) if each.key == "processor_type"]

    assert said(UNSEEN.reading(3), {}) == [120]
    assert said(UNSEEN.reading(0), {}) == []
    assert said(describe(SIGLIP), {}) == []
    assert said(describe(SIGLIP), {"rl": "dpo"}) == [40]
    assert said(None, {}) == [40]
    assert said(describe(SIGLIP), {"sequence_len": "x"}) == [40]


def test_models_without_towers_read_none() -> None:
    text = describe(SIGLIP["text_config"])
    assert text.reading(3) is text


@pytest.mark.parametrize("more", [{}, {"freeze_mm_modules": True}])
def test_copies_within_a_tower_are_there_though_nothing_trains_them(more: dict[str, Any]) -> None:
    """Without images, and frozen."""
    described = describe(SIGLIP)
    saved = TUNED | {"lora_modules_to_save": ["fc1"]} | more
    with_copies, without = (
        next(term.bytes for term in memory(described, {"sequence_len": 2048} | one).breakdown if term.code == "adapter")
        for one in (saved, TUNED)
    )
    rows = [row for row in described.modules if row.name == "fc1"]
    assert with_copies - without >= sum(row.parameters for row in rows) * 2
