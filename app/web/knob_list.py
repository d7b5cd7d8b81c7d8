"""What would save most: the prices of a plan's knobs, with links that turn them."""

from collections.abc import Iterable

from app.core.prices import Saving
from app.texts import Texts
from app.web.contexts.result import KnobView
from app.web.forms import Address, Form, turned

MOST = 6
"""As many changes as a plan shows."""


def knob_views(savings: Iterable[Saving], form: Form, texts: Texts, address: Address) -> tuple[KnobView, ...]:
    """``savings`` in words, in their order; ``form`` holds the plan as it is."""
    return tuple(_view(saving, form, texts, address) for saving in savings)


def _view(saving: Saving, form: Form, texts: Texts, address: Address) -> KnobView:
    patch = saving.turn.patch
    return KnobView(
        label=texts.render(saving.turn.label),
        price=texts.render(saving.summary),
        trains=texts.text(f"web.knobs.trains.{saving.turn.trains.value}"),
        verdict=saving.verdict.value,
        verdict_text=texts.text(f"web.verdict.{saving.verdict.value}.short"),
        url=address(turned(form, patch)),
    )
