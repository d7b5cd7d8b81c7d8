"""The parts of the form that stay folded until they are wanted: what they come to, in a line each."""

from collections.abc import Mapping, Sequence

from app.core.plan import Plan
from app.texts import Texts
from app.web.contexts import FieldView, FindingView, SectionView
from app.web.field_views import shown_value
from app.web.forms import Form

SECTIONS: Mapping[str, tuple[str, ...]] = {
    "data": (
        "dataset_path",
        "dataset_type",
        "rows",
        "mean_tokens",
        "max_tokens",
        "images_per_row",
        "image_side",
        "sequence_len",
        "tasks",
        "price_per_hour",
    ),
    "method": ("method", "neftune"),
    "knobs": (
        "lora_r",
        "lora_alpha",
        "lora_dropout",
        "micro_batch_size",
        "gradient_accumulation_steps",
        "learning_rate",
        "num_epochs",
        "optimizer",
        "gradient_checkpointing",
        "install",
        "keys",
    ),
}
"""Which fields each one holds."""

_GRAVEST = ("error", "warning")


def section_views(
    form: Form, fields: Mapping[str, FieldView], plan: Plan | None, texts: Texts
) -> dict[str, SectionView]:
    """Every section: open where something in it was changed or is at fault."""
    views = {}
    for name, members in SECTIONS.items():
        changed = sum(member in form.values for member in members)
        invalid = any(fields[member].errors for member in members)
        findings = [found for member in members for found in fields[member].findings]
        views[name] = SectionView(
            id=f"fold-{name}",
            summary=_summary(name, form, plan, texts),
            changed=texts.text("web.section.changed", count=changed) if changed else "",
            invalid=invalid,
            worst=_worst(findings),
            open=bool(changed) or invalid,
        )
    return views


def _worst(findings: Sequence[FindingView]) -> str:
    present = {found.severity for found in findings}
    return next((severity for severity in _GRAVEST if severity in present), "")


def _summary(name: str, form: Form, plan: Plan | None, texts: Texts) -> str:
    if plan is None:
        return texts.text(f"web.section.{name}.blank")
    config = plan.config
    match name:
        case "data":
            rows: object = config.get("datasets") or config.get("pretraining_dataset") or ({},)
            own = form["dataset_path"] or "datasets" in form["keys"]
            first = rows[0] if isinstance(rows, list | tuple) and rows else rows
            path = str(first.get("path") or "") if isinstance(first, Mapping) else ""
            code = "web.section.data.own" if own and path else "web.section.data"
            return texts.text(code, path=path, tokens=config.get("sequence_len") or 0)
        case "method":
            code = "web.section.method.own" if form["method"] else "web.section.method"
            state = texts.text(f"web.neftune.{'on' if config.get('neftune_noise_alpha') else 'off'}")
            return texts.text(code, method=texts.text(f"method.{plan.method}"), neftune=state)
    parts = []
    if config.get("lora_r"):
        parts.append(texts.text("web.section.knobs.rank", rank=config["lora_r"]))
    parts.append(
        texts.text(
            "web.section.knobs",
            batch=config.get("micro_batch_size") or 1,
            steps=config.get("gradient_accumulation_steps") or 1,
            rate=shown_value(config.get("learning_rate")),
            epochs=shown_value(config.get("num_epochs") or 1),
        )
    )
    return " · ".join(parts)
