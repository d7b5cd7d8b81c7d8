"""The plan's form as submitted: what was typed, kept as typed, and what it asks for."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any
from urllib.parse import quote_plus

from starlette.datastructures import QueryParams

from app.catalog.library import Catalog
from app.catalog.models import ModelRow
from app.catalog.search import tokens
from app.core.errors import FieldError, InvalidInput
from app.core.messages import Message, message
from app.core.nearest import nearest
from app.core.plan import Dataset, Goal, Install, Priority, Tasks, Wish
from app.services.writing import flow_text
from app.texts import LANGUAGES
from app.web import own_keys, pasted_model
from app.web.fields import CHECKPOINTING, FIELDS, METHOD_KEYS, NEFTUNE_KEYS, PEFT_KEYS, Field, File, Kind

MODEL_JSON = "model_json"
TWICE = "web.error.twice"
"""The code of a key that the box for other keys and its field say otherwise."""
MOST_SUGGESTIONS = 6
MOST_PRICE = 10**6
LONGEST_KEPT = 300
"""Characters of a value whose spelling in an address is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """What an address says. ``values`` holds no blanks and no defaults; ``model_json`` is a raw pasted file."""

    values: Mapping[str, str] = field(default_factory=dict)
    model_json: str = ""
    lang: str | None = None

    @classmethod
    def from_query(cls, query: QueryParams, known_keys: frozenset[str] = frozenset()) -> "Form":
        """Read a query. Axolotl's keys mean the fields that stand for them; other names are somebody else's."""
        values = {}
        for name, known in FIELDS.items():
            text = query.get(name, "").strip()
            if text and text != known.default:
                values[name] = text
        foreign = [pair for pair in query.multi_items() if pair[0] not in FIELDS]
        values = own_keys.folded(values, foreign, known_keys)
        lang = query.get("lang")
        return cls(
            values={name: values[name] for name in FIELDS if name in values and values[name] != FIELDS[name].default},
            model_json=query.get(MODEL_JSON, "").strip(),
            lang=lang if lang in LANGUAGES else None,
        )

    def __getitem__(self, name: str) -> str:
        return self.values.get(name, FIELDS[name].default)

    @property
    def has_model(self) -> bool:
        """Whether a model is named or pasted."""
        return bool(self.values.get("model") or self.values.get("m") or self.model_json)

    @property
    def has_hardware(self) -> bool:
        """Whether a card or its memory is given."""
        return bool(self.values.get("gpu") or self.values.get("vram_gib"))

    def with_values(self, **changes: str | None) -> "Form":
        """This form with some fields set; None, a blank or the default clears one."""
        values = dict(self.values)
        for name, value in changes.items():
            if value is None or value in ("", FIELDS[name].default):
                values.pop(name, None)
            else:
                values[name] = value
        ordered = {name: values[name] for name in FIELDS if name in values}
        return replace(self, values=ordered, model_json="" if "m" in changes else self.model_json)

    def with_method(self, method: str) -> "Form":
        """This form under another method: what the box for other keys says of one goes."""
        values = own_keys.without(self.values, own_keys.METHOD_SAYING)
        file = File.FILLED.value if self["file"] else None
        return replace(self, values=values).with_values(method=method, file=file)

    def one_of_twice(self, name: str, *, boxed: bool) -> "Form":
        """This form with field ``name`` said in one place: as the box has it, or as the field."""
        if boxed:
            cleared = ("dataset_path", "dataset_type") if name.startswith("dataset_") else (name,)
            return self.with_values(**dict.fromkeys(cleared))
        return replace(self, values=own_keys.without(self.values, own_keys.keys_of(name)))

    def query(self, lang: str | None = None) -> str:
        """The shortest query that says the same, ``?`` included; empty for a blank form."""
        pairs = list(self.values.items())
        if self.model_json:
            pairs.append((MODEL_JSON, self.model_json))
        if lang or self.lang:
            pairs.append(("lang", lang or self.lang or ""))
        return "?" + "&".join([_pair(name, value) for name, value in pairs]) if pairs else ""


def _pair(name: str, value: str) -> str:
    """One field of a query."""
    return f"{name}={_quoted(value) if len(value) < LONGEST_KEPT else quote_plus(value)}"


@lru_cache(maxsize=4096)
def _quoted(value: str) -> str:
    """A page has some twenty addresses, which hold the same values."""
    return quote_plus(value)


