"""The fields of the form as shown: labels, values, recommendations, errors and findings at their place."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import groupby
from typing import Any

from app.catalog.gpus import Gpus
from app.catalog.library import Catalog
from app.catalog.models import Models
from app.core.errors import FieldError
from app.core.messages import Message
from app.core.plan import Plan
from app.texts import Texts
from app.web import contexts
from app.web.fields import FIELDS, PEFT_KEYS, Field, Kind
from app.web.forms import MODEL_JSON, TWICE, Address, Asked, Form
from app.web.image_fields import IMAGE_FIELDS, NUMBER, SIDE

SEGMENTS = ("consumer", "laptop", "workstation", "data_center")
LISTS = {"model": "model-names", "dataset_type": "dataset-types", "optimizer": "optimizers"}
LONGEST_KEPT = 300
"""Characters of a value whose field is kept."""
RECOMMENDED = frozenset(
    name for name, field in FIELDS.items() if field.kind is Kind.CHOICE and field.default == "" and name != "file"
)
"""Choices one of which leaves it to the plan."""
DATASET_TYPES = ("chat_template", "alpaca", "completion", "chat_template.default", "llama3.argilla")
OPTIMIZERS = (
    "adamw_torch_fused",
    "adamw_torch",
    "adamw_8bit",
    "paged_adamw_8bit",
    "paged_adamw_32bit",
    "adafactor",
    "lion_8bit",
    "muon",
)


WHERE_BLANK = {NUMBER: "1", SIDE: "1024"}
"""What is taken of images that nothing is said of."""


def field_views(
    form: Form,
    asked: Asked,
    catalog: Catalog,
    texts: Texts,
    address: Address,
    *,
    plan: Plan | None,
    findings: Sequence[contexts.FindingView] = (),
) -> dict[str, contexts.FieldView]:
    """A view per field. With a plan, blank fields show what it recommends."""
    errors = _errors_by_field(asked, form, texts, address)
    found = _findings_by_field(findings)
    config = plan.config if plan else {}
    views = {}
    for name in (*FIELDS, MODEL_JSON):
        typed = form.values.get(name, "")
        resettable = bool(typed) and _resettable(name)
        made = _view if resettable or len(typed) > LONGEST_KEPT else _kept_view
        view = made(
            name,
            typed,
            _placeholder(name, config, texts),
            _recommended(name, texts, None if typed else plan) if name in RECOMMENDED else "",
            address(form.with_values(**{name: None})) if resettable else None,
            texts,
            catalog.gpus,
        )
        if name in errors or name in found:
            view = replace(view, errors=errors.get(name, ()), findings=tuple(found.get(name, ())))
        views[name] = view
    return views


def _view(
    name: str, typed: str, placeholder: str, recommended: str, reset_url: str | None, texts: Texts, gpus: Gpus
) -> contexts.FieldView:
    """A field that nothing is to be said of; ``recommended`` is the label of the choice that leaves it to the plan."""
    field = FIELDS.get(name)
    label, hint = _words(name, texts)
    return contexts.FieldView(
        name=name,
        id=f"f-{name}",
        label=label,
        hint=hint,
        value=typed,
        placeholder=placeholder,
        list_id=LISTS.get(name, ""),
        reset_url=reset_url,
        options=_options(field, typed, recommended, texts) if field and field.kind is Kind.CHOICE else (),
        groups=_gpus(typed, gpus, texts) if name == "gpu" else (),
    )


_kept_view = lru_cache(maxsize=1024)(_view)
"""Most fields stay as they are from one change to the next. A way back holds all that was typed, and so never does."""


def _words(name: str, texts: Texts) -> tuple[str, str]:
    """Label and hint of a field."""
    hint = f"web.field.{name}.hint"
    return texts.text(f"web.field.{name}"), texts.text(hint) if hint in texts else ""


def error_summary(asked: Asked, texts: Texts) -> tuple[contexts.ErrorSummaryItem, ...]:
    """One line per bad value, leading to its field, in the order of the form."""
    places = {name: place for place, name in enumerate(FIELDS)}
    items = []
    for error in sorted(asked.errors, key=lambda error: places.get(error.pointer.removeprefix("/form/"), -1)):
        name = error.pointer.removeprefix("/form/")
        label = texts.text(f"web.field.{name}") if name in FIELDS or name == MODEL_JSON else ""
        said = texts.render(error.message)
        items.append(
            contexts.ErrorSummaryItem(
                text=texts.text("web.error.line", label=label, said=said) if label else said,
                url=f"#f-{name}" if label else "#plan-form",
            )
        )
    return tuple(dict.fromkeys(items))


@lru_cache(maxsize=4)
def model_options(models: Models) -> tuple[contexts.Option, ...]:
    """Every model, newest first, for the search field's list."""
    return tuple(contexts.Option(value=row.id, label=row.name) for row in models.search(""))


def _errors_by_field(
    asked: Asked, form: Form, texts: Texts, address: Address
) -> Mapping[str, tuple[contexts.FieldError, ...]]:
    by_field: dict[str, tuple[contexts.FieldError, ...]] = {}
    for error in asked.errors:
        name = error.pointer.removeprefix("/form/")
        by_field[name] = (*by_field.get(name, ()), _error(name, error, asked, form, texts, address))
    return by_field


def _findings_by_field(findings: Iterable[contexts.FindingView]) -> Mapping[str, list[contexts.FindingView]]:
    by_field: dict[str, list[contexts.FindingView]] = {}
    for found in findings:
        if found.field_id is not None:
            by_field.setdefault(found.field_id.removeprefix("f-"), []).append(found)
    return by_field


