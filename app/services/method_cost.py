"""What one method costs on one model and card, planned as the wizard plans it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.catalog.library import Catalog
from app.core.errors import InvalidInput
from app.core.estimate import Estimate
from app.core.hardware import Hardware
from app.core.messages import Message
from app.core.plan import Wish
from app.services.planning import plan


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodCost:
    """``estimate`` is None where the method cannot be on this model, or is not estimated; ``reasons`` say why."""

    config: Mapping[str, Any]
    estimate: Estimate | None
    reasons: tuple[Message, ...] = ()


def method_cost(
    *,
    catalog: Catalog,
    hardware: Hardware,
    overrides: Mapping[str, Any],
    base_model: str | None,
    model: Mapping[str, Any] | None = None,
) -> MethodCost:
    """Plan with ``overrides``, the keys that ask for the method, and so with the wizard's numbers.

    Raises:
        InvalidInput: the config.json holds values that cannot be.
        UnknownName: the catalogue does not hold ``base_model``.
    """
    wish = Wish(overrides=overrides)
    try:
        made = plan(catalog=catalog, base_model=base_model, model=model, hardware=hardware, wish=wish)
    except InvalidInput as error:
        return MethodCost(config=overrides, estimate=None, reasons=tuple(found.message for found in error.errors))
    return MethodCost(config=made.config, estimate=made.estimate)
