"""Plans over the whole catalogue, in an order that a seed fixes, each as the file that a person would download."""

import random
from collections.abc import Iterator
from typing import Any

from app.catalog.library import Catalog, load_catalog
from app.core.axolotl.composing import PRESETS
from app.core.plan import Dataset, Goal, Install, Priority, Wish
from app.services.inputs import resolve_hardware
from app.services.planning import plan
from app.services.writing import write_yaml
from app.texts import LANGUAGES, texts

SEED = 20261124
METHODS: tuple[dict[str, Any], ...] = (
    {},
    {},
    {"adapter": None},
    {"adapter": "lora"},
    {"adapter": "qlora", "load_in_4bit": True},
    {"adapter": "lora", "peft_use_dora": True},
    {"adapter": "qlora", "load_in_4bit": True, "peft_use_dora": True},
    {"adapter": "lora", "relora": True},
    {"adapter": "lora", "peft": {"loftq_config": {"loftq_bits": 4}}},
)
"""The keys that choose a method; none at all leaves it to the decision."""

KNOBS: tuple[dict[str, Any], ...] = (
    {},
    {},
    {},
    {"lora_r": 8, "lora_alpha": 16},
    {"lora_dropout": 0.0, "seed": 7},
    {"sequence_len": 1024, "micro_batch_size": 4},
    {"learning_rate": 1e-5, "num_epochs": 1},
    {"learning_rate": 3.3e-5, "num_epochs": 2.5, "weight_decay": 0.01},
    {"optimizer": "adamw_8bit", "gradient_accumulation_steps": 2},
    {"gradient_checkpointing": None},
    {"gradient_checkpointing": True, "activation_offloading": True},
    {"sample_packing": False},
    {"attn_implementation": "sdpa"},
    {"chunked_cross_entropy": True},
    {"cut_cross_entropy": None, "plugins": None, "liger_fused_linear_cross_entropy": None},
    {"warmup_steps": 20},
    {"save_steps": 100, "eval_steps": 100},
    {"lr_scheduler": "linear", "max_grad_norm": 0.3},
    {"val_set_size": 0.0, "evals_per_epoch": None},
)
"""Changes that a person may make to any plan, legal with every method and goal but for ``UNFIT``."""

ARCHITECTURES_WITHOUT_SDPA = ("bloom", "gpt_oss", "gptj", "mpt")
DATASETS = (Dataset(), Dataset(), Dataset(path="data/train.jsonl"), Dataset(path="someone/some-data"))


def cases(count: int, seed: int = SEED) -> Iterator[dict[str, Any]]:
    """``count`` files with the hardware that each was planned for: the presets first, then plans by chance."""
    catalog = load_catalog()
    chance = random.Random(seed)
    for made in range(count):
        yield preset(list(PRESETS)[made]) if made < len(PRESETS) else planned(catalog, chance, made)


def preset(name: str) -> dict[str, Any]:
    """One of the guide's templates as a file."""
    return {
        "name": f"preset {name}",
        "yaml": write_yaml(PRESETS[name], texts("en")),
        "model_type": "llama",
        "compute_capability": "sm_89",
        "bf16": True,
    }


def planned(catalog: Catalog, chance: random.Random, made: int) -> dict[str, Any]:
    """One plan as a file."""
    model = chance.choice(catalog.models.rows)
    gpu = chance.choice(catalog.gpus.rows)
    goal = chance.choice(tuple(Goal))
    install = chance.choice(tuple(Install))
    method, knobs = chance.choice(METHODS), chance.choice(KNOBS)
    wish = Wish(
        goal=goal,
        priority=chance.choice(tuple(Priority)),
        dataset=chance.choice(DATASETS),
        overrides=method | legal(knobs, goal, model.model_type),
        install=install,
    )
    hardware = resolve_hardware(catalog=catalog, gpu=gpu.id)
    assert hardware is not None
    name = f"{made}: {model.id} on {gpu.id}, {goal}, {install}, {dict(wish.overrides)}"
    try:
        found = plan(catalog=catalog, base_model=model.id, model=None, hardware=hardware, wish=wish)
    except Exception as error:
        raise AssertionError(name) from error
    capability = hardware.compute_capability or (8, 0)
    language = chance.choice(tuple(LANGUAGES))
    return {
        "name": name,
        "yaml": write_yaml(found.config, texts(language), comments=chance.random() < 0.9),
        "model_type": catalog.architecture(model.id).model_type,
        "compute_capability": f"sm_{capability[0]}{capability[1]}",
        "bf16": hardware.bf16,
    }


def legal(knobs: dict[str, Any], goal: Goal, model_type: str) -> dict[str, Any]:
    """The change without what this goal or architecture rules out: not ours to write, whoever asks."""
    supervised = goal in (Goal.CHAT, Goal.INSTRUCTION, Goal.COMPLETION, Goal.CONTINUED_PRETRAINING)
    without = set()
    if not supervised:
        without |= {"chunked_cross_entropy"}
    if model_type in ARCHITECTURES_WITHOUT_SDPA:
        without |= {"attn_implementation"}
    if model_type == "mpt":
        without |= {"gradient_checkpointing", "activation_offloading"}
    return {key: value for key, value in knobs.items() if key not in without}