def _error(
    name: str, error: FieldError, asked: Asked, form: Form, texts: Texts, address: Address
) -> contexts.FieldError:
    if error.message.code == TWICE:
        return _said_twice(error.message, form, texts, address)
    close = error.message.params.get("nearest") or ()
    names: Iterable[str] = (close,) if isinstance(close, str) else close if isinstance(close, tuple) else ()
    if name == "model":
        names = asked.suggestions or names
    links = (
        tuple(contexts.Link(text=near, url=address(form.with_values(**{name: near}))) for near in names)
        if name in FIELDS
        else ()
    )
    return contexts.FieldError(text=texts.render(error.message), links=links)


def _said_twice(said: Message, form: Form, texts: Texts, address: Address) -> contexts.FieldError:
    """A key that the box and its field say otherwise, and a link that settles it either way."""
    name = str(said.params["field"])
    links = tuple(
        contexts.Link(
            text=texts.text(f"{TWICE}.{'boxed' if boxed else 'field'}", **said.params),
            url=address(form.one_of_twice(name, boxed=boxed)),
        )
        for boxed in (True, False)
    )
    return contexts.FieldError(text=texts.render(said), links=links)


def _resettable(name: str) -> bool:
    """Model and hardware are asked for, everything else has a recommendation to go back to."""
    return name not in (
        "model",
        "m",
        "gpu",
        "vram_gib",
        "dataset_path",
        "rows",
        "mean_tokens",
        "max_tokens",
        "file",
        *IMAGE_FIELDS,
    )


def _placeholder(name: str, config: Mapping[str, Any], texts: Texts) -> str:
    if name == "keys":
        return "weight_decay: 0.01\nlr_scheduler: linear"
    if name in WHERE_BLANK:
        return WHERE_BLANK[name]
    examples = {"model": "Llama 3.1 8B", "dataset_path": "mlabonne/FineTome-100k", "vram_gib": "24"}
    if name in examples:
        return texts.text("web.field.example", example=examples[name])
    if name == "dataset_type":
        rows: Any = config.get("datasets") or ({},)
        return str(rows[0].get("type") or "")
    return shown_value(config.get(name))


def shown_value(value: object) -> str:
    """A plain value of a configuration as people write it; blank for what is none."""
    if isinstance(value, float):
        return f"{value:.10f}".rstrip("0").rstrip(".") if value < 1 else f"{value:g}"
    return "" if value is None or isinstance(value, bool | dict | list) else str(value)


def _options(field: Field, typed: str, recommended: str, texts: Texts) -> tuple[contexts.Option, ...]:
    """What a field offers, and what was typed into the address where it is none of it."""
    offered = _offered(field, typed if typed in PEFT_KEYS else "", texts)
    if typed and typed not in field.choices:
        offered = (*offered, contexts.Option(value=typed, label=typed))
    if field.name not in RECOMMENDED:
        return offered
    hint = texts.text("web.method.recommended.hint") if field.name == "method" else ""
    return (contexts.Option(value="", label=recommended, hint=hint), *offered)


def _offered(field: Field, picked: str, texts: Texts) -> tuple[contexts.Option, ...]:
    """What a field offers beside what is recommended; of PEFT's methods only the one that is ``picked``."""
    options = []
    for value in field.choices:
        if value in PEFT_KEYS and value != picked:
            continue
        label = texts.text(f"method.{value}") if field.name == "method" else texts.text(f"web.{field.name}.{value}")
        hint_code = f"web.{field.name}.{value}.hint"
        options.append(
            contexts.Option(
                value="" if value == field.default else value,
                label=label,
                hint=texts.text(hint_code) if hint_code in texts else "",
            )
        )
    return tuple(options)


def _recommended(name: str, texts: Texts, plan: Plan | None) -> str:
    """What the choice that leaves ``name`` to the plan is called."""
    if plan is not None and name == "method":
        return texts.text("web.recommended_value", value=texts.text(f"method.{plan.decision.method}"))
    if plan is not None and name == "neftune":
        state = "on" if plan.config.get("neftune_noise_alpha") else "off"
        return texts.text("web.recommended_value", value=texts.text(f"web.neftune.{state}"))
    if plan is not None and name == "gradient_checkpointing":
        state = str(plan.config.get(name) or False).lower()
        return texts.text("web.recommended_value", value=texts.text(f"web.gradient_checkpointing.{state}"))
    return texts.text("web.recommended")


def _gpus(picked: str, gpus: Gpus, texts: Texts) -> tuple[contexts.OptionGroup, ...]:
    """All cards by segment, and what was typed into the address where it is none of them."""
    groups = gpu_groups(gpus, texts)
    if not picked or any(option.value == picked for group in groups for option in group.options):
        return groups
    typed = contexts.OptionGroup(
        label=texts.text("web.segment.typed"), options=(contexts.Option(value=picked, label=picked),)
    )
    return (*groups, typed)


@lru_cache(maxsize=16)
def gpu_groups(gpus: Gpus, texts: Texts) -> tuple[contexts.OptionGroup, ...]:
    """All cards, by segment."""
    rows = sorted(gpus.rows, key=lambda row: _segment_order(row.segment))
    return tuple(
        contexts.OptionGroup(
            label=texts.text(f"web.segment.{segment}"),
            options=tuple(
                contexts.Option(
                    value=row.id,
                    label=texts.text("web.gpu_option", name=row.name, memory_gb=row.marketed_memory_gb),
                )
                for row in members
            ),
        )
        for segment, members in groupby(rows, key=lambda row: row.segment)
    )


def _segment_order(segment: str) -> int:
    return SEGMENTS.index(segment) if segment in SEGMENTS else len(SEGMENTS)
