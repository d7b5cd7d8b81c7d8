"""Adapters: which modules train, and how many parameters, exactly as Axolotl 0.19 and PEFT 0.20 resolve them.

Sources: PEFT 0.20.0 ``utils/other.py`` (trained copies and tokens); Axolotl 0.19.0 ``utils/freeze.py``. What LoRA's own
keys reach is in ``lora``, what other methods reach in ``methods.resolving``.
"""

import re
from collections.abc import Iterable
from dataclasses import fields, replace
from functools import partial

from app.core.adapted import AdaptedModule, Adapter, own, saved_copies, token_rows, union
from app.core.architecture import Architecture, Kind, Module, Part
from app.core.errors import InvalidInput
from app.core.kept import kept
from app.core.lora import LoraTargets, compiled, fault, linear_names
from app.core.methods.matching import LINEARS
from app.core.methods.resolving import resolve_peft
from app.core.run import LoraSettings, Method, Preference, Run
from app.core.shown import shown
from app.core.targets import (
    REFUSED_NAMES,
    REFUSING_TYPES,
    found_layers,
    leaf_of,
    parameter_names,
)

__all__ = [
    "AdaptedModule",
    "Adapter",
    "default_targets",
    "linear_names",
    "resolve_adapter",
    "resolve_lora",
    "unfreezing",
]

TOWERS = frozenset(
    """vision_tower vision_model vision_encoder embed_vision multi_modal_projector visual audio_tower audio_model
    embed_audio""".split()
)
"""Parts of a name by which ``freeze_mm_modules`` knows what is no language model."""
WRAPPING = (Preference.DPO, Preference.IPO, Preference.KTO)
"""Where TRL puts the adapter into the model, after Axolotl has frozen what it freezes."""
ATTENTION_NAMES = ("q_proj", "k_proj", "v_proj", "o_proj")
HUMAN_ORDER = (*ATTENTION_NAMES, "gate_proj", "up_proj", "down_proj")


def resolve_adapter(architecture: Architecture, run: Run) -> Adapter:
    """What trains under ``run``.

    Raises:
        InvalidInput: no target matches anything in this model, or one what PEFT cannot adapt.
    """
    if run.peft is not None:
        method = run.peft
        found = kept(architecture, ("peft", method), lambda: _shared(resolve_peft(architecture, method)))
    elif run.lora is not None and run.method is not Method.FULL:
        found = resolve_lora(architecture, run.lora)
    else:
        patterns, text_alone = run.unfrozen_parameters, run.frozen_towers
        return kept(
            architecture, ("full", patterns, text_alone), lambda: _shared(_full(architecture, patterns, text_alone))
        )
    return _text_alone(found) if run.frozen_towers and run.preference not in WRAPPING else found


def _text_alone(adapter: Adapter) -> Adapter:
    """``freeze_mm_modules`` comes after the adapter and goes by names: what is within a tower stays as it is."""
    rows = tuple(replace(row, frozen=_within_tower(row.module)) for row in adapter.modules)
    return replace(adapter, modules=rows, shared_layout=(adapter.layout, "text alone"))


def _within_tower(module: Module) -> bool:
    return not TOWERS.isdisjoint(module.path.split("."))


def resolve_lora(architecture: Architecture, lora: LoraSettings) -> Adapter:
    """What trains under the LoRA keys of a configuration, worked out once for all ranks and kept for each.

    Raises:
        InvalidInput: no target matches anything in this model, or one what PEFT cannot adapt.
    """
    return kept(architecture, ("adapter", lora.switches, lora.r), lambda: _at_rank(architecture, lora))


def _at_rank(architecture: Architecture, lora: LoraSettings) -> Adapter:
    """A pattern of ranks, and a convolution in groups that a rank has to be divided by, are looked at for each rank."""
    if lora.rank_pattern:
        return _shared(_resolve_lora(architecture, lora))
    found = kept(architecture, ("adapter", lora.switches), lambda: _AnyRank(_resolve_lora(architecture, lora), lora.r))
    return found.at(lora.r) if found.scales else _resolve_lora(architecture, lora)


