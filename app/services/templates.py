"""The configuration that a method starts from, for a model, a card and a wish."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from app.catalog.library import Catalog
from app.core.adapter import default_targets
from app.core.advice import Advisor
from app.core.architecture import Architecture
from app.core.axolotl.composing import Choice, apply_overrides, compose, output_directory
from app.core.axolotl.keys import in_order
from app.core.decision import Fact
from app.core.fit import LEAST_KTO_BATCH
from app.core.hardware import Hardware
from app.core.knobs import starting_knobs
from app.core.methods.settings import PeftType
from app.core.plan import Advice, Goal, Priority, Wish
from app.services.inputs import ResolvedModel
from app.services.swapping import METHOD_KEYS, as_method

PEFT_METHODS = frozenset(method.value for method in PeftType)
"""Methods that Axolotl does not have, by what ``adapter`` calls them."""

SFT_GOALS = (Goal.CHAT, Goal.INSTRUCTION, Goal.COMPLETION, Goal.CONTINUED_PRETRAINING)


def asked_method(overrides: Mapping[str, Any], *, whole: bool = False) -> str | None:
    """The method that a person's own keys come to, None where they leave it open; a ``whole`` file never does."""
    if not METHOD_KEYS & overrides.keys() and not whole:
        return None
    adapter = overrides.get("adapter", None if whole else "lora")
    if not adapter:
        return "full"
    if isinstance(adapter, str) and adapter in PEFT_METHODS:
        return adapter
    if adapter == "qlora":
        return "qdora" if overrides.get("peft_use_dora") else "qlora"
    if overrides.get("relora"):
        return "relora"
    if overrides.get("peft"):
        return "loftq"
    return "dora" if overrides.get("peft_use_dora") else "lora"


def is_whole(wish: Wish, method: str) -> bool:
    """Whether the person's keys are the configuration of this method as it stands."""
    return wish.whole and method == asked_method(wish.overrides, whole=True)


def own_keys(method: str, overrides: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a person set, but for what says that it is another method."""
    if method == asked_method(overrides):
        return overrides
    return {key: value for key, value in overrides.items() if key not in METHOD_KEYS and key != "peft_config"}


FOUR_BIT = ("qlora", "qdora")


def advise(
    advisor: Advisor, resolved: ResolvedModel, hardware: Hardware, wish: Wish, method: str, *, keys: Sequence[str] = ()
) -> tuple[Advice, ...]:
    """What the knobs of ``method`` should be, all of them unless ``keys`` are named."""
    known = known_facts(wish, method, hardware=hardware, architecture=resolved.architecture)
    own = advisor.read(wish.overrides)
    return _advised(advisor, tuple(keys or advisor.knobs), tuple(known.items()), tuple(own.items()))


@lru_cache(maxsize=1024)
def _advised(
    advisor: Advisor,
    keys: tuple[str, ...],
    known: tuple[tuple[str, Fact], ...],
    own: tuple[tuple[str, float], ...],
) -> tuple[Advice, ...]:
    """The same for all lengths, batches and most other keys of a plan."""
    return advisor.advise(keys, dict(known).get, dict(own))


def known_facts(
    wish: Wish, method: str, *, hardware: Hardware | None, architecture: Architecture | None
) -> Mapping[str, Fact]:
    """What advice may read; a model or card that is not chosen yet is not known."""
    return {
        "memory_gb": hardware.marketed_memory_gb if hardware else None,
        "bf16": hardware.bf16 if hardware else None,
        "goal": wish.goal.value,
        "priority": wish.priority.value,
        "tasks": wish.tasks.value,
        "rows": wish.dataset.rows,
        "moe": architecture.mixture_of_experts if architecture else None,
        "method": method,
        "adapter": method != "full",
        "quantized": method in FOUR_BIT,
        "parameters_b": architecture.total_parameters / 1e9 if architecture else None,
    }


def template(catalog: Catalog, resolved: ResolvedModel, hardware: Hardware, wish: Wish, method: str) -> dict[str, Any]:
    """The method's template as a whole configuration, with the person's own keys.

    A method that Axolotl does not have takes LoRA's place in the same template. A file that is whole has no template.
    """
    if is_whole(wish, method):
        own = {key: value for key, value in wish.overrides.items() if value is not None}
        return in_order({"base_model": resolved.id or "path/to/your/model", **own})
    if method not in PEFT_METHODS:
        composed = _composed(catalog.advisor, resolved, hardware, wish, method)
        return apply_overrides(composed, own_keys(method, wish.overrides))
    composed = as_method(
        _composed(catalog.advisor, resolved, hardware, wish, "lora"), catalog.methods.get(method), resolved
    )
    composed["output_dir"] = output_directory(method)
    own = dict(own_keys(method, wish.overrides))
    given, usual = own.get("peft_config"), composed.get("peft_config")
    if isinstance(given, Mapping) and isinstance(usual, Mapping):
        own["peft_config"] = {**usual, **given}
    return apply_overrides(composed, own)


def _composed(advisor: Advisor, resolved: ResolvedModel, hardware: Hardware, wish: Wish, method: str) -> dict[str, Any]:
    row = resolved.row
    knobs = starting_knobs(
        {item.key: item for item in advise(advisor, resolved, hardware, wish, method)},
        memory_gb=hardware.marketed_memory_gb,
        context_tokens=resolved.architecture.context_tokens,
        wanted_tokens=wish.sequence_len_tokens,
        least_micro_batch=LEAST_KTO_BATCH if wish.goal is Goal.KTO else 1,
        checkpointing=wish.priority is not Priority.SPEED,
    )
    choice = Choice(
        base_model=resolved.id or "path/to/your/model",
        architecture=resolved.architecture,
        hardware=hardware,
        method=method,
        goal=wish.goal,
        install=wish.install,
        dataset=wish.dataset,
        sequence_len_tokens=knobs.sequence_len_tokens,
        micro_batch_size=knobs.micro_batch_size,
        gradient_accumulation_steps=knobs.gradient_accumulation_steps,
        lora_r=knobs.lora_r,
        lora_alpha=knobs.lora_alpha,
        lora_dropout=knobs.lora_dropout,
        learning_rate=knobs.learning_rate,
        num_epochs=knobs.num_epochs,
        optimizer=knobs.optimizer,
        gradient_checkpointing=knobs.gradient_checkpointing,
        neftune=wish.goal in SFT_GOALS,
        chat_template=row.chat_template if row else None,
        pad_token=row.pad_token if row else None,
        targets=default_targets(resolved.architecture),
        evaluate=True,
        warmup_ratio=knobs.warmup_ratio,
    )
    return compose(choice)
