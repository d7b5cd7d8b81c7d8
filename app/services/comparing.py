"""Comparing: the guide's methods, or any variants, of one configuration side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.catalog.library import Catalog
from app.catalog.methods import MethodRow
from app.core.axolotl.overriding import apply_overrides
from app.core.errors import FieldError, InvalidInput, UnknownName
from app.core.estimate import Estimate
from app.core.hardware import Hardware
from app.core.messages import Message
from app.core.plan import Dataset
from app.services.estimating import estimate_resolved
from app.services.inputs import ResolvedModel, resolve_model
from app.services.swapping import TURNED_OFF, as_method
from app.services.writing import flow_text

MOST_VARIANTS = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One column of a comparison. ``estimate`` is None where the method cannot be on this model; ``reasons`` say why.

    ``relative_step_time`` is in times of the fastest that is expected to fit, of all where none is; None without rates.
    """

    label: str
    method: MethodRow | None
    config: Mapping[str, Any]
    estimate: Estimate | None
    reasons: tuple[Message, ...] = ()
    relative_step_time: float | None = None


def compare(
    *,
    catalog: Catalog,
    config: Mapping[str, Any],
    model: Mapping[str, Any] | None = None,
    hardware: Hardware | None = None,
    variants: Sequence[Mapping[str, Any]] | None = None,
    dataset: Dataset | None = None,
) -> tuple[Compared, ...]:
    """``config`` under each of ``variants``, or under each of the guide's methods where none are named.

    Raises:
        InvalidInput: the configuration or a variant holds values that cannot be.
        UnknownName: the catalogue does not hold ``base_model``.
    """
    resolved = resolve_model(
        catalog=catalog, base_model=config.get("base_model"), model=model, dataset=dataset, config=config
    )

    def estimate(changed: Mapping[str, Any], of: ResolvedModel = resolved) -> Estimate:
        return estimate_resolved(catalog=catalog, resolved=of, config=changed, hardware=hardware, dataset=dataset)

    found: list[Compared] = []
    if variants is not None:
        for position, variant in enumerate(variants):
            changed = apply_overrides(config, variant)
            with_pointers = {f"/config/{key}": f"/variants/{position}/{key}" for key in variant}
            try:
                made = estimate(changed, _model_of(catalog, changed, variant, resolved, model, dataset))
            except UnknownName as error:
                raise InvalidInput(FieldError(f"/variants/{position}/base_model", error.message)) from error
            except InvalidInput as error:
                raise InvalidInput(
                    *(FieldError(with_pointers.get(e.pointer, e.pointer), e.message) for e in error.errors)
                ) from error
            found.append(Compared(label=label_of(variant), method=None, config=changed, estimate=made))
        return _related(found)
    for row in catalog.methods.rows:
        if not row.compared:
            continue
        changed = as_method(config, row, resolved)
        try:
            found.append(Compared(label=row.name, method=row, config=changed, estimate=estimate(changed)))
        except InvalidInput as error:
            reasons = tuple(e.message for e in error.errors)
            if all(_about_config(config, e) for e in error.errors):
                raise
            found.append(Compared(label=row.name, method=row, config=changed, estimate=None, reasons=reasons))
    return _related(found)


def _model_of(
    catalog: Catalog,
    config: Mapping[str, Any],
    variant: Mapping[str, Any],
    resolved: ResolvedModel,
    model: Mapping[str, Any] | None,
    dataset: Dataset | None,
) -> ResolvedModel:
    """The model of a variant, which makes this ``config``: one of the catalogue where it names another.

    It is read anew where the variant says another size of its images.
    """
    name = variant.get("base_model")
    same = name is None or name == resolved.id
    if same and "image_size" not in variant:
        return resolved
    named, given = (resolved.id, model) if same else (name, None)
    try:
        return resolve_model(catalog=catalog, base_model=named, model=given, dataset=dataset, config=config)
    except InvalidInput as error:
        raise InvalidInput(*(FieldError(f"/config{e.pointer}", e.message) for e in error.errors)) from error


def _about_config(config: Mapping[str, Any], error: FieldError) -> bool:
    """Whether a fault lies in a key of the person's own that no method turns off."""
    key = error.pointer.removeprefix("/config/").partition("/")[0]
    return key in config and key not in TURNED_OFF and not key.startswith(("lora_", "peft_"))


def _related(found: Sequence[Compared]) -> tuple[Compared, ...]:
    """With step times set against the fastest that can be had, for the same number of tokens."""
    rates = {
        position: item.estimate.time.tokens_per_second
        for position, item in enumerate(found)
        if item.estimate is not None and item.estimate.time is not None
    }
    there = [
        rate
        for position, rate in rates.items()
        if (made := found[position].estimate) is not None and made.fits is not False
    ]
    fastest = max(there or rates.values(), default=0.0)
    return tuple(
        Compared(
            label=item.label,
            method=item.method,
            config=item.config,
            estimate=item.estimate,
            reasons=item.reasons,
            relative_step_time=fastest / rates[position] if position in rates else None,
        )
        for position, item in enumerate(found)
    )


def label_of(variant: Mapping[str, Any]) -> str:
    """A variant in a few words: ``lora_r: 64, sequence_len: 8192``."""
    shown = ", ".join(f"{key}: {'–' if value is None else flow_text(value)}" for key, value in variant.items())
    return shown if len(shown) <= 120 else shown[:119] + "…"