def _shared(adapter: Adapter) -> Adapter:
    return replace(adapter, shared_layout=object())


_ROWS = re.compile(r"(.+)\[([0-9]{0,4000})(?::([0-9]{0,4000}))?\]")
"""Rows behind a name: ``[3]``, ``[:32000]``; Python reads no longer number."""
_GROWING = frozenset(("rank", "lora_a_parameters", "lora_b_parameters"))
_STAYING = tuple(each.name for each in fields(AdaptedModule) if each.name not in _GROWING)


class _AnyRank:
    """An adapter at whatever rank: A and B grow with it, all else stays."""

    def __init__(self, adapter: Adapter, rank: int) -> None:
        self.adapter, self.rank = _shared(adapter), rank
        self.scales = all(one.module.groups == 1 for one in adapter.modules)
        self.modules = [
            (
                partial(AdaptedModule, **{name: getattr(one, name) for name in _STAYING}),
                one.rank // rank,
                one.lora_a_parameters // rank,
                one.lora_b_parameters // rank,
            )
            for one in adapter.modules
        ]

    def at(self, rank: int) -> Adapter:
        """At one rank."""
        if rank == self.rank:
            return self.adapter
        modules = tuple(
            [
                make(rank=each * rank, lora_a_parameters=down * rank, lora_b_parameters=up * rank)
                for make, each, down, up in self.modules
            ]
        )
        added = sum([one.parameters for one in modules])
        return replace(self.adapter, modules=modules, added_parameters=added)


def _resolve_lora(architecture: Architecture, lora: LoraSettings) -> Adapter:
    targets = LoraTargets(architecture, lora)
    targets.take_modules()
    targets.take_parameters()
    adapted = tuple(targets.adapted())
    if targets.unmatched and (not adapted or architecture.approximate):  # names of its own may be unknown here
        raise InvalidInput(*targets.unmatched)
    if not adapted:
        raise _nothing_adapted(architecture, lora)
    saved = saved_copies(architecture, lora.modules_to_save, targets.taken(), "/config/lora_modules_to_save")
    trained = (*adapted, *saved, *_trained_tokens(architecture, lora))
    return Adapter(
        modules=trained,
        base_parameters=architecture.total_parameters,
        added_parameters=sum(module.parameters for module in trained),
    )


def _nothing_adapted(architecture: Architecture, lora: LoraSettings) -> InvalidInput:
    """No target is named, or none stands in a layer that is asked for."""
    last = architecture.num_layers - 1
    if lora.layers_to_transform and min(lora.layers_to_transform) > last:
        given = tuple(map(str, lora.layers_to_transform[:20]))
        return fault("peft_layers_to_transform", "error.layers_none", given=given, last=last)
    return fault("lora_target_modules", "error.target_none", allowed=architecture.module_names)


def _full(architecture: Architecture, patterns: tuple[str, ...], text_alone: bool) -> Adapter:
    """Everything, or what ``unfrozen_parameters`` and ``freeze_mm_modules`` leave to train, as Axolotl reads them.

    A pattern's dots are literal, it matches from the beginning, and a range at its end freezes by zeroing gradients, so
    all of the tensor trains.
    """
    rows: list[AdaptedModule] = []
    if not patterns:
        rows = [
            own(module, module.layers or ())
            for module in architecture.modules
            if module.parameters and not module.frozen
        ]
    compiled = [unfreezing(text) for text in patterns]
    for module in architecture.modules if compiled else ():
        names = parameter_names(module)
        hits = [union(found_layers(p, path, module.layers) for p in compiled) for path, _ in names]
        weight = None if module.tied_to else hits[0]
        bias = hits[1] if len(hits) > 1 else None
        if weight == bias and weight is not None:
            rows.append(own(module, weight))
            continue
        if weight is not None:
            rows.append(own(module, weight, bias=False))
        if bias is not None:
            rows.append(own(module, bias, weight=False))
    if text_alone:
        rows = [row for row in rows if not _within_tower(row.module)]
    return Adapter(modules=tuple(rows), base_parameters=architecture.total_parameters, added_parameters=0)


