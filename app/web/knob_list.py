"""What would save most: the prices of a plan's knobs, with links that turn them."""

from app.core.estimate import badge
from app.core.prices import Knob, Knobs
from app.texts import Texts
from app.web.contexts.result import KnobView
from app.web.forms import Address, Form, turned

MOST = 6
"""As many changes as a plan shows."""


def knob_views(priced: Knobs, form: Form, texts: Texts, address: Address) -> tuple[KnobView, ...]:
    """The changes that ``priced`` holds, in its order; ``form`` holds the plan as it is."""
    return tuple(_view(knob, form, texts, address) for knob in priced.items)


def _view(knob: Knob, form: Form, texts: Texts, address: Address) -> KnobView:
    patch = knob.turn.patch
    return KnobView(
        label=texts.render(knob.turn.label),
        price=texts.render(knob.summary),
        trains=texts.text(f"web.knobs.trains.{knob.turn.trains.value}"),
        verdict=badge(knob).value,
        verdict_text=texts.text(f"web.verdict.{badge(knob).value}.short"),
        url=address(turned(form, patch)),
    )
