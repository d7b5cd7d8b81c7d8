"""A comparison as rows of plain values, for CSV and JSON."""

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

from app.core.estimate import badge
from app.services.comparing import Compared
from app.texts import Texts
from app.web.memory_bar import FILLS

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What spreadsheets take for the start of a formula."""
TERMS = tuple(term for term in FILLS if term != "overhead")


def rows(items: Sequence[Compared], texts: Texts) -> list[dict[str, Any]]:
    """One row per configuration; bytes and seconds are numbers, what is not known is None."""
    return [_row(item, texts) for item in items]


def _row(item: Compared, texts: Texts) -> dict[str, Any]:
    estimate = item.estimate
    terms = {term.code: term.bytes for term in estimate.memory.breakdown} if estimate else {}
    time = estimate.time if estimate else None
    return {
        "label": item.label,
        "method": item.method.id if item.method else None,
        "verdict": badge(estimate).value if estimate else None,
        "fits": estimate.fits if estimate else None,
        "trainable_parameters": estimate.trainable_parameters if estimate else None,
        "trainable_percent": estimate.trainable_percent if estimate else None,
        "process_bytes": estimate.memory.process_bytes if estimate else None,
        "range_low_bytes": estimate.memory.range_bytes[0] if estimate else None,
        "range_high_bytes": estimate.memory.range_bytes[1] if estimate else None,
        **{f"{code}_bytes": terms.get(code) for code in TERMS},
        "capacity_bytes": estimate.capacity_bytes if estimate else None,
        "relative_step_time": item.relative_step_time,
        "step_seconds": time.step_seconds if time else None,
        "tokens_per_second": time.tokens_per_second if time else None,
        "adapter_disk_bytes": estimate.adapter_disk_bytes if estimate else None,
        "gives_up": texts.text(item.method.cost) if item.method else None,
        "reasons": [texts.render(reason) for reason in item.reasons],
    }


def as_json(items: Sequence[Compared], texts: Texts) -> str:
    """The rows, each with its configuration."""
    found = [row | {"config": dict(item.config)} for row, item in zip(rows(items, texts), items, strict=True)]
    return json.dumps({"items": found, "total": len(found)}, ensure_ascii=False, indent=2, default=str) + "\n"


def as_csv(items: Sequence[Compared], texts: Texts) -> str:
    """The rows for a spreadsheet."""
    table = rows(items, texts)
    out = io.StringIO()
    writer = csv.DictWriter(out, fieldnames=list(table[0]) if table else ["label"], lineterminator="\r\n")
    writer.writeheader()
    writer.writerows({key: _cell(value) for key, value in row.items()} for row in table)
    return out.getvalue()


def _cell(value: object) -> object:
    if isinstance(value, list):
        value = " ".join(value)
    if isinstance(value, str) and value.startswith(FORMULA):
        return f"'{value}"
    return "" if value is None else value