Address = Callable[[Form], str]
"""The address of the plan that a form asks for."""


def turned(form: Form, patch: Mapping[str, Any]) -> Form:
    """``form`` with Axolotl keys set (None takes one out), each where the form holds it."""
    values = own_keys.patched(form.values, patch)
    return Form(
        values={name: values[name] for name in FIELDS if values.get(name)}, model_json=form.model_json, lang=form.lang
    )


@dataclass(slots=True, kw_only=True)
class Asked:
    """What a form comes to: arguments for the services, and every value that cannot be."""

    base_model: str | None = None
    model: Mapping[str, Any] | None = None
    gpu: str | None = None
    vram_gib: float | None = None
    price_per_hour: float | None = None
    wish: Wish = field(default_factory=Wish)
    own_keys: frozenset[str] = frozenset()
    """Keys that the box for other keys sets."""
    errors: list[FieldError] = field(default_factory=list)
    """Pointers are ``/form/<field>``."""
    suggestions: tuple[str, ...] = ()
    """Ids that an unknown model may have meant."""

    def fault(self, name: str, found: Message) -> None:
        """Note that field ``name`` cannot be as it is."""
        self.errors.append(FieldError(f"/form/{name}", found))


def understand(form: Form, catalog: Catalog) -> Asked:
    """Read every field of ``form``. Bad values are noted, and left out of what is asked."""
    asked = Asked()
    _read_model(form, catalog, asked)
    asked.gpu = _text(form, "gpu", asked)
    vram = _number(form, "vram_gib", asked)
    asked.vram_gib = float(vram) if vram is not None else None
    price = _number(form, "price_per_hour", asked)
    if price is not None and not 0 <= price <= MOST_PRICE:
        asked.fault(
            "price_per_hour", message("web.error.range", given=form["price_per_hour"], least=0, most=MOST_PRICE)
        )
        price = None
    asked.price_per_hour = float(price) if price is not None else None
    asked.wish = Wish(
        goal=Goal(_choice(form, "goal", asked) or Goal.CHAT),
        priority=Priority(_choice(form, "priority", asked) or Priority.BALANCED),
        tasks=Tasks(_choice(form, "tasks", asked) or Tasks.ONE),
        sequence_len_tokens=_whole(form, "sequence_len", asked),
        dataset=Dataset(
            path=_text(form, "dataset_path", asked),
            type=_text(form, "dataset_type", asked),
            rows=_whole(form, "rows", asked),
            mean_tokens=_whole(form, "mean_tokens", asked),
            max_tokens=_whole(form, "max_tokens", asked),
            images_per_row=_whole(form, "images_per_row", asked),
            image_side=_whole(form, "image_side", asked),
        ),
        overrides=_overrides(form, asked),
        whole=_choice(form, "file", asked) == File.AS_IS,
        install=Install(_choice(form, "install", asked) or Install.DOCKER),
    )
    return asked


def _read_model(form: Form, catalog: Catalog, asked: Asked) -> None:
    name = _text(form, "model", asked)
    try:
        if form.model_json:
            asked.model = pasted_model.reduce(pasted_model.read_json(form.model_json))
        elif form.values.get("m"):
            asked.model = pasted_model.unpack(form.values["m"])
    except InvalidInput as error:
        asked.errors.extend(FieldError(f"/form/{MODEL_JSON}", found.message) for found in error.errors)
        return
    if asked.model is not None or name is None:
        asked.base_model = name
        return
    row, others = find_model(name, catalog)
    if row is not None:
        asked.base_model = name.strip() if row == _copied(name, catalog) else row.id
        return
    asked.suggestions = others
    asked.fault("model", message("web.error.unknown_model" if others else "web.error.no_such_model", given=name))


def find_model(name: str, catalog: Catalog) -> tuple[ModelRow | None, tuple[str, ...]]:
    """The one model that ``name`` means in daily speech, or the ids that it may mean."""
    row = catalog.models.find(name) or _copied(name, catalog)
    if row is not None:
        return row, ()
    found = catalog.models.search(name)
    wanted = tokens(name)
    spoken = [
        row for row in found if wanted in {tokens(text) for text in (row.name, row.id.partition("/")[2], *row.aliases)}
    ]
    if len(found) == 1 or spoken:
        return (spoken or list(found))[0], ()
    return None, tuple(row.id for row in found[:MOST_SUGGESTIONS]) or catalog.models.nearest(name)


