"""What one method costs on one model and card: planned as the wizard plans it, or composed for PEFT alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.catalog.library import Catalog
from app.catalog.methods import MethodRow
from app.core.errors import InvalidInput
from app.core.estimate import Estimate
from app.core.hardware import Hardware
from app.core.messages import Message
from app.core.plan import Wish
from app.services.comparing import as_method
from app.services.estimating import estimate_resolved
from app.services.inputs import ResolvedModel, resolve_model
from app.services.planning import plan
from app.services.templates import template


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodCost:
    """``estimate`` is None where the method cannot be on this model, or is not estimated; ``reasons`` say why."""

    config: Mapping[str, Any]
    estimate: Estimate | None
    reasons: tuple[Message, ...] = ()


def method_cost(
    *,
    catalog: Catalog,
    row: MethodRow,
    hardware: Hardware,
    overrides: Mapping[str, Any] | None,
    base_model: str | None,
    model: Mapping[str, Any] | None = None,
) -> MethodCost:
    """Plan with ``overrides``, the keys that ask for the method, and so with the wizard's numbers.

    Without ``overrides`` Axolotl has no such adapter: the method then takes LoRA's place in the same template.

    Raises:
        InvalidInput: the config.json holds values that cannot be.
        UnknownName: the catalogue does not hold ``base_model``.
    """
    resolved = resolve_model(catalog=catalog, base_model=base_model, model=model)
    if overrides is None:
        return _composed(catalog, row, hardware, resolved)
    wish = Wish(overrides=overrides)
    try:
        made = plan(catalog=catalog, base_model=base_model, model=model, hardware=hardware, wish=wish)
    except InvalidInput as error:
        return MethodCost(config=overrides, estimate=None, reasons=tuple(found.message for found in error.errors))
    return MethodCost(config=made.config, estimate=made.estimate)


def _composed(catalog: Catalog, row: MethodRow, hardware: Hardware, resolved: ResolvedModel) -> MethodCost:
    config = as_method(template(catalog.advisor, resolved, hardware, Wish(), "lora"), row, resolved)
    try:
        found = estimate_resolved(catalog=catalog, resolved=resolved, config=config, hardware=hardware)
    except InvalidInput as error:
        return MethodCost(config=config, estimate=None, reasons=tuple(found.message for found in error.errors))
    return MethodCost(config=config, estimate=found)