def unfreezing(text: str) -> re.Pattern[str]:
    """What one of ``unfrozen_parameters`` matches."""
    return compiled("unfrozen_parameters", rows_of(text)[0])


def rows_of(text: str) -> tuple[str, tuple[int, int | None] | None]:
    """One of ``unfrozen_parameters`` as a regular expression, and the rows that it keeps to, where it names any.

    Source: Axolotl 0.19.0 ``utils/freeze.py``, ``LayerNamePattern``.
    """
    found = _ROWS.fullmatch(text)
    name = re.sub(r"\.(?!\+)", r"\.", found[1] if found else text)
    if found is None:
        return name, None
    first, last = found[2], found[3]
    if last is None and first:
        return name, (int(first), int(first) + 1)
    return name, (int(first or 0), int(last) if last else None)


def _trained_tokens(architecture: Architecture, lora: LoraSettings) -> Iterable[AdaptedModule]:
    """Rows of the embedding that train, shared with a head that is tied to it."""
    if not lora.token_rows:
        return
    head = next((module for module in architecture.modules if module.kind is Kind.HEAD), None)
    source = next(m for m in architecture.modules if m.kind is Kind.EMBEDDING and m.part is Part.TEXT)
    seen: dict[tuple[int, ...], None] = {}
    for table, tokens in lora.token_rows:
        name = table or leaf_of(source.path)
        rows = [m for m in architecture.modules if m.kind in (Kind.EMBEDDING, Kind.HEAD) and m.path.endswith(name)]
        if not rows:
            allowed = tuple(m.name for m in (source, head) if m is not None)
            raise fault("peft_trainable_token_indices", "error.no_table", given=shown(name), allowed=allowed)
        if table and table in lora.modules_to_save:
            # PEFT looks here at names as written only; a bare list beside a saved embedding stops at the first step.
            raise fault("peft_trainable_token_indices", "error.saved_and_targeted", given=rows[0].path)
        for module in rows:
            tied = head is not None and head.tied_to == source.path and module in (source, head)
            if tied and tokens in seen:
                continue
            if tied:
                seen[tokens] = None
            yield token_rows(module, len(tokens))


def default_targets(architecture: Architecture) -> tuple[str, ...] | str:
    """What a plan writes: the model's own linears by name, queries, keys, values and output first.

    Attention alone where experts are mixed, and nothing of it that is named like a part of them; a pattern that keeps
    to the language model where there are other towers; nothing that PEFT refuses.
    """
    return kept(architecture, "default targets", lambda: _default_targets(architecture))


def _default_targets(architecture: Architecture) -> tuple[str, ...] | str:
    refused = REFUSED_NAMES if architecture.model_type in REFUSING_TYPES else ()
    text = [
        module
        for module in architecture.modules
        if module.kind in LINEARS
        and module.part is Part.TEXT
        and module.layers is not None
        and module.name not in refused
    ]
    if architecture.mixture_of_experts:
        attending = [m for m in text if "attn" in m.path or "attention" in m.path or m.name in ATTENTION_NAMES]
        text = [m for m in attending if m.name not in architecture.expert_names] or text
    order = {name: place for place, name in enumerate(HUMAN_ORDER)}
    names = sorted(dict.fromkeys(m.name for m in text), key=lambda name: order.get(name, len(order)))
    if not architecture.multimodal:
        return tuple(names)
    root, _, _ = text[0].path.partition("{}")
    holders = dict.fromkeys(m.path.partition("{}.")[2].rpartition(".")[0] for m in text)
    inner = "|".join(re.escape(holder) + r"\." for holder in holders if holder)
    optional = "" if all(holders) else "?"
    return rf"{re.escape(root)}\d+\.({inner}){optional}({'|'.join(names)})"
