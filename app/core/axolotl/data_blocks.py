"""The data part of a configuration: which dataset block and which ``rl`` keys each goal needs.

Sources: Axolotl's documentation on dataset formats and preference training
(https://docs.axolotl.ai/docs/dataset-formats/ and https://docs.axolotl.ai/docs/rlhf.html), and the strategies of
0.19.0 under ``prompt_strategies``.
"""

from collections.abc import Mapping
from typing import Any

from app.core.coverage import CHAT_TEMPLATES
from app.core.plan import Dataset, Goal

PREFERENCE_GOALS = (Goal.DPO, Goal.ORPO, Goal.KTO, Goal.SIMPO)
"""Trained with ``rl``: no packing, no NEFTune, a loss of their own."""

RAW_TEXT_GOALS = (Goal.COMPLETION, Goal.CONTINUED_PRETRAINING)
"""Text without turns, so no chat template."""

TYPES: Mapping[Goal, str] = {
    Goal.CHAT: "chat_template",
    Goal.INSTRUCTION: "alpaca",
    Goal.COMPLETION: "completion",
    Goal.CONTINUED_PRETRAINING: "completion",
    Goal.DPO: "chat_template.default",
    Goal.ORPO: "chat_template.argilla",
    Goal.KTO: "chatml.ultra",
    Goal.SIMPO: "chat_template.default",
    Goal.REWARD: "bradley_terry.chat_template",
}
"""How the rows are read where the person does not say."""

_PAIRS: Mapping[str, Any] = {"path": "fozziethebeat/alpaca_messages_2k_dpo_test", "field_messages": "conversation"}
_TEXT: Mapping[str, Any] = {"path": "Salesforce/wikitext", "name": "wikitext-103-raw-v1"}
SAMPLES: Mapping[Goal, Mapping[str, Any]] = {
    Goal.CHAT: {"path": "fozziethebeat/alpaca_messages_2k_test"},
    Goal.INSTRUCTION: {"path": "mhenrichsen/alpaca_2k_test"},
    Goal.COMPLETION: _TEXT,
    Goal.CONTINUED_PRETRAINING: _TEXT,
    Goal.DPO: _PAIRS,
    Goal.ORPO: {"path": "argilla/ultrafeedback-binarized-preferences-cleaned"},
    Goal.KTO: {"path": "argilla/ultrafeedback-binarized-preferences-cleaned-kto"},
    Goal.SIMPO: _PAIRS,
    Goal.REWARD: {"path": "argilla/distilabel-intel-orca-dpo-pairs"},
}
"""Public datasets that Axolotl's documentation and examples use for each type, with what they need to be read."""

FIELDS: Mapping[str, Mapping[str, Any]] = {
    "chat_template": {"field_messages": "messages", "roles_to_train": ["assistant"], "train_on_eos": "turn"},
    "completion": {"field": "text"},
    "chat_template.default": {
        "field_messages": "messages",
        "field_chosen": "chosen",
        "field_rejected": "rejected",
    },
}
"""The columns of each type, written out so that they can be changed; the values are Axolotl's defaults."""

FALLBACK_TEMPLATE = "tokenizer_default_fallback_chatml"
"""The tokenizer's own chat template, ChatML where it has none: a base model's tokenizer often has none."""

VALIDATION_SHARE = 0.02


def data_keys(
    *, goal: Goal, dataset: Dataset, chat_template: str | None, evaluate: bool, output_dir: str
) -> dict[str, Any]:
    """Everything from ``rl`` to ``output_dir``."""
    config = dict(_goal_keys(goal))
    config["datasets"] = [_block(goal, dataset, chat_template)]
    if goal not in (*RAW_TEXT_GOALS, Goal.INSTRUCTION, Goal.KTO):
        config["chat_template"] = chat_template if chat_template in CHAT_TEMPLATES else FALLBACK_TEMPLATE
    if goal is Goal.INSTRUCTION:
        config["train_on_inputs"] = False
    config["dataset_prepared_path"] = "./prepared"
    config["val_set_size"] = VALIDATION_SHARE if evaluate else 0.0
    config["output_dir"] = output_dir
    return config


def _goal_keys(goal: Goal) -> Mapping[str, Any]:
    """What makes the trainer the goal's own, with the values that its method's defaults have."""
    match goal:
        case Goal.DPO:
            return {"rl": "dpo", "rl_beta": 0.1}
        case Goal.ORPO:
            return {"rl": "orpo", "orpo_alpha": 0.1, "remove_unused_columns": False}
        case Goal.KTO:
            return {"rl": "kto", "rl_beta": 0.1, "remove_unused_columns": False}
        case Goal.SIMPO:
            return {"rl": "simpo", "rl_beta": 0.1, "cpo_alpha": 1.0, "simpo_gamma": 0.5}
        case Goal.REWARD:
            return {
                "type_of_model": "AutoModelForSequenceClassification",
                "num_labels": 1,
                "reward_model": True,
                "remove_unused_columns": False,
            }
    return {}


def _block(goal: Goal, dataset: Dataset, chat_template: str | None) -> dict[str, Any]:
    kind = dataset.type or TYPES[goal]
    if goal is Goal.KTO and dataset.type is None and chat_template == "llama3":
        kind = "llama3.ultra"
    block: dict[str, Any] = {"path": dataset.path} if dataset.path else dict(SAMPLES[goal])
    if goal in PREFERENCE_GOALS:
        block["split"] = "train"
    elif dataset.path and dataset.path.endswith((".json", ".jsonl")):
        block["ds_type"] = "json"
    block["type"] = kind
    block = {**FIELDS.get(kind, {}), **block}
    return {key: block[key] for key in sorted(block, key=lambda key: key in FIELDS.get(kind, {}))}
