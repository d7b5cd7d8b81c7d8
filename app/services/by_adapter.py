"""A full fine-tune that no card's worth of changes makes fit, fitted by training an adapter instead."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from app.catalog.library import Catalog
from app.core.axolotl.overriding import apply_overrides
from app.core.errors import InvalidInput, UnknownName
from app.core.estimate import Estimate
from app.core.hardware import Hardware
from app.core.plan import Change, Dataset, Install
from app.services.fitting import Fit, fit
from app.services.pricing import price_knobs

FULL_TO_ADAPTER = "adapter"
"""The knob that trains an adapter where everything trains."""


def fit_by_adapter(
    *,
    catalog: Catalog,
    config: Mapping[str, Any],
    estimate: Estimate,
    model: Mapping[str, Any] | None,
    hardware: Hardware,
    install: Install = Install.DOCKER,
    dataset: Dataset | None = None,
) -> Fit | None:
    """``config``, which ``estimate`` is of, with an adapter instead and then the least change that makes that fit.

    Its changes begin with the adapter's keys. None where one is there already, or where that does not fit either.
    """
    priced = price_knobs(config, estimate, hardware=hardware, install=install)
    knob = next((knob for knob in priced.items if knob.turn.knob == FULL_TO_ADAPTER), None)
    if knob is None:
        return None
    patched = apply_overrides(config, knob.turn.patch)
    try:
        found = fit(catalog=catalog, config=patched, model=model, hardware=hardware, install=install, dataset=dataset)
    except (InvalidInput, UnknownName):
        return None
    if not found.estimate.fits:
        return None
    own = tuple(
        Change(key=key, before=config.get(key), after=value, saves_bytes=0 if position else knob.saves_bytes)
        for position, (key, value) in enumerate(knob.turn.patch.items())
    )
    return replace(found, changes=(*own, *found.changes))
