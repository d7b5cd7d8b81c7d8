"""The names of optimizers and schedulers: what is built, and what it was called before or is called elsewhere.

Sources: Transformers 5.16.1 ``training_args.OptimizerNames``, its history for what went (``adamw_hf``: 5.0, with the
advice to take ``adamw_torch``) and the functions of ``optimization.py`` for schedulers; Axolotl 0.19.0
``CustomSupportedOptimizers`` and ``core/builders/base.py``, and what it built before (``ao_adamw_4bit``, given up for
``adamw_torch_4bit``). Adding one is adding a row; it belongs to those that mean the same only where algorithm and
states are the same.
"""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

from app.core.nearest import nearest

OPTIMIZERS = tuple(
    """adamw_torch adamw_torch_fused adafactor adamw_anyprecision adamw_torch_4bit adamw_torch_8bit ademamix sgd
    adagrad adamw_bnb_8bit adamw_8bit ademamix_8bit lion_8bit lion_32bit paged_adamw_32bit paged_adamw_8bit
    paged_ademamix_32bit paged_ademamix_8bit paged_lion_32bit paged_lion_8bit rmsprop rmsprop_bnb
    rmsprop_bnb_8bit rmsprop_bnb_32bit galore_adamw galore_adamw_8bit galore_adafactor galore_adamw_layerwise
    galore_adamw_8bit_layerwise galore_adafactor_layerwise lomo adalomo grokadamw schedule_free_radam
    schedule_free_adamw schedule_free_sgd apollo_adamw apollo_adamw_layerwise stable_adamw optimi_adamw
    ao_adamw_fp8 adopt_adamw adamc came_pytorch muon dion sinkgd polora flash_adamw flash_adam flash_sgd
    flash_sgdw flash_lion q_galore_adamw8bit""".split()
)
"""Names that Transformers 5.16.1 and Axolotl 0.19 can build."""

SAME_OPTIMIZERS: Mapping[str, str] = {
    "adamw": "adamw_torch",
    "adamw_hf": "adamw_torch",
    "ao_adamw_4bit": "adamw_torch_4bit",
    "ao_adamw_8bit": "adamw_torch_8bit",
    "adopt": "adopt_adamw",
    "came": "came_pytorch",
    "lion": "lion_32bit",
    "paged_adamw": "paged_adamw_32bit",
    "paged_ademamix": "paged_ademamix_32bit",
    "paged_lion": "paged_lion_32bit",
    "rmsprop_8bit": "rmsprop_bnb_8bit",
    "rmsprop_32bit": "rmsprop_bnb_32bit",
}
"""Names of old or of elsewhere, and what is the same algorithm with the same states."""
KIN_OPTIMIZERS: Mapping[str, str] = {
    "adam": "adamw_torch",
    "adam_8bit": "adamw_8bit",
    "adamax": "adamw_torch",
    "adamw_32bit": "adamw_torch",
    "adamw_apex_fused": "adamw_torch_fused",
    "apollo": "apollo_adamw",
    "galore": "galore_adamw",
    "lion_pytorch": "lion_32bit",
    "muon_adamw": "muon",
    "nadam": "adamw_torch",
    "schedule_free": "schedule_free_adamw",
}
"""What comes closest without being the same: worth a question, not a change.

Apex's AdamW keeps its states in fp32 (``apex/optimizers/fused_adam.py``), PyTorch's in the parameter's type;
lion-pytorch its momentum in the parameter's type (``lion_pytorch.py``), bitsandbytes' Lion in fp32.
"""
SAME_SCHEDULERS: Mapping[str, str] = {
    "cosine_with_hard_restarts": "cosine_with_restarts",
    "cosine_with_warmup": "cosine",
    "linear_with_warmup": "linear",
    "polynomial_decay": "polynomial",
    "wsd": "warmup_stable_decay",
}
"""Schedulers by the names of the functions that make them."""


LONGEST = 120
"""Letters of a name that are looked at: no optimizer's or scheduler's is as long."""


def same_optimizer(given: str) -> str | None:
    """The optimizer that another name means, exactly; None where there is none."""
    other = respelled(given, SAME_OPTIMIZERS)
    return SAME_OPTIMIZERS[other] if other else respelled(given, OPTIMIZERS)


def like_optimizer(given: str) -> str | None:
    """The optimizer that a name may have meant, which may be another algorithm.

    A name that has all of its words (``fp8_adamw``) comes before one that shares letters, AdamW's and short ones first.
    """
    given = given[:LONGEST]
    words = frozenset(_words(given))
    if kin := respelled(given, KIN_OPTIMIZERS):
        return KIN_OPTIMIZERS[kin]
    having = [name for name in OPTIMIZERS if words and words <= frozenset(_words(name))]
    if having:
        return min(having, key=lambda name: ("adamw" not in name, len(name)))
    return next(iter(nearest(given, OPTIMIZERS, count=1)), None)


def meant_optimizer(given: str) -> str | None:
    """The same optimizer under its name of today, else what comes closest."""
    return same_optimizer(given) or like_optimizer(given)


def same_scheduler(given: str, allowed: Iterable[str]) -> str | None:
    """The scheduler that another name means, exactly; None where there is none."""
    other = respelled(given, SAME_SCHEDULERS)
    return SAME_SCHEDULERS[other] if other else respelled(given, allowed)


def respelled(given: str, allowed: Iterable[str]) -> str | None:
    """The one name that is ``given`` in other case, with other signs between, or with its words in another order.

    ``PagedAdamW8bit`` is ``paged_adamw_8bit``, and ``adamw_schedule_free`` is ``schedule_free_adamw``. Letters that are
    none of ASCII's are letters too: ``sgdé`` is not ``sgd``.
    """
    if len(given) > LONGEST:
        return None
    letters, words = _spellings(frozenset(allowed))
    return letters.get(_joined(given)) or words.get(tuple(sorted(_words(given))))


@lru_cache(maxsize=8)
def _spellings(allowed: frozenset[str]) -> tuple[dict[str, str], dict[tuple[str, ...], str]]:
    return {_joined(name): name for name in allowed}, {tuple(sorted(_words(name))): name for name in allowed}


def _words(name: str) -> list[str]:
    return re.findall(r"(?:[a-z0-9]|[^\x00-\x7f\s])+", name.lower())


def _joined(name: str) -> str:
    return "".join(_words(name))
