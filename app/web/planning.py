"""From a form to a plan or to everything that keeps it from being made."""

from dataclasses import dataclass, replace

from app.catalog.library import Catalog
from app.core.errors import InvalidInput, UnknownName
from app.core.hardware import Hardware
from app.core.messages import message
from app.core.plan import Plan
from app.services.inputs import resolve_hardware
from app.services.planning import plan
from app.web import pasted_model
from app.web.contexts import State
from app.web.fields import field_of_pointer
from app.web.forms import Asked, Form, understand


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of a form. ``form`` is the same one in its shortest spelling; ``plan`` and ``hardware`` go together.

    Where ``asked`` has errors, the plan is the one without the values at fault, so that what is shown stays in place.
    """

    form: Form
    asked: Asked
    state: State
    plan: Plan | None = None
    hardware: Hardware | None = None

    @property
    def status(self) -> int:
        """The HTTP status of a page that shows this."""
        return 422 if self.state is State.INVALID else 200


def answer(form: Form, catalog: Catalog) -> Answer:
    """Plan what ``form`` asks for, collecting every bad value on the way."""
    asked = understand(form, catalog)
    hardware = _hardware(asked, form, catalog)
    made = _plan(asked, hardware, catalog) if hardware is not None else None
    form = _canonical(form, asked, hardware)
    if asked.errors:
        return Answer(form=form, asked=asked, state=State.INVALID, plan=made, hardware=hardware if made else None)
    if made is None or hardware is None:
        return Answer(form=form, asked=asked, state=_missing(form))
    return Answer(form=form, asked=asked, state=State.READY, plan=made, hardware=hardware)


def _hardware(asked: Asked, form: Form, catalog: Catalog) -> Hardware | None:
    try:
        return resolve_hardware(
            catalog=catalog, gpu=asked.gpu, vram_gib=asked.vram_gib, price_per_hour=asked.price_per_hour
        )
    except UnknownName as error:
        code = "web.error.unknown_gpu_nearest" if error.nearest else "web.error.unknown_gpu"
        asked.fault("gpu", message(code, given=form["gpu"][:60], nearest=error.nearest))
    except InvalidInput as error:
        _note(error, asked)
    return None


def _plan(asked: Asked, hardware: Hardware, catalog: Catalog) -> Plan | None:
    if asked.base_model is None and asked.model is None:
        return None
    try:
        return plan(
            catalog=catalog,
            base_model=asked.base_model,
            model=asked.model,
            hardware=hardware,
            wish=asked.wish,
            brief=True,
        )
    except UnknownName as error:
        asked.suggestions = error.nearest
        asked.fault("model", message("web.error.unknown_model", given=error.given))
    except InvalidInput as error:
        _note(error, asked)
    return None


def refuse(found: Answer, error: InvalidInput) -> Answer:
    """``found`` with what keeps its file from being made."""
    _note(error, found.asked)
    return replace(found, state=State.INVALID)


def _note(error: InvalidInput, asked: Asked) -> None:
    already = {found.pointer for found in asked.errors}
    for found in error.errors:
        name = field_of_pointer(found.pointer) or _box_of(found.pointer, asked)
        if f"/form/{name}" not in already:
            asked.fault(name, found.message)


def _box_of(pointer: str, asked: Asked) -> str:
    """The box for other keys, where it is what set the key at fault."""
    key = pointer.removeprefix("/config/").partition("/")[0].partition(".")[0].partition("[")[0]
    return "keys" if key in asked.own_keys else ""


def _missing(form: Form) -> State:
    if not form.has_model and not form.has_hardware:
        return State.NEEDS_BOTH
    return State.NEEDS_HARDWARE if form.has_model else State.NEEDS_MODEL


def _canonical(form: Form, asked: Asked, hardware: Hardware | None) -> Form:
    """``form`` with names as the catalogue spells them and a pasted file in its short form."""
    if asked.model is not None and form.model_json:
        try:
            form = form.with_values(m=pasted_model.pack(asked.model))
        except InvalidInput as error:
            _note(error, asked)
    if asked.base_model is not None and asked.model is None:
        form = form.with_values(model=asked.base_model)
    if hardware is not None and hardware.gpu_id is not None:
        form = form.with_values(gpu=hardware.gpu_id)
    return replace(form, values={name: text for name, text in form.values.items() if text})