def _copied(name: str, catalog: Catalog) -> ModelRow | None:
    """The model that a copy by another publisher, or in a directory, is called after."""
    return catalog.models.namesake(name) if "/" in name and catalog.models.find(name) is None else None


def _overrides(form: Form, asked: Asked) -> dict[str, Any]:
    overrides: dict[str, Any] = {}
    method = _choice(form, "method", asked)
    if method:
        overrides |= METHOD_KEYS.get(method) or PEFT_KEYS[method]
    neftune = _choice(form, "neftune", asked)
    if neftune:
        overrides |= NEFTUNE_KEYS[neftune]
    try:
        own = own_keys.parse(form["keys"])
    except InvalidInput as error:
        asked.errors.extend(error.errors)
    else:
        asked.own_keys = frozenset(own)
        for twice in own_keys.contradictions(own, form.values, overrides):
            asked.fault("keys", said_twice(twice, form))
            own = {key: value for key, value in own.items() if key not in twice.keys}
        overrides |= own
    for name, known in FIELDS.items():
        if not known.knob:
            continue
        match known.kind:
            case Kind.WHOLE:
                value: object = _whole(form, name, asked)
            case Kind.NUMBER:
                value = _number(form, name, asked)
            case Kind.CHOICE:
                overrides |= CHECKPOINTING.get(_choice(form, name, asked) or "", {})
                value = None
            case _:
                value = _text(form, name, asked)
        if value is not None:
            overrides[name] = value
    return {**_of_the_file(form), **overrides} if form["file"] == File.AS_IS else overrides


def said_twice(twice: own_keys.Twice, form: Form) -> Message:
    """What the box and a field say otherwise."""
    return message(TWICE, key=twice.key, boxed=twice.boxed[:60], field=twice.field, given=form[twice.field][:60])


def _of_the_file(form: Form) -> dict[str, Any]:
    """The keys of a whole file that fields of the plan stand for."""
    found: dict[str, Any] = {}
    row = {name: form[f"dataset_{name}"] for name in ("path", "type") if form[f"dataset_{name}"]}
    if row:
        found["datasets"] = [row]
    if form["goal"] in own_keys.PREFERENCES:
        found["rl"] = form["goal"]
    if form["sequence_len"].isdecimal():
        found["sequence_len"] = int(form["sequence_len"])
    return found


def _text(form: Form, name: str, asked: Asked) -> str | None:
    text = form.values.get(name)
    most = FIELDS[name].most
    if text is not None and len(text) > most:
        asked.fault(name, message("web.error.long", given=len(text), most=most))
        return None
    return text


def _choice(form: Form, name: str, asked: Asked) -> str | None:
    known: Field = FIELDS[name]
    text = _text(form, name, asked)
    if text is None or text in known.choices:
        return text
    close = nearest(text, known.choices, count=1)
    code = "web.error.choice_nearest" if close else "web.error.choice"
    asked.fault(name, message(code, given=text[:60], allowed=known.choices, nearest=close[0] if close else ""))
    return None


def _whole(form: Form, name: str, asked: Asked) -> int | None:
    text = _text(form, name, asked)
    number = whole_number(text, FIELDS[name]) if text is not None else None
    if isinstance(number, Message):
        asked.fault(name, number)
        return None
    return number


def whole_number(text: str, field: Field) -> int | Message:
    """The whole number that was typed into ``field``, or why it is none that it may hold."""
    try:
        number = int(text.replace(",", "").replace(" ", "").replace("\u00a0", ""))
    except ValueError:
        return message("web.error.whole", given=text[:60])
    least = field.least or 0
    if least <= number <= field.highest:
        return number
    return message("web.error.range", given=text[:60], least=least, most=field.highest)


def _number(form: Form, name: str, asked: Asked) -> float | int | None:
    text = _text(form, name, asked)
    if text is None:
        return None
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not abs(number) < float("inf"):
        asked.fault(name, message("web.error.number", given=text[:60]))
        return None
    return int(number) if number.is_integer() and abs(number) < 10**12 else number


def in_field(value: object) -> str:
    """A value of a configuration as its field holds it."""
    if isinstance(value, list | tuple | dict):
        return flow_text(value)
    return str(value).lower() if isinstance(value, bool) else str(value)
